"""Which certificates are trusted, and who said so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl.agent.identity.credentials import joined

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST: Final = 4 << 20
"""Bytes of the operator's file that are read."""


class Roots:
    """The roots that three parties name; all of them are trusted.

    Attributes:
        operator: what the operator's file holds, PEM; what it held before, when it is gone or holds nothing.
        authority: what the authority named with its last certificate.
        mesh: what the mesh's configuration named last, to the letter: that the text has changed is how istiod
            asks for new certificates.
        error: what is wrong with the operator's file; empty when nothing is.
    """

    def __init__(self, file: Path) -> None:
        """Name the operator's file, which may be missing."""
        self.operator = b""
        self.authority = b""
        self.mesh = b""
        self.error = ""
        self._file = file
        self._seen: tuple[int, ...] | None = None

    @property
    def trusted(self) -> bytes:
        """All of them, each once."""
        return joined(self.operator, self.mesh, self.authority)

    def look(self) -> bool:
        """Read the operator's file when it was replaced; whether it names others than before."""
        seen = mark(self._file)
        if seen == self._seen and not self.error:
            return False
        self._seen = seen
        found, self.error = self._read()
        if self.error or found == self.operator:
            return False
        self.operator = found
        return True

    def _read(self) -> tuple[bytes, str]:
        try:
            with self._file.open("rb") as file:
                found = joined(file.read(_LARGEST))
        except OSError as error:
            return b"", f"{self._file} cannot be read: {error.strerror}"
        return found, "" if found else f"there is no certificate in {self._file}"


def mark(file: Path) -> tuple[int, ...]:
    """Another value after a file was replaced or written; empty when it cannot be seen."""
    try:
        state = file.stat()
    except (OSError, ValueError):  # the latter, where a path cannot be one
        return ()
    return state.st_ino, state.st_mtime_ns, state.st_ctime_ns, state.st_size
