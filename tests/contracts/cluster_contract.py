"""The promises of `ports.Cluster`, for the fake and for a real API server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from meshctl.errors import ConflictError, FailedError
from meshctl.model.objects import Object, Ref
from meshctl.ports import Cluster
from meshctl.sandbox.versions import APP_IMAGE
from meshctl.stages.applying.readiness import unready

PATIENCE = 60.0
"""Seconds until what a real cluster does in its own time has to be done; not a measure of anything."""


def config_map(namespace: str, name: str = "a", **data: str) -> Object:
    meta = {"name": name, "namespace": namespace}
    return Object({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})


def namespace_named(name: str) -> Object:
    return Object({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


def definition(group: str) -> Object:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "Gadget", "plural": "gadgets", "singular": "gadget", "listKind": "GadgetList"}
    return Object(
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": f"gadgets.{group}"},
            "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
        }
    )


def ready_pod(namespace: str) -> Object:
    meta = {"name": "evictable", "namespace": namespace, "labels": {"app": "evictable"}}
    container = {"name": "app", "image": APP_IMAGE, "imagePullPolicy": "IfNotPresent"}
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    return Object({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": status})


def budget_of(pod: Object) -> Object:
    meta = {"name": "evictable-budget", "namespace": pod.ref.namespace}
    spec = {"minAvailable": 1, "selector": {"matchLabels": dict(pod.labels)}}
    return Object({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta, "spec": spec})


def eventually(look: Callable[[], Any], fits: Callable[[Any], object]) -> Any:
    """What `look` gives once it fits."""
    end = time.monotonic() + PATIENCE
    while not fits(seen := look()):
        assert time.monotonic() < end, seen
        time.sleep(0.1)
    return seen


class ClusterContract:
    """Subclasses give the fixtures `cluster`, `other` (another field manager's door) and `namespace`."""

    @pytest.fixture
    def a(self, cluster: Cluster, namespace: str) -> Iterator[Object]:
        yield cluster.apply(config_map(namespace, one="1"))
        cluster.delete(Ref("v1", "ConfigMap", namespace, "a"))

    def test_it_says_its_version(self, cluster: Cluster) -> None:
        assert cluster.version().startswith("v")

    def test_it_says_whom_its_certificate_is_verified_by(self, cluster: Cluster) -> None:
        assert cluster.authority

    def test_every_kind_is_told_once_at_its_preferred_version(self, cluster: Cluster) -> None:
        kinds = cluster.kinds()
        assert len({(kind.group, kind.kind) for kind in kinds}) == len(kinds)
        assert ("apps/v1", "Deployment", "deployments", True) in {
            (kind.api_version, kind.kind, kind.plural, kind.namespaced) for kind in kinds
        }
        assert "list" in next(kind for kind in kinds if kind.kind == "ConfigMap").verbs

    def test_what_does_not_exist_is_none(self, cluster: Cluster, namespace: str) -> None:
        assert cluster.get(Ref("v1", "ConfigMap", namespace, "nothing")) is None
        assert cluster.get(Ref("v1", "ConfigMap", "no-such-namespace", "nothing")) is None
        assert cluster.get(Ref("no.example/v1", "Nothing", namespace, "nothing")) is None

    def test_an_unknown_kind_has_no_objects(self, cluster: Cluster) -> None:
        assert cluster.list("no.example/v1", "Nothing") == ()

    def test_what_was_applied_is_there(self, cluster: Cluster, a: Object) -> None:
        found = cluster.get(a.ref)
        assert found is not None
        assert found.at("data") == {"one": "1"}
        assert found.uid

    def test_listed_objects_carry_their_kind(self, cluster: Cluster, a: Object) -> None:
        found = cluster.list("v1", "ConfigMap", namespace=a.ref.namespace)
        assert a.ref in [each.ref for each in found]

    def test_lists_follow_selectors(self, cluster: Cluster, namespace: str) -> None:
        for name in ("x", "y"):
            content = config_map(namespace, name).content
            labelled = {**content, "metadata": {**content["metadata"], "labels": {"pick": name}}}
            cluster.apply(Object(labelled))
        by_label = cluster.list("v1", "ConfigMap", namespace=namespace, labels="pick=x")
        by_field = cluster.list("v1", "ConfigMap", namespace=namespace, fields="metadata.name=y")
        either = cluster.list("v1", "ConfigMap", namespace=namespace, labels="pick")
        assert [each.ref.name for each in by_label] == ["x"]
        assert [each.ref.name for each in by_field] == ["y"]
        assert [each.ref.name for each in either] == ["x", "y"]
        kind = next(kind for kind in cluster.kinds() if kind.kind == "ConfigMap")
        names = cluster.names(kind, labels="pick=x")
        assert [each.name for each in names if each.namespace == namespace] == ["x"]

    def test_names_are_told_without_content(self, cluster: Cluster, a: Object) -> None:
        kind = next(kind for kind in cluster.kinds() if kind.kind == "ConfigMap")
        assert a.ref in cluster.names(kind)

    def test_applying_the_same_again_changes_nothing(self, cluster: Cluster, a: Object) -> None:
        again = cluster.apply(config_map(a.ref.namespace, one="1"))
        assert again.at("metadata.resourceVersion") == a.at("metadata.resourceVersion")

    def test_a_field_no_longer_applied_goes(self, cluster: Cluster, a: Object) -> None:
        after = cluster.apply(config_map(a.ref.namespace, two="2"))
        assert after.at("data") == {"two": "2"}

    def test_fields_of_others_stay(self, cluster: Cluster, other: Any, a: Object) -> None:
        other(a.ref, {"data": {"theirs": "x"}})
        after = cluster.apply(config_map(a.ref.namespace, one="2"))
        assert after.at("data") == {"one": "2", "theirs": "x"}

    def test_a_conflict_names_owner_and_field(self, cluster: Cluster, other: Any, a: Object) -> None:
        other(a.ref, {"data": {"one": "theirs"}})
        with pytest.raises(ConflictError) as caught:
            cluster.apply(config_map(a.ref.namespace, one="2"))
        assert caught.value.code == "fields-owned-by-others"
        assert caught.value.details == ("somebody: .data.one",)

    def test_a_conflict_is_taken_over_when_asked(self, cluster: Cluster, other: Any, a: Object) -> None:
        other(a.ref, {"data": {"one": "theirs"}})
        assert cluster.apply(config_map(a.ref.namespace, one="2"), take_over=True).at("data.one") == "2"

    def test_managed_fields_name_us(self, cluster: Cluster, a: Object) -> None:
        ours = [each for each in a.at("metadata.managedFields") if each["manager"] == "meshctl"]
        assert [each["operation"] for each in ours] == ["Apply"]
        assert ours[0]["fieldsV1"]["f:data"] == {"f:one": {}} or ours[0]["fieldsV1"]["f:data"] == {
            ".": {},
            "f:one": {},
        }

    def test_a_dry_run_leaves_everything_as_it_is(self, cluster: Cluster, namespace: str, a: Object) -> None:
        assert cluster.apply(config_map(namespace, one="9"), dry_run=True).at("data.one") == "9"
        cluster.apply(config_map(namespace, "b", one="9"), dry_run=True)
        found = cluster.get(a.ref)
        assert found is not None
        assert found.content == a.content
        assert cluster.get(Ref("v1", "ConfigMap", namespace, "b")) is None

    def test_a_dry_run_of_creating_keeps_nothing_and_refuses_what_is_there(
        self, cluster: Cluster, namespace: str, a: Object
    ) -> None:
        assert cluster.create(config_map(namespace, "b", one="9"), dry_run=True).at("data.one") == "9"
        assert cluster.get(Ref("v1", "ConfigMap", namespace, "b")) is None
        with pytest.raises(ConflictError):
            cluster.create(a, dry_run=True)

    def test_applying_into_a_missing_namespace_is_refused(self, cluster: Cluster) -> None:
        with pytest.raises(FailedError) as caught:
            cluster.apply(config_map("no-such-namespace", one="1"))
        assert caught.value.code == "not-found"

    def test_applying_an_unknown_kind_is_refused(self, cluster: Cluster, namespace: str) -> None:
        content = {
            "apiVersion": "no.example/v1",
            "kind": "Nothing",
            "metadata": {"name": "a", "namespace": namespace},
        }
        with pytest.raises(FailedError) as caught:
            cluster.apply(Object(content))
        assert caught.value.code == "not-found"

    def test_a_merge_patch_adds_and_removes(self, cluster: Cluster, a: Object) -> None:
        after = cluster.patch(a.ref, {"data": {"one": None, "two": "2"}})
        assert after is not None
        assert after.at("data") == {"two": "2"}

    def test_patching_what_is_gone_is_none(self, cluster: Cluster, namespace: str) -> None:
        assert cluster.patch(Ref("v1", "ConfigMap", namespace, "nothing"), {"data": {}}) is None

    def test_creating_twice_is_a_conflict(self, cluster: Cluster, a: Object) -> None:
        with pytest.raises(ConflictError) as caught:
            cluster.create(config_map(a.ref.namespace))
        assert caught.value.code == "already-exists"

    def test_replacing_an_older_version_is_a_conflict(self, cluster: Cluster, a: Object) -> None:
        cluster.patch(a.ref, {"data": {"one": "2"}})
        with pytest.raises(ConflictError) as caught:
            cluster.replace(Object({**a.content, "data": {"one": "3"}}))
        assert caught.value.code == "object-changed"

    def test_deleting_tells_whether_it_was_there(self, cluster: Cluster, a: Object) -> None:
        assert cluster.delete(a.ref)
        assert not cluster.delete(a.ref)
        assert cluster.get(a.ref) is None

    def test_a_finalizer_holds_an_object(self, cluster: Cluster, namespace: str) -> None:
        content = config_map(namespace, "held").content
        held = Object({**content, "metadata": {**content["metadata"], "finalizers": ["example.dev/hold"]}})
        cluster.apply(held)
        assert cluster.delete(held.ref)
        there = cluster.get(held.ref)
        assert there is not None
        assert there.at("metadata.deletionTimestamp")
        cluster.patch(held.ref, {"metadata": {"finalizers": None}})
        assert cluster.get(held.ref) is None

    @pytest.fixture
    def pod(self, cluster: Cluster, namespace: str) -> Iterator[Object]:
        """A pod that is ready: a real kubelet makes it so, and the fake keeps what it is told."""
        pod = cluster.create(ready_pod(namespace))
        yield eventually(lambda: cluster.get(pod.ref), lambda seen: seen is not None and not unready(seen))
        cluster.delete(pod.ref, grace=0)

    def test_evicting_what_is_not_there_is_told(self, cluster: Cluster, namespace: str) -> None:
        assert not cluster.evict(Ref("v1", "Pod", namespace, "nothing"))
        assert not cluster.evict(Ref("v1", "Pod", namespace, "nothing"), uid="some")

    def test_only_the_very_pod_is_evicted(self, cluster: Cluster, pod: Object) -> None:
        assert not cluster.evict(pod.ref, uid="00000000-0000-0000-0000-000000000000")
        there = cluster.get(pod.ref)
        assert there is not None
        assert not there.is_leaving
        assert cluster.evict(pod.ref, uid=pod.uid)
        eventually(lambda: cluster.get(pod.ref), lambda seen: seen is None)

    def test_a_disruption_budget_says_whether_a_pod_may_be_evicted(
        self, cluster: Cluster, pod: Object
    ) -> None:
        budget = cluster.create(budget_of(pod))
        try:
            with pytest.raises(FailedError) as caught:
                cluster.evict(pod.ref)
        finally:
            cluster.delete(budget.ref)
        assert caught.value.code == "budget-exhausted"
        assert budget.ref.name in " ".join(caught.value.details)
        assert cluster.evict(pod.ref)

    def test_a_watch_begins_with_what_exists_and_tells_changes(self, cluster: Cluster, a: Object) -> None:
        watch = cluster.watch("v1", "ConfigMap", namespace=a.ref.namespace, name="a", seconds=30)
        news = iter(watch)
        assert next(news)[0] == "ADDED"
        cluster.patch(a.ref, {"data": {"one": "2"}})
        change, obj = next(news)
        assert (change, obj.at("data.one"), obj.ref) == ("MODIFIED", "2", a.ref)
        cluster.delete(a.ref)
        assert next(news)[0] == "DELETED"
        watch.close()
        assert list(news) == []

    def test_a_watch_is_closed_from_another_thread_and_twice(self, cluster: Cluster, a: Object) -> None:
        watch = cluster.watch("v1", "ConfigMap", namespace=a.ref.namespace, seconds=60)
        seen: list[str] = []
        first = threading.Event()

        def follow() -> None:
            for change, _ in watch:
                seen.append(change)
                first.set()

        thread = threading.Thread(target=follow)
        thread.start()
        assert first.wait(10)
        watch.close()
        watch.close()
        thread.join(10)
        assert not thread.is_alive()

    def test_a_watch_of_an_unknown_kind_ends_at_once(self, cluster: Cluster) -> None:
        assert list(cluster.watch("no.example/v1", "Nothing", seconds=60)) == []

    def test_a_custom_kind_can_be_applied_as_soon_as_it_is_defined(
        self, cluster: Cluster, namespace: str
    ) -> None:
        crd = definition("contract.example.dev")
        cluster.apply(crd)
        meta = {"name": "g", "namespace": namespace}
        gadget = Object(
            {"apiVersion": "contract.example.dev/v1", "kind": "Gadget", "metadata": meta, "spec": {"a": 1}}
        )
        try:
            assert cluster.apply(gadget).at("spec.a") == 1
            assert [each.ref for each in cluster.list("contract.example.dev/v1", "Gadget")] == [gadget.ref]
            assert "Gadget" in {kind.kind for kind in cluster.kinds()}
        finally:
            cluster.delete(crd.ref)

    def test_we_may_do_what_we_may(self, cluster: Cluster) -> None:
        assert cluster.allowed("create", "apps", "deployments", "default")
        assert cluster.allowed("patch", "apps", "deployments", "default", "istiod")
        assert cluster.allowed("get", "", "pods/log", "default")
        assert cluster.allowed("*", "*", "*")
