"""Files with keys and certificates: small, readable by their owner alone, never overwritten."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from meshctl.errors import ConfigError, Where

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LARGEST: Final = 1 << 20  # no key, and no chain of certificates, comes near it


def read(path: Path, hint: str = "") -> bytes:
    """What a file holds.

    Raises:
        ConfigError: it cannot be read, or is too large to be such a file.
    """
    try:
        with path.expanduser().open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        what = f"it cannot be read: {error.strerror or error}"
        raise ConfigError("file-not-read", what, where=Where(str(path)), hint=hint) from error
    if len(content) > _LARGEST:
        what = "it is too large for a key or certificates"
        raise ConfigError("file-too-large", what, where=Where(str(path)))
    return content


def read_folder(folder: str, names: Sequence[str], hint: str = "") -> dict[str, bytes]:
    """Those of the named files that are in a folder.

    Raises:
        ConfigError: there is no such folder, or a file cannot be read or is too large.
    """
    place = Path(folder).expanduser()
    if not place.is_dir():
        raise ConfigError("no-folder", "there is no such folder", where=Where(folder), hint=hint)
    return {name: read(place / name) for name in names if (place / name).exists()}


def write(path: Path, content: bytes) -> None:
    """Make a file; its folder is made, too.

    Raises:
        ConfigError: it is there already, or cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if path.exists():
            raise _there(path) from error
        what = f"it cannot be written: {error.strerror or error}"
        hint = "name a folder that is yours"
        raise ConfigError("file-not-written", what, where=Where(str(path)), hint=hint) from error


def write_folder(folder: str, files: Mapping[str, bytes]) -> None:
    """Make files in a folder, all or none.

    Raises:
        ConfigError: one of them is there already, or cannot be written.
    """
    place = Path(folder).expanduser()
    for name in sorted(files):
        if (place / name).exists():
            raise _there(place / name)
    for name in sorted(files):
        write(place / name, files[name])


def _there(path: Path) -> ConfigError:
    return ConfigError(
        "file-there",
        "it is there already, and keys are never overwritten",
        where=Where(str(path)),
        hint="name another folder",
    )
