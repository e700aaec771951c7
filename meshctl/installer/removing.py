"""Takes away all that was made for the agent on a host, and nothing else."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from meshctl.installer import accounts, service
from meshctl.installer.record import Record

if TYPE_CHECKING:
    from meshctl.installer.places import Installed


def remove(places: Installed) -> list[str]:
    """Stop the agent, and remove service, files, user and group; what was removed.

    Settings, key and certificates go too. What was cut short is finished by running it again: the record of
    what was made goes last.

    Raises:
        MeshctlError: a step failed; those after it were not begun.
    """
    record = Record(places.record)
    gone: list[str] = []
    service.end(places)
    service.release(places)
    if service.remove(places):
        gone.append(str(places.unit))
    for path in (places.settings, places.state, places.capture, places.running, places.logs):
        if path.exists():
            shutil.rmtree(path)
            gone.append(str(path))
    if places.is_host:
        gone += accounts.remove(places, record)
    return gone + _programs(places, record)


def _programs(places: Installed, record: Record) -> list[str]:
    if not places.programs.is_dir():
        return []
    for each in sorted(places.programs.iterdir()):
        if each != places.record:
            shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
    places.record.unlink(missing_ok=True)
    places.programs.rmdir()
    for parent in places.programs.parents:
        if f"folder {parent}" in record:
            with contextlib.suppress(OSError):  # somebody else keeps something there by now
                Path(parent).rmdir()
    return [str(places.programs)]
