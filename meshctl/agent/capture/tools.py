"""The host's programs: found in the system's own folders, run without a shell, and heard to the end."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from meshctl.errors import FailedError

_FOLDERS: Final = ("/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin")
_PATIENCE: Final = 60.0
"""Seconds for one program: a firewall that reloads may keep others waiting."""
_ENVIRONMENT: Final = {"PATH": ":".join(_FOLDERS), "LC_ALL": "C"}


@dataclass(frozen=True, slots=True)
class Tools:
    """Programs of a host.

    Attributes:
        folders: where they are looked for; never where a caller's PATH leads to.
        held: files that programs keep open. One that outlives us, as we are killed, still holds our lock, and
            whoever comes next waits for its end.
    """

    folders: Sequence[str] = _FOLDERS
    held: list[int] = field(default_factory=list)

    def find(self, name: str) -> str:
        """The path of a program, or an empty string."""
        paths = (Path(folder) / name for folder in self.folders)
        return next((str(path) for path in paths if path.is_file()), "")

    def read(self, path: str) -> str:
        """What a file says; nothing where there is none, or it may not be read."""
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""

    def listed(self, pattern: str) -> list[str]:
        """The paths that a pattern is for, in order."""
        return sorted(str(path) for path in Path("/").glob(pattern.lstrip("/")))

    def run(self, command: Sequence[str], text: str = "") -> str:
        """What a program says when it is given `text`.

        Raises:
            FailedError: it does not end well, or not in time; what it said is in the details.
        """
        name = Path(command[0]).name
        try:
            done = subprocess.run(  # noqa: S603 - fixed programs; options.py has checked what they get
                command,
                input=text,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                env=_ENVIRONMENT,
                cwd="/",
                pass_fds=self.held,
                timeout=_PATIENCE,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise FailedError("tool-failed", f"{name} cannot be run", details=[str(error)]) from error
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.strip()]
            raise FailedError("tool-failed", f"{name} ended with {done.returncode}", details=said[:10])
        return done.stdout
