"""The order in which kinds are sent, and the reverse in which they go."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from meshctl.model.objects import Ref

# Bindings come after the roles they name: without the right to bind anything, the API server looks
# the role up before it lets us. Webhook configurations come after the workload that answers them is
# sent, yet before it is awaited: istiod writes its CA into them while it starts, and what is applied
# next (gateways) needs that done. Until istiod answers, pods of namespaces that ask for injection are
# refused, and their ReplicaSets try again; let in earlier, they would run outside the mesh unnoticed.
_RANKS: tuple[tuple[str, frozenset[str]], ...] = (
    ("namespaces", frozenset({"Namespace"})),
    ("definitions", frozenset({"CustomResourceDefinition"})),
    ("accounts, configuration and roles", frozenset()),
    ("role bindings", frozenset({"ClusterRoleBinding", "RoleBinding"})),
    ("workloads", frozenset({"DaemonSet", "Deployment", "Job", "Pod", "StatefulSet"})),
    ("scaling and disruption budgets", frozenset({"HorizontalPodAutoscaler", "PodDisruptionBudget"})),
    (
        "webhooks and admission policies",
        frozenset(
            {
                "MutatingWebhookConfiguration",
                "ValidatingAdmissionPolicy",
                "ValidatingAdmissionPolicyBinding",
                "ValidatingWebhookConfiguration",
            }
        ),
    ),
)
_EVERYTHING_ELSE = 2

DEFINITION = "CustomResourceDefinition"
WORKLOADS = frozenset({"DaemonSet", "Deployment", "Job", "StatefulSet"})
WEBHOOKS = frozenset({"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"})


def rank(kind: str) -> int:
    """Position of a kind among those sent; equal positions need no order."""
    return next((place for place, (_, kinds) in enumerate(_RANKS) if kind in kinds), _EVERYTHING_ELSE)


def by_rank(refs: Iterable[Ref], *, reverse: bool = False) -> Iterator[tuple[str, tuple[Ref, ...]]]:
    """Names grouped by the position of their kind, as `(what the group is, names in order)`."""
    ordered = sorted(sorted(refs), key=lambda ref: rank(ref.kind), reverse=reverse)
    for place, group in groupby(ordered, key=lambda ref: rank(ref.kind)):
        yield _RANKS[place][0], tuple(group)


def same(ref: Ref) -> tuple[str, str, str, str]:
    """What stays the same when a kind is served at another version: group, kind, namespace, name."""
    return ref.group, ref.kind, ref.namespace, ref.name
