"""A text file of the operator's."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from meshctl.errors import AccessError, ConfigError, Where

if TYPE_CHECKING:
    from pathlib import Path

LARGEST: Final = 1 << 20
"""Bytes; a settings file of more is a mistake."""


def read(path: Path) -> str | None:
    """The text of a file, or None where there is none.

    Raises:
        AccessError: it may not be read.
        ConfigError: it is no text, no file, or too large.
    """
    where = Where(str(path))
    try:
        raw = _content(path)
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise AccessError(
            "unreadable-file",
            "the file may not be read",
            where=where,
            hint="let the group meshctl-agent read it",
        ) from error
    except OSError as error:
        said = error.strerror or str(error)
        raise ConfigError("unreadable-file", f"the file cannot be read: {said}", where=where) from error
    if len(raw) > LARGEST:
        raise ConfigError("file-too-large", f"the file has more than {LARGEST} bytes", where=where)
    return _decoded(raw, where)


def _content(path: Path) -> bytes:
    """What a file holds, up to one byte more than is taken; never waits, as a pipe would have it."""
    door = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(door, "rb") as stream:  # noqa: PTH123 - a descriptor, for its flags
        if not stat.S_ISREG(os.fstat(door).st_mode):
            raise OSError("it is no regular file")
        return stream.read(LARGEST + 1)


def _decoded(raw: bytes, where: Where) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError("not-utf-8", "the file is not UTF-8 text", where=Where(where.file, line)) from error
    if (at := text.find("\0")) >= 0:
        line = text.count("\n", 0, at) + 1
        raise ConfigError("not-text", "the file has a byte 0 in it", where=Where(where.file, line))
    return text
