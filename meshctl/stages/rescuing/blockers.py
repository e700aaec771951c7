"""Which webhooks stop a cluster, and what to do about each. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshctl.model.labels import TAG
from meshctl.model.objects import Ref
from meshctl.model.rescue import Blocker, Remedy
from meshctl.model.tag import DEFAULT
from meshctl.model.webhook import called, may_block
from meshctl.stages.planning.tags import revision_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from meshctl.model.objects import Object

DEFAULT_VALIDATOR = "istiod-default-validator"
_SUFFIXES = ("sidecar-injector.istio.io", "validation.istio.io")


@dataclass(frozen=True)
class Scene:
    """What is seen of a cluster that may be stopped.

    Attributes:
        webhooks: every webhook configuration.
        faults: why nobody answers, for each Service that they call; empty: somebody does.
        services: those of them that exist.
        istiods: Deployments of control planes.
        recorded: Services that records of ours hold, as they were sent.
        target: the control plane that tags are made to lead to; None: none answers.
        is_told: whether a person has named that one, so that tags are not left with one that may yet come.
    """

    webhooks: tuple[Object, ...]
    faults: Mapping[Ref, str]
    services: frozenset[Ref]
    istiods: tuple[Object, ...]
    recorded: Mapping[Ref, Object]
    target: str | None
    is_told: bool = False

    def is_missing(self, ref: Ref) -> bool:
        """Whether a Service that webhooks call does not exist."""
        return ref in self.faults and ref not in self.services


def blockers(scene: Scene) -> tuple[Blocker, ...]:
    """The configurations that refuse what they are asked about, by kind and name."""
    found = (each for obj in scene.webhooks for each in _blocker(scene, obj))
    return tuple(sorted(found, key=lambda each: (each.ref.kind, each.ref.name)))


def _blocker(scene: Scene, obj: Object) -> Iterator[Blocker]:
    dead = [each for each in obj.at("webhooks", ()) if may_block(each) and _fault(scene, each)]
    if not dead:
        return
    names = tuple(str(each.get("name", "")) for each in dead)
    why = "; ".join(dict.fromkeys(_fault(scene, each) for each in dead))
    blocks = tuple(sorted({what for each in dead for what in _asked_about(each)}))
    if not is_istios(obj):
        yield Blocker(obj.ref, names, why, blocks, Remedy.TELL, advice=_command(obj.ref))
        return
    remedy = _remedy(scene, obj, dead)
    yield Blocker(obj.ref, names, why, blocks, remedy, led_to(obj), tag_of(obj), _advice(remedy, obj.ref))


def _fault(scene: Scene, entry: Mapping[str, Any]) -> str:
    ref = called(entry)
    return scene.faults.get(ref, "") if ref else ""


def is_istios(obj: Object) -> bool:
    """Whether a webhook configuration is one of Istio's, whoever installed it."""
    entries = obj.at("webhooks", ())
    return bool(entries) and all(str(each.get("name", "")).endswith(_SUFFIXES) for each in entries)


def tag_of(obj: Object) -> str:
    """The tag that a configuration of Istio's stands for; empty for a control plane's own."""
    return obj.labels.get(TAG, DEFAULT if obj.ref.name == DEFAULT_VALIDATOR else "")


def led_to(obj: Object) -> str:
    """The revision that a configuration calls, by the Service in it, which counts; else by its label."""
    names = {ref.name for each in obj.at("webhooks", ()) if (ref := called(each))}
    if len(names) == 1 and (name := names.pop()) != "istiod" and name.startswith("istiod-"):
        return name.removeprefix("istiod-")
    return revision_of(obj)


def _remedy(scene: Scene, obj: Object, dead: Collection[Mapping[str, Any]]) -> Remedy:
    refs = {ref for each in dead if (ref := called(each))}
    is_missing = any(scene.is_missing(ref) for ref in refs)
    if any(is_wanted(each) and _is_behind(each, refs, led_to(obj)) for each in scene.istiods):
        if is_missing and refs <= scene.recorded.keys():
            return Remedy.RESTORE
        if not is_missing and not scene.is_told:
            return Remedy.WAIT
    if tag_of(obj) and scene.target is not None:
        return Remedy.REPOINT
    return Remedy.REMOVE if len(dead) == len(obj.at("webhooks", ())) else Remedy.TRIM


def is_wanted(istiod: Object) -> bool:
    """Whether a control plane is meant to run: it may yet come."""
    return not istiod.is_leaving and istiod.at("spec.replicas", 1) > 0


def _is_behind(istiod: Object, services: Collection[Ref], revision: str) -> bool:
    return istiod.ref.namespace in {ref.namespace for ref in services} and revision_of(istiod) == revision


def _asked_about(entry: Mapping[str, Any]) -> Iterator[str]:
    for rule in entry.get("rules", ()):
        for group in rule.get("apiGroups", ()):
            for resource in rule.get("resources", ()):
                yield f"{resource}.{group}" if group else resource


def _advice(remedy: Remedy, ref: Ref) -> str:
    if remedy is Remedy.WAIT:
        return f"its istiod is there and not ready: `meshctl status` says why; until then `{_command(ref)}`"
    return ""


def _command(ref: Ref) -> str:
    return f"kubectl delete {ref.kind.lower()} {ref.name}"
