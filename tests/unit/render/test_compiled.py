from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from jinja2 import Environment, FileSystemLoader

from meshctl.stages.rendering.compiled import Compiled

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.j2").write_text("one {{ x }}", "utf-8")
    return tmp_path


def text(folder: Path) -> str:
    environment = Environment(loader=FileSystemLoader(folder), bytecode_cache=Compiled(folder))
    return environment.get_template("sub/a.j2").render(x=1)


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("__pycache__/*"))


def test_a_compiled_template_is_kept_beside_it_and_used_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert text(folder) == "one 1"
    assert kept(folder) == [f"a.{sys.implementation.cache_tag}.pyc"]
    monkeypatch.setattr(Environment, "_parse", lambda *args: pytest.fail("compiled again"))
    assert text(folder) == "one 1"


def test_a_template_that_changed_is_compiled_anew(folder: Path) -> None:
    text(folder)
    (folder / "sub" / "a.j2").write_text("two {{ x }}", "utf-8")
    assert text(folder) == "two 1"
    assert len(kept(folder)) == 1


def test_a_broken_cache_is_no_hindrance(folder: Path) -> None:
    text(folder)
    (file,) = folder.rglob("__pycache__/*")
    file.write_bytes(b"broken")
    assert text(folder) == "one 1"


def test_nothing_is_written_where_python_may_not_write_either(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert text(folder) == "one 1"
    assert kept(folder) == []


def test_a_folder_that_cannot_be_written_is_no_hindrance(folder: Path) -> None:
    (folder / "sub" / "__pycache__").write_text("a file where the folder would be", "utf-8")
    assert text(folder) == "one 1"
