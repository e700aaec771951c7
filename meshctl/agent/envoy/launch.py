"""Becomes Envoy: ends with the agent, has its limits, and nothing else of it.

A program of its own, of the standard library alone. Its arguments: the agent's process id, open files (0: as
many as may be), whether to leave core dumps (0 or 1), Envoy's path, Envoy's arguments.
"""

from __future__ import annotations

import os
import sys

NOT_RUN = 126
"""Exit status when the program cannot be run."""
_PR_SET_PDEATHSIG = 1


def become(agent: int, files: int, cores: int, command: list[str]) -> None:
    """Turn this process into the command.

    Raises:
        OSError: it cannot be run.
    """
    import ctypes  # here, as the agent imports this module for its names alone
    import resource
    import signal

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != agent:  # it ended before it could be watched
        sys.exit(NOT_RUN)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files if files and (files < most or most == resource.RLIM_INFINITY) else most
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))  # Envoy itself goes up to the hard one
    if not cores:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ.pop("LC_CTYPE", None)  # Python's own, where there is no locale
    os.execv(command[0], command)  # noqa: S606 - the program that the operator has set


if __name__ == "__main__":
    try:
        become(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
    except OSError as error:
        sys.stderr.write(f"critical\tlaunch\t{sys.argv[4]} cannot be run: {error.strerror}\n")
        sys.exit(NOT_RUN)
