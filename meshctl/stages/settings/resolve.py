"""From overlays to values, for one cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meshctl.errors import ConfigError, ProblemsError, listed
from meshctl.model.mesh import Layer, Overlay
from meshctl.model.values import Values, look, merged, put
from meshctl.stages.settings import advice, catalogue

if TYPE_CHECKING:
    from meshctl.model.mesh import Cluster
    from meshctl.model.observation import Observation
    from meshctl.model.values import Tree
    from meshctl.stages.settings.load import Loaded


def resolve(asked: Loaded, cluster: Cluster, seen: Observation | None = None) -> Values:
    """Settle the values of one cluster.

    One order, lowest first: component defaults < version < profile chain < platform < role <
    observed < files < cluster < --set. It is the order of `Layer`.

    Args:
        asked: what was loaded.
        cluster: one of its clusters.
        seen: the cluster as observed; None settles values without looking at a cluster.

    Raises:
        ConfigError: a platform that does not exist, or a component that cannot be installed.
    """
    overlays = [*asked.overlays, *_platforms(asked, seen)]
    if cluster.network:
        network = put(("values", "global", "network"), cluster.network)
        overlays.append(Overlay(Layer.CLUSTER, f"cluster {cluster.name}", network))
    overlays.sort(key=lambda each: each.layer)  # stable: within a layer, the order given
    overlays.append(_following(merged(overlays)))
    overlays.sort(key=lambda each: each.layer)
    values = Values(asked.mesh, cluster, asked.version, tuple(overlays), asked.profile)
    _check(values)
    return replace(values, warnings=advice.warnings(values))


def _platforms(asked: Loaded, seen: Observation | None) -> list[Overlay]:
    """Overlays of the platforms that the nodes point to, and of the one the user names."""
    found = [each for name in (seen.platforms if seen else ()) if (each := catalogue.platform(name))]
    given = merged(asked.overlays)
    name = look(given, ("values", "global", "platform")) if _says_platform(given) else ""
    if not name or name in [each.name for each in found]:
        return found
    named = catalogue.platform(str(name))
    if named is None:
        asker = next(each for each in reversed(asked.overlays) if _says_platform(each.tree))
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


def _check(values: Values) -> None:
    faults = tuple(advice.faults(values))
    if faults:
        raise faults[0] if len(faults) == 1 else ProblemsError(faults)
    known = catalogue.components()
    for name in ("cni", "ztunnel"):
        if values.at(f"components.{name}.enabled") and name not in known:
            giver = values.explain(f"components.{name}.enabled")
            raise ConfigError(
                "unknown-component",
                f"the component {name!r} cannot be installed by this version of meshctl",
                where=giver[0][1] if giver else None,
                hint="leave it out, or choose a profile without it",
            )
