"""The agent's systemd service."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from meshctl.agent.places import UNIT
from meshctl.errors import FailedError
from meshctl.installer.programs import run

if TYPE_CHECKING:
    from pathlib import Path

    from meshctl.installer.places import Installed

_SOURCE = "lib/meshctl/agent"


def write(places: Installed, payload: Path) -> bool:
    """Write the unit of a payload where it is another; whether it was."""
    told = (payload / _SOURCE / UNIT).read_bytes()
    if places.unit.exists() and places.unit.read_bytes() == told:
        return False
    places.unit.parent.mkdir(parents=True, exist_ok=True)
    part = places.unit.with_name(f".{UNIT}.part")
    part.write_bytes(told)
    part.chmod(0o644)
    part.replace(places.unit)
    reload(places)
    return True


def reload(places: Installed) -> None:
    """Let systemd read its units again."""
    if places.is_host:
        run("systemctl", "daemon-reload")


def end(places: Installed) -> None:
    """Stop the service, and let nothing start it again."""
    if places.is_host and places.unit.exists():
        run("systemctl", "disable", "--now", UNIT)
        with contextlib.suppress(FailedError):  # it refuses where the unit has never failed
            run("systemctl", "reset-failed", UNIT)


def release(places: Installed) -> None:
    """Take what the service captured out of the host's rules, where it ended without doing so."""
    program = places.current / "bin/meshctl-agent"
    if places.is_host and places.capture.is_dir() and any(places.capture.iterdir()) and program.exists():
        run(str(program), "capture", "remove")


def remove(places: Installed) -> bool:
    """Take the unit away; whether it was there."""
    if not places.unit.exists():
        return False
    places.unit.unlink()
    reload(places)
    return True
