"""Files for the user are theirs alone, whole, and never lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshctl.adapters.files import LocalFiles
from meshctl.errors import ConfigError


def test_a_file_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    target = tmp_path / "saved.yaml"
    LocalFiles().write(str(target), "text")
    assert target.read_text() == "text"
    assert target.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["saved.yaml"]


def test_what_stood_there_is_kept_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "saved.yaml"
    for text in ("first", "second", "second", "third"):
        LocalFiles().write(str(target), text)
    found = {each.name: each.read_text() for each in tmp_path.iterdir()}
    assert found == {"saved.yaml": "third", "saved.yaml.1": "first", "saved.yaml.2": "second"}


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written") as caught:
        LocalFiles().write(str(tmp_path / "absent" / "saved.yaml"), "text")
    assert caught.value.code == "file-not-written"
