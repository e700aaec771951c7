"""Folders of roots, which their operator keeps; see `ports.Signer`.

A folder holds, for each root, `root-N.pem`, its certificate, and either `root-N.key`, its key encrypted with
a passphrase, or `root-N.key-file`, the path of a key that is kept elsewhere and never copied. The highest
number is the newest root.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from meshctl import pki
from meshctl.adapters import key_files
from meshctl.errors import ConfigError, Where

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

_FILE: Final = re.compile(r"root-([1-9][0-9]{0,8})\.(pem|key|key-file)")


@dataclass(frozen=True, slots=True)
class Root:
    """One root of a folder.

    Attributes:
        certificate: PEM.
        path: its file.
        key: file of its key.
        is_elsewhere: whether that is a file of the user's, which the folder only names.
    """

    certificate: bytes
    path: Path
    key: Path
    is_elsewhere: bool


@dataclass
class RootFolders:
    """The roots in folders on this machine.

    Attributes:
        ask: gives the passphrase of the key in a file; a person may be asked.
    """

    ask: Callable[[Path], bytes]
    _open: dict[str, pki.Authority] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def roots(self, folder: str) -> tuple[bytes, ...]:
        """Certificates of the roots, PEM, one each, the newest first.

        Raises:
            ConfigError: there is no such folder or no root in it, or a file of it is not sound.
        """
        return tuple(each.certificate for each in roots(folder))

    def unlock(self, folder: str, root: str) -> None:
        """Read the key of a root, whose passphrase is asked for once.

        Raises:
            ConfigError: there is no such root, its key is missing or does not fit, or the passphrase is
                wrong.
        """
        self._authority(folder, root)

    def sign(
        self, request: bytes, now: datetime, *, folder: str, root: str, days: int, permitted: Sequence[str]
    ) -> bytes:
        """The certificate of an intermediate, PEM; see `ports.Signer.sign`.

        Raises:
            ConfigError: as `unlock`; or the root has come to its end.
        """
        signer = self._authority(folder, root)
        return signer.sign_authority(request, now, days=days, permitted=permitted)

    def _authority(self, folder: str, root: str) -> pki.Authority:
        with self._lock:  # several clusters at once must not ask for one passphrase several times
            if root not in self._open:
                found = next((one for one in roots(folder) if pki.fingerprint(one.certificate) == root), None)
                if found is None:
                    raise ConfigError(
                        "unknown-root",
                        f"the root with the SHA-256 {root} is not in the folder",
                        where=Where(folder),
                        hint="`meshctl ca status` tells which root each cluster has",
                    )
                self._open[root] = self._unlocked(found)
            return self._open[root]

    def _unlocked(self, root: Root) -> pki.Authority:
        key = key_files.read(root.key, "is it where it was, and readable by you?")
        try:
            passphrase = self.ask(root.key) if pki.is_encrypted(key) else b""
            return pki.authority(root.certificate, key, passphrase=passphrase)
        except ConfigError as error:
            locked = isinstance(error, pki.KeyLockedError)
            hint = error.hint or ("run it again, or look at MESHCTL_CA_PASSPHRASE" if locked else "")
            where = error.where or Where(str(root.key))
            raise ConfigError(error.code, error.message, where=where, hint=hint) from error


def roots(folder: str) -> tuple[Root, ...]:
    """The roots of a folder, the newest first.

    Raises:
        ConfigError: there is no such folder or no root in it, or a file of it is not sound.
    """
    place = Path(folder).expanduser()
    names = [f"root-{number}.pem" for number in sorted(_numbered(folder), reverse=True)]
    found = tuple(_root(place / name) for name in names if (place / name).exists())
    if not found:
        what = "there is no root in it" if place.is_dir() else "there is no such folder"
        hint = "`meshctl ca init` makes a root, and the folder where there is none"
        raise ConfigError("no-root", what, where=Where(folder), hint=hint)
    return found


def next_number(folder: str) -> int:
    """The number that the next root of a folder gets: 1 in a new one.

    Raises:
        ConfigError: the folder cannot be read.
    """
    return max(_numbered(folder), default=0) + 1


def require_room(folder: str, *, another: bool) -> None:
    """Refuse a root beside others, unless that is what is wanted.

    Raises:
        ConfigError: there is one already, and not `another` is wanted.
    """
    if _numbered(folder) and not another:
        raise ConfigError(
            "root-there",
            "there is a root already",
            where=Where(folder),
            hint="`--another` makes one beside it, to rotate to; `meshctl ca status` shows who uses which",
        )


def keep(folder: str, root: pki.Pair, passphrase: bytes) -> Path:
    """Put a new root into a folder, its key encrypted; the path of its certificate.

    Raises:
        ConfigError: the folder cannot be written.
    """
    path = _next(folder)
    key_files.write(path.with_suffix(".key"), pki.encrypted(root.key, passphrase))
    key_files.write(path, root.certificate)  # last: a root counts once its certificate is there
    return path


def refer(folder: str, certificate: str, key: str) -> Path:
    """Let a folder name a root whose key stays where it is; the path of its certificate there.

    Raises:
        ConfigError: a file cannot be read, is not what it should be, or the two do not fit; or the folder
            cannot be written.
    """
    content = key_files.read(Path(certificate))
    _require_root(content, certificate)
    secret = key_files.read(Path(key))
    if not pki.is_encrypted(secret):  # one that is encrypted is tried when it signs
        try:
            fits = pki.fits(content, secret)
        except ConfigError as error:
            raise ConfigError(error.code, error.message, where=Where(key)) from error
        if not fits:
            raise ConfigError(
                "key-does-not-fit",
                "the key is not that of the certificate",
                where=Where(key),
                hint=f"give the key that {certificate!r} was made with",
            )
    path = _next(folder)
    key_files.write(path.with_suffix(".key-file"), f"{Path(key).expanduser().resolve()}\n".encode())
    key_files.write(path, pki.split(content)[0])
    return path


def _numbered(folder: str) -> dict[int, list[str]]:
    """Names of the files that belong to roots, by the number of each."""
    found: dict[int, list[str]] = {}
    try:
        for path in Path(folder).expanduser().iterdir():
            if match := _FILE.fullmatch(path.name):
                found.setdefault(int(match[1]), []).append(path.name)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        what = f"it cannot be read: {error.strerror or error}"
        raise ConfigError("folder-not-read", what, where=Where(folder)) from error
    return found


def _root(path: Path) -> Root:
    certificate = key_files.read(path)
    _require_root(certificate, str(path))
    elsewhere = path.with_suffix(".key-file")
    if not elsewhere.exists():
        return Root(pki.split(certificate)[0], path, path.with_suffix(".key"), is_elsewhere=False)
    key = Path(key_files.read(elsewhere).decode(errors="replace").strip()).expanduser()
    return Root(pki.split(certificate)[0], path, elsewhere.parent / key, is_elsewhere=True)


def _require_root(content: bytes, name: str) -> None:
    try:
        facts = pki.facts(content)
    except ValueError as error:
        what = "there is no PEM certificate in it"
        raise ConfigError("bad-certificate", what, where=Where(name)) from error
    if not facts.signs:
        raise ConfigError(
            "no-authority",
            f"{facts.name} may not sign certificates",
            where=Where(name),
            hint="a root needs CA:TRUE and the key usage of signing certificates",
        )
    if facts.path_length == 0:
        raise ConfigError(
            "path-too-long",
            f"{facts.name} allows no authority below it, and each cluster gets one",
            where=Where(name),
            hint="give a root whose path length is 1, or not limited",
        )


def _next(folder: str) -> Path:
    return Path(folder).expanduser() / f"root-{next_number(folder)}.pem"
