"""What comes with meshctl: profiles, platforms, versions and components, read from their folders."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, InternalError, UnsupportedError, Where, listed, nearest
from meshctl.model.mesh import Layer, Overlay
from meshctl.model.values import Version, merge, put
from meshctl.registry import data
from meshctl.stages.settings.document import document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.model.mesh import Path
    from meshctl.model.values import Tree
    from meshctl.stages.seeing.observe import Detection
    from meshctl.stages.settings.document import Document


@dataclass(frozen=True)
class Field:
    """One setting a component takes.

    Attributes:
        path: its place, beginning with `values`.
        type: string, text (a number is taken as text), integer, number, boolean, amount (a number or a
            percentage), ports, cidrs, list, map, or any.
        doc: what it is for.
        unit: what a number counts, where that is not plain.
        choices: the values allowed; empty allows all.
        minimum: the smallest number allowed.
        maximum: the largest number allowed.
        pattern: regular expression that text must match.
        of: what elements of a list or values of a map are: text, map, scalar or integer; empty is anything.
        keys: keys that every map of a list must have.
        default: the value unless set; None where there is none.
        component: folder of the component that takes it.
    """

    path: tuple[str, ...]
    type: str
    doc: str
    unit: str = ""
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    pattern: str = ""
    of: str = ""
    keys: tuple[str, ...] = ()
    default: Any = None
    component: str = ""


@dataclass(frozen=True)
class Variant:
    """One use of a component: its instances, its part of the values, and what its objects are called.

    Attributes:
        name: `ingress`; empty where a component has one use.
        instances: key under `components` that lists or configures the instances.
        root: where its values stand, such as `gateways.istio-ingressgateway`.
        label: value of the label operator.istio.io/component.
        chart: upstream's name for it, in the label helm.sh/chart.
    """

    name: str
    instances: str
    root: tuple[str, ...]
    label: str
    chart: str


@dataclass(frozen=True)
class Component:
    """A folder under `templates/`, as its component.yaml tells it."""

    name: str
    summary: str
    needs: tuple[str, ...]
    yields: tuple[tuple[str, str], ...]
    variants: tuple[Variant, ...]
    fields: tuple[Field, ...]
    overlay: Overlay


@dataclass(frozen=True)
class Profile:
    """A named overlay that may extend another."""

    name: str
    summary: str
    extends: str
    overlay: Overlay


# In a profile, `ingress: true` is the one gateway of that direction under its usual name.
_GATEWAYS = frozenset({"ingress", "egress"})


@cache
def components() -> Mapping[str, Component]:
    """Every component by name."""
    folders = sorted(each.parent.name for each in data("templates").glob("*/component.yaml"))
    return {name: _component(name) for name in folders}


def _component(name: str) -> Component:
    shown = f"templates/{name}/component.yaml"
    told = document((data("templates") / name / "component.yaml").read_text("utf-8"), shown)
    facts = told.data
    fields = [_field(path.split("."), said, name) for path, said in facts.get("values", {}).items()]
    lines = {("values", *path.split(".")): told.lines["values", path] for path in facts.get("values", {})}
    variants = []
    for variant, said in facts.get("variants", {}).items():
        root = tuple(said["root"].split("."))
        variants.append(Variant(variant, said["list"], root, said["label"], said["chart"]))
        for path, told_field in facts["each"].items():
            own = said["values"].get(path)
            each = {**told_field, "default": own} if own is not None else told_field
            fields.append(_field([*root, *path.split(".")], each, name))
            where = ("variants", variant, "values", path) if own is not None else ("each", path)
            lines["values", *root, *path.split(".")] = told.lines[where]
    if not variants:
        root = (facts["root"],) if "root" in facts else ()
        variants = [Variant("", facts.get("key", ""), root, facts["label"], facts["chart"])]
    tree: Tree = {}
    for each_field in fields:
        if each_field.default is not None:
            tree = merge(tree, put(each_field.path, each_field.default))
    return Component(
        name,
        facts["summary"],
        tuple(facts.get("needs", ())),
        tuple((kind, path) for kind, path in facts.get("yields", ())),
        tuple(variants),
        tuple(fields),
        Overlay(Layer.COMPONENT, shown, tree, lines, name),
    )


def _field(path: list[str], said: Mapping[str, Any], component: str) -> Field:
    return Field(
        path=("values", *path),
        type=said["type"],
        doc=said["doc"],
        unit=said.get("unit", ""),
        choices=tuple(said.get("values", ())),
        minimum=said.get("minimum"),
        maximum=said.get("maximum"),
        pattern=said.get("pattern", ""),
        of=said.get("of", ""),
        keys=tuple(said.get("keys", ())),
        default=said.get("default"),
        component=component,
    )


def profiles() -> tuple[str, ...]:
    """Names of all profiles."""
    return tuple(sorted(each.stem for each in data("profiles").glob("*.yaml")))


def profile(name: str, where: Where | None = None) -> tuple[Profile, ...]:
    """A profile and those it extends, lowest first.

    Raises:
        ConfigError: no such profile; the nearest one is named.
    """
    chain: list[Profile] = []
    while name:
        chain.append(_profile(name, where))
        name = chain[-1].extends
    return tuple(reversed(chain))


@cache
def _profile(name: str, where: Where | None) -> Profile:
    known = profiles()
    if name not in known:
        near = nearest(name, known)
        guess = f"; did you mean {near!r}?" if near else ""
        raise ConfigError(
            "unknown-profile",
            f"unknown profile {name!r}{guess}",
            where=where,
            hint=f"choose one of {listed(known)}",
        )
    told = _read(f"{name}.yaml")
    return Profile(
        name, told.data["summary"], told.data.get("extends", ""), _overlay(told, Layer.PROFILE, name)
    )


@cache
def platform(name: str) -> Overlay | None:
    """The overlay of a platform; None where there is none of that name."""
    if not (data("profiles") / "platforms" / f"{name}.yaml").is_file():
        return None
    return _overlay(_read(f"platforms/{name}.yaml"), Layer.PLATFORM, name)


def platforms() -> tuple[str, ...]:
    """Names of all platforms."""
    return tuple(sorted(each.stem for each in data("profiles").glob("platforms/*.yaml")))


def versions() -> tuple[str, ...]:
    """Every minor of the catalogue, newest last."""
    minors = (each.stem for each in data("profiles").glob("versions/*.yaml"))
    return tuple(sorted(minors, key=lambda minor: tuple(map(int, minor.split(".")))))


def version(wanted: str | None) -> tuple[Version, tuple[Overlay, ...], Mapping[str, Any]]:
    """A version with its overlays, and the values that make it behave as older minors did.

    Args:
        wanted: a minor `1.32` or a full version `1.32.1`; None is the catalogue's default.

    Raises:
        UnsupportedError: the catalogue does not hold it.
    """
    known = versions()
    minor = ".".join(wanted.removeprefix("v").split(".")[:2]) if wanted else _default_version(known)
    if minor not in known:
        raise UnsupportedError(
            "unknown-version",
            f"Istio {wanted} is not in the catalogue",
            where=Where("--istio-version"),
            hint=f"choose one of {listed(known)}",
        )
    told = _read(f"versions/{minor}.yaml")
    facts = told.data
    full = wanted.removeprefix("v") if wanted and wanted.count(".") >= 2 else str(facts["images"]["tag"])
    found = Version(
        minor,
        full,
        facts["kubernetes"],
        tuple(facts.get("upgradesFrom", ())),
        str(facts["crds"]),
        frozenset(name for name, on in facts.get("features", {}).items() if on),
    )
    own = _overlay(told, Layer.VERSION, minor)
    tag = Overlay(
        Layer.VERSION,
        own.origin,
        put(("values", "global", "tag"), full),
        {("values", "global", "tag"): told.lines["images", "tag"]},
        minor,
    )
    return found, (tag, own), facts.get("compatibility", {})


def is_default(minor: str) -> bool:
    """Whether a minor is the one taken when none is asked for."""
    return bool(_read(f"versions/{minor}.yaml").data.get("default"))


@cache
def _default_version(known: tuple[str, ...]) -> str:
    for minor in reversed(known):
        if is_default(minor):
            return minor
    raise InternalError("no-default-version", "no version of the catalogue is the default")


@cache
def _read(name: str) -> Document:
    return document((data("profiles") / name).read_text("utf-8"), f"profiles/{name}")


def _overlay(told: Document, layer: Layer, name: str) -> Overlay:
    """The components and values of a packaged file, in the shape of a spec."""
    tree: Tree = {"values": told.data.get("values", {})}
    lines: dict[Path, int] = {path: line for path, line in told.lines.items() if path[:1] == ("values",)}
    for spelled, enabled in told.data.get("components", {}).items():
        line = told.lines["components", spelled]
        if spelled in _GATEWAYS:
            key = f"{spelled}Gateways"
            below: Any = [{"name": f"istio-{spelled}gateway", "enabled": enabled}]
        else:
            key, below = spelled, {"enabled": enabled} if isinstance(enabled, bool) else enabled
        tree = merge(tree, {"components": {key: below}})
        lines["components", key] = line
    return Overlay(layer, told.file, tree, lines, name)


@cache
def detections() -> tuple[Detection, ...]:
    """How platforms are recognised, in the order in which their overlays apply."""
    from meshctl.stages.seeing.observe import Detection  # only wanted where there is a cluster to look at

    found = []
    for name in platforms():
        told = _read(f"platforms/{name}.yaml")
        if "detect" in told.data:
            where = Where(told.file, told.lines["detect",], "detect")
            found.append(Detection.of(name, told.data["detect"], where))
    return tuple(found)
