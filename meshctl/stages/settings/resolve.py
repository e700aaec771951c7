"""From overlays to values, for one cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, ProblemsError, listed
from meshctl.model.mesh import Layer, Overlay
from meshctl.model.values import Values, is_missing, look, merged
from meshctl.stages.fleet import topology
from meshctl.stages.schema import together
from meshctl.stages.settings import advice, availability, catalogue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from meshctl.model.mesh import Cluster, Path
    from meshctl.model.observation import Observation
    from meshctl.model.values import Tree
    from meshctl.stages.settings.load import Loaded, Share


def resolve(asked: Loaded, cluster: Cluster, seen: Observation | None = None) -> Values:
    """Settle the values of one cluster.

    One order, lowest first: component defaults < version < profile chain < platform < role < observed <
    files < cluster < --set. It is the order of `Layer`, which tells what belongs to each.

    Args:
        asked: what was loaded.
        cluster: one of its clusters.
        seen: the cluster as observed; None settles values without looking at a cluster.

    Raises:
        ConfigError: a platform that does not exist, or an address that the topology needs and nobody said.
    """
    share = asked.share(cluster)
    said = [*share.overlays, *_platforms(share, seen), *_roles(share, cluster)]
    overlays = [_led(availability.available(each, asked.version)) for each in said]
    overlays.sort(key=lambda each: each.layer)  # stable: within a layer, the order given
    place = _placed(share, cluster, merged(overlays))
    overlays = _inserted(_inserted(overlays, _following(merged([*overlays, place]))), place)
    values = Values(share.mesh, cluster, asked.version, tuple(overlays), share.profile)
    _check(values)
    return replace(values, warnings=(*advice.warnings(values), *_unheeded(said), *_beaten(overlays, place)))


def _inserted(overlays: list[Overlay], new: Overlay) -> list[Overlay]:
    """Overlays in the order of their layers, and another, the lowest of its layer."""
    at = next((index for index, each in enumerate(overlays) if each.layer >= new.layer), len(overlays))
    return [*overlays[:at], new, *overlays[at:]]


def _roles(share: Share, cluster: Cluster) -> tuple[Overlay, ...]:
    return catalogue.role(cluster.role) if share.mesh.identifier else ()


def _placed(share: Share, cluster: Cluster, spec: Tree) -> Overlay:
    """What the cluster's place in the topology means."""
    tree = topology.derived(share.mesh, cluster, spec, share.place)
    if share.place is None:
        return Overlay(Layer.CLUSTER, f"cluster {cluster.name}", tree)
    lines: dict[Path, int] = {(): share.place.line} if share.place.line else {}
    return Overlay(Layer.CLUSTER, share.place.file, tree, lines)


def _beaten(overlays: Iterable[Overlay], place: Overlay) -> Iterator[str]:
    """Settings in files that the topology beats without a word of theirs being heeded."""
    for each in overlays:
        if each.layer == Layer.FILE:
            for path in _shared_leaves(each.tree, place.tree, ()):
                yield f"{each.where(path)}: changes nothing; the topology of the mesh says it"


def _shared_leaves(
    one: Mapping[str, Any], other: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[str, ...]]:
    """Paths at which both trees hold something, and not the same."""
    for key in [each for each in one if each in other]:
        if isinstance(one[key], dict) and isinstance(other[key], dict):
            yield from _shared_leaves(one[key], other[key], (*path, key))
        elif one[key] != other[key]:
            yield (*path, key)


def _platforms(share: Share, seen: Observation | None) -> list[Overlay]:
    """Overlays of the platforms that the nodes point to, and of the one the user names."""
    found = [each for name in (seen.platforms if seen else ()) for each in catalogue.platform_seen(name)]
    given = merged(share.overlays)
    name = look(given, ("values", "global", "platform")) if _says_platform(given) else ""
    if not name or name in [each.name for each in found]:
        return found
    named = catalogue.platform(str(name))
    if named is None:
        asker = next(each for each in reversed(share.overlays) if _says_platform(each.tree))
        raise ConfigError(
            "unknown-platform",
            f"unknown platform {name!r}",
            where=asker.where(("values", "global", "platform")),
            hint=f"choose one of {listed(each for each in catalogue.platforms() if each != 'sandbox')}",
        )
    return [*found, named]


def _says_platform(tree: object) -> bool:
    values = tree.get("values") if isinstance(tree, dict) else None
    shared = values.get("global") if isinstance(values, dict) else None
    return isinstance(shared, dict) and "platform" in shared


def _following(spec: Tree) -> Overlay:
    """Values that follow from which components there are; charts of one component ask for another."""
    components = spec.get("components") or {}
    tree = {
        "values": {
            "pilot": {
                "enabled": bool((components.get("pilot") or {}).get("enabled")),
                "cni": {"enabled": bool((components.get("cni") or {}).get("enabled"))},
            }
        }
    }
    return Overlay(Layer.OBSERVED, "components", tree)


# Values that components decide, whatever is said of them, and the setting that does; upstream's installer
# writes them over what the user says, unless that stands under `unvalidatedValues`.
_LED = {
    ("values", "pilot", "enabled"): "components.pilot.enabled",
    ("values", "pilot", "cni", "enabled"): "components.cni.enabled",
}
# The labels of a gateway are recorded all the same, and come from its component alone.
_UNHEEDED = _LED | {
    ("values", "gateways", "istio-ingressgateway", "labels"): "`label` in components.ingressGateways",
    ("values", "gateways", "istio-egressgateway", "labels"): "`label` in components.egressGateways",
}


def _is_led(given: Overlay, path: tuple[str, ...]) -> bool:
    free = look(given.tree, ("unvalidatedValues", *path[1:]))
    return given.layer >= Layer.FILE and not is_missing(look(given.tree, path)) and is_missing(free)


def _led(given: Overlay) -> Overlay:
    """A user's overlay without values that components decide."""
    tree = dict(given.tree)
    for path in _LED:
        if _is_led(given, path):
            tree = availability.without(tree, path)
    return replace(given, tree=tree)


def _unheeded(said: Iterable[Overlay]) -> Iterator[str]:
    for each in said:
        for path, setting in _UNHEEDED.items():
            if _is_led(each, path):
                yield f"{each.where(path)}: changes nothing; {setting} says it"


def _check(values: Values) -> None:
    faults = (*together.faults(values), *advice.faults(values))
    if faults:
        raise faults[0] if len(faults) == 1 else ProblemsError(faults)
