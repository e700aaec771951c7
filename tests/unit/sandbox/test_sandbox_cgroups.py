"""Control groups on version 1 and 2, on folders that look like theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshctl.sandbox import cgroups


@pytest.fixture
def v1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("cpu,cpuacct", "cpuset", "memory", "pids"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cgroup.procs").write_text("1\n")
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    return tmp_path


@pytest.fixture
def v2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cgroup.procs").write_text("1\n")
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory hugetlb pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("")
    monkeypatch.setattr(cgroups, "ROOT", tmp_path)
    return tmp_path


def test_on_version_1_a_group_is_made_in_every_hierarchy_and_entered_where_processes_count(v1: Path) -> None:
    cgroups.make("meshctl-x/c1")
    assert all((root / "meshctl-x" / "c1").is_dir() for root in cgroups.hierarchies())
    assert len(cgroups.hierarchies()) == 4
    assert cgroups.missing_controllers() == ()
    cgroups.enter("meshctl-x/c1", 4711)
    assert cgroups.members("meshctl-x") == {4711}
    assert (v1 / "pids" / "meshctl-x" / "c1" / "cgroup.procs").read_text() == "4711"


def test_on_version_2_controllers_are_handed_down_to_a_group_but_not_beyond(v2: Path) -> None:
    cgroups.make("meshctl-x/c1/system")
    for above in (v2, v2 / "meshctl-x", v2 / "meshctl-x" / "c1"):
        assert (above / "cgroup.subtree_control").read_text() == "+cpu +cpuset +memory +pids +hugetlb"
    assert not (v2 / "meshctl-x" / "c1" / "system" / "cgroup.subtree_control").exists()
    assert cgroups.why_not_handed_down() == ""


def test_a_machine_without_a_controller_says_which(v2: Path) -> None:
    (v2 / "cgroup.controllers").write_text("cpu memory\n")
    assert cgroups.missing_controllers() == ("cpuset", "pids")


def test_a_group_that_cannot_be_divided_says_why(v2: Path) -> None:
    (v2 / "cgroup.subtree_control").unlink()
    (v2 / "cgroup.subtree_control").mkdir()
    assert "Is a directory" in cgroups.why_not_handed_down()


def test_groups_that_are_gone_have_no_members_and_are_removed(v1: Path) -> None:
    assert cgroups.members("never") == set()
    assert cgroups.remove("never")
    (v1 / "memory" / "meshctl-x" / "c1").mkdir(parents=True)
    assert cgroups.remove("meshctl-x")
    assert not (v1 / "memory" / "meshctl-x").exists()
