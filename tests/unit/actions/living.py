"""A cluster in memory whose workloads have pods, which the injector of their moment gives a proxy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from meshctl.model.labels import INJECTED
from meshctl.model.objects import Object, Ref
from meshctl.stages.moving.injectors import CONFIGURATIONS, injectors
from meshctl.stages.seeing.sync import revision_of
from tests.fakes import FakeCluster

_READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
_ROLLING = ("Deployment", "StatefulSet")


class LivingCluster(FakeCluster):
    """Rolls pods whenever a pod template changes, as controllers and webhooks would together."""

    def apply(self, obj: Object, *, take_over: bool = False, dry_run: bool = False) -> Object:
        done = super().apply(obj, take_over=take_over, dry_run=dry_run)
        if not dry_run:
            self.live()
        return done

    def patch(self, ref: Ref, patch: Mapping[str, Any]) -> Object | None:
        done = super().patch(ref, patch)
        self.live()
        return done

    def evict(self, ref: Ref, *, uid: str = "") -> bool:
        done = super().evict(ref, uid=uid)
        self.live()
        return done

    def workload(self, kind: str, namespace: str, name: str, *, replicas: int = 1, **labels: str) -> Ref:
        """A workload of the user's; its pods are there at once."""
        mine = {
            "app": name,
            **{key.replace("__", "/").replace("_", "."): each for key, each in labels.items()},
        }
        body = {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": mine},
                "spec": {"containers": [{"name": "app", "image": "a:1"}]},
            },
        }
        meta = {"name": name, "namespace": namespace}
        made = self.seed({"apiVersion": "apps/v1", "kind": kind, "metadata": meta, "spec": body})
        self.live()
        return made.ref

    def bare_pod(self, namespace: str, name: str) -> None:
        """A pod that nothing makes anew, injected as of now."""
        self._make(namespace, name, {"metadata": {"labels": {"app": name}}}, None)

    def on(self, namespace: str, name: str) -> set[str]:
        """The revisions whose proxies the pods of a workload have; empty where there are none."""
        return {revision_of(pod) for pod in self._pods(namespace) if pod.labels.get("app") == name}

    def riding(self, revision: str) -> set[tuple[str, str]]:
        """Pods with a proxy of a revision; empty is the unnamed one."""
        return {
            (pod.ref.namespace, pod.ref.name)
            for pod in self.list("v1", "Pod", labels=INJECTED)
            if revision_of(pod) == (revision or "default")
        }

    def live(self) -> None:
        """Let controllers do their work."""
        with self._lock:
            for kind in _ROLLING:
                for workload in self.list("apps/v1", kind):
                    if not workload.is_leaving:
                        self._roll(workload)

    def _roll(self, workload: Object) -> None:
        template = workload.at("spec.template", {})
        told = json.dumps(template, sort_keys=True).encode()
        mark = hashlib.sha256(told).hexdigest()[:6]
        ref, owner = workload.ref, workload
        there = [
            pod for pod in self._pods(ref.namespace) if pod.labels.get("living") == f"{ref.kind}-{ref.name}"
        ]
        wanted = [f"{ref.name}-{mark}-{number}" for number in range(workload.at("spec.replicas", 1))]
        for pod in there:
            if pod.ref.name not in wanted:
                self._delete(("", "Pod", ref.namespace, pod.ref.name))
        missing = [name for name in wanted if name not in {pod.ref.name for pod in there}]
        if missing and ref.kind == "Deployment":
            owner = self._replica_set(workload, mark)
        for name in missing:
            self._make(ref.namespace, name, template, owner, living=f"{ref.kind}-{ref.name}")

    def _replica_set(self, workload: Object, mark: str) -> Object:
        ref = Ref("apps/v1", "ReplicaSet", workload.ref.namespace, f"{workload.ref.name}-{mark}")
        meta = {"name": ref.name, "namespace": ref.namespace, "ownerReferences": [_owned(workload)]}
        content = {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": meta, "spec": {"replicas": 1}}
        return self.get(ref) or self.seed(content)

    def _make(
        self, namespace: str, name: str, template: Mapping[str, Any], owner: Object | None, **more: str
    ) -> None:
        home = self.get(Ref("v1", "Namespace", "", namespace))
        labels = {**template.get("metadata", {}).get("labels", {})}
        asked = injectors(self.list(*CONFIGURATIONS)).of(home.labels if home else {}, labels)
        inside = [each["name"] for each in template.get("spec", {}).get("containers", ())]
        revision = (
            labels.get("istio.io/rev", "") if "istio-proxy" in inside else asked.revision if asked else ""
        )
        if not revision:
            return
        proxy = {"name": "istio-proxy", "image": "proxyv2:1", "args": ["proxy", "sidecar"]}
        meta = {
            "name": name,
            "namespace": namespace,
            "labels": {**labels, **more, INJECTED: name},
            "annotations": {"sidecar.istio.io/status": json.dumps({"revision": revision})},
            **({"ownerReferences": [_owned(owner)]} if owner else {}),
        }
        meta["labels"]["istio.io/rev"] = revision
        spec = {"containers": [{"name": "app", "image": "a:1"}, proxy]}
        self.seed({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": _READY})

    def _pods(self, namespace: str) -> list[Object]:
        return [pod for pod in self.list("v1", "Pod", namespace=namespace) if not pod.is_leaving]


def _owned(above: Object) -> dict[str, Any]:
    ref = above.ref
    named = {"apiVersion": ref.api_version, "kind": ref.kind, "name": ref.name}
    return {**named, "uid": above.uid, "controller": True}
