"""The folder that holds the identity: key, certificates, roots.

    key.pem           private key
    cert-chain.pem    the workload's certificate, and those below the root
    root-cert.pem     roots that the authority named with its last answer
    mesh-roots.pem    roots that the mesh's configuration named last

A file is written beside the old one, synced, and renamed over it, so that each is always whole. Key and chain
belong together, and cannot be replaced in one step: a new key waits in a file that holds its chain as well,
until the chain is in place. Whoever reads the folder next finishes what was begun.

The folder is its owner's alone, 0700 and 0600, and what root writes here belongs to the owner as well.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from meshctl.agent.identity.roots import mark
from meshctl.errors import AccessError, FailedError

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEY: Final = "key.pem"
_CHAIN: Final = "cert-chain.pem"
_ROOTS: Final = "root-cert.pem"
_MESH_ROOTS: Final = "mesh-roots.pem"
_KNOWN: Final = (_KEY, _CHAIN, _ROOTS, _MESH_ROOTS)
_BEGUN: Final = "begun-"
"""Begins the name of what is not yet in place."""
_WAITING: Final = f"{_BEGUN}pair"
_LARGEST: Final = 4 << 20
"""Bytes of a file that are read."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the folder holds; empty where there is nothing.

    Attributes:
        key: private key, PEM.
        chain: the workload's certificates, PEM.
        roots: what the authority named, PEM.
        mesh_roots: what the mesh's configuration named, to the letter.
        since: epoch seconds when the chain was put there; 0 when there is none.
    """

    key: bytes = b""
    chain: bytes = b""
    roots: bytes = b""
    mesh_roots: bytes = b""
    since: float = 0.0

    def __repr__(self) -> str:
        """Sizes only: a key must not end up in a log by way of a `repr`."""
        return f"Stored(key={len(self.key)} bytes, chain={len(self.chain)} bytes)"


class Store:
    """The folder of the identity; each method blocks, and raises as `load` does."""

    def __init__(self, folder: Path) -> None:
        """Name the folder, which is made when something is put into it."""
        self._folder = folder

    def load(self) -> Stored:
        """What is there, after what was begun has been finished and what others may read been locked up.

        Raises:
            AccessError: the folder or a file is not ours to read or to write.
            FailedError: the disk is full, or broken.
        """
        if not self._folder.is_dir():
            return Stored()
        with self._opened() as folder:
            chain = _read(folder, _CHAIN)
            _finish(folder, chain)
            return Stored(
                key=_read(folder, _KEY),
                chain=chain,
                roots=_read(folder, _ROOTS),
                mesh_roots=_read(folder, _MESH_ROOTS),
                since=os.stat(_CHAIN, dir_fd=folder).st_mtime if chain else 0.0,
            )

    def save(self, key: bytes, chain: bytes, roots: bytes) -> tuple[int, ...]:
        """Replace the key and the chain that belongs to it, and what the authority named as roots.

        Returns:
            The mark of what was written, whoever writes next.
        """
        with self._opened() as folder:
            _write(folder, _WAITING, key + chain)
            _write(folder, _CHAIN, chain)
            _write(folder, _KEY, key)
            os.unlink(_WAITING, dir_fd=folder)
            _write(folder, _ROOTS, roots)
            return self.mark()

    def save_key(self, key: bytes) -> bytes:
        """Keep a first key, for which there is no certificate yet; the one that is there, if there is one."""
        with self._opened() as folder:
            found = _read(folder, _KEY)
            if not found:
                _write(folder, _KEY, key)
            return found or key

    def save_chain(self, key: bytes, chain: bytes) -> bool:
        """Replace the chain of the key that is there; nothing is done, and False said, when it is another."""
        with self._opened() as folder:
            if _read(folder, _KEY) != key:
                return False
            _write(folder, _CHAIN, chain)
            return True

    def save_mesh_roots(self, roots: bytes) -> None:
        """Replace what the mesh's configuration named as roots."""
        with self._opened() as folder:
            _write(folder, _MESH_ROOTS, roots)

    def mark(self) -> tuple[int, ...]:
        """Another value after the key or the chain was replaced; cheap."""
        return (*mark(self._folder / _KEY), 0, *mark(self._folder / _CHAIN))

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """The folder, locked: the agent and a command may both be at it."""
        try:
            self._make()
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(folder, fcntl.LOCK_EX)
                _lock_up(folder)
                yield folder
            finally:
                os.close(folder)
        except PermissionError as error:
            raise AccessError(
                "identity-not-ours",
                f"{self._folder} cannot be used: {error.strerror}",
                hint=f"give it to the agent's user: `chown -R meshctl-agent {self._folder}`",
            ) from error
        except OSError as error:
            raise FailedError(
                "identity-not-stored", f"{self._folder} cannot be used: {error.strerror}"
            ) from error

    def _make(self) -> None:
        if not self._folder.is_dir():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _own(self._folder, None, 0o700, self._folder.parent.stat())
        else:
            _own(self._folder, None, 0o700, self._folder.stat())


def _finish(folder: int, chain: bytes) -> None:
    """Put a key that waits for the chain that is there into its place; drop what else was begun."""
    waiting = _read(folder, _WAITING)
    if chain and waiting.endswith(chain):
        _write(folder, _KEY, waiting[: -len(chain)])
    for name in sorted(name for name in os.listdir(folder) if name.startswith(_BEGUN)):
        os.unlink(name, dir_fd=folder)


def _read(folder: int, name: str) -> bytes:
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return b""
    with os.fdopen(file, "rb") as opened:
        return opened.read(_LARGEST)


def _write(folder: int, name: str, text: bytes) -> None:
    """Replace a file as a whole; what it held stays until the new is safe on the disk."""
    begun = f"{_BEGUN}{name}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(begun, flags, 0o600, dir_fd=folder), "wb") as opened:
        os.fchmod(opened.fileno(), 0o600)
        if os.geteuid() == 0:
            owner = os.stat(folder)
            os.fchown(opened.fileno(), owner.st_uid, owner.st_gid)
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    _rename(folder, begun, name)


def _rename(folder: int, old: str, new: str) -> None:
    os.rename(old, new, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)


def _lock_up(folder: int) -> None:
    """Nobody but the owner may read or write what is there."""
    owner = os.stat(folder)
    for name in _KNOWN:
        with suppress(FileNotFoundError):
            _own(name, folder, 0o600, owner)


def _own(what: str | Path, folder: int | None, mode: int, owner: os.stat_result) -> None:
    """Set who may do what with a file or folder; links are not followed, and stay as they are.

    Root is asked to write where another user may: it must not be led to other files.
    """
    file = os.open(what, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        found, itself = os.fstat(file), f"/proc/self/fd/{file}"
        is_ours = stat.S_ISDIR(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink == 1)
        if is_ours and stat.S_IMODE(found.st_mode) != mode:
            Path(itself).chmod(mode)
        if is_ours and os.geteuid() == 0 and found.st_uid != owner.st_uid:
            os.chown(itself, owner.st_uid, owner.st_gid)
    finally:
        os.close(file)
