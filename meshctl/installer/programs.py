"""Programs of the host, run to their end."""

from __future__ import annotations

import subprocess

from meshctl.errors import FailedError

_SECONDS = 180


def run(*argv: str) -> None:
    """Run a program.

    Raises:
        FailedError: it is missing, ended with something else than 0, or took too long.
    """
    try:
        done = subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, timeout=_SECONDS)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise FailedError("program-failed", f"{argv[0]!r} cannot be run: {fault}") from fault
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").splitlines()[-10:]
        raise FailedError(
            "program-failed",
            f"{' '.join(argv)!r} ended with {done.returncode}",
            hint="run it by hand to see what it finds",
            details=said,
        )
