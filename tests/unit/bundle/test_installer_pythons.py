"""The installer and the real agent's code under every Python of this machine that hosts may have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from meshctl.model.bundle import PYTHONS
from tests.unit.bundle.conftest import Build
from tests.unit.bundle.standing import HERE, MACHINE, standing_with


def interpreters() -> list[str]:
    """Pythons of this machine on which the installer may run, by pyenv's layout; this one is first."""
    found = {HERE: sys.executable}
    for each in sorted((Path.home() / ".pyenv" / "versions").glob("3.*/bin/python3")):
        found.setdefault(each.parents[1].name.rpartition(".")[0], str(each))
    return [found[each] for each in sorted(found, key=lambda each: each != HERE) if each in PYTHONS]


@pytest.mark.parametrize("python", interpreters())
def test_it_installs_verifies_and_removes_without_a_trace(make: Build, tmp_path: Path, python: str) -> None:
    bundle = make((MACHINE,))
    standing = standing_with(bundle, tmp_path)
    chosen = f"--python={python}"
    before = standing.files()
    told = standing.run(chosen, "install")
    programs = standing.root / "opt" / "meshctl-agent"
    assert told["changed"][0] == str(programs / bundle.name)
    assert told["host"]["interpreter"] == os.path.realpath(python)
    assert standing.run(chosen, "install")["changed"] == []
    standing.run(chosen, "verify")
    said = subprocess.run([programs / "current/bin/meshctl-agent", "--help"], capture_output=True, text=True)
    assert said.stdout.startswith("usage: meshctl-agent")
    envoy = subprocess.run([programs / "current" / "envoy"], capture_output=True, text=True)
    assert envoy.stdout == "fake envoy\n"
    assert (standing.root / "etc/meshctl-agent").stat().st_mode & 0o777 == 0o750
    assert (standing.root / "var/lib/meshctl-agent").stat().st_mode & 0o777 == 0o700
    assert standing.run(chosen, "check")["changed"] == []
    standing.run(chosen, "remove")
    assert standing.files() == before
    assert standing.run(chosen, "remove")["changed"] == []


def test_a_host_whose_python_has_changed_gets_what_the_new_one_needs(make: Build, tmp_path: Path) -> None:
    pythons = interpreters()
    if len(pythons) < 2:
        pytest.skip("needs two of the Pythons that hosts may have, and this machine has one")
    bundle = make((MACHINE,))
    standing = standing_with(bundle, tmp_path)
    standing.run(f"--python={pythons[0]}", "install")
    place = standing.root / "opt/meshctl-agent" / bundle.name
    assert standing.run(f"--python={pythons[1]}", "install")["changed"] == [str(place)]
    assert (place / "bin/meshctl-agent").read_text().startswith(f"#!{os.path.realpath(pythons[1])} -IS\n")
    assert standing.run(f"--python={pythons[1]}", "install")["changed"] == []
