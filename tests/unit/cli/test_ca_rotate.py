"""`ca rotate` and its words, over two clusters in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meshctl.errors import StoppedError
from meshctl.model.rotation import Renewal
from tests.unit.rotating.rotation_ground import Ground

Meshctl = Callable[..., Any]


@pytest.fixture
def ground(monkeypatch: pytest.MonkeyPatch) -> Ground:
    made = Ground(monkeypatch)
    made.signer.add("new")
    monkeypatch.setattr("meshctl.cli.rotation._run", lambda *_: made.run)
    return made


def halted(ground: Ground) -> None:
    ground.places["east"].deaf = {"api"}
    with pytest.raises(StoppedError):
        ground.rotate(renewal=Renewal.WAIT)


def test_a_dry_run_tells_who_would_be_made_anew_and_sends_nothing(ground: Ground, meshctl: Meshctl) -> None:
    for place in ground.places.values():
        place.deaf = {"api"}
    before = ground.snapshot()
    said = meshctl("ca", "rotate", "--dry-run")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0].startswith("rotation: root ")
    assert "clusters: east, west" in lines
    assert "proxies:  6, of which 2 are made anew, as istiod cannot tell them" in lines
    assert ground.snapshot() == before


def test_a_dry_run_as_json_has_every_proxy(ground: Ground, meshctl: Meshctl) -> None:
    told = json.loads(meshctl("ca", "rotate", "--dry-run", "-o", "json").out)
    assert (told["scope"], told["renewal"], told["clusters"]) == ("root", "auto", ["east", "west"])
    assert [root["subject"] for root in sorted(told["roots"], key=lambda each: each["subject"])] == [
        "CN=new",
        "CN=old",
    ]
    assert len(told["proxies"]) == 6
    assert all(each["live"] and not each["unseen"] and each["issuer"] for each in told["proxies"])


def test_at_the_end_one_line_tells_how_it_went(ground: Ground, meshctl: Meshctl) -> None:
    said = meshctl("ca", "rotate", "--yes")
    assert said.code == 0, said.err
    assert said.out.startswith("east, west: root ")
    assert said.out.endswith("every istiod and proxy has shown it\n")
    assert "west proxies" not in said.err
    again = meshctl("ca", "rotate", "--yes")
    assert again.code == 2
    assert "signs in every cluster already" in again.err


def test_status_tells_the_stage_who_is_behind_and_why_it_stopped(ground: Ground, meshctl: Meshctl) -> None:
    assert meshctl("ca", "rotate", "--status").out == "no rotation is under way\n"
    halted(ground)
    lines = meshctl("ca", "rotate", "--status").out.splitlines()
    assert "stage:    trust" in lines
    assert "proxies:  5 of 6 are where this stage wants them" in lines
    assert any("1 of 6 proxies are still to renew" in line for line in lines)
    assert any(line.startswith("   ! east/shop/api-") for line in lines)
    told = json.loads(meshctl("ca", "rotate", "--status", "-o", "json").out)
    assert (told["underWay"], told["stage"], told["back"]) == (True, "trust", False)
    assert sum(bool(each["behind"]) for each in told["proxies"]) == 1


def test_the_same_command_goes_on_and_may_choose_another_way(ground: Ground, meshctl: Meshctl) -> None:
    halted(ground)
    assert meshctl("ca", "rotate", "--yes").code == 4
    said = meshctl("ca", "rotate", "--yes", "--renew", "auto")
    assert said.code == 0, said.err
    assert "goes on: root " in said.err
    assert {each[0].pop() for each in ground.snapshot().values()} == {"CN=new"}


def test_abort_takes_it_back(ground: Ground, meshctl: Meshctl) -> None:
    before = ground.snapshot()
    halted(ground)
    said = meshctl("ca", "rotate", "--abort", "--yes")
    assert said.code == 0, said.err
    assert "the old authorities sign again" in said.out
    assert ground.snapshot() == before


def test_nothing_is_taken_back_where_nothing_was_begun(ground: Ground, meshctl: Meshctl) -> None:
    said = meshctl("ca", "rotate", "--abort", "--yes")
    assert said.code == 2
    assert "no rotation" in said.err


def test_a_root_is_that_of_all_clusters(ground: Ground, meshctl: Meshctl) -> None:
    said = meshctl("ca", "rotate", "--cluster", "west", "--yes")
    assert said.code == 2
    assert "--intermediate" in said.err


def test_intermediates_are_not_rotated_in_the_midst_of_a_root(ground: Ground, meshctl: Meshctl) -> None:
    halted(ground)
    said = meshctl("ca", "rotate", "--intermediate", "--yes")
    assert said.code == 1
    assert "the root is being rotated" in said.err


def test_it_is_not_begun_where_rights_are_missing(ground: Ground, meshctl: Meshctl) -> None:
    west = ground.places["west"].cluster
    west.denied |= {("*", "*"), ("create", "pods/portforward"), ("delete", "secrets")}
    west.writes.clear()
    said = meshctl("ca", "rotate", "--yes")
    assert said.code == 1
    assert "rights are missing in 'west'; nothing was sent" in said.err
    assert "cacerts-before-rotation" in said.err
    assert west.writes == []


def test_what_would_be_made_anew_is_named(ground: Ground, meshctl: Meshctl) -> None:
    for place in ground.places.values():
        place.multiroot, place.deaf = False, {"api"}
    lines = meshctl("ca", "rotate", "--dry-run").out.splitlines()
    assert "   east: Deployment istio-system/istiod" in lines
    assert "   west: Deployment shop/api" in lines
    told = json.loads(meshctl("ca", "rotate", "--dry-run", "-o", "json").out)
    assert {"cluster": "west", "workload": "Deployment shop/api"} in told["restarts"]


def test_flags_that_exclude_each_other_are_refused(ground: Ground, meshctl: Meshctl) -> None:
    said = meshctl("ca", "rotate", "--status", "--abort")
    assert said.code == 2
    assert "--status, --abort do not go together" in said.err


def test_without_a_mesh_file_it_says_what_it_needs(meshctl: Meshctl, tmp_path: Path) -> None:
    mesh = tmp_path / "mesh.yaml"
    mesh.write_text(
        "apiVersion: meshctl.dev/v1alpha1\nkind: Mesh\nmetadata: {name: m}\n"
        "spec: {clusters: [{name: a, context: nowhere}, {name: b, context: nowhere}]}\n"
    )
    said = meshctl("ca", "rotate", "-f", str(mesh), "--yes")
    assert said.code == 2
