"""A cluster in memory with workloads that ride with a control plane."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from meshctl.model.labels import INJECTED
from meshctl.model.objects import Ref
from meshctl.stages.moving.workloads import Riders, found
from tests.fake_kinds import KINDS, kind_of
from tests.fakes import FakeClock, FakeCluster

SERVED = (
    *KINDS,
    kind_of("v1", "ReplicationController"),
    kind_of("batch/v1", "CronJob"),
    kind_of("argoproj.io/v1alpha1", "Rollout"),
    kind_of("core.strimzi.io/v1beta2", "StrimziPodSet"),
    kind_of("gateway.networking.k8s.io/v1", "Gateway"),
    kind_of("networking.istio.io/v1", "WorkloadEntry"),
)
READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


def rule(key: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": "In", "values": [*values]} if values else absent(key)


def absent(key: str) -> dict[str, Any]:
    return {"key": key, "operator": "DoesNotExist"}


def hook(prefix: str, namespaces: list[Any], pods: list[Any]) -> dict[str, Any]:
    return {
        "name": f"{prefix}.sidecar-injector.istio.io",
        "namespaceSelector": {"matchExpressions": namespaces},
        "objectSelector": {"matchExpressions": pods},
    }


def injector(revision: str, tag: str = "", *, unnamed: bool = False, auto: bool = False) -> dict[str, Any]:
    """The webhooks of a revision, or of a tag of it; `unnamed`: those of pods that name no revision too."""
    name = tag or revision
    allowed = {"key": "sidecar.istio.io/inject", "operator": "NotIn", "values": ["false"]}
    no_rev, no_injection = absent("istio.io/rev"), absent("istio-injection")
    hooks = [
        hook("rev.namespace", [rule("istio.io/rev", name), no_injection], [allowed]),
        hook("rev.object", [no_rev, no_injection], [allowed, rule("istio.io/rev", name)]),
    ]
    if unnamed:
        wanted = [rule("sidecar.istio.io/inject", "true"), no_rev]
        hooks += [
            hook("namespace", [rule("istio-injection", "enabled")], [allowed]),
            hook("object", [no_rev, no_injection], wanted),
        ]
    if auto:
        hooks.append(hook("auto", [no_rev, no_injection], [absent("sidecar.istio.io/inject"), no_rev]))
    labels = {"istio.io/rev": revision} | ({"istio.io/tag": tag} if tag else {})
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": f"istio-{'tag-' * bool(tag)}{name}", "labels": labels},
        "webhooks": hooks,
    }


ENABLED = {"istio-injection": "enabled"}
OLD = {"istio.io/rev": "old"}


class Mesh:
    """Puts workloads and their pods into a `FakeCluster`, as controllers and an injector would."""

    def __init__(self, *configurations: Mapping[str, Any]) -> None:
        self.clock = FakeClock()
        self.cluster = FakeCluster("c1", *configurations, kinds=SERVED, clock=self.clock)

    def namespace(self, name: str, labels: Mapping[str, str] = ENABLED) -> None:
        self.put("v1", "Namespace", "", name, labels=labels)

    def put(
        self,
        api_version: str,
        kind: str,
        namespace: str,
        name: str,
        *,
        owner: Ref | None = None,
        **parts: Any,
    ) -> Ref:
        """An object; `labels` and `annotations` go where they belong."""
        meta: dict[str, Any] = {key: parts.pop(key) for key in ("labels", "annotations") if key in parts}
        meta |= {"name": name, **({"namespace": namespace} if namespace else {})}
        if owner is not None:
            above = self.cluster.get(owner)
            uid = above.uid if above else "gone"
            named = {"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name}
            meta["ownerReferences"] = [{**named, "uid": uid, "controller": True}]
        content = {"apiVersion": api_version, "kind": kind, "metadata": meta, **parts}
        return self.cluster.seed(content).ref

    def pod(
        self,
        namespace: str,
        name: str,
        revision: str = "old",
        *,
        owner: Ref | None = None,
        labels: Mapping[str, str] | None = None,
        role: str = "sidecar",
        ready: bool = True,
        **spec: Any,
    ) -> Ref:
        """A running pod with a proxy of `revision`."""
        proxy = {"name": "istio-proxy", "image": "proxyv2:1", "args": ["proxy", role]}
        return self.put(
            "v1",
            "Pod",
            namespace,
            name,
            owner=owner,
            labels={INJECTED: name, **(labels or {})},
            annotations={"sidecar.istio.io/status": json.dumps({"revision": revision})},
            spec={"containers": [{"name": "app", "image": "app:1"}, proxy], **spec},
            status=READY if ready else {"phase": "Running"},
        )

    def workload(
        self,
        kind: str,
        namespace: str,
        name: str,
        revision: str = "old",
        *,
        pods: int = 1,
        labels: Mapping[str, str] | None = None,
        role: str = "sidecar",
        **spec: Any,
    ) -> Ref:
        """A workload of `apps` with its pods, by way of a ReplicaSet where it is a Deployment."""
        mine = {"app": name, **(labels or {})}
        template = {"metadata": {"labels": mine}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}}
        body = {"replicas": pods, "selector": {"matchLabels": {"app": name}}, "template": template, **spec}
        top = self.put("apps/v1", kind, namespace, name, spec=body)
        above = top
        if kind == "Deployment":
            above = self.put(
                "apps/v1", "ReplicaSet", namespace, f"{name}-1", owner=top, spec={"replicas": pods}
            )
        for number in range(pods):
            self.pod(namespace, f"{name}-{number}", revision, owner=above, labels=mine, role=role)
        return top

    def riders(self, revision: str | None = "old", to: str | None = None) -> Riders:
        """Who rides with a control plane now."""
        return found(self.cluster, revision, istio_namespace="istio-system", to=to)

    def gateway(self, namespace: str, name: str, revision: str = "old", **labels: str) -> Ref:
        """A Gateway of the Gateway API, and what istiod makes for it; gives the Deployment."""
        told = {key.replace("__", ".").replace("_", "/"): value for key, value in labels.items()}
        self.put("gateway.networking.k8s.io/v1", "Gateway", namespace, name, labels=told)
        made = {"gateway.istio.io/managed": "istio.io-gateway-controller"}
        made |= {"gateway.networking.k8s.io/gateway-name": name}
        notes = {"istio.io/rev": revision}
        spec = {"replicas": 1, "template": {"metadata": {"labels": made, "annotations": notes}}}
        top = self.put("apps/v1", "Deployment", namespace, f"{name}-istio", labels=made, spec=spec)
        above = self.put(
            "apps/v1", "ReplicaSet", namespace, f"{name}-istio-1", owner=top, spec={"replicas": 1}
        )
        self.put(
            "v1",
            "Pod",
            namespace,
            f"{name}-istio-1-a",
            owner=above,
            labels={INJECTED: f"{name}-istio", **made},
            annotations=notes,
            spec={"containers": [{"name": "istio-proxy", "image": "proxyv2:1", "args": ["proxy", "router"]}]},
            status=READY,
        )
        return top

    def budget(self, namespace: str, name: str, **spec: Any) -> Ref:
        body = {"selector": {"matchLabels": {"app": name}}, **spec}
        return self.put("policy/v1", "PodDisruptionBudget", namespace, name, spec=body)
