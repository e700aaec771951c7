"""A cluster that was recorded answers as it did then, and says so where it does not know."""

from __future__ import annotations

import base64
import gzip
import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshctl.actions.doing import do
from meshctl.actions.install import install
from meshctl.adapters import recordings
from meshctl.adapters.record import rewritten
from meshctl.adapters.recorded import RecordedCluster
from meshctl.adapters.recorder import Recorder
from meshctl.adapters.releases import ClusterReleases
from meshctl.errors import AccessError, ConfigError, ProblemsError
from meshctl.model.mesh import Inputs
from meshctl.model.objects import Kind, Object, Ref
from meshctl.model.plan import Plan
from meshctl.model.recording import Question
from meshctl.ports import Cluster, World
from meshctl.stages.comparing import secrets
from meshctl.stages.planning.plan_data import plan_data
from meshctl.stages.seeing.withholding import withheld
from meshctl.stages.settings.load import load
from tests.fakes import KINDS, FakeClock, FakeCluster, FakeFiles

TAKEN = "2026-01-02T03:04:05+00:00"
MAPS = Kind("v1", "ConfigMap", "configmaps", namespaced=True, verbs=("get", "list"))


def planned(door: Cluster, *sets: str) -> tuple[World, Plan]:
    """What an install would do in a cluster, through this door."""
    clock = FakeClock()
    world = World({"here": door}, {"here": ClusterReleases(door, clock)}, clock, FakeFiles())
    lean = ("components.base.enabled=false", *sets)
    (wave,) = install(world, load(Inputs(profile="minimal", sets=lean, cluster="here")))
    return world, wave.plan


def kept(door: Recorder, folder: Path) -> RecordedCluster:
    """The cluster as a recording in a folder has it."""
    recordings.write(folder, door.recording(TAKEN))
    (found,) = recordings.read(folder, ["here"])
    return found


def config_map(name: str, namespace: str = "default", **labels: str) -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "b"}}


def map_named(name: str, namespace: str = "default") -> Ref:
    return Ref("v1", "ConfigMap", namespace, name)


def test_a_plan_against_a_recording_is_the_plan_against_the_cluster(tmp_path: Path):
    cluster = FakeCluster("here")
    list(do(*planned(cluster)))
    cluster.edit(Ref("v1", "ConfigMap", "istio-system", "istio"), {"data": {"mesh": "changed: true"}})
    door = Recorder(cluster)
    _, live = planned(door)
    assert live.steps
    for sets in ((), ("values.pilot.env.SAID=later",)):
        _, here = planned(cluster, *sets)
        _, there = planned(kept(door, tmp_path), *sets)
        assert plan_data(there) == plan_data(here)


def test_recording_a_cluster_changes_nothing_there():
    cluster = FakeCluster("here")
    planned(Recorder(cluster))
    assert cluster.writes == []
    assert Recorder(cluster).apply(Object(config_map("a")), dry_run=True)  # which only a server can judge
    with pytest.raises(ConfigError, match="cannot change ConfigMap default/a of cluster 'here'"):
        Recorder(cluster).apply(Object(config_map("a")))
    assert cluster.writes == []


def test_what_was_not_there_is_known_by_the_names_of_its_kind(tmp_path: Path):
    door = Recorder(FakeCluster("here", config_map("seen"), config_map("unread")))
    assert door.get(map_named("seen"))
    door.names(MAPS)
    there = kept(door, tmp_path)
    assert there.get(map_named("seen")) == door.get(map_named("seen"))
    assert there.get(map_named("other")) is None
    assert [each.name for each in there.names(MAPS)] == ["seen", "unread"]


def test_what_is_not_known_is_refused_and_never_guessed(tmp_path: Path):
    door = Recorder(FakeCluster("here", config_map("unread")))
    door.names(MAPS)
    there = kept(door, tmp_path)
    with pytest.raises(ConfigError, match="what is in ConfigMap default/unread was not recorded") as told:
        there.get(map_named("unread"))
    assert "meshctl observe" in told.value.hint
    with pytest.raises(ConfigError, match="whether Service default/a is there was not recorded"):
        there.get(Ref("v1", "Service", "default", "a"))
    with pytest.raises(ConfigError, match="which ConfigMap there are with 'a=b' was not recorded"):
        there.list("v1", "ConfigMap", labels="a=b")
    with pytest.raises(ConfigError, match="which Secret there are"):
        there.names(Kind("v1", "Secret", "secrets", namespaced=True))


def test_kinds_that_the_cluster_did_not_serve_have_no_objects(tmp_path: Path):
    there = kept(Recorder(FakeCluster("here", kinds=KINDS)), tmp_path)
    assert there.get(Ref("odd.example/v1", "Odd", "", "a")) is None
    assert there.list("odd.example/v1", "Odd") == ()


def test_a_list_is_answered_from_one_that_has_all_of_it(tmp_path: Path):
    cluster = FakeCluster(
        "here",
        config_map("a", app="x", tier="1"),
        config_map("b", app="y"),
        config_map("c", "kube-public", app="x"),
    )
    door = Recorder(cluster)
    door.list("v1", "ConfigMap", labels="app")
    there = kept(door, tmp_path)
    for labels in ("app", "app=x", "app=x,tier", "app,tier=1"):
        for namespace in ("", "default"):
            live = cluster.list("v1", "ConfigMap", labels=labels, namespace=namespace)
            assert there.list("v1", "ConfigMap", labels=labels, namespace=namespace) == live
        assert there.names(MAPS, labels=labels) == cluster.names(MAPS, labels=labels)
    for labels in ("tier=1", "", "app in (x)", "app!=x"):
        with pytest.raises(ConfigError, match="was not recorded"):
            there.list("v1", "ConfigMap", labels=labels)


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        (Question("v1", "Pod"), Question("v1", "Pod", "a", "x=y"), True),
        (Question("v1", "Pod", "a"), Question("v1", "Pod"), False),
        (Question("v1", "Pod", "a"), Question("v1", "Pod", "b"), False),
        (Question("v1", "Pod", fields="a=b"), Question("v1", "Pod"), False),
        (Question("v1", "Pod", labels="x"), Question("v1", "Pod", labels="x=y,z"), True),
        (Question("v1", "Pod", labels="x=y"), Question("v1", "Pod", labels="x"), False),
        (Question("v1", "Pod", labels="x"), Question("v1", "Pod", labels="x!=y"), False),
        (Question("v1", "Pod"), Question("v1", "Service"), False),
    ],
)
def test_a_question_covers_those_whose_answers_are_within_its_own(
    wide: Question, narrow: Question, covers: bool
):
    assert wide.covers(narrow) is covers


def test_of_nodes_one_is_kept_as_it_is_asked_whether_there_is_any(tmp_path: Path):
    nodes = [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"n{number}", "labels": {"a": "b"}}}
        for number in range(3)
    ]
    door = Recorder(FakeCluster("here", *nodes))
    assert len(door.list("v1", "Node", labels="a=b")) == 3
    there = kept(door, tmp_path)
    assert len(there.list("v1", "Node", labels="a=b")) == 1
    with pytest.raises(ConfigError, match="was not recorded"):
        there.list("v1", "Node", labels="a=b,c=d")


def test_kinds_whose_names_may_not_be_read_are_left_out(tmp_path: Path):
    cluster = FakeCluster("here", config_map("a"))
    door = Recorder(cluster)
    cluster.names = _forbidden  # type: ignore[method-assign]
    assert door.counted(MAPS) == ()
    with pytest.raises(ConfigError, match="whether ConfigMap default/a is there"):
        kept(door, tmp_path).get(map_named("a"))


def _forbidden(kind: Kind, *, labels: str = "") -> tuple[Ref, ...]:
    raise AccessError("not-allowed", f"may not list {kind.plural}")


# The folder.


def test_the_same_cluster_gives_the_same_bytes_which_only_their_owner_reads(tmp_path: Path):
    door = Recorder(FakeCluster("here", config_map("b"), config_map("a")))
    planned(door)
    one = recordings.write(tmp_path / "one", door.recording(TAKEN))
    two = recordings.write(tmp_path / "two", door.recording(TAKEN))
    assert one.read_bytes() == two.read_bytes()
    assert stat.S_IMODE(one.stat().st_mode) == 0o600
    assert [each.name for each in one.parent.iterdir()] == ["here.observation.json.gz"]


def test_a_recording_is_read_as_it_was_written(tmp_path: Path):
    door = Recorder(FakeCluster("here", config_map("a", x="y")))
    door.list("v1", "ConfigMap", labels="x")
    door.get(map_named("none"))
    door.names(MAPS)
    door.names(MAPS, labels="x=z")
    recording = door.recording(TAKEN)
    assert recordings.from_json(json.loads(json.dumps(recordings.to_json(recording)))) == recording


def test_a_context_with_any_name_has_a_file(tmp_path: Path):
    name = "arn:aws:eks:eu-west-1:1234:cluster/one"
    recordings.write(tmp_path, replace(Recorder(FakeCluster("here")).recording(TAKEN), cluster=name))
    assert recordings.read(tmp_path, [name])[0].name == name
    assert recordings.read(tmp_path, [recordings.only(tmp_path)])[0].name == name


def test_every_recording_that_is_missing_or_damaged_is_told(tmp_path: Path):
    (tmp_path / "b.observation.json.gz").write_bytes(b"junk")
    (tmp_path / "c.observation.json.gz").write_bytes(gzip.compress(b'{"format": 99}'))
    with pytest.raises(ProblemsError) as told:
        recordings.read(tmp_path, ["a", "b", "c"])
    assert [each.code for each in told.value.problems] == [
        "no-observation", "observation-unreadable", "observation-format",
    ]  # fmt: skip
    assert all(str(tmp_path) in str(each.where) and each.hint for each in told.value.problems)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        recordings.write(tmp_path / "file", Recorder(FakeCluster("here")).recording(TAKEN))


def test_without_a_mesh_file_there_is_one_recording(tmp_path: Path):
    with pytest.raises(ConfigError, match="there is no observation"):
        recordings.only(tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.observation.json.gz").touch()
    with pytest.raises(ConfigError, match="observations of a, b"):
        recordings.only(tmp_path)


# What is withheld.


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def secret(**data: str) -> Object:
    meta = {
        "name": "s",
        "namespace": "default",
        "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": '{"data": "hunter2"}',
            "kept": "x",
        },
    }
    return Object({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data})


def test_of_a_secret_only_metadata_and_certificates_are_kept():
    certificate = encoded("-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n")
    both = encoded("-----BEGIN CERTIFICATE-----\nabc\n-----BEGIN PRIVATE KEY-----\n")
    shown = withheld(secret(crt=certificate, key=encoded("hunter2"), both=both, odd="%%"))
    assert shown.content["data"] == {
        "crt": certificate, "key": secrets.WITHHELD, "both": secrets.WITHHELD, "odd": secrets.WITHHELD,
    }  # fmt: skip
    assert shown.annotations == {"kept": "x"}
    assert "hunter2" not in json.dumps(shown.content)


def test_tokens_in_other_objects_are_withheld():
    content = config_map("a") | {"data": {"token": "hunter2", "config": "password: hunter2\nport: 1\n"}}
    shown = withheld(Object(content))
    assert "hunter2" not in json.dumps(shown.content)
    assert "port: 1" in shown.content["data"]["config"]


def test_a_record_of_ours_keeps_its_form_without_its_tokens():
    cluster = FakeCluster("here")
    list(do(*planned(cluster, "values.pilot.env.LIGHTSTEP_ACCESS_TOKEN=hunter2")))
    (record,) = cluster.list("v1", "Secret", labels="meshctl.dev/generation")
    shown = rewritten(record, secrets.withheld)
    assert shown is not None
    text = gzip.decompress(base64.b64decode(shown.content["data"]["release"])).decode()
    assert "hunter2" not in text
    assert '"mesh":"mesh"' in text
    assert rewritten(secret(a="b"), secrets.withheld) is None


def test_what_was_withheld_is_taken_to_be_as_asked(tmp_path: Path):
    sets = ("values.pilot.env.LIGHTSTEP_ACCESS_TOKEN=hunter2",)
    cluster = FakeCluster("here")
    list(do(*planned(cluster, *sets)))
    door = Recorder(cluster)
    planned(door, *sets)
    seen = door.recording(TAKEN)
    shown = {ref: rewritten(obj, secrets.withheld) or withheld(obj) for ref, obj in seen.objects.items()}
    recordings.write(tmp_path, replace(seen, objects=shown))
    (there,) = recordings.read(tmp_path, ["here"])
    assert "hunter2" not in gzip.decompress(next(tmp_path.iterdir()).read_bytes()).decode()
    assert planned(there, *sets)[1].is_empty
    assert not planned(there, *sets, "values.pilot.env.OTHER=1")[1].is_empty
