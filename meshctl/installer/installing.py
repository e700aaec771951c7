"""Brings a payload onto a host, step by step; a step that is done already changes nothing."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
from typing import IO, TYPE_CHECKING

from meshctl.agent.places import USER
from meshctl.errors import FailedError
from meshctl.installer import accounts, service
from meshctl.installer.host import check, check_means
from meshctl.installer.record import Record
from meshctl.installer.unpacking import Payload, altered, serves, unpack

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshctl.installer.host import Host
    from meshctl.installer.places import Installed


def install(places: Installed, host: Host, name: str, source: Callable[[], IO[bytes]]) -> list[str]:
    """Install a payload, and make it the one in use; what was changed.

    The service is not started: the agent has no settings yet, or those of another payload that still runs.

    Args:
        places: where.
        host: this host.
        name: of the payload.
        source: opens it; not asked where the payload is there already.

    Raises:
        MeshctlError: the payload does not fit the host, is damaged, or a step failed.
    """
    changed: list[str] = []
    place = places.payload(name)
    if not place.is_dir() or not serves(place, host) or altered(place):
        changed += _unpacked(places, host, name, source)
    record = Record(places.record)
    if places.is_host:
        changed += accounts.make(places, record)
    changed += _folders(places, record)
    if service.write(places, place):
        changed.append(str(places.unit))
    if not places.current.is_symlink() or places.current.readlink().name != name:
        _link(places, name)
        changed.append(str(places.current))
    return changed


def prune(places: Installed) -> list[str]:
    """Remove payloads that are not in use, and what was left of unpacking; what was removed."""
    if not places.programs.is_dir():
        return []
    kept = {places.current.name, places.record.name, places.copies.name}
    if places.current.is_symlink():
        kept.add(places.current.readlink().name)
    gone = [each for each in sorted(places.programs.iterdir()) if each.name not in kept]
    for each in gone:
        shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
    return [str(each) for each in gone]


def verify(places: Installed, name: str) -> None:
    """See whether a payload is on the host, in use, and as it was unpacked.

    Raises:
        FailedError: it is not.
    """
    place = places.payload(name)
    in_use = places.current.readlink().name if places.current.is_symlink() else "none"
    if not place.is_dir() or in_use != name:
        raise FailedError(
            "not-installed", f"payload {name[:12]} is not in use here; {in_use[:12]} is", hint="install it"
        )
    if files := altered(place):
        raise FailedError(
            "payload-altered",
            f"{len(files)} files of payload {name[:12]} are not as they were installed",
            hint="install it again",
            details=files[:10],
        )


def _unpacked(places: Installed, host: Host, name: str, source: Callable[[], IO[bytes]]) -> list[str]:
    place = places.payload(name)
    with source() as file:
        payload = Payload(file, name)
        check(host, payload.manifest)
        check_means(places, payload.manifest, host)
        _make_programs(places)
        if place.exists():
            place.rename(place.with_name(f".{name}.altered"))
        unpack(payload, host, place, durable=places.is_host)
    shutil.rmtree(place.with_name(f".{name}.altered"), ignore_errors=True)
    return [str(place)]


def _make_programs(places: Installed) -> None:
    if not places.programs.is_dir():
        above = [each for each in places.programs.parents if not each.exists()]
        places.programs.mkdir(parents=True, mode=0o755)
        for each in (*above, places.programs):
            each.chmod(0o755)
        Record(places.record).add(*(f"folder {each}" for each in above))


def _folders(places: Installed, record: Record) -> list[str]:
    """Settings for root to write and the agent to read, state for the agent alone, capture for root alone."""
    user, group = _ids(places)
    changed = []
    for path, mode, owner, members in (
        (places.settings, 0o750, 0, group),
        (places.state, 0o700, user, group),
        (places.capture, 0o700, 0, 0),
    ):
        if not path.is_dir():
            record.add(f"folder {path}")
            path.mkdir(parents=True, mode=mode)
            changed.append(str(path))
        if places.is_host:
            os.chown(path, owner, members)
        path.chmod(mode)
    return changed


def _ids(places: Installed) -> tuple[int, int]:
    if not places.is_host:
        return os.geteuid(), os.getegid()
    return pwd.getpwnam(USER).pw_uid, grp.getgrnam(USER).gr_gid


def _link(places: Installed, name: str) -> None:
    part = places.current.with_name(".current.part")
    part.unlink(missing_ok=True)
    part.symlink_to(name)
    part.replace(places.current)
