"""A folder of files, written again and again without losing anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshctl.adapters import folder
from meshctl.errors import ConfigError


def held(place: Path) -> dict[str, str]:
    return {
        str(path.relative_to(place)): path.read_text()
        for path in sorted(place.rglob("*"))
        if path.is_file() and path.name != folder.RECORD
    }


def test_a_folder_is_made_with_its_parents(tmp_path: Path):
    folder.write(tmp_path / "a/b", {"c/d.yaml": "d\n", "e.yaml": "e\n"})
    assert held(tmp_path / "a/b") == {"c/d.yaml": "d\n", "e.yaml": "e\n"}


def test_what_is_no_longer_wanted_goes_and_what_others_put_there_stays(tmp_path: Path):
    folder.write(tmp_path, {"old/one.yaml": "1", "old/two.yaml": "2", "kept.yaml": "a"})
    (tmp_path / "old/README").write_text("mine")
    folder.write(tmp_path, {"kept.yaml": "b"})
    assert held(tmp_path) == {"kept.yaml": "b", "old/README": "mine"}


def test_a_folder_that_is_empty_afterwards_goes_too(tmp_path: Path):
    folder.write(tmp_path, {"deep/er/one.yaml": "1"})
    folder.write(tmp_path, {"two.yaml": "2"})
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("later", [{"a.yaml": "new"}, {}], ids=["to be replaced", "to be removed"])
def test_an_edited_file_is_not_lost(tmp_path: Path, later: dict[str, str]):
    folder.write(tmp_path, {"a.yaml": "old", "b.yaml": "old"})
    (tmp_path / "a.yaml").write_text("edited")
    with pytest.raises(ConfigError, match="1 files in") as refused:
        folder.write(tmp_path, {**later, "b.yaml": "new"})
    assert refused.value.details == ("a.yaml",)
    assert held(tmp_path) == {"a.yaml": "edited", "b.yaml": "old"}


def test_anothers_file_is_not_overwritten_unless_asked(tmp_path: Path):
    (tmp_path / "a.yaml").write_text("theirs")
    with pytest.raises(ConfigError, match="not meshctl's"):
        folder.write(tmp_path, {"a.yaml": "ours"})
    folder.write(tmp_path, {"a.yaml": "ours"}, overwrite=True)
    assert held(tmp_path) == {"a.yaml": "ours"}


def test_a_run_that_was_cut_short_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder.write(tmp_path, {"a.yaml": "old", "b.yaml": "old", "gone.yaml": "old"})
    replace, written = folder._replace, []

    def cut(target: Path, text: str) -> None:
        if len(written) == 2:  # the record and one file
            raise KeyboardInterrupt
        written.append(target)
        replace(target, text)

    with monkeypatch.context() as patched:
        patched.setattr(folder, "_replace", cut)
        with pytest.raises(KeyboardInterrupt):
            folder.write(tmp_path, {"a.yaml": "new", "b.yaml": "new"})
    assert held(tmp_path) == {"a.yaml": "new", "b.yaml": "old", "gone.yaml": "old"}
    folder.write(tmp_path, {"a.yaml": "new", "b.yaml": "new"})
    assert held(tmp_path) == {"a.yaml": "new", "b.yaml": "new"}


def test_a_record_that_is_not_ours_is_told(tmp_path: Path):
    (tmp_path / folder.RECORD).write_text("[]")
    with pytest.raises(ConfigError, match="not as meshctl wrote it"):
        folder.write(tmp_path, {"a.yaml": "new"})


def test_a_file_where_the_folder_should_be_is_told(tmp_path: Path):
    (tmp_path / "x").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        folder.write(tmp_path / "x", {"a.yaml": "new"})


def test_a_file_keeps_its_mode_and_a_link_leads_where_it_led(tmp_path: Path):
    kept = tmp_path / "kept.yaml"
    kept.write_text("old")
    kept.chmod(0o640)
    (tmp_path / "link.yaml").symlink_to(kept)
    folder.write_file(tmp_path / "link.yaml", "new", "--out")
    assert (kept.read_text(), kept.stat().st_mode & 0o777) == ("new", 0o640)
    assert (tmp_path / "link.yaml").is_symlink()


def test_a_device_is_written_to_and_stays(tmp_path: Path):
    folder.write_file(Path("/dev/null"), "new", "--out")
    assert Path("/dev/null").is_char_device()


def test_a_file_that_cannot_be_written_is_told_with_the_flag_that_named_it(tmp_path: Path):
    (tmp_path / "x").write_text("")
    with pytest.raises(ConfigError, match="cannot write") as refused:
        folder.write_file(tmp_path / "x" / "y.yaml", "new", "--write")
    assert str(refused.value.where) == "--write"
