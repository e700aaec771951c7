"""Cases on disk: a folder with inputs, and with what each station is expected to give for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

CASES = Path(__file__).parent / "cases"
UPDATE = pytest.StashKey[bool]()


@dataclass(frozen=True)
class Case:
    """One folder; its name is its point."""

    path: Path

    def __str__(self) -> str:
        return self.path.name

    def data(self, name: str, default: Any = None) -> Any:
        """A YAML file of the case as data; `default` when it is not there."""
        file = self.path / name
        return yaml.safe_load(file.read_text("utf-8")) if file.is_file() else default

    def check(self, name: str, given: str, *, update: bool) -> None:
        """Compare with an expected file: YAML as data, everything else as text.

        With `update`, the file is written instead, but only where its meaning has changed.
        """
        file = self.path / name
        expected = file.read_text("utf-8") if file.is_file() else ""
        if _meaning(name, expected) == _meaning(name, given):
            return
        if update:
            file.write_text(given, "utf-8")
            return
        assert given == expected, f"{file.relative_to(CASES)} differs; look, then run again with --update"


def _meaning(name: str, text: str) -> Any:
    return list(yaml.safe_load_all(text)) if name.endswith(".yaml") else text


def cases(folder: str) -> list[Case]:
    """Every case of a folder, by name."""
    return [Case(path) for path in sorted((CASES / folder).iterdir()) if path.is_dir()]
