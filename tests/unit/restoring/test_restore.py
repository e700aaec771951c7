"""Putting a backup back: what is sent, what is let alone, and what is refused with its line."""

from __future__ import annotations

from typing import Any

import pytest

from meshctl.actions.backup import backup
from meshctl.actions.doing import do
from meshctl.actions.restore import PutBack, restore
from meshctl.errors import ConfigError, ConflictError, FailedError, ProblemsError
from meshctl.model.objects import Object
from meshctl.ports import RESTORER, World
from meshctl.stages.restoring.reading import Backup, read
from meshctl.stages.validating.sources import Source
from tests.building import obj, ref
from tests.fakes import KINDS, FakeClock, FakeCluster, FakeFiles, FakeReleases, kind_of

PEER = kind_of("security.istio.io/v1", "PeerAuthentication")
STRICT = obj("PeerAuthentication", "strict", "shop", spec={"mtls": {"mode": "STRICT"}})
SHOP = obj("Namespace", "shop", labels={"istio-injection": "enabled", "team": "web"})


class Ground:
    """A cluster in memory, and what is saved of it and put back into it."""

    def __init__(self, *objects: Object, bare: bool = False) -> None:
        self.cluster = FakeCluster("east", kinds=KINDS if bare else (*KINDS, PEER))
        for each in objects:
            self.cluster.seed(each.content)
        self.world = World(
            {"east": self.cluster},
            {"east": FakeReleases()},
            FakeClock(),
            FakeFiles(),  # type: ignore[dict-item]
        )

    def saved(self) -> Backup:
        return text(backup(self.world, "east", "mesh").text)

    def restore(self, saved: Backup, **choices: Any) -> PutBack:
        turn = restore(self.world, "east", saved, **choices)
        list(do(self.world, turn.plan))
        return turn


def own(namespace: Object) -> dict[str, str]:
    """Its labels without the one that Kubernetes gives each."""
    return {key: value for key, value in namespace.labels.items() if key != "kubernetes.io/metadata.name"}


def text(content: str) -> Backup:
    return read(Source("saved.yaml", content))


def test_what_was_saved_and_lost_comes_back_as_it_was() -> None:
    held = obj("PeerAuthentication", "held", "shop", annotations={"a": "b"}, finalizers=["x/y"], spec={})
    saved = Ground(SHOP, STRICT, held).saved()
    other = Ground(obj("Namespace", "shop"))
    other.restore(saved)
    assert other.saved() == saved
    there = other.cluster.get(held.ref)
    assert there is not None
    assert there.at("metadata.finalizers") == ["x/y"]
    assert {each["manager"] for each in there.at("metadata.managedFields")} == {RESTORER}


def test_a_second_restore_sends_nothing() -> None:
    saved = Ground(SHOP, STRICT).saved()
    other = Ground(obj("Namespace", "shop"))
    other.restore(saved)
    other.cluster.writes.clear()
    assert other.restore(saved).plan.is_empty
    assert other.cluster.writes == []


def test_what_differs_is_refused_with_its_line_and_overwritten_on_demand() -> None:
    saved = Ground(SHOP, STRICT).saved()
    changed = obj(
        "PeerAuthentication", "strict", "shop", spec={"mtls": {"mode": "DISABLE"}, "more": {"a": 1}}
    )
    other = Ground(SHOP, changed)
    with pytest.raises(ConflictError, match="1 object is there") as told:
        other.restore(saved)
    assert told.value.details == ("saved.yaml:13: PeerAuthentication shop/strict",)
    assert other.cluster.writes == []
    other.restore(saved, overwrite=True)
    there = other.cluster.get(STRICT.ref)
    assert there is not None
    assert there.at("spec") == {"mtls": {"mode": "STRICT"}}


def test_a_dry_run_shows_what_differs_and_refuses_nothing() -> None:
    saved = Ground(SHOP, STRICT).saved()
    other = Ground(SHOP, obj("PeerAuthentication", "strict", "shop", spec={}))
    turn = restore(other.world, "east", saved, dry_run=True)
    assert [str(live.ref) for _, live, _ in turn.found.conflicting] == ["PeerAuthentication shop/strict"]
    assert other.cluster.writes == []


def test_labels_that_a_namespace_lacks_are_put_back_and_other_ones_stay() -> None:
    saved = Ground(SHOP).saved()
    other = Ground(obj("Namespace", "shop", labels={"theirs": "x"}))
    other.restore(saved)
    there = other.cluster.get(SHOP.ref)
    assert there is not None
    assert own(there) == {"theirs": "x", "istio-injection": "enabled"}


def test_a_namespace_that_asks_for_another_control_plane_by_now_is_not_changed_unasked() -> None:
    saved = Ground(SHOP).saved()
    other = Ground(obj("Namespace", "shop", labels={"istio.io/rev": "new"}))
    with pytest.raises(ConflictError):
        other.restore(saved)
    other.restore(saved, overwrite=True)
    there = other.cluster.get(SHOP.ref)
    assert there is not None
    assert own(there) == {"istio-injection": "enabled"}


def test_missing_namespaces_are_named_and_made_on_demand() -> None:
    saved = Ground(SHOP, STRICT).saved()
    other = Ground()
    with pytest.raises(ConfigError, match="namespaces are missing: shop"):
        other.restore(saved)
    other.restore(saved, create=True)
    assert other.cluster.get(STRICT.ref) is not None
    there = other.cluster.get(SHOP.ref)
    assert there is not None
    assert there.labels["istio-injection"] == "enabled"


def test_only_one_namespace_is_put_back_on_demand() -> None:
    second = obj("PeerAuthentication", "strict", "bank", spec={})
    saved = Ground(SHOP, STRICT, obj("Namespace", "bank"), second).saved()
    other = Ground(obj("Namespace", "shop"), obj("Namespace", "bank"))
    other.restore(saved, only="bank")
    assert other.cluster.get(second.ref) is not None
    assert other.cluster.get(STRICT.ref) is None
    with pytest.raises(ConfigError, match="of namespace 'bnak'"):
        other.restore(saved, only="bnak")


def test_kinds_that_the_cluster_does_not_know_are_told_before_anything_is_sent() -> None:
    saved = Ground(SHOP, STRICT).saved()
    bare = Ground(obj("Namespace", "shop"), bare=True)
    with pytest.raises(ConfigError, match="does not know 1 kind of") as told:
        bare.restore(saved)
    assert told.value.details == ("PeerAuthentication of security.istio.io",)
    assert "install the mesh first" in told.value.hint


def test_what_the_api_server_would_refuse_is_told_with_its_line_and_nothing_is_sent() -> None:
    saved = Ground(SHOP, STRICT).saved()
    other = Ground(SHOP)
    other.cluster.fail("create", str(STRICT.ref), FailedError("object-invalid", "no such mode"))
    with pytest.raises(ConfigError, match="no such mode") as told:
        other.restore(saved)
    assert str(told.value.where) == "saved.yaml:13"
    assert other.cluster.writes == []


def test_an_owner_that_is_gone_is_left_out_and_one_that_lives_is_kept() -> None:
    ground = Ground(SHOP, obj("ConfigMap", "there", "shop"))
    alive = ground.cluster.get(ref("ConfigMap", "there", "shop"))
    assert alive is not None
    owners = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "there", "uid": alive.uid},
        {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "1"},
    ]
    content = {**STRICT.content, "metadata": {**STRICT.content["metadata"], "ownerReferences": owners}}
    ground.cluster.seed(content)
    saved = ground.saved()
    ground.cluster.delete(STRICT.ref)
    ground.restore(saved)
    there = ground.cluster.get(STRICT.ref)
    assert there is not None
    assert [each["name"] for each in there.at("metadata.ownerReferences")] == ["there"]


@pytest.mark.parametrize(
    ("content", "code", "place"),
    [
        ("a: [", "bad-yaml", "saved.yaml:2"),
        ("just words", "not-an-object", "saved.yaml:1"),
        ("---\napiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: b}\n", "not-a-mesh-resource", "3"),
        (
            "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: a}\n",
            "no-namespace",
            "3",
        ),
        ("apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {}\n", "not-an-object", "3"),
        ("apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n", "not-an-object", "1"),
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: [b]}\n", "not-an-object", "3"),
    ],
)
def test_a_bad_file_is_told_with_its_line(content: str, code: str, place: str) -> None:
    with pytest.raises(ConfigError) as told:
        text(content)
    assert told.value.code == code
    assert place in str(told.value.where)


def test_every_problem_of_a_file_is_told_at_once() -> None:
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: b}\n"
    with pytest.raises(ProblemsError) as told:
        text(f"{pod}---\n{pod}")
    assert len(told.value.problems) == 2


def test_an_object_that_is_there_twice_is_refused() -> None:
    one = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: a, namespace: b}\n"
    with pytest.raises(ConfigError, match="a second time; the first is in line 1"):
        text(f"{one}---\n{one}")


def test_what_only_a_server_writes_is_not_taken_from_a_file() -> None:
    content = (
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n"
        "metadata: {name: a, namespace: b, uid: '1', resourceVersion: '7'}\nstatus: {x: 1}\n"
    )
    (saved,) = text(content).objects
    assert saved.object.content["metadata"] == {"name": "a", "namespace": "b"}
    assert "status" not in saved.object.content
