"""What the steps of a plan need: the one place that says it, for the question before work and for roles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from meshctl.model.objects import Ref
from meshctl.model.plan import (
    Apply,
    Await,
    Condition,
    Delete,
    Evict,
    Inherit,
    Probe,
    Provide,
    Record,
    Relabel,
    Restart,
    Restore,
    Save,
    Strip,
)
from meshctl.model.release import Status
from meshctl.model.right import Grant, Needs, Right
from meshctl.stages.linking.secrets import TOKENS_OF
from meshctl.stages.permitting.resources import RBAC, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from meshctl.model.objects import Kind, Object
    from meshctl.model.plan import Step
    from meshctl.model.release import Release

RECORDS = "kube-system"
"""Namespace of release records and locks."""
SEND = "send what the mesh is made of, and see how it stands"
AWAIT = "tell why a workload is not ready yet"
RECORD = "release records of meshctl"
LOCK = "the lock that keeps two operators apart"
GO = "remove what goes"
_SAVE = "save your Istio resources before their definitions go"
_RESTORE = "put your Istio resources back"
ADOPT = "take over what another tool has installed"
MOVE = "have workloads make their pods anew"
PROBE = "try the webhooks of the control plane by dry runs, of which nothing is kept"
READING = "tokens by which istiods of other clusters read this one"
_LABELS = "put labels and finalizers right"
_BESIDE = (("", "pods"), ("", "events"), ("apps", "replicasets"))
_ROLES = ("ClusterRole", "Role")
_BINDINGS = ("ClusterRoleBinding", "RoleBinding")


def needs(steps: Sequence[Step], kinds: Sequence[Kind] = ()) -> Needs:
    """What some steps need, no more.

    Args:
        steps: of one plan.
        kinds: what the cluster serves; a kind that is not among them is called as its name suggests.
    """
    names = {(kind.group, kind.kind): kind.plural for kind in kinds}
    rights = tuple(right for step in steps for right in _rights(step, names))
    sent = [step.object for step in steps if isinstance(step, Apply)]
    return Needs((*rights, *_tokens(sent)), tuple(grants(sent)))


def _tokens(sent: Sequence[Object]) -> Iterator[Right]:
    """Rights on tokens that are asked for as soon as what they hang on is there."""
    for obj in sent:
        if account := obj.annotations.get(TOKENS_OF):
            yield Right(obj.ref.namespace, "", "serviceaccounts/token", "create", account, READING)


def grants(sent: Sequence[Object]) -> Iterator[Grant]:
    """What roles and bindings hand on: who sends them must hold all of it, or may escalate and bind."""
    roles = {obj.ref: obj for obj in sent if obj.ref.kind in _ROLES and obj.ref.group == RBAC}
    for ref, role in roles.items():
        yield Grant(
            str(ref), tuple(_held(role, ref.namespace)), _instead(ref.kind, ref.name, ref, "escalate")
        )
    for obj in sent:
        if obj.ref.kind in _BINDINGS and obj.ref.group == RBAC:
            kind, name = obj.at("roleRef.kind", ""), obj.at("roleRef.name", "")
            known = next((each for ref, each in roles.items() if _is(ref, kind, name, obj.ref)), None)
            held = tuple(_held(known, obj.ref.namespace)) if known else ()
            yield Grant(f"{kind} {name}", held, _instead(kind, name, obj.ref, "bind"))


def of_record(release: Release, generations: Iterable[int], verbs: Sequence[str]) -> Iterator[Right]:
    """Rights on the records of a mesh: their names are known, and others of that namespace are not ours."""
    yield Right(RECORDS, "", "secrets", "list", why=RECORD)
    for generation in generations:
        name = f"meshctl.{release.mesh}.v{generation}"
        for verb in verbs:
            yield Right(RECORDS, "", "secrets", verb, name, RECORD)


def of_lock(mesh: str) -> Iterator[Right]:
    """Rights on the lock of a mesh; one that somebody holds is watched, to see whether they live."""
    for verb in ("get", "list", "watch", "update", "delete"):
        yield Right(RECORDS, "coordination.k8s.io", "leases", verb, f"meshctl-{mesh}", LOCK)
    yield Right(RECORDS, "coordination.k8s.io", "leases", "create", why=LOCK)


def on(ref: Ref, verbs: Iterable[str], why: str, names: Mapping[tuple[str, str], str]) -> Iterator[Right]:
    """Rights on one object."""
    resource = names.get((ref.group, ref.kind)) or plural(ref.kind)
    for verb in verbs:
        yield Right(ref.namespace, ref.group, resource, verb, ref.name, why)


def _rights(step: Step, names: Mapping[tuple[str, str], str]) -> Iterator[Right]:
    match step:
        case Apply(live=None) | Provide(live=False):
            yield from on(step.ref, ("get", "patch", "create"), SEND, names)
        case Apply() | Provide():
            yield from on(step.ref, ("get", "patch"), SEND, names)
        case Delete():
            yield from on(step.ref, ("delete",), GO, names)
        case Inherit():
            yield from on(step.ref, ("get", "patch"), ADOPT, names)
        case Relabel() | Strip():
            yield from on(step.ref, ("patch",), _LABELS, names)
        case Restart():
            yield from on(step.ref, ("patch",), MOVE, names)
        case Evict():
            yield Right(step.ref.namespace, "", "pods/eviction", "create", why=MOVE)
            yield Right(step.ref.namespace, "", "pods", "get", why=MOVE)
        case Restore():
            yield from on(step.ref, ("get", "create" if step.live is None else "update"), _RESTORE, names)
        case Save():
            for ref in step.refs:
                yield from on(ref, ("get",), _SAVE, names)
        case Await(ref=Ref(api_version="v1", kind="Pod")):  # of names that nobody knows beforehand
            for verb in ("get", "list", "watch"):
                yield Right(step.ref.namespace, "", "pods", verb, why=MOVE)
        case Await():
            gone = step.condition is Condition.GONE
            yield from on(step.ref, ("get", "list", "watch"), GO if gone else SEND, names)
            if step.condition is Condition.READY:
                for group, resource in _BESIDE:
                    for verb in ("list", "watch"):
                        yield Right(step.ref.namespace, group, resource, verb, why=AWAIT)
        case Probe():
            yield Right(step.namespace, "", "pods", "create", why=PROBE)
            yield Right(step.namespace, "networking.istio.io", "virtualservices", "create", why=PROBE)
        case Record():
            yield from of_record(step.release, [step.release.generation], _recording(step))
            yield from of_lock(step.release.mesh)
        case _:
            assert_never(step)


def _recording(step: Record) -> tuple[str, ...]:
    if step.forget:
        return ("delete",)
    return ("patch",) if step.release.status is Status.UNINSTALLING else ("patch", "create")


def _is(ref: Ref, kind: str, name: str, binding: Ref) -> bool:
    return (ref.kind, ref.name) == (kind, name) and ref.namespace in ("", binding.namespace)


def _held(role: Object, namespace: str) -> Iterator[Right]:
    """All that a role holds; nothing when that cannot be said as rights on resources."""
    why = f"held by {role.ref.kind} {role.ref.name}, which an install sends"
    rules: Sequence[Mapping[str, Any]] = role.at("rules", ())
    if role.at("aggregationRule") or any(rule.get("nonResourceURLs") for rule in rules):
        return
    for rule in rules:
        for group in rule.get("apiGroups") or ("",):
            for resource in rule.get("resources") or ():
                for name in rule.get("resourceNames") or ("",):
                    for verb in rule.get("verbs") or ():
                        yield Right(namespace, group, resource, verb, name, why)


def _instead(kind: str, name: str, place: Ref, verb: str) -> Right:
    namespace = place.namespace if kind == "Role" else ""
    return Right(namespace, RBAC, plural(kind), verb, name, "hand on what the mesh's own roles hold")
