"""`inject --offline` against istiod: its webhook and `kube-inject`, both upstream's Go code.

Every input goes through our injection in Python and through the judge, with the same templates, values and
mesh configuration; pods must be equal, whole objects must be equal once Go has read and written ours.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshctl.errors import MeshctlError
from meshctl.stages.injecting.inject import LeftAlone, Verdict, by_configuration, inject
from meshctl.stages.injecting.injector import Injector, Job
from meshctl.stages.injecting.mesh_config import mesh_config
from meshctl.stages.injecting.pods import canonical
from meshctl.stages.injecting.uninjection import RECORD, uninjected
from meshctl.stages.injecting.webhooks import answered, review
from meshctl.stages.injecting.workloads import Workload, at, owner, put, workloads
from tests.parity import injecting
from tests.parity.injecting import leaves

pytestmark = pytest.mark.parity

DOCUMENTS = Path(__file__).parent.parent / "cases" / "inject"
TEMPLATE = 'metadata: {annotations: {seen: "{{ .DeploymentMeta.Name }}"}}\nspec: {priority: 7}\n'

NOT_AS_KUBE_INJECT = {
    "sidecar: a cron job": "kube-inject marks the job's template, where neither istiod nor the CNI plugin "
    "looks; we mark the pod's, as the webhook does",
}
"""Inputs of which we do not make what `kube-inject` makes, and why."""


@dataclass(frozen=True)
class Input:
    """An object and the injector that it meets; `case` is in the words of `tests/cases/injection`."""

    name: str
    content: Any
    case: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def workloads(self) -> list[Workload]:
        return list(workloads(self.content))


def pod(notes: dict[str, str] | None = None, *, labels: dict[str, str] | None = None) -> dict[str, Any]:
    meta = {"name": "web", "labels": labels or {}, "annotations": notes or {}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {key: value for key, value in meta.items() if value},
        "spec": {"containers": [{"name": "web", "image": "web:1"}]},
    }


def documents() -> list[Input]:
    found = []
    for file in sorted(DOCUMENTS.glob("*.yaml")):
        for content in yaml.safe_load_all(file.read_text()):
            name = content.get("metadata", {}).get("name") or content["kind"].lower()
            found.append(Input(f"{file.stem}: {name}", content))
    return found


def injectors() -> list[Input]:
    """The same pod under other injectors."""
    wanted, refused = {"sidecar.istio.io/inject": "true"}, {"sidecar.istio.io/inject": "false"}
    selector = [{"matchLabels": {"app": "web"}}]
    rules = [{"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]}]
    web = {"app": "web"}
    many = {"ENVOY": "a"}
    return [
        Input("policy: disabled", pod(), config={"policy": "disabled"}),
        Input("policy: disabled, and wanted", pod(labels=wanted), config={"policy": "disabled"}),
        Input("policy: enabled, and refused", pod(labels=refused)),
        Input("policy: neither", pod(), config={"policy": "perhaps"}),
        Input("never: by label", pod(labels=web), config={"neverInjectSelector": selector}),
        Input("never: another label", pod(labels={"app": "db"}), config={"neverInjectSelector": selector}),
        Input("never: but wanted", pod(labels=web | wanted), config={"neverInjectSelector": selector}),
        Input(
            "always: by rule",
            pod(labels=web),
            config={"policy": "disabled", "alwaysInjectSelector": rules},
        ),
        Input(
            "never: beats always",
            pod(labels=web),
            config={"neverInjectSelector": selector, "alwaysInjectSelector": rules},
        ),
        Input("never: an empty selector", pod(labels=web), config={"neverInjectSelector": [{}]}),
        Input("annotations: of the injector", pod(), config={"injectedAnnotations": {"psp": "x", "a": "b"}}),
        Input("templates: two by default", pod(), config={"defaultTemplates": ["sidecar", "mine"]}),
        Input(
            "templates: an alias",
            pod({"inject.istio.io/templates": "both"}),
            config={"aliases": {"both": ["sidecar", "mine"]}},
        ),
        Input("templates: named", pod({"inject.istio.io/templates": " sidecar , mine"})),
        Input("templates: mine alone", pod({"inject.istio.io/templates": "mine"})),
        Input("templates: unknown", pod({"inject.istio.io/templates": "nobody"})),
        Input("mesh: TPROXY", pod(), {"mesh": {"defaultConfig": {"interceptionMode": "TPROXY"}}}),
        Input(
            "mesh: TPROXY, and a pod that says REDIRECT",
            pod({"sidecar.istio.io/interceptionMode": "REDIRECT"}),
            {"mesh": {"defaultConfig": {"interceptionMode": "TPROXY"}}},
        ),
        Input("mesh: no merged metrics", pod(), {"mesh": {"enablePrometheusMerge": False}}),
        Input("mesh: another status port", pod(), {"mesh": {"defaultConfig": {"statusPort": 15099}}}),
        Input(
            "mesh: metadata, and more of it from the pod",
            pod({"proxy.istio.io/config": "proxyMetadata: {B: c}"}),
            {"mesh": {"defaultConfig": {"proxyMetadata": many}}},
        ),
        Input(
            "mesh: a tracer, and another one from the pod",
            pod({"proxy.istio.io/config": "tracing: {datadog: {address: 'dd:8126'}}"}),
            {"mesh": {"defaultConfig": {"tracing": {"zipkin": {"address": "z:9411"}, "sampling": 1}}}},
        ),
        Input("namespace: never injected", {**pod(), "metadata": {"name": "x", "namespace": "kube-system"}}),
        Input("revision: canary", pod(), {"revision": "canary"}),
        Input("native: for the mesh", pod(), {"native": True}),
        *(Input(f"refused: {name} {value}", pod({name: value})) for name, value in REFUSED),
    ]


REFUSED = (
    ("sidecar.istio.io/interceptionMode", "redirect"),
    ("status.sidecar.istio.io/port", "65536"),
    ("status.sidecar.istio.io/port", "http"),
    ("readiness.status.sidecar.istio.io/periodSeconds", "-1"),
    ("traffic.sidecar.istio.io/includeOutboundIPRanges", "10.0.0.0"),
    ("traffic.sidecar.istio.io/includeOutboundIPRanges", "10.0.0.0/8, 11.0.0.0/8"),
    ("traffic.sidecar.istio.io/excludeOutboundIPRanges", "*"),
    ("traffic.sidecar.istio.io/excludeInboundPorts", "80,"),
    ("traffic.sidecar.istio.io/excludeInterfaces", "0eth"),
    ("traffic.sidecar.istio.io/kubevirtInterfaces", "an-interface-too-long"),
    ("prometheus.istio.io/merge-metrics", "yes"),
    ("prometheus.io/port", "15020x"),
    ("prometheus.io/port", "15090"),
    ("proxy.istio.io/config", "{"),
    ("proxy.istio.io/config", "concurrency: two"),
    ("proxy.istio.io/config", "proxyMetadata: {A: 1}"),
    ("proxy.istio.io/config", "discoveryAddress: istiod"),
    ("proxy.istio.io/config", "drainDuration: 500ms"),
    ("proxy.istio.io/config", "tracing: {zipkin: {address: 'zipkin'}}"),
    ("proxy.istio.io/config", "statusPort: 70000"),
    ("sidecar.istio.io/proxyCPU", "lots"),
    ("sidecar.istio.io/proxyMemory", " 1Gi"),
)

INPUTS = [
    *(Input(name, injecting.workload(case), case) for name, case in injecting.pods()),
    *documents(),
    *injectors(),
]


class Sides:
    """Ours and upstream's answers to all inputs; the judge is asked once for each step."""

    def __init__(self, judge: Path, istioctl: Path) -> None:
        self.judge = judge
        self.install = partial(injecting.by_upstream, istioctl=istioctl)
        self.templates = {**injecting.templates(self.install(())), "mine": TEMPLATE}
        self.ours = {each.name: self._offline(each) for each in INPUTS}
        self.kube_inject = self._ask({each.name: {"object": each.content} for each in INPUTS})
        self.webhook = self._ask(
            {
                f"{each.name} {number}": {
                    "review": review(self.job(workload), workload)[0],
                    "config": {"policy": "enabled", **each.config},
                }
                for each in INPUTS
                for number, workload in enumerate(each.workloads)
            }
        )
        self.plain = self._ask(
            {
                f"{name} {number}": {"plain": each}
                for name, ours in self.ours.items()
                if isinstance(ours, dict)
                for number, each in enumerate(items(_without_record(ours)))
            }
        )

    def injector(self, given: Input) -> Injector:
        asked = injecting.question("", given.case, self.install)
        return Injector(
            {"policy": "enabled", **given.config, "templates": self.templates},
            json.loads(asked["values"]),
            mesh_config(json.loads(asked["mesh"])),
            asked["revision"],
            asked["native"],
            asked["compliance"],
        )

    def job(self, workload: Workload) -> Job:
        before = canonical(at(workload.content, workload.pod))
        before.setdefault("spec", {})
        labels = before.get("metadata", {}).get("labels", {})
        return Job(before, owner(workload, labels), workload.namespace or "default")

    def _offline(self, given: Input) -> Any:
        """The document with all its workloads injected, or what was wrong."""
        content, ask = given.content, by_configuration(self.injector(given))
        try:
            for workload in given.workloads:
                content = put(content, workload.steps, inject(workload, ask, "default").content)
        except MeshctlError as fault:
            return fault.message
        return content

    def _ask(self, questions: dict[str, dict[str, Any]]) -> dict[str, Any]:
        known = {each.name: each.case for each in INPUTS}
        asked = [
            injecting.question(
                name, known.get(name) or known.get(name.rpartition(" ")[0]) or {}, self.install, **more
            )
            for name, more in questions.items()
        ]
        told = injecting.ask(self.judge, {"one": self.templates}, asked)
        return {name: verdict["one"] for name, verdict in told.items()}


def items(content: Any) -> list[Any]:
    """The objects of a List, or the one that is none."""
    return content["items"] if content["kind"] == "List" else [content]


def _without_record(content: Any) -> Any:
    """The object without what only we write on it: how to undo what cannot be told from its pod."""
    if content.get("kind") == "List":
        return {**content, "items": [_without_record(each) for each in content["items"]]}
    meta = content.get("metadata") or {}
    notes = {key: value for key, value in (meta.get("annotations") or {}).items() if key != RECORD}
    rest = {key: value for key, value in meta.items() if key != "annotations"}
    return {**content, "metadata": {**rest, **({"annotations": notes} if notes else {})}}


@pytest.fixture(scope="module")
def sides(injectjudge: Path, istioctl: Path) -> Sides:
    return Sides(injectjudge, istioctl)


def differences(ours: Any, theirs: Any) -> list[str]:
    left, right = leaves(ours), leaves(theirs)
    return [
        f"{path}  {left.get(path, '(none)')!r}  {right.get(path, '(none)')!r}"
        for path in sorted(left.keys() | right.keys())
        if left.get(path, ...) != right.get(path, ...)
    ]


@pytest.mark.parametrize("given", INPUTS, ids=lambda given: given.name)
def test_the_webhook_makes_the_same_pod(given: Input, sides: Sides) -> None:
    ours = sides.ours[given.name]
    for number, workload in enumerate(given.workloads):
        verdict = sides.webhook[f"{given.name} {number}"]
        response = verdict["documents"][0]["response"]
        if isinstance(ours, str):
            assert response["allowed"] is False, "istiod takes it"
            continue
        assert response["allowed"], f"istiod refuses it: {response}"
        mine = next(each for each in workloads(ours) if each.steps == workload.steps)
        sent = review(sides.job(workload), workload)[1]
        theirs = answered(sides.job(workload), sent, verdict["documents"][0])
        made = canonical(at(_without_record(mine.content) if not mine.pod else mine.content, mine.pod))
        wanted = sides.job(workload).pod if isinstance(theirs, LeftAlone) else theirs.pod
        assert not differences(made, wanted)


# istioctl's command knows no policy, no selectors and no namespace, but those of its templates.
AS_KUBE_INJECT = [each for each in INPUTS if not each.config and not each.name.startswith("namespace:")]


@pytest.mark.parametrize("given", AS_KUBE_INJECT, ids=lambda given: given.name)
def test_kube_inject_makes_the_same_object(given: Input, sides: Sides) -> None:
    ours, theirs = sides.ours[given.name], sides.kube_inject[given.name]
    if isinstance(ours, str):
        assert "error" in theirs, "kube-inject takes it"
        return
    assert "error" not in theirs, theirs["error"]
    found = [
        each
        for number, wanted in enumerate(items(theirs["documents"][0]))
        for each in differences(sides.plain[f"{given.name} {number}"]["documents"][0], wanted)
    ]
    if given.name in NOT_AS_KUBE_INJECT:
        assert found, "this no longer differs: compare it from now on"
        return
    assert not found


@pytest.mark.parametrize("given", INPUTS, ids=lambda given: given.name)
def test_what_was_injected_can_be_taken_back(given: Input, sides: Sides) -> None:
    ours = sides.ours[given.name]
    if isinstance(ours, str):
        return  # refused, as by the webhook: the tests above compare that
    content = ours
    for workload in workloads(ours):
        content = put(content, workload.steps, uninjected(workload))
    assert content == given.content


@pytest.mark.parametrize("given", INPUTS, ids=lambda given: given.name)
def test_injecting_twice_changes_nothing(given: Input, sides: Sides) -> None:
    ours = sides.ours[given.name]
    if isinstance(ours, str):
        return  # refused, as by the webhook: the tests above compare that
    ask = by_configuration(sides.injector(given))
    for workload in workloads(ours):
        outcome = inject(workload, ask, "default")
        assert outcome.content == workload.content
        assert outcome.verdict in (Verdict.ALREADY, Verdict.LEFT_ALONE)


def test_sixty_inputs_and_more_are_compared() -> None:
    assert len(INPUTS) > 200
    kinds = {each.kind for given in INPUTS for each in given.workloads}
    assert kinds == {
        "CronJob",
        "DaemonSet",
        "Deployment",
        "Job",
        "Pod",
        "ReplicaSet",
        "ReplicationController",
        "StatefulSet",
    }
