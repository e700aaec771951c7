"""From what the user names, a file, a folder or standard input, to texts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meshctl.errors import ConfigError, Where, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SUFFIXES = (".yaml", ".yml", ".json")
"""Of the files that are read in a folder; a file that is named is read whatever its suffix."""


@dataclass(frozen=True)
class Source:
    """A file's text, or why there is none.

    `is_named` is False for a file that was found in a folder, where other things may lie about.
    """

    file: str
    text: str = ""
    problem: ConfigError | None = None
    is_named: bool = True


def sources(names: Iterable[str], stdin: str = "") -> Iterator[Source]:
    """Every text, in the order of the names; folders by path, with all below them but what is hidden.

    A file that is named twice, or lies in a folder that is named too, is given once.

    Args:
        names: files, folders, or `-` for standard input.
        stdin: standard input, if it was asked for.
    """
    seen: set[str] = set()
    for name in names:
        for each in _of(name, stdin):
            if each.file not in seen:
                seen.add(each.file)
                yield each


def _of(name: str, stdin: str) -> Iterator[Source]:
    if name == "-":
        yield Source("<stdin>", stdin)
    elif Path(name).is_dir():
        files = sorted(_below(name))
        if not files:
            what, hint = f"no file ends in {listed(SUFFIXES)}", "name a folder that holds YAML or JSON"
            yield Source(name, problem=ConfigError("nothing-to-read", what, where=Where(name), hint=hint))
        for file in files:
            yield _read(file, is_named=False)
    else:
        yield _read(name, is_named=True)


def _below(folder: str) -> Iterator[str]:
    for here, folders, files in os.walk(folder):
        folders[:] = [each for each in folders if not each.startswith(".")]
        for file in files:
            if file.endswith(SUFFIXES) and not file.startswith("."):
                yield str(Path(here) / file)


def _read(file: str, *, is_named: bool) -> Source:
    try:
        return Source(file, _text(Path(file).read_bytes()), is_named=is_named)
    except UnicodeDecodeError:
        what, hint = "the file is not UTF-8 text", "save it as UTF-8"
        return Source(file, problem=ConfigError("bad-yaml", what, where=Where(file), hint=hint))
    except OSError as fault:
        what = f"cannot read the file: {(fault.strerror or str(fault)).lower()}"
        hint = "check the path, and that you may read it"
        return Source(file, problem=ConfigError("no-such-file", what, where=Where(file), hint=hint))


def _text(data: bytes) -> str:
    """UTF-8, or UTF-16 where a mark says so, as editors on Windows write it."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    return data.decode("utf-8-sig")
