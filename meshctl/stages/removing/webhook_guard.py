"""Whether a plan leaves a webhook behind that nobody answers. Pure; asked before anything is removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from meshctl.errors import ConflictError
from meshctl.model.objects import Ref
from meshctl.model.plan import Apply, Delete
from meshctl.stages.planning.kinds import WEBHOOKS, WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.model.objects import Object
    from meshctl.model.plan import Phase, Plan

_Place: TypeAlias = tuple[str, str]
"""Namespace and name of a Service."""


def unanswered(plan: Plan, live: Mapping[Ref, Object]) -> tuple[str, ...]:
    """Webhooks that a plan leaves without the Service, or without the pods, that answer them.

    A webhook that stays must keep what answers it, and one that goes must go in an earlier phase than
    that: in between, the API server would refuse what it asks it about. What nobody answers already is
    not this plan's doing, and is not told.

    Args:
        plan: what is going to be done.
        live: at least the webhook configurations, Services and workloads that the plan touches; those
            left out are taken to answer.

    Returns:
        `kind name: why`, sorted; empty when all is well.
    """
    run = _Run(dict(live))
    found: set[str] = set()
    for phase in plan.phases:
        found |= set(run.take(phase))
    return tuple(sorted(found))


def require_answered(plan: Plan, live: Mapping[Ref, Object]) -> None:
    """Refuse a plan that leaves a webhook behind that nobody answers; see `unanswered`.

    Raises:
        ConflictError: it does; `details` are the webhooks.
    """
    found = unanswered(plan, live)
    if found:
        raise ConflictError(
            "webhook-left-behind",
            "pods or Istio objects would be refused: webhooks stay, and what answers them goes",
            hint="make them lead to a control plane that stays, or remove them first: "
            "`meshctl tag list`, `meshctl tag set`, `meshctl tag remove`",
            details=found,
        )


class _Run:
    """The cluster as it is after each phase."""

    def __init__(self, live: dict[Ref, Object]) -> None:
        self.live = live
        self.gone: set[Ref] = set()

    def take(self, phase: Phase) -> Iterator[str]:
        """What the steps of a phase, in whatever order they happen to be done, leave unanswered."""
        removed = {step.ref for step in phase.steps if isinstance(step, Delete)}
        self.gone |= {ref for ref in removed if ref.kind not in WEBHOOKS}
        before = [obj for ref, obj in self.live.items() if ref.kind in WEBHOOKS and ref not in self.gone]
        self.gone |= removed
        for step in phase.steps:
            if isinstance(step, Apply):
                self.live[step.ref] = step.object
                self.gone.discard(step.ref)
        after = [self.live[step.ref] for step in phase.steps if isinstance(step, Apply)]
        for webhook in (*before, *(obj for obj in after if obj.ref.kind in WEBHOOKS)):
            for place in sorted(_called(webhook)):
                why = self._fault(place)
                if why:
                    yield f"{webhook.ref}: {why}"

    def _fault(self, place: _Place) -> str:
        """What this plan has taken away so far of what answers at a Service; empty: nothing."""
        ref = Ref("v1", "Service", *place)
        if ref in self.gone:
            return f"its {ref} is removed"
        if Ref("v1", "Namespace", "", ref.namespace) in self.gone:
            return f"the namespace of its {ref} is removed"
        service = self.live.get(ref)
        wanted = service.at("spec.selector", {}) if service else {}
        behind = [obj.ref for obj in self.live.values() if wanted and _is_behind(obj, ref.namespace, wanted)]
        if behind and self.gone.issuperset(behind):
            return f"nothing is left behind its {ref}"
        return ""


def _called(webhook: Object) -> set[_Place]:
    services = (
        (entry.get("clientConfig") or {}).get("service")
        for entry in webhook.at("webhooks", ())
        if "istio.io/deactivated" not in ((entry.get("namespaceSelector") or {}).get("matchLabels") or {})
    )
    return {(each["namespace"], each["name"]) for each in services if each}


def _is_behind(obj: Object, namespace: str, selector: Mapping[str, str]) -> bool:
    """Whether the pods of a workload are among those of a Service."""
    labels = obj.at("spec.template.metadata.labels", {})
    return (
        obj.ref.kind in WORKLOADS
        and obj.ref.namespace == namespace
        and all(labels.get(key) == value for key, value in selector.items())
    )
