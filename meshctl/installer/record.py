"""What was made on a host: said before it is made, so that even what was cut short is taken away."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from meshctl.errors import FailedError

if TYPE_CHECKING:
    from pathlib import Path


class Record:
    """Names of what was made, in the order of their making; it is kept beside the payloads."""

    def __init__(self, path: Path) -> None:
        """Read what was made so far.

        Raises:
            FailedError: it cannot be read.
        """
        self._path = path
        try:
            self._made: list[str] = json.loads(path.read_text())["made"]
        except FileNotFoundError:
            self._made = []
        except (OSError, ValueError, KeyError, TypeError) as fault:
            raise FailedError(
                "record-unreadable",
                f"{path} cannot be read: {fault}",
                hint='put it back from a backup, or write {"made": []} into it and remove the rest by hand',
            ) from fault

    def __contains__(self, what: object) -> bool:
        return what in self._made

    def add(self, *names: str) -> None:
        """Say what will be made."""
        fresh = [each for each in names if each not in self._made]
        if fresh:
            self._made += fresh
            self._write()

    def _write(self) -> None:
        part = self._path.with_suffix(".part")
        with part.open("w") as file:
            file.write(json.dumps({"made": self._made}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)
