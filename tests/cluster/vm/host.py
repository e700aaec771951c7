"""A host of the sandbox, reached as its administrator reaches it: over SSH, as `admin` with sudo."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from meshctl.agent.places import UNIT, USER, Places

PLACES = Places()
SECONDS = 120.0
"""Longest that a command on a host may take; not a measure of anything."""


@dataclass(frozen=True)
class Host:
    """One host.

    Attributes:
        name: such as `vm1`.
        address: on the sandbox's bridge.
        config: file for `ssh -F`.
    """

    name: str
    address: str
    config: Path

    def run(self, command: str, *, stdin: bytes = b"", check: int | None = 0) -> str:
        """What a shell command says; `check` is the exit code that is expected, None takes any."""
        return self.ended(command, stdin=stdin, check=check).stdout.decode(errors="replace")

    def ended(
        self, command: str, *, stdin: bytes = b"", check: int | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        """A shell command that has ended."""
        argv = ["ssh", "-F", str(self.config), self.name, command]
        done = subprocess.run(argv, input=stdin, capture_output=True, timeout=SECONDS)
        said = "\n".join(each[-3000:].decode(errors="replace") for each in (done.stdout, done.stderr))
        assert check is None or done.returncode == check, (
            f"{self.name}: {command[:200]} gave {done.returncode}\n{said}"
        )
        return done

    def sudo(self, command: str, *, stdin: bytes = b"", check: int | None = 0) -> str:
        """What a shell command says that root runs."""
        return self.run(f"sudo -n sh -c {shlex.quote(command)}", stdin=stdin, check=check)

    def write(self, path: Path | str, content: str | bytes, mode: str = "0640", group: str = "root") -> None:
        """Make a file of root's, whole or not at all; its folder must be there."""
        raw = content.encode() if isinstance(content, str) else content
        place, part = shlex.quote(str(path)), shlex.quote(f"{path}.part")
        steps = (f"cat > {part}", f"chown root:{group} {part}", f"chmod {mode} {part}", f"mv {part} {place}")
        self.sudo(f"umask 077; {' && '.join(steps)}", stdin=raw)

    def read(self, path: Path | str) -> str:
        """The content of a file that root may read."""
        return self.sudo(f"cat {shlex.quote(str(path))}")

    def systemctl(self, *words: str, check: int | None = 0) -> str:
        """What systemctl says of the agent's unit."""
        return self.sudo(f"systemctl {shlex.join(words)} {UNIT}", check=check).strip()

    @property
    def is_active(self) -> bool:
        """Whether the agent's service runs."""
        return self.systemctl("is-active", check=None) == "active"

    def agent(self, words: str, *, check: int | None = 0) -> str:
        """What `meshctl-agent` says, run by root."""
        return self.sudo(f"{PLACES.programs}/current/bin/meshctl-agent {words}", check=check)

    def journal(self, lines: int = 60) -> str:
        """The last words of the agent's service."""
        return self.sudo(f"journalctl --unit={UNIT} --no-pager --lines={lines} --output=cat", check=None)

    def settings(self, files: Mapping[str, str], token: str = "") -> None:
        """Write what the agent goes by, as the controller does."""
        for name, text in files.items():
            self.write(PLACES.settings / name, text, group=USER)
        if token:
            self.write(PLACES.token, token, group=USER)

    def start_unit(self, name: str, *argv: str, **environment: str) -> None:
        """Start a service of a test's own; `systemctl stop NAME` ends it, and it leaves nothing."""
        variables = [f"--setenv={key}={value}" for key, value in environment.items()]
        command = ["systemd-run", "--quiet", "--collect", f"--unit={name}", *variables, "--", *argv]
        self.sudo(f"systemctl stop {name} 2>/dev/null; {shlex.join(command)}")

    def stop_unit(self, name: str) -> None:
        """End a service of a test's own; fine if there is none."""
        self.sudo(f"systemctl stop {name}", check=None)
