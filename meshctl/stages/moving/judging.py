"""What can be done about workloads with a proxy, as far as labels, owners and budgets decide it.

a namespace's label leads them       they move once the namespace is led elsewhere
istiod makes them for a Gateway      they follow whoever leads that Gateway, or its namespace
their own label names a tag, or      they move once the tag leads elsewhere: after the promotion
  asks the default to inject them
their own label names the revision   only their owner can change that
nothing injects them any more        made anew, they would have no proxy
nothing makes them anew              bare pods, jobs
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Final

from meshctl.model.labels import GENERATED, MESH, REVISION
from meshctl.model.objects import Ref
from meshctl.model.proxy import Carrier
from meshctl.model.upgrade import Method, Mover
from meshctl.stages.applying.readiness import unready
from meshctl.stages.moving.injectors import INJECTION, Injectors, named, says
from meshctl.stages.moving.methods import covered_twice, method, overdrawn, rolls
from meshctl.stages.moving.owners import immovable
from meshctl.stages.seeing.sync import seats

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from meshctl.model.objects import Object
    from meshctl.model.upgrade import Labels

STATUS: Final = "sidecar.istio.io/status"
"""Annotation of a pod that was injected: what was put into it."""
GATEWAY: Final = ("gateway.networking.k8s.io/v1", "Gateway")
GATEWAY_NAME: Final = "gateway.networking.k8s.io/gateway-name"
"""On what istiod makes for a Gateway: the name of that one."""

TWICE: Final = "Kubernetes evicts no pod that several PodDisruptionBudgets cover"


class Way(StrEnum):
    """What can be done about a workload's proxies."""

    MOVES = "moves"
    GATEWAY = "gateway"
    LATE = "late"
    LOSES = "loses"
    STAYS = "stays"
    OURS = "ours"


_MADE_ANEW: Final = (Way.MOVES, Way.GATEWAY, Way.LATE)


@dataclass(frozen=True)
class Scene:
    """What decides how workloads move."""

    revision: str | None
    to: str | None
    injectors: Injectors
    labels: Mapping[str, Mapping[str, str]]
    live: Mapping[Ref, Object]
    pods: Mapping[Ref, list[Object]]
    budgets: Mapping[str, list[Object]]

    def judge(self, ref: Ref) -> tuple[Way, str]:
        """What can be done about a workload, and why not more."""
        way, why = self._way(ref)
        budgets = self.budgets.get(ref.namespace, ())
        is_evicted = way in _MADE_ANEW and self.mover(ref).method is Method.EVICT
        if is_evicted and covered_twice(budgets, self.pods[ref]):
            return Way.STAYS, TWICE
        return way, why

    @cached_property
    def _overdraws(self) -> Mapping[Ref, str]:
        """Workloads whose rolling updates a disruption budget would not allow, and why."""
        told: dict[Ref, str] = {}
        for namespace, budgets in self.budgets.items():
            here = [ref for ref in self.pods if ref.namespace == namespace and rolls(ref)]
            told |= overdrawn(budgets, [(self.live[ref], self.pods[ref]) for ref in here if ref in self.live])
        return told

    def _way(self, ref: Ref) -> tuple[Way, str]:
        pod, workload = self.pods[ref][0], self.live.get(ref)
        if workload is not None and MESH in workload.labels:
            return Way.OURS, ""
        if ref.namespace not in self.labels:
            return Way.STAYS, "its namespace is being deleted"
        if why := immovable(ref, pod):
            return Way.STAYS, why
        if GENERATED in pod.labels:
            return self._for_a_gateway(ref, pod)
        if STATUS not in pod.annotations:
            return Way.STAYS, "nothing injects its proxy; whoever installed it has to renew it"
        if workload is not None and STATUS in workload.at("spec.template.metadata.annotations", {}):
            return Way.STAYS, "its proxy was put into its template by hand; inject it anew"
        return self._injected(ref, pod)

    def in_place(self, ref: Ref) -> str:
        """Why a workload cannot be made anew where it is; empty where it can, whoever leads it."""
        pod, budgets = self.pods[ref][0], self.budgets.get(ref.namespace, ())
        way, why = self.judge(ref)
        if way is Way.LOSES:
            return why
        if ref.namespace not in self.labels:
            return "its namespace is being deleted"
        if why := immovable(ref, pod):
            return why
        if self.mover(ref).method is Method.EVICT and covered_twice(budgets, self.pods[ref]):
            return TWICE
        return ""

    def mover(self, ref: Ref, why: str = "") -> Mover:
        """A workload with how it gets new pods."""
        pods, workload = self.pods[ref], self.live.get(ref)
        if workload is not None and GENERATED in workload.labels:
            return Mover(ref, Method.FOLLOW, len(pods), why)
        how, reason = method(ref, workload, self._overdraws.get(ref, ""))
        return Mover(ref, how, len(pods), "; ".join(filter(None, (why, reason))))

    def unready(self, ref: Ref) -> str:
        """Why a workload is not ready; where it does not say, why one of its pods is not."""
        workload = self.live.get(ref)
        if workload is not None:
            return unready(workload)
        return next((f"pod {pod.ref.name}: {why}" for pod in self.pods[ref] if (why := unready(pod))), "")

    def led(self, used: set[str]) -> Iterator[tuple[str, Labels]]:
        """Namespaces led to the control plane with the labels that decide it, sorted.

        One without such labels is among them when it is injected by default, and has workloads that move.
        """
        for name, labels in sorted(self.labels.items()):
            if not says(labels) and name not in used:
                continue
            leader = self._leader(labels)
            if leader and (self.revision is None or leader == named(self.revision)):
                yield name, tuple((key, labels.get(key)) for key in (INJECTION, REVISION))

    def _leader(self, namespace: Mapping[str, str]) -> str:
        """The control plane that a namespace asks for; empty: none."""
        asked = self.injectors.of(namespace, {})
        if asked is not None:
            return asked.revision
        # Its webhooks are gone, and still it is this one that the namespace wants.
        return namespace.get(REVISION, "") if INJECTION not in namespace else ""

    def _injected(self, ref: Ref, pod: Object) -> tuple[Way, str]:
        namespace, labels = self.labels[ref.namespace], self._template_labels(ref, pod)
        leader, asked = self._leader(namespace), self.injectors.of(namespace, labels)
        way = Way.GATEWAY if is_gateway([pod]) else Way.MOVES
        if says(namespace) or leader:
            if labels.get("sidecar.istio.io/inject") == "false" or not leader:
                return Way.LOSES, "nothing injects it any more: made anew, it would have no proxy"
            if says(namespace) or REVISION not in labels:
                return (way, "") if self._may_leave_to(leader) else (Way.STAYS, _elsewhere(leader))
        if asked is None:
            return Way.LOSES, "nothing injects it any more: made anew, it would have no proxy"
        wanted = labels.get(REVISION, "")
        is_left = self.revision is None or asked.revision == named(self.revision)
        if wanted and not asked.tag and is_left:
            return Way.STAYS, f"its own pods ask for {REVISION}={wanted}; change that label in its template"
        words = f"label {REVISION}={wanted}" if wanted else "label sidecar.istio.io/inject"
        return Way.LATE, f"its own pods' {words} decides, so it moves once that leads elsewhere"

    def _for_a_gateway(self, ref: Ref, pod: Object) -> tuple[Way, str]:
        gateway = self.live.get(Ref(*GATEWAY, ref.namespace, pod.labels.get(GATEWAY_NAME, "")))
        if gateway is None or gateway.is_leaving:
            return Way.STAYS, "the Gateway that it is made for is gone"
        namespace = self.labels[ref.namespace]
        way = Way.GATEWAY if leads_itself(gateway, namespace) else Way.MOVES
        leader = self._leader(gateway.labels if REVISION in gateway.labels else namespace)
        # One that nothing leads by a label follows the default, wherever that leads.
        return (way, "") if not leader or self._may_leave_to(leader) else (Way.STAYS, _elsewhere(leader))

    def _may_leave_to(self, leader: str) -> bool:
        """Whether a workload in a namespace that this one leads is one of those that move."""
        if self.to is None or self.revision is None:
            return True
        return leader in (named(self.revision), named(self.to))

    def _template_labels(self, ref: Ref, pod: Object) -> Mapping[str, str]:
        workload = self.live.get(ref)
        if workload is None:
            return pod.labels
        labels: Mapping[str, str] = workload.at("spec.template.metadata.labels", {})
        return labels


def leads_itself(gateway: Object, namespace: Mapping[str, str]) -> bool:
    """Whether a Gateway's own label decides which istiod serves it, not that of its namespace.

    Where neither has one, the default does; `istio-injection` says nothing of Gateways, but becomes the
    name of a revision when its namespace moves.
    """
    is_led = REVISION in namespace or namespace.get(INJECTION) == "enabled"
    return REVISION in gateway.labels or not is_led


def is_gateway(pods: Iterable[Object]) -> bool:
    """Whether pods are nothing but a proxy, which takes traffic from others."""
    return any(each.carrier in (Carrier.GATEWAY, Carrier.WAYPOINT) for each in seats(pods, ""))


def _elsewhere(leader: str) -> str:
    return f"a label leads it to revision {leader} already: it gets there when it is made anew"
