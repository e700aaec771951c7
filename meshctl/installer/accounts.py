"""The user and the group that the agent runs as, made and taken away."""

from __future__ import annotations

import grp
import hashlib
import pwd
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from meshctl.agent.places import USER
from meshctl.errors import ConflictError
from meshctl.installer.programs import run

if TYPE_CHECKING:
    from meshctl.installer.places import Installed
    from meshctl.installer.record import Record

_LISTS = ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")
"""Lists in /etc of which useradd and userdel keep what was before, under the name with a dash behind it."""
_ETC = Path("/etc")


def make(places: Installed, record: Record) -> list[str]:
    """Make group and user where they are not there; what was made.

    Raises:
        ConflictError: there is such a user, and it is somebody's.
    """
    made = []
    if not (has_user() and has_group()):
        _keep(places, record)
    if not has_group():
        record.add("group")
        run("groupadd", "--system", USER)
        made.append(f"group {USER}")
    if not has_user():
        record.add("user")
        home = str(places.state)
        words = ("--system", "--gid", USER, "--home-dir", home, "--no-create-home", "--shell", _no_shell())
        run("useradd", *words, "--comment", "meshctl agent", USER)
        made.append(f"user {USER}")
    elif pwd.getpwnam(USER).pw_uid == 0 or pwd.getpwnam(USER).pw_gid != grp.getgrnam(USER).gr_gid:
        raise ConflictError(
            "user-taken",
            f"there is a user {USER!r} that is root, or has another group",
            hint="rename that user; the agent runs under a user of its own",
        )
    return made


def remove(places: Installed, record: Record) -> list[str]:
    """Take away user and group where they were made for the agent; what was taken away."""
    gone = []
    if "user" in record and has_user():
        run("userdel", USER)
        gone.append(f"user {USER}")
    if "group" in record and has_group():  # userdel takes it along on most distributions
        run("groupdel", USER)
    if "group" in record:
        gone.append(f"group {USER}")
    if gone:
        _put_back(places, record)
    return gone


def has_user() -> bool:
    """Whether there is such a user."""
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return False
    return True


def has_group() -> bool:
    """Whether there is such a group."""
    try:
        grp.getgrnam(USER)
    except KeyError:
        return False
    return True


def _keep(places: Installed, record: Record) -> None:
    """Keep the host's copies of its lists, and say what the lists themselves are now."""
    if places.copies.is_dir():  # an installation was cut short when it had begun to change them
        return
    record.add(*(f"list {name} {_hash(_ETC / name)}" for name in _LISTS))
    places.copies.mkdir(mode=0o700)
    for name in _LISTS:
        copy = _ETC / f"{name}-"
        if copy.exists():
            shutil.copyfile(copy, places.copies / copy.name)
            (places.copies / copy.name).chmod(0o600)


def _put_back(places: Installed, record: Record) -> None:
    """Make the host's copies what they were, unless somebody else has changed a list since then."""
    for name in _LISTS:
        copy, kept = _ETC / f"{name}-", places.copies / f"{name}-"
        if f"list {name} {_hash(_ETC / name)}" not in record:
            continue
        if kept.exists() and copy.exists():
            copy.write_bytes(kept.read_bytes())  # in place, as owner and mode are those that it had
        elif not kept.exists():
            copy.unlink(missing_ok=True)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "none"


def _no_shell() -> str:
    found = (each for each in ("/usr/sbin/nologin", "/sbin/nologin") if Path(each).exists())
    return next(found, "/bin/false")
