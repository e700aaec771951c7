"""The archives of a payload, and the payload itself, as files of this machine.

The same input gives the same bytes: what is made here is stored and not compressed, so that nothing hangs on
a compressor's version; wheels are sent as their makers have compressed them. The one exception is an Envoy of
the user's own.
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import meshctl
from meshctl.errors import ConfigError, Where
from meshctl.model.bundle import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from meshctl.model.bundle import Bundle

PACKAGE: Final = Path(meshctl.__file__).parent
MANIFEST: Final = "manifest.json"
_DATE: Final = (1980, 1, 1, 0, 0, 0)
_MACHINES: Final = {62: "x86_64", 183: "aarch64"}
"""Architectures by their number in a program's header. Source: elf(5), e_machine."""
_START = b"""\
import sys
from meshctl.installer.__main__ import main
sys.exit(main(*sys.argv[:2], sys.argv[2:]))
"""
_GLIBC = re.compile(rb"\0GLIBC_(\d+\.\d+)(?=[.\0])")


def agent() -> bytes:
    """The agent's own code as a zip archive."""
    return zipped(_sources("agent"))


def installer(name: str, pythons: Iterable[str]) -> bytes:
    """The script that installs the payload of this name: a shell script with a zip archive behind it.

    Args:
        name: the payload's.
        pythons: minor versions that the payload is for.
    """
    script = (PACKAGE / "installer" / "installer.sh").read_text("utf-8")
    head = script.replace("@NAME@", name).replace("@PYTHONS@", " ".join(pythons))
    modules = _sources("installer")
    places = {f"meshctl/agent/{each}": (PACKAGE / "agent" / each).read_bytes() for each in _SHARED}
    return head.encode() + zipped({**modules, **places, "__main__.py": _START})


_SHARED: Final = ("__init__.py", "places.py")
"""Modules of the agent that the installer uses too."""


def _sources(program: str) -> dict[str, bytes]:
    """A program's files by their names in an archive, with what it uses of ours."""
    common = (PACKAGE / "__init__.py", PACKAGE / "errors.py")
    own = (each for each in (PACKAGE / program).rglob("*") if each.suffix in (".py", ".service"))
    return {f"meshctl/{each.relative_to(PACKAGE)}": each.read_bytes() for each in (*common, *own)}


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip archive of files, stored as they are, by name."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            archive.writestr(_member(name, 0o644), files[name])
    return made.getvalue()


def envoy(program: Path, folder: Path) -> tuple[Path, str, str]:
    """An Envoy of the user's as an archive in `folder`: where it is, its architecture, the glibc it needs.

    Raises:
        ConfigError: it cannot be read, or is no program for Linux.
    """
    try:
        raw = program.read_bytes()
    except OSError as error:
        raise _no_envoy(program, f"it cannot be read: {error.strerror}") from error
    # Source: elf(5): magic, 64 bits, little-endian; e_machine at byte 18.
    architecture = _MACHINES.get(int.from_bytes(raw[18:20], "little")) if raw[:6] == b"\x7fELF\2\1" else None
    if architecture is None:
        raise _no_envoy(program, "it is no Linux program for x86_64 or aarch64")
    archive = folder / f"{hashlib.sha256(raw).hexdigest()}.zip"
    if not archive.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with _replacing(archive) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr(_member("envoy", 0o755), raw, compresslevel=6)
    needed = {each.decode() for each in _GLIBC.findall(raw)}
    return archive, architecture, max(needed, key=lambda each: [*map(int, each.split("."))], default="")


def _no_envoy(program: Path, why: str) -> ConfigError:
    return ConfigError(
        "no-envoy",
        f"{str(program)!r} cannot be the hosts' Envoy: {why}",
        where=Where("--envoy"),
        hint="name the file of an Envoy that was built for the hosts",
    )


def entry(
    path: str,
    file: Path,
    takes: tuple[tuple[str, str], ...],
    *,
    architectures: tuple[str, ...] = (),
    pythons: tuple[str, ...] = (),
    glibc: str = "",
) -> Entry:
    """What a manifest says of an archive; see `Entry`.

    Raises:
        ConfigError: it is no zip archive, or a wheel with parts that have to be installed elsewhere.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError) as error:
        raise _no_archive(file, str(error)) from error
    if any(re.match(r"[^/]+\.data/", each.filename) for each in members):
        raise _no_archive(file, "it has parts for other folders than its packages'")
    begins = tuple(begin for begin, _ in takes)
    unpacked = sum(each.file_size for each in members if each.filename.startswith(begins))
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return Entry(path, digest, file.stat().st_size, unpacked, takes, architectures, pythons, glibc)


def _no_archive(file: Path, why: str) -> ConfigError:
    return ConfigError(
        "bad-wheel", f"{file.name!r} cannot be used: {why}", hint="remove it, and have it fetched again"
    )


def keep(raw: bytes, folder: Path) -> Path:
    """A file with these bytes in `folder`, named by their hash."""
    place = folder / f"{hashlib.sha256(raw).hexdigest()}.zip"
    if not place.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with _replacing(place) as part:
            part.write(raw)
    return place


def send(bundle: Bundle, entries: Iterable[Entry], to: IO[bytes]) -> None:
    """Write the manifest and some entries as a tar, as the installer reads it.

    Args:
        bundle: the payload.
        entries: what the host needs, or all.
        to: a file, or what leads to the host; it need not know where it is.
    """
    with tarfile.open(fileobj=to, mode="w|", format=tarfile.USTAR_FORMAT) as archive:
        raw = bundle.manifest.text()
        archive.addfile(_header(MANIFEST, len(raw)), io.BytesIO(raw))
        for each in sorted(entries, key=lambda each: each.path):
            with bundle.files[each.path].open("rb") as file:
                archive.addfile(_header(each.path, each.size), file)


def write(bundle: Bundle, folder: Path) -> tuple[Path, Path]:
    """The payload and its installer as two files in `folder`, for hosts that fetch them.

    Raises:
        ConfigError: the folder cannot be written.
    """
    payload = folder / f"meshctl-agent-{bundle.short}.tar"
    script = payload.with_suffix(".sh")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _replacing(payload) as part:
            send(bundle, bundle.manifest.entries, part)
        with _replacing(script) as part:
            part.write(bundle.installer)
        for path, mode in ((payload, 0o644), (script, 0o755)):
            path.chmod(mode)
    except OSError as error:
        raise ConfigError(
            "file-not-written",
            f"{str(error.filename or folder)!r} cannot be written: {error.strerror}",
            where=Where("--out"),
            hint="name a folder that is yours, on a disk with room",
        ) from error
    return payload, script


@contextmanager
def _replacing(place: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name when it is whole."""
    with tempfile.NamedTemporaryFile(prefix=f".{place.name}.", dir=place.parent, delete=False) as part:
        try:
            yield part
            part.flush()
            Path(part.name).replace(place)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise


def _member(name: str, mode: int) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, _DATE)
    member.external_attr = (0o100000 | mode) << 16
    member.create_system = 3  # the archive says so on every system
    return member


def _header(name: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size = size
    header.mode = 0o644
    return header
