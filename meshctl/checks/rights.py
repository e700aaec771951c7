"""The user may do everything that an install does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from meshctl.checks.site import Site
    from meshctl.model.finding import Finding
    from meshctl.model.objects import Kind, Ref
    from meshctl.ports import Cluster

RIGHTS_COMPLETE = Rule(
    code="rights-complete",
    level=Level.ERROR,
    summary="You may do everything that an install does.",
    hint="have an administrator grant these rules to you, or use another --context",
)
RIGHTS_TO_GRANT = Rule(
    code="rights-to-grant",
    level=Level.WARNING,
    summary="You may grant what the mesh's own roles grant.",
    hint="be granted `escalate` and `bind` on these, or hold all that the mesh's roles grant yourself",
)

_SEND = ("get", "patch", "create", "delete")
_WATCHED = ("list", "watch")
_RBAC = "rbac.authorization.k8s.io"
# Beside the objects themselves: records and lock, the live cause while waiting, platform detection.
_BESIDE = (
    *((verb, "", "secrets", "kube-system") for verb in (*_SEND, "list")),
    *(
        (verb, "coordination.k8s.io", "leases", "kube-system")
        for verb in ("get", "create", "update", "delete")
    ),
    ("list", "", "nodes", ""),
)
_AWAITED = frozenset({"CustomResourceDefinition", "DaemonSet", "Deployment", "Namespace", "StatefulSet"})
_BESIDE_A_WORKLOAD = (("", "pods"), ("", "events"), ("apps", "replicasets"))


class Named(Protocol):
    """An object, or a step that concerns one."""

    @property
    def ref(self) -> Ref:
        """What names it."""
        ...


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """May do `verb` on `resource` of API group `group`, in `namespace` or (empty) everywhere."""

    namespace: str
    group: str
    resource: str
    verb: str


def wanted(refs: Iterable[Ref], kinds: Iterable[Kind]) -> tuple[Right, ...]:
    """What must be allowed for these objects to be sent, awaited and pruned; sorted.

    Kinds that the cluster does not serve yet are their definitions' business.
    """
    known = {(kind.group, kind.kind): kind for kind in kinds}
    rights = {Right(namespace, group, resource, verb) for verb, group, resource, namespace in _BESIDE}
    for ref in refs:
        kind = known.get((ref.group, ref.kind))
        if kind is None:
            continue
        namespace = ref.namespace
        verbs = (*_SEND, *_WATCHED) if kind.kind in _AWAITED else _SEND
        rights |= {Right(namespace, kind.group, kind.plural, verb) for verb in verbs}
        if kind.kind in ("DaemonSet", "Deployment", "StatefulSet"):
            rights |= {
                Right(namespace, group, resource, verb)
                for group, resource in _BESIDE_A_WORKLOAD
                for verb in _WATCHED
            }
    return tuple(sorted(rights))


def missing(cluster: Cluster, rights: Iterable[Right]) -> tuple[Right, ...]:
    """Which of these the API server does not allow; asked many at once."""
    asked = tuple(rights)

    def is_allowed(right: Right) -> bool:
        return cluster.allowed(right.verb, right.group, right.resource, right.namespace)

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(is_allowed, asked))
    return tuple(right for right, allowed in zip(asked, answers, strict=True) if not allowed)


def as_rules(rights: Iterable[Right]) -> tuple[str, ...]:
    """Rights as the RBAC rules that grant them, one a line, verbs of one resource together."""
    by_place: dict[tuple[str, str, str], list[str]] = {}
    for right in sorted(rights):
        by_place.setdefault((right.namespace, right.group, right.resource), []).append(right.verb)
    return tuple(
        f'- {{apiGroups: ["{group}"], resources: ["{resource}"], verbs: [{_quoted(verbs)}]}}'
        f"  # {f'Role in namespace {namespace}' if namespace else 'ClusterRole'}"
        for (namespace, group, resource), verbs in by_place.items()
    )


@check(rules=(RIGHTS_COMPLETE,), after=("kube-reachable",), moment=Moment.BEFORE, seconds=60.0)
def rights(site: Site) -> Iterator[Finding]:
    """Ask for each verb and resource; one finding holds all rules that are missing."""
    lacking = missing(site.cluster, wanted(site.desired.refs, site.kinds))
    if lacking:
        rules = "\n".join(as_rules(lacking))
        message = f"{len(lacking)} rights are missing; these rules grant them:\n{rules}"
        yield RIGHTS_COMPLETE.at(f"cluster {site.cluster.name}", message)


@check(rules=(RIGHTS_TO_GRANT,), after=("kube-reachable",), moment=Moment.BEFORE)
def rights_to_grant(site: Site) -> Iterator[Finding]:
    """Roles may hold only what their maker holds, or may escalate; bindings likewise."""
    asked = set()
    for obj in site.desired.objects:
        if obj.ref.kind in ("ClusterRole", "Role"):
            plural = f"{obj.ref.kind.lower()}s"
            asked |= {Right(obj.ref.namespace, _RBAC, plural, verb) for verb in ("escalate", "bind")}
    for rule in as_rules(missing(site.cluster, sorted(asked))):
        yield RIGHTS_TO_GRANT.at(f"cluster {site.cluster.name}", f"this rule is missing: {rule}")


def _quoted(verbs: Iterable[str]) -> str:
    return ", ".join(f'"{verb}"' for verb in verbs)
