"""What meshctl writes where the user says: a file, or a folder that it writes anew each time."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from meshctl.errors import ConfigError, Where

if TYPE_CHECKING:
    from collections.abc import Mapping

RECORD = ".meshctl-files.json"
"""What was written: digests by path. It goes into version control with the files."""


def write_file(target: Path, text: str, flag: str) -> None:
    """Write a file whole or not at all; one that is there keeps its mode, and a link what it leads to.

    Raises:
        ConfigError: it cannot be written; `flag` is what named it.
    """
    try:
        target = target.resolve()
        if target.exists() and not target.is_file():  # a device or a pipe, which nothing can replace
            target.write_text(text, "utf-8")
        else:
            _replace(target, text)
    except OSError as fault:
        raise ConfigError(
            "file-not-written",
            f"cannot write {str(target)!r}: {(fault.strerror or str(fault)).lower()}",
            where=Where(flag),
            hint="name a place that is yours",
        ) from fault


def write(folder: Path, files: Mapping[str, str], *, overwrite: bool = False) -> None:
    """Make a folder hold these files, and take away those of an earlier time that are no longer wanted.

    Files that others put beside ours stay. Nothing is written when one of ours was edited since, or
    when another's file stands where one of ours belongs.

    Args:
        folder: made when it is missing.
        files: text by path within the folder.
        overwrite: replace such files all the same.

    Raises:
        ConfigError: what was edited or is another's, or the folder cannot be written.
    """
    try:
        known = _recorded(folder)
        wanted = {path: _digest(text.encode()) for path, text in files.items()}
        if not overwrite:
            _refuse_edited(folder, known, wanted)
        folder.mkdir(parents=True, exist_ok=True)
        # Both states are recorded while files change, so that a run that was cut short can be repeated.
        _record(
            folder, {path: [*known.get(path, []), wanted[path]] for path in wanted} | _only(known, wanted)
        )
        for path, text in files.items():
            _replace(folder / path, text)
        for path in _only(known, wanted):
            _remove(folder, path)
        _record(folder, {path: [digest] for path, digest in wanted.items()})
    except OSError as fault:
        raise ConfigError(
            "folder-not-written",
            f"{str(folder)!r} cannot be written: {fault.strerror or fault}",
            hint="name a folder that is yours",
        ) from fault


def _only(known: Mapping[str, list[str]], wanted: Mapping[str, str]) -> dict[str, list[str]]:
    return {path: digests for path, digests in known.items() if path not in wanted}


def _recorded(folder: Path) -> dict[str, list[str]]:
    try:
        found = json.loads((folder / RECORD).read_text("utf-8"))
        return {str(path): [str(each) for each in digests] for path, digests in found["files"].items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise ConfigError(
            "bad-record",
            f"{str(folder / RECORD)!r} is not as meshctl wrote it",
            hint="restore it from version control, or remove it and add --overwrite",
        ) from fault


def _refuse_edited(folder: Path, known: Mapping[str, list[str]], wanted: Mapping[str, str]) -> None:
    odd = []
    for path in sorted({*known, *wanted}):
        here = folder / path
        if here.is_file():
            digest = _digest(here.read_bytes())
            if digest != wanted.get(path) and digest not in known.get(path, ()):
                odd.append(path)
    if odd:
        raise ConfigError(
            "files-in-the-way",
            f"{len(odd)} files in {str(folder)!r} were edited, or are not meshctl's",
            hint="move them away, or replace them with --overwrite",
            details=odd,
        )


def _record(folder: Path, files: Mapping[str, list[str]]) -> None:
    told = {"comment": "digests of the files that meshctl wrote here", "files": dict(sorted(files.items()))}
    _replace(folder / RECORD, json.dumps(told, indent=1) + "\n")


def _replace(target: Path, text: str) -> None:
    """Write a file whole or not at all; a new one has the rights that the user's umask gives."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        Path(temporary).chmod(stat.S_IMODE(target.stat().st_mode) if target.exists() else _usual_mode())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _usual_mode() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _remove(folder: Path, path: str) -> None:
    """Remove a file, and the folders that are empty without it."""
    (folder / path).unlink(missing_ok=True)
    for parent in Path(path).parents:
        if parent == Path() or any((folder / parent).iterdir()):
            return
        (folder / parent).rmdir()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
