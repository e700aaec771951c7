"""Adoption: a mesh of istioctl or Helm becomes ours, whole, and says before what changes hands."""

from __future__ import annotations

import base64
import copy
import gzip
import json
from typing import Any

import pytest
import yaml

from meshctl.actions import plan_file
from meshctl.actions.doing import do
from meshctl.actions.install import install, keeping
from meshctl.actions.uninstall import uninstall
from meshctl.adapters.releases import ClusterReleases
from meshctl.errors import ConfigError, ConflictError, UnsupportedError
from meshctl.model.mesh import Inputs
from meshctl.model.objects import Object, Ref
from meshctl.model.plan import Apply, Delete, Inherit, Plan
from meshctl.model.removal import Scope
from meshctl.ports import World
from meshctl.stages.planning.inheritance import inherited
from meshctl.stages.rendering.render import render
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve
from tests.building import obj
from tests.fakes import FakeClock, FakeCluster, FakeFiles

NS = "istio-system"
ISTIOD = Ref("apps/v1", "Deployment", NS, "istiod")
CONFIG = Ref("v1", "ConfigMap", NS, "istio")
NO_BASE = "components.base.enabled=false"  # definitions are large, and nothing is asked of them here
LOGGED = "meshConfig.accessLogFile=/dev/stdout"
TELLING = ("meta.helm.sh/release-name", "operator.istio.io/managed", "operator.istio.io/version")


class Ground:
    """One cluster in memory with a mesh that another tool has installed."""

    def __init__(self) -> None:
        self.cluster = FakeCluster("here")
        self.files = FakeFiles()
        clock = FakeClock()
        self.releases = ClusterReleases(self.cluster, clock)
        self.world = World({"here": self.cluster}, {"here": self.releases}, clock, self.files)

    def by_istioctl(self, *sets: str, **more: Any) -> None:
        def told(content: dict[str, Any]) -> None:
            marks = {"operator.istio.io/managed": "Reconcile", "operator.istio.io/version": "1.31.0"}
            content["metadata"].setdefault("labels", {}).update(marks)

        self._seed(told, "istio-operator", "Apply", *sets, **more)

    def by_helm(self, *sets: str, operation: str = "Update", **more: Any) -> None:
        def told(content: dict[str, Any]) -> None:
            marks = {"meta.helm.sh/release-name": "istiod", "meta.helm.sh/release-namespace": NS}
            content["metadata"].setdefault("annotations", {}).update(marks)

        made = self._seed(told, "helm", operation, *sets, **more)
        theirs = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs", "namespace": NS}}
        for version in ("1", "2"):
            body = {"name": "istiod", "manifest": yaml.safe_dump_all([*made, theirs])}
            packed = base64.b64encode(gzip.compress(json.dumps(body).encode()))
            labels = {"owner": "helm", "name": "istiod", "version": version}
            meta = {"name": f"sh.helm.release.v1.istiod.v{version}", "namespace": NS, "labels": labels}
            data = {"release": base64.b64encode(packed).decode()}
            self.cluster.seed({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data}, "helm")

    def _seed(
        self, told: Any, manager: str, operation: str, *sets: str, version: str = "1.31.0", **more: Any
    ) -> list[dict[str, Any]]:
        asked = load(
            Inputs(profile="minimal", sets=(NO_BASE, *sets), cluster="here", version=version, **more)
        )
        values = resolve(asked, asked.mesh.clusters[0])
        made = [copy.deepcopy(dict(each.content)) for each in render(values).objects]
        self.cluster.seed({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS}})
        ranked = sorted(made, key=lambda each: each["kind"] != "CustomResourceDefinition")
        for content in ranked:
            told(content)
            self.cluster.seed(content, manager, operation)
        return made

    def plan(self, *sets: str, adopt: bool = True, **more: Any) -> Plan:
        asked = load(Inputs(profile="minimal", sets=(NO_BASE, *sets), cluster="here", **more))
        (wave,) = install(self.world, asked, adopt=adopt)
        return wave.plan

    def adopt(self, *sets: str, **more: Any) -> None:
        list(do(self.world, self.plan(*sets, **more)))

    def there(self, ref: Ref) -> Object:
        found = self.cluster.get(ref)
        assert found is not None
        return found

    def managers(self, ref: Ref) -> set[str]:
        entries = self.there(ref).at("metadata.managedFields")
        return {each["manager"] for each in entries if "f:status" not in each["fieldsV1"]}


@pytest.fixture
def ground() -> Ground:
    return Ground()


@pytest.mark.parametrize(("by", "tool"), [("by_istioctl", "istioctl"), ("by_helm", "Helm release istiod")])
def test_an_install_over_another_tools_mesh_is_refused_and_names_the_tool(
    ground: Ground, by: str, tool: str
) -> None:
    getattr(ground, by)()
    with pytest.raises(ConflictError) as told:
        ground.plan(adopt=False)
    assert told.value.code == "installed-by-others"
    assert told.value.details == (f"Deployment {NS}/istiod, installed by {tool}",)
    assert "--adopt" in told.value.hint
    with pytest.raises(ConflictError):
        install_over = install(ground.world, load(Inputs(profile="minimal", cluster="here")), take_over=True)
        next(install_over)


@pytest.mark.parametrize("by", ["by_istioctl", "by_helm"])
def test_all_that_is_adopted_is_ours_alone_and_a_plan_afterwards_is_empty(ground: Ground, by: str) -> None:
    getattr(ground, by)()
    ground.adopt()
    (record,) = ground.releases.of("mesh")
    for ref in sorted(record.refs - {Ref("v1", "Namespace", "", NS)}):
        assert ground.managers(ref) == {"meshctl"}, ref
        kept = {*ground.there(ref).labels, *ground.there(ref).annotations}
        assert not kept.intersection(TELLING), ref
    assert ground.plan(adopt=False).is_empty
    assert ground.plan().is_empty


def test_helm_4_is_adopted_as_helm_3(ground: Ground) -> None:
    ground.by_helm(operation="Apply")
    ground.adopt()
    assert ground.managers(ISTIOD) == {"meshctl"}
    assert ground.plan(adopt=False).is_empty


def test_the_plan_tells_what_changes_hands_and_what_of_it_is_lost(ground: Ground) -> None:
    ground.by_istioctl("values.pilot.env.FOO=bar", LOGGED)
    steps = ground.plan()
    handed = [each for each in steps.steps if isinstance(each, Inherit)]
    assert {(each.part, each.managers) for each in handed} == {("adopted from istioctl", ("istio-operator",))}
    assert ISTIOD in {each.ref for each in handed}
    (istiod,) = (each for each in steps.steps if isinstance(each, Apply) and each.ref == ISTIOD)
    gone = {each.path for each in istiod.changes if each.wanted is None}
    assert "spec.template.spec.containers[discovery].env[FOO]" in gone
    (hint,) = (each for each in steps.warnings if "--set" in each)
    assert f"--set {LOGGED}" in hint and "--set values.pilot.env.FOO=bar" in hint


def test_with_the_settings_that_are_hinted_nothing_of_the_workload_changes(ground: Ground) -> None:
    sets = ("values.pilot.env.FOO=bar", LOGGED)
    ground.by_istioctl(*sets)
    steps = ground.plan(*sets)
    assert not any("--set" in each for each in steps.warnings)
    changed = {each.ref: each.changes for each in steps.steps if isinstance(each, Apply)}
    assert {each.path for each in changed[CONFIG]} == {
        "metadata.labels.app\\.kubernetes\\.io/managed-by",
        "metadata.labels.meshctl\\.dev/mesh",
        "metadata.labels.meshctl\\.dev/component",
        "metadata.labels.operator\\.istio\\.io/managed",
        "metadata.labels.operator\\.istio\\.io/version",
    }


def test_what_the_other_tool_set_and_we_do_not_is_taken_away(ground: Ground) -> None:
    ground.by_istioctl("values.pilot.env.FOO=bar")
    ground.adopt()
    env = ground.there(ISTIOD).at("spec.template.spec.containers[0].env")
    assert "FOO" not in {each["name"] for each in env}


def test_what_a_person_has_added_stays_theirs(ground: Ground) -> None:
    ground.by_istioctl()
    ground.cluster.edit(ISTIOD, {"metadata": {"annotations": {"note": "mine"}}}, manager="kubectl-edit")
    ground.adopt()
    assert ground.there(ISTIOD).annotations["note"] == "mine"
    assert "kubectl-edit" in ground.managers(ISTIOD)


def test_helms_records_are_saved_before_they_go_and_what_else_they_hold_is_named(ground: Ground) -> None:
    ground.by_helm()
    steps = ground.plan()
    deleted = [
        each.ref.name for each in steps.steps if isinstance(each, Delete) and each.ref.kind == "Secret"
    ]
    assert deleted == ["sh.helm.release.v1.istiod.v1", "sh.helm.release.v1.istiod.v2"]
    assert any(f"Helm release istiod also holds ConfigMap {NS}/theirs" in each for each in steps.warnings)
    list(do(ground.world, steps))
    assert ground.cluster.list("v1", "Secret", namespace=NS, labels="owner=helm") == ()
    (saved,) = ground.files.texts.values()
    assert saved.count("kind: Secret") == 2 and "release:" in saved


def test_a_record_of_helms_that_cannot_be_read_is_told_and_saved_all_the_same(ground: Ground) -> None:
    ground.by_helm()
    record = Ref("v1", "Secret", NS, "sh.helm.release.v1.istiod.v2")
    ground.cluster.edit(record, {"data": {"release": "AAAA"}}, manager="helm")
    assert any("cannot be read" in each for each in ground.plan().warnings)


def test_what_belongs_to_that_control_plane_goes_and_all_else_is_left(ground: Ground) -> None:
    ground.by_istioctl()
    marks = {"operator.istio.io/managed": "Reconcile", "operator.istio.io/component": "Pilot"}
    meta = {"namespace": NS, "labels": {**marks, "istio.io/rev": "default", "app": "istiod"}}
    other = {"namespace": NS, "labels": {**marks, "istio.io/rev": "canary", "app": "istiod"}}
    for name, more in (("istiod-old", meta), ("istiod-canary", other)):
        ground.cluster.seed(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **more}}, "istio-operator"
        )
    hpa = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
    removed = {
        each.ref.name
        for each in ground.plan("values.pilot.autoscaleEnabled=false").steps
        if isinstance(each, Delete)
    }
    assert removed == {"istiod-old", "istiod"}, hpa


def test_another_version_is_refused_and_says_how_to_go_on(ground: Ground) -> None:
    ground.by_istioctl(version="1.30.3")
    with pytest.raises(UnsupportedError) as told:
        ground.plan()
    assert told.value.code == "adopts-another-version"
    assert "--istio-version 1.30.3" in told.value.hint


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, ("1.30.3", "")),
        ({"version": "1.30"}, ("1.30.3", "")),
        ({"version": "1.31"}, ("", "")),
        ({"revision": "other"}, ("", "")),
    ],
)
def test_version_and_revision_are_those_that_stand(
    ground: Ground, given: dict[str, str], found: tuple[str, str]
) -> None:
    ground.by_istioctl(version="1.30.3")
    asked = load(Inputs(profile="minimal", cluster="here", **given))
    assert keeping(ground.world, asked, adopt=True) == found


def test_a_revision_that_stands_alone_is_the_one_that_is_adopted(ground: Ground) -> None:
    ground.by_istioctl(revision="blue")
    asked = load(Inputs(profile="minimal", cluster="here"))
    assert keeping(ground.world, asked, adopt=True) == ("1.31.0", "blue")
    ground.adopt(revision="blue")
    assert ground.plan(adopt=False, revision="blue").is_empty


def test_of_several_revisions_one_has_to_be_named(ground: Ground) -> None:
    ground.by_istioctl(revision="blue")
    content = copy.deepcopy(dict(ground.there(Ref("apps/v1", "Deployment", NS, "istiod-blue")).content))
    content["metadata"] |= {
        "name": "istiod-green",
        "labels": {**content["metadata"]["labels"], "istio.io/rev": "green"},
    }
    ground.cluster.seed(content, "istio-operator")
    with pytest.raises(ConfigError) as told:
        keeping(ground.world, load(Inputs(profile="minimal", cluster="here")), adopt=True)
    assert "blue, green" in told.value.hint


def test_an_adoption_that_was_cut_short_is_continued_by_the_same_command(ground: Ground) -> None:
    ground.by_helm()
    for stop in range(8, 200, 24):
        events = do(ground.world, ground.plan())
        for _ in range(stop):
            if next(events, None) is None:
                break
        events.close()
    ground.adopt()
    assert ground.managers(ISTIOD) == {"meshctl"}
    assert ground.plan(adopt=False).is_empty
    assert ground.cluster.list("v1", "Secret", namespace=NS, labels="owner=helm") == ()


def test_an_adopted_mesh_leaves_nothing_when_it_is_uninstalled(ground: Ground) -> None:
    ground.by_istioctl()
    ground.adopt()
    for leave in uninstall(ground.world, Scope("mesh", purge=True)):
        list(do(ground.world, leave.plan))
        assert leave.left(ground.world) == ()
    assert [each.ref for each in ground.cluster.all() if "istio" in each.ref.name] == []


def test_an_adoption_can_be_planned_today_and_applied_tomorrow(ground: Ground) -> None:
    ground.by_helm()
    file = json.dumps(plan_file.sealed(ground.world, ground.plan(), adopt=True))
    found = plan_file.opened(ground.world, file, "plan.json")
    list(do(ground.world, found.plan))
    assert ground.plan(adopt=False).is_empty


def test_new_tags_come_before_the_injector_leaves_namespaces_to_them(ground: Ground) -> None:
    ground.by_helm()
    refs = [each.ref for each in ground.plan().steps if isinstance(each, Apply)]
    names = [ref.name for ref in refs if ref.kind == "MutatingWebhookConfiguration"]
    assert names == ["istio-revision-tag-default", "istio-sidecar-injector"]


def test_a_controller_that_would_undo_the_adoption_is_named(ground: Ground) -> None:
    ground.by_helm()
    marks = {"argocd.argoproj.io/tracking-id": "mesh:apps/Deployment:istio-system/istiod"}
    ground.cluster.edit(ISTIOD, {"metadata": {"annotations": marks}}, manager="argocd-controller")
    (told,) = (each for each in ground.plan().warnings if "Argo CD" in each)
    assert f"Deployment {NS}/istiod" in told


def test_inherited_claims_are_one_with_ours_and_controllers_keep_theirs() -> None:
    def entry(manager: str, operation: str, fields: dict[str, Any], **more: str) -> dict[str, Any]:
        return {"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsV1": fields, **more}

    live = obj(
        "ConfigMap",
        "a",
        NS,
        managedFields=[
            entry("helm", "Update", {"f:data": {"f:a": {}, "f:b": {".": {}, "f:c": {}}}}),
            entry("helm", "Update", {"f:status": {}}, subresource="status"),
            entry("meshctl", "Apply", {"f:data": {"f:b": {}, "f:d": {}}}),
            entry("pilot-discovery", "Update", {"f:data": {"f:e": {}}}),
        ],
    )
    ours, *others = inherited(live, ("helm",)).at("metadata.managedFields")
    assert (ours["manager"], ours["operation"]) == ("meshctl", "Apply")
    assert ours["fieldsV1"] == {"f:data": {"f:a": {}, "f:b": {".": {}, "f:c": {}}, "f:d": {}}}
    assert [each["manager"] for each in others] == ["helm", "pilot-discovery"]
