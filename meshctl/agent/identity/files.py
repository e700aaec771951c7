"""Keys and certificates that a mesh's configuration names by their files on this host."""

from __future__ import annotations

import asyncio
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from meshctl.agent.identity.roots import mark
from meshctl.errors import ConfigError, FailedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshctl.agent.identity.apart import Keys

PAIR: Final = "file-cert:"
BUNDLE: Final = "file-root:"
SYSTEM: Final = "file-root:system"
"""Names of secrets, as istiod makes them: `file-cert:CHAIN~KEY` and `file-root:ROOTS`, of paths."""

SYSTEM_ROOTS: Final = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where distributions have the roots of the public internet: Debian, Fedora, SUSE, RHEL, Alpine."""

_LARGEST: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Pair:
    """A key and its chain, PEM; the key never shows in a `repr`."""

    key: bytes
    chain: bytes

    def __repr__(self) -> str:
        """Nothing of either."""
        return "Pair()"


def is_file(name: str) -> bool:
    """Whether a secret's name leads to files."""
    return bool(_paths(name))


class Files:
    """The files of some secrets, read again whenever they are replaced.

    Attributes:
        held: by name of the secret, what its files held when they were last sound: a pair, or roots, PEM.
        errors: by name of the secret, what is wrong with its files.
    """

    def __init__(self, keys: Keys, system_roots: Sequence[str] = SYSTEM_ROOTS) -> None:
        """Nothing is read.

        Args:
            keys: to check what is read.
            system_roots: where to look for the host's own roots; the first that is there counts.
        """
        self.held: dict[str, Pair | bytes] = {}
        self.errors: dict[str, str] = {}
        self._keys = keys
        self._system_roots = system_roots
        self._seen: dict[str, tuple[tuple[int, ...], ...]] = {}

    def forget(self, wanted: set[str]) -> None:
        """Drop all that is not wanted any more."""
        for known in (self.held, self.errors, self._seen):
            for name in known.keys() - wanted:
                del known[name]

    async def look(self, name: str) -> bool:
        """Read a secret's files if they were replaced; whether what is held has changed.

        What is held stays when its files are gone, or do not fit each other (yet).
        """
        paths = self._found(name)
        seen = tuple(mark(Path(path)) for path in paths)
        if seen == self._seen.get(name):
            return False
        self._seen[name] = seen
        before = self.held.get(name)
        try:
            self.held[name] = await self._read(paths)
        except ConfigError as error:
            self.errors[name] = error.message
            return False
        except FailedError as error:
            self.errors[name] = error.message
            del self._seen[name]  # it may be read next time, as it is
            return False
        self.errors.pop(name, None)
        return self.held[name] != before

    async def _read(self, paths: Sequence[str]) -> Pair | bytes:
        texts = [await asyncio.to_thread(_text, path) for path in paths]
        if len(texts) == 1:
            roots = await self._keys.readable(texts[0])
            if not roots:
                raise ConfigError("no-certificate", f"there is no certificate in {paths[0]}")
            return roots
        chain, key = texts
        await self._keys.paired(key, chain)
        return Pair(key, chain)

    def _found(self, name: str) -> Sequence[str]:
        if name == SYSTEM:
            there = (path for path in self._system_roots if mark(Path(path)))
            return [next(there, self._system_roots[0])]
        return _paths(name)


def _paths(name: str) -> Sequence[str]:
    """The paths that a secret's name holds; empty where it is not of a file. They count from the root."""
    for prefix, count in ((PAIR, 2), (BUNDLE, 1)):
        if name.startswith(prefix):
            paths = name[len(prefix) :].split("~")
            sound = len(paths) == count and all(paths) and "\0" not in name
            return [str(Path("/", path)) for path in paths] if sound else []
    return []


def _text(path: str) -> bytes:
    """What a file holds; nothing but a file is read, as a pipe or a device may have no end."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with os.fdopen(file, "rb") as opened:
            if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                raise FailedError("no-file", f"{path} is no file")
            return opened.read(_LARGEST)
    except (OSError, ValueError) as error:
        raise FailedError("not-readable", f"{path} cannot be read: {error}") from error
