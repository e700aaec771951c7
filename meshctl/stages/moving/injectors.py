"""Which control plane injects a pod: what the API server would ask, by the selectors of the webhooks there.

An `istio.io/rev` may name a revision or a tag, `istio-injection` leads to whoever has the default, and a
namespace that says nothing may be injected all the same. All of that stands in the webhooks' selectors, so
these are asked, and no rule about labels is told twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from meshctl.model.labels import REVISION, TAG
from meshctl.model.tag import DEFAULT
from meshctl.stages.injecting.selection import matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meshctl.model.objects import Object

INJECTION: Final = "istio-injection"
CONFIGURATIONS: Final = ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration")
_SUFFIX: Final = "sidecar-injector.istio.io"


@dataclass(frozen=True)
class Injector:
    """One webhook that injects.

    Attributes:
        revision: the control plane behind it, `default` for the unnamed one.
        tag: the tag that it stands for; empty where it is the revision's own.
        namespaces: selector of namespaces.
        pods: selector of pods.
    """

    revision: str
    tag: str
    namespaces: Mapping[str, Any]
    pods: Mapping[str, Any]


@dataclass(frozen=True)
class Injectors:
    """The webhooks of a cluster that inject, those of tags first."""

    all: tuple[Injector, ...] = ()

    def of(self, namespace: Mapping[str, str], pod: Mapping[str, str]) -> Injector | None:
        """Who injects a pod with these labels in a namespace with those; None when nobody does."""
        asked = (each for each in self.all if matches(each.namespaces, namespace) and matches(each.pods, pod))
        return next(asked, None)


def injectors(configurations: Iterable[Object]) -> Injectors:
    """The injecting webhooks of the cluster's mutating webhook configurations."""
    found = [
        (
            TAG not in each.labels,
            each.ref.name,
            Injector(
                each.labels.get(REVISION) or DEFAULT,
                each.labels.get(TAG, ""),
                hook.get("namespaceSelector") or {},
                hook.get("objectSelector") or {},
            ),
        )
        for each in configurations
        for hook in each.at("webhooks", ())
        if str(hook.get("name", "")).endswith(_SUFFIX)
    ]
    return Injectors(tuple(each for *_, each in sorted(found, key=lambda one: one[:2])))


def named(revision: str) -> str:
    """A revision as labels name it: `default` for the unnamed one."""
    return revision or DEFAULT


def says(namespace: Mapping[str, str]) -> bool:
    """Whether a namespace with these labels says itself who injects its pods, or that nobody does."""
    return INJECTION in namespace or REVISION in namespace
