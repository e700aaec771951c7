"""What a cluster is to hold, in parts that are applied and awaited together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshctl.model.objects import Object, Ref


@dataclass(frozen=True)
class Part:
    """One component as rendered: its objects, what must be ready before it, what makes it ready.

    Attributes:
        name: unique in a manifest; the component's name, or `component/instance` where a component
            is rendered several times (`gateway/istio-ingressgateway`).
        component: folder under `templates/`.
        needs: names of components whose parts must be ready first.
        objects: in the order they should be shown; the plan orders them by kind.
        ready: workloads whose readiness is the part's readiness.
        yields: fields left alone once a controller has taken them over, as `(kind, path)` with
            `[*]` for every element of a list, such as `webhooks[*].failurePolicy`.
    """

    name: str
    component: str
    needs: tuple[str, ...] = ()
    objects: tuple[Object, ...] = ()
    ready: tuple[Ref, ...] = ()
    yields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Manifest:
    """All parts of one cluster. An empty manifest asks for nothing, which is how uninstall begins."""

    parts: tuple[Part, ...] = ()
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @property
    def objects(self) -> tuple[Object, ...]:
        """Every object, part by part."""
        return tuple(obj for part in self.parts for obj in part.objects)

    @property
    def refs(self) -> frozenset[Ref]:
        """Names of every object."""
        return frozenset(obj.ref for obj in self.objects)
