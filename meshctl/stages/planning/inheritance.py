"""What another tool holds of an object, and what it looks like once that is ours.

Server-side apply takes away what its manager has applied before and applies no longer. A tool whose place
we take has applied labels, annotations and settings that we do not render; were its claims left alone they
would stay for ever, and were they dropped nobody would ever take them away. So its claims become ours
before the first apply. Claims of controllers and of people are none of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.model.labels import OPERATOR, OWNER
from meshctl.model.objects import Object
from meshctl.ports import MANAGER

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_TELLING_LABELS = frozenset(
    {f"f:{name}" for name in (OPERATOR, OWNER, "app.kubernetes.io/managed-by", "helm.sh/chart", "release")}
)
_TELLING_ANNOTATIONS = frozenset({"f:meta.helm.sh/release-name"})
_APPLY = "Apply"
# What the API server fills in is held by who created the object with an update (Helm 3, `kubectl create`):
# taking it away makes the server fill it in again, so that it is no change to tell of.
_DEFAULTS: Mapping[str, tuple[Any, ...]] = {
    "allocateLoadBalancerNodePorts": (True,),
    "apiVersion": ("v1",),
    "conversion": ({"strategy": "None"},),
    "defaultMode": (420,),
    "divisor": ("0",),
    "dnsPolicy": ("ClusterFirst",),
    "externalTrafficPolicy": ("Cluster",),
    "failureThreshold": (3,),
    "imagePullPolicy": ("IfNotPresent", "Always"),
    "internalTrafficPolicy": ("Cluster",),
    "matchPolicy": ("Equivalent",),
    "namespaceSelector": ({},),
    "objectSelector": ({},),
    "path": ("/",),
    "periodSeconds": (10,),
    "port": (443,),
    "progressDeadlineSeconds": (600,),
    "protocol": ("TCP",),
    "reinvocationPolicy": ("Never",),
    "replicas": (1,),
    "restartPolicy": ("Always",),
    "revisionHistoryLimit": (10,),
    "schedulerName": ("default-scheduler",),
    "scheme": ("HTTP",),
    "scope": ("*",),
    "securityContext": ({},),
    "sessionAffinity": ("None",),
    "successThreshold": (1,),
    "terminationGracePeriodSeconds": (30,),
    "terminationMessagePath": ("/dev/termination-log",),
    "terminationMessagePolicy": ("File",),
    "timeoutSeconds": (1, 10),
    "type": ("ClusterIP", "RollingUpdate"),
}


def installers(live: Object) -> tuple[str, ...]:
    """The managers that installed an object: those that hold a label or annotation of an installer's."""
    return tuple(
        dict.fromkeys(
            entry.get("manager", "")
            for entry in live.at("metadata.managedFields", [])
            if not _is_ours(entry) and not entry.get("subresource") and _tells(entry.get("fieldsV1") or {})
        )
    )


def inherited(live: Object, managers: Collection[str]) -> Object:
    """A live object as it is once what some managers hold of it has become ours."""
    entries = live.at("metadata.managedFields", [])
    theirs = [each for each in entries if each.get("manager") in managers and not each.get("subresource")]
    mine = [each for each in entries if _is_ours(each)]
    if not theirs:
        return live
    latest = [*theirs, *mine][-1]
    version = latest.get("apiVersion")
    fields: dict[str, Any] = {}
    for each in (*theirs, *mine):
        if each.get("apiVersion") == version:  # what is said of another version cannot be joined
            fields = _union(fields, each.get("fieldsV1") or {})
    ours = {key: value for key, value in latest.items() if key != "fieldsV1"}
    ours |= {"manager": MANAGER, "operation": _APPLY, "fieldsType": "FieldsV1", "fieldsV1": fields}
    rest = [each for each in entries if each not in theirs and each not in mine]
    return Object({**live.content, "metadata": {**live.content["metadata"], "managedFields": [ours, *rest]}})


def is_default(path: str, value: Any) -> bool:
    """Whether a leaf that goes comes back by itself, because it is what the API server fills in."""
    name = path.rpartition(".")[2]
    if name == "serviceAccount":  # an old name that the server keeps in step with the new one
        return True
    if name == "targetPort":
        return f"ports[{value}/" in path
    return any(type(value) is type(each) and value == each for each in _DEFAULTS.get(name, ()))


def _is_ours(entry: Mapping[str, Any]) -> bool:
    return entry.get("manager") == MANAGER and entry.get("operation") == _APPLY


def _tells(fields: Mapping[str, Any]) -> bool:
    meta = fields.get("f:metadata") or {}
    labels, annotations = meta.get("f:labels") or {}, meta.get("f:annotations") or {}
    return bool(_TELLING_LABELS & labels.keys() or _TELLING_ANNOTATIONS & annotations.keys())


def _union(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Two trees of `fieldsV1` as one; a place without steps is held itself, which `.` says beside steps."""
    joined = dict(one)
    for step, below in other.items():
        if step not in joined:
            joined[step] = below
        elif not joined[step] and below:
            joined[step] = {".": {}, **below}
        elif joined[step] and not below:
            joined[step] = {".": {}, **joined[step]}
        else:
            joined[step] = _union(joined[step], below)
    return joined
