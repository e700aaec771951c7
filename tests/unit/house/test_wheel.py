"""The wheel carries the data folders, and works away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel holds."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [
        "from hatchling.builders.wheel import WheelBuilder",
        f"print(next(WheelBuilder('.').build(directory={str(folder)!r})))",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(build)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    unpacked = folder / "site"
    with zipfile.ZipFile(done.stdout.strip().splitlines()[-1]) as wheel:
        wheel.extractall(unpacked)
    return unpacked


def run(installed: Path, *words: str) -> str:
    env = {**os.environ, "PYTHONPATH": str(installed)}
    code = "import sys; from meshctl.cli import main; sys.argv[0] = 'meshctl'; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=installed.parent, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_holds_the_data_folders_and_nothing_compiled(installed: Path) -> None:
    data = installed / "meshctl" / "_data"
    assert {each.name for each in data.iterdir()} == {"templates", "profiles", "playbooks"}
    assert not list(installed.rglob("__pycache__"))
    assert list((installed / "meshctl" / "sandbox" / "gomod").rglob("go.sum"))


def test_it_renders_the_same_as_the_checkout(installed: Path) -> None:
    here = subprocess.run(
        [str(Path(sys.executable).with_name("meshctl")), "manifest", "generate"],
        capture_output=True,
        text=True,
        check=True,
    )
    where = run(installed, "values", "--explain", "pilot.traceSampling")
    assert "default" in where or "component" in where
    assert run(installed, "manifest", "generate") == here.stdout
