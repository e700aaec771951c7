"""Settled values, each of which still knows where it came from and what it beat."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any, TypeAlias

from meshctl.model.mesh import Cluster, Layer, Mesh, Overlay, Path
from meshctl.model.objects import STEP

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meshctl.errors import Where

Tree: TypeAlias = dict[str, Any]

_MISSING = object()
SPEC_KEYS = frozenset(
    {
        "profile", "installPackagePath", "hub", "tag", "namespace", "revision", "compatibilityVersion",
        "meshConfig", "components", "values", "unvalidatedValues",
    }
)  # fmt: skip
"""What stands at the top of an IstioOperator's `spec`."""

_ALSO_VALUES = frozenset({"revision", "meshConfig", "profile", "compatibilityVersion"})


@dataclass(frozen=True, slots=True)
class Version:
    """An Istio minor, as the catalogue describes it.

    Attributes:
        minor: `1.32`.
        full: the version itself, `1.32.0`.
        kubernetes: range of Kubernetes versions upstream tests, `>=1.32, <1.37`.
        upgrades_from: minors whose control planes we step from.
        crds: minor of the custom resource definitions.
        features: names of what this minor does.
        oldest_proxy: minor of the oldest proxies that upstream lets its control plane serve.
    """

    minor: str
    full: str
    kubernetes: str
    upgrades_from: tuple[str, ...]
    crds: str
    features: frozenset[str]
    oldest_proxy: str = ""


@dataclass(frozen=True)
class Values:
    """All settings of one cluster, merged; leaves are explained by going back to the overlays.

    Attributes:
        mesh: the mesh.
        cluster: the cluster these values are for.
        version: Istio's version.
        overlays: what was merged, lowest first.
    """

    mesh: Mesh
    cluster: Cluster
    version: Version
    overlays: tuple[Overlay, ...]
    profile: str = "default"
    warnings: tuple[str, ...] = field(default=(), compare=False)

    @cached_property
    def spec(self) -> Tree:
        """Everything, in the shape of an IstioOperator's `spec`."""
        return merged(self.overlays)

    @property
    def revision(self) -> str:
        """Control-plane revision; empty for the unnamed one."""
        return str(self.at("revision") or "")

    @property
    def namespace(self) -> str:
        """The mesh's own namespace."""
        return str(self.at("global.istioNamespace") or "istio-system")

    def plain(self) -> Tree:
        """Everything as plain data: `components` and `values`."""
        return {key: self.spec.get(key, {}) for key in ("components", "values")}

    def own(self) -> Tree:
        """Only what the user set, in the shape of an IstioOperator's `spec`; holds no defaults."""
        return merged(each for each in self.overlays if each.layer >= Layer.FILE)

    def at(self, path: str, default: Any = None) -> Any:
        r"""The value at a dotted path, within `values` unless it begins with `components`.

        `\.` escapes a dot in a key; `[0]` counts within a list. Missing gives `default`.
        """
        found = look(self.spec, steps(path))
        return default if found is _MISSING else found

    def explain(self, path: str) -> list[tuple[Any, Where]]:
        """Each value that was given for a path and its place, the winner first; empty if nobody did.

        An overlay that replaces a map above the path with something else hides everything below it.
        """
        wanted = steps(path)
        found: list[tuple[Any, Where]] = []
        for overlay in reversed(self.overlays):
            value = look(overlay.tree, wanted)
            if value is not _MISSING:
                found.append((value, overlay.where(wanted)))
            elif _hides(overlay.tree, wanted):
                break
        return found


def place(values: Values, path: Path) -> Where:
    """Where the user said what stands at a path of the spec, or what is nearest above it."""
    users = [each for each in reversed(values.overlays) if each.layer >= Layer.FILE]
    for length in range(len(path), 0, -1):
        for overlay in users:
            if not is_missing(look(overlay.tree, path[:length])):
                return overlay.where(path[:length])
    return values.overlays[-1].where(path)


def steps(path: str) -> Path:
    r"""Steps of a dotted path, beginning with `values` where no part of a spec is named."""
    found: list[str | int] = [
        int(index) if index else key.replace("\\.", ".") for index, key in STEP.findall(path)
    ]
    if found[:1] == ["spec"]:
        found = found[1:]
    if found and found[0] in SPEC_KEYS - _ALSO_VALUES:
        return tuple(found)
    return ("values", *found)


def look(tree: Any, path: Path) -> Any:
    """What stands at a path, or a mark that nothing does (see `is_missing`)."""
    for step in path:
        inside = step < len(tree) if isinstance(step, int) and isinstance(tree, list) else False
        if not inside and not (isinstance(tree, dict) and step in tree):
            return _MISSING
        tree = tree[step]
    return tree


def _hides(tree: Any, path: Path) -> bool:
    """Whether something that is no map stands above a path, so that nothing lower shows through."""
    for step in path:
        if not isinstance(tree, dict):
            return True
        if step not in tree:
            return False
        tree = tree[step]
    return False


def is_missing(value: Any) -> bool:
    """Whether `look` found nothing."""
    return value is _MISSING


def merged(overlays: Iterable[Overlay]) -> Tree:
    """The trees of overlays laid over each other, the first lowest."""
    return reduce(merge, (overlay.tree for overlay in overlays), {})


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """`over` laid over `base`: maps are merged, everything else replaces what was there.

    Neither argument changes. Parts that only one of them has are shared with the result, so the
    result must not be changed in place either.
    """
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            result[key] = merge(below, value)
        else:
            result[key] = value
    return result


def put(path: Path, value: Any) -> Tree:
    """A tree that holds one value at a path of keys."""
    for step in reversed(path):
        value = {step: value}
    return value  # type: ignore[no-any-return]  # a map once there is a step
