"""Revision tags: names under which namespaces and pods choose a control plane that may change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from meshctl.model.objects import Ref

DEFAULT: Final = "default"
"""The tag of whatever names no revision; also how labels and people name the unnamed revision."""


@dataclass(frozen=True, slots=True)
class Tag:
    """A revision tag as it is in a cluster.

    Attributes:
        name: such as `stable`.
        revision: the one it leads to; empty for the unnamed one.
        by: who made it, as `labels.installed_by` tells it.
        refs: its objects: webhook configurations and the Service, sorted.
    """

    name: str
    revision: str
    by: str
    refs: tuple[Ref, ...] = ()


@dataclass(frozen=True, slots=True)
class Moved:
    """Pods of a namespace whose next proxies come from another control plane.

    Attributes:
        namespace: where they are.
        workload: name of the pods' owner; empty: whatever in the namespace says nothing of its own.
        source: revision that injects them now; empty when none does. `default` is the unnamed one.
        target: revision that will; empty when none will.
    """

    namespace: str
    workload: str
    source: str
    target: str
