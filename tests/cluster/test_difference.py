"""What counts as a difference is what a real API server would change: its own dry run is the judge."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest

from meshctl.adapters.kube import KubeCluster
from meshctl.errors import FailedError
from meshctl.model.objects import Object
from meshctl.stages.planning.difference import changes

pytestmark = pytest.mark.cluster

TRIES = 25
SEED = 20260101
POD = {
    "hostNetwork": False,
    "automountServiceAccountToken": False,
    "nodeSelector": {"x": "y"},
    "tolerations": [{"operator": "Exists"}, {"key": "a", "effect": "NoSchedule"}],
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "zone",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"a": "b"}},
        }
    ],
    "volumes": [
        {"name": "e", "emptyDir": {}},
        {"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1024Mi"}},
        {
            "name": "p",
            "projected": {
                "sources": [
                    {"serviceAccountToken": {"audience": "istio-ca", "path": "t"}},
                    {"configMap": {"name": "x", "optional": False}},
                ]
            },
        },
    ],
    "containers": [
        {
            "name": "a",
            "image": "x:1",
            "args": [],
            "env": [
                {"name": "A", "value": ""},
                {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {
                    "name": "C",
                    "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1000m"}},
                },
            ],
            "ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}],
            "resources": {
                "limits": {"cpu": "1000m", "memory": "2048Mi"},
                "requests": {"cpu": 0.5, "memory": "1e6"},
            },
            "securityContext": {"privileged": False, "capabilities": {"drop": ["ALL"]}},
            "volumeMounts": [{"name": "e", "mountPath": "/e", "readOnly": False}],
        }
    ],
}


def objects(namespace: str) -> Iterator[Object]:
    """Objects that a server writes its own way: defaults, figures, what is empty, what is atomic."""

    def named(api_version: str, kind: str, name: str, **content: Any) -> Object:
        meta = {"name": name, "namespace": namespace, "labels": {"app": name}, "annotations": {}}
        return Object({"apiVersion": api_version, "kind": kind, "metadata": meta, **content})

    labels = {"matchLabels": {"a": "b"}}
    template = {"metadata": {"labels": {"a": "b"}, "annotations": {"x": ""}}, "spec": POD}
    yield named(
        "apps/v1",
        "Deployment",
        "tricky",
        spec={"paused": False, "replicas": 0, "selector": labels, "template": template},
    )
    yield named(
        "v1",
        "Service",
        "dns",
        spec={
            "selector": {"a": "b"},
            "publishNotReadyAddresses": False,
            "ports": [{"port": 53, "name": "a"}, {"port": 53, "name": "b", "protocol": "UDP"}],
        },
    )
    yield named("v1", "Secret", "s", stringData={"a": "hello", "b": ""}, data={"c": "aGVsbG8="})
    yield named(
        "rbac.authorization.k8s.io/v1",
        "Role",
        "r",
        rules=[{"apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"], "verbs": ["get"]}],
    )
    yield named(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "n",
        spec={
            "podSelector": labels,
            "policyTypes": ["Ingress"],
            "ingress": [
                {"from": [{"namespaceSelector": {}}], "ports": [{"port": 1}, {"port": 2, "protocol": "TCP"}]}
            ],
        },
    )
    metric = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "1000m"}},
    }
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "tricky"}
    yield named(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        "h",
        spec={"maxReplicas": 5, "minReplicas": 1, "scaleTargetRef": target, "metrics": [metric]},
    )


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield (*path, key)
        yield from places(below, (*path, key))


def mutated(content: dict[str, Any], path: tuple[Any, ...], chance: random.Random) -> Object:
    """`content` with one place taken away, emptied or changed."""
    changed = copy.deepcopy(content)
    here: Any = changed
    for step in path[:-1]:
        here = here[step]
    value, last = here[path[-1]], path[-1]
    how = chance.choice(["remove", "change", "empty"])
    if how == "remove":
        del here[last]
    elif isinstance(value, bool):
        here[last] = not value
    elif isinstance(value, int | float):
        here[last] = value + 1 if how == "change" else 0
    elif isinstance(value, str):
        here[last] = f"{value}x" if how == "change" else ""
    else:
        here[last] = type(value)()
    return Object(changed)


def still(obj: Object) -> Any:
    meta = {
        key: value
        for key, value in obj.content["metadata"].items()
        if key not in ("managedFields", "resourceVersion", "generation")
    }
    return {key: value for key, value in obj.content.items() if key != "status"} | {"metadata": meta}


def judged_by(cluster: KubeCluster, sent: Object, desired: Object) -> tuple[Object, Object]:
    """What the server would keep of each, at one moment: no controller wrote into it between."""
    before = cluster.apply(sent, dry_run=True)
    while True:
        after = cluster.apply(desired, dry_run=True)
        again = cluster.apply(sent, dry_run=True)
        if still(before) == still(again):
            return before, after
        before = again


def test_an_object_that_was_sent_is_never_different(cluster: KubeCluster, namespace: str) -> None:
    for desired in objects(namespace):
        assert changes(desired, cluster.apply(desired)) == (), desired.ref


def test_no_change_that_the_api_server_would_make_is_missed(cluster: KubeCluster, namespace: str) -> None:
    chance = random.Random(SEED)
    judged = 0
    for sent in objects(namespace):
        cluster.apply(sent)
        fixed = {("metadata",), ("metadata", "name"), ("metadata", "namespace"), ("apiVersion",), ("kind",)}
        chosen = [path for path in places(sent.content) if path not in fixed]
        for path in chance.sample(chosen, min(TRIES, len(chosen))):
            desired = mutated(dict(sent.content), path, chance)
            try:
                live, after = judged_by(cluster, sent, desired)
            except FailedError:
                continue  # the server refuses it, so there is nothing to compare
            judged += 1
            if still(after) != still(live):
                assert changes(desired, live, former=(sent,)), f"{sent.ref} {path}"
    assert judged > 3 * TRIES // 2
