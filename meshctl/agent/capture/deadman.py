"""The timer that takes a change back unless somebody confirms it: who locked himself out cannot.

It is systemd's, so that it outlives the SSH session, and all that systemd ends with it; where there is no
systemd, a process of its own session waits.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meshctl.agent.capture.tools import Tools
from meshctl.errors import FailedError

_CODE: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); from meshctl.agent.capture import deadman; deadman.main()"
)
_PACKAGES: Final = Path(__file__).resolve().parents[3]
"""The folder that `meshctl` is in."""


@dataclass(frozen=True, slots=True)
class Deadman:
    """The timer of one host.

    Attributes:
        root: what the agent's files are under.
        tools: by which the host is asked.
    """

    root: Path
    tools: Tools

    def arm(self, number: str, seconds: float) -> None:
        """Take the change back in some seconds.

        Raises:
            FailedError: systemd does not take it.
        """
        program = self.tools.find("systemd-run")
        if not program or not Path("/run/systemd/system").is_dir():
            self._wait(number, seconds)
            return
        self.tools.run(
            [
                *(program, "--quiet", "--collect", f"--unit={_unit(number)}", f"--on-active={seconds:.3f}s"),
                *("--timer-property=AccuracySec=100ms", *self._command(number, 0)),
            ]
        )

    def disarm(self, number: str) -> None:
        """It is not needed any more; one that fires nevertheless finds nothing to do."""
        program = self.tools.find("systemctl")
        if program and Path("/run/systemd/system").is_dir():
            with suppress(FailedError):  # it is gone already
                self.tools.run([program, "stop", f"{_unit(number)}.timer"])

    def _wait(self, number: str, seconds: float) -> None:
        subprocess.Popen(  # noqa: S603 - ourselves
            self._command(number, seconds),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def _command(self, number: str, seconds: float) -> Sequence[str]:
        own = (str(_PACKAGES), str(self.root), number, f"{seconds:.3f}")
        return [sys.executable, "-I", "-c", _CODE, *own]


def _unit(number: str) -> str:
    return f"meshctl-agent-capture-{number}"


def main() -> None:
    """Take a change back; arguments are the packages' folder, the root, the change's number, and seconds."""
    from meshctl.agent.capture.control import capture
    from meshctl.agent.places import Places

    root, number, seconds = sys.argv[2:]
    time.sleep(float(seconds))
    capture(Places(Path(root))).expire(number)
