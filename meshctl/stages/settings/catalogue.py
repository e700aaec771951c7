"""What comes with meshctl: profiles, platforms, roles, topologies and components, from their folders."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, Where, listed, nearest
from meshctl.model.mesh import Layer, Overlay
from meshctl.model.values import merge, put
from meshctl.registry import data
from meshctl.stages.settings.document import document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.model.mesh import Path, Role
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
        feature: what an Istio minor must be able to do, to have this setting; empty is in all.
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
    feature: str = ""
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
    """A folder under `templates/`, as its component.yaml tells it.

    Attributes:
        name: name of the folder.
        summary: what it is.
        needs: components that must be ready first.
        yields: fields left to controllers.
        variants: its uses; one without a name where there is only one.
        fields: the settings it takes.
        overlay: their defaults.
        own: values that it alone sees otherwise than the rest of the mesh by default.
        apart: whether it sees nothing of other components' values but `global`, and that as its own.
        scopes: kinds that `global.resourceScope` counts otherwise than Kubernetes does: as `cluster`,
            `namespace`, or `always`.
        like: the component whose settings and templates it has too; empty: none.
    """

    name: str
    summary: str
    needs: tuple[str, ...]
    yields: tuple[tuple[str, str], ...]
    variants: tuple[Variant, ...]
    fields: tuple[Field, ...]
    overlay: Overlay
    own: Tree
    apart: bool
    scopes: Mapping[str, str]
    like: str

    @property
    def root(self) -> str:
        """Key of its settings among the values, and of itself among the components; empty without one."""
        return ".".join(self.variants[0].root) if not self.variants[0].name else ""


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
    told = _component_file(name)
    facts = told.data
    like = facts.get("like", "")
    each_of = _component_file(like).data["each"] if like else facts.get("each", {})
    fields = [_field(path.split("."), said, name) for path, said in facts.get("values", {}).items()]
    lines = {("values", *path.split(".")): told.lines["values", path] for path in facts.get("values", {})}
    variants = []
    for variant, said in facts.get("variants", {}).items():
        root = tuple(said["root"].split("."))
        variants.append(Variant(variant, said["list"], root, said["label"], said["chart"]))
        for path, told_field in each_of.items():
            own = said["values"].get(path)
            each = {**told_field, "default": own} if own is not None else told_field
            fields.append(_field([*root, *path.split(".")], each, name))
            shared = ("like",) if like else ("each", path)
            where = ("variants", variant, "values", path) if own is not None else shared
            lines["values", *root, *path.split(".")] = told.lines[where]
    if not variants:
        root = (facts["root"],) if "root" in facts else ()
        variants = [Variant("", facts.get("root", ""), root, facts["label"], facts["chart"])]
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
        Overlay(Layer.COMPONENT, told.file, tree, lines, name),
        facts.get("own", {}),
        facts.get("apart", False),
        facts.get("scopes", {}),
        like,
    )


@cache
def _component_file(name: str) -> Document:
    shown = f"templates/{name}/component.yaml"
    return document((data("templates") / name / "component.yaml").read_text("utf-8"), shown)


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
        feature=said.get("feature", ""),
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


@cache
def platform_seen(name: str) -> tuple[Overlay, ...]:
    """The overlays of a platform on which a cluster was seen to run; the second is for such clusters only."""
    known = platform(name)
    if known is None:
        return ()
    told = _read(f"platforms/{name}.yaml")
    return (known, _overlay(told, Layer.PLATFORM, name, "seen")) if "seen" in told.data else (known,)


def platforms() -> tuple[str, ...]:
    """Names of all platforms."""
    return tuple(sorted(each.stem for each in data("profiles").glob("platforms/*.yaml")))


@cache
def role(name: Role) -> tuple[Overlay, ...]:
    """What a role changes, lowest first.

    Where it names a profile, what that says beyond the default one comes first, as the last of the profiles.
    """
    told = _read(f"roles/{name}.yaml")
    chain = profile(told.data["profile"])[1:] if "profile" in told.data else ()
    own = _overlay(told, Layer.ROLE, name)
    return (*(each.overlay for each in chain), own)


def topologies() -> Mapping[str, str]:
    """Starting mesh.yaml files: name to summary, which is the first comment of the file."""
    found = sorted(data("profiles").glob("topologies/*.yaml"))
    return {each.stem: topology(each.stem).partition("\n")[0].removeprefix("# ") for each in found}


def topology(name: str) -> str:
    """The text of a starting mesh.yaml.

    Raises:
        ConfigError: no such topology; the nearest one is named.
    """
    file = data("profiles") / "topologies" / f"{name}.yaml"
    if not file.is_file():
        known = tuple(topologies())
        near = nearest(name, known)
        guess = f"; did you mean {near!r}?" if near else ""
        hint = f"choose one of {listed(known)}"
        raise ConfigError("unknown-topology", f"unknown topology {name!r}{guess}", hint=hint)
    return file.read_text("utf-8")


@cache
def _read(name: str) -> Document:
    return document((data("profiles") / name).read_text("utf-8"), f"profiles/{name}")


def _overlay(told: Document, layer: Layer, name: str, part: str = "") -> Overlay:
    """The components and values of a packaged file, and the platform it names, in the shape of a spec.

    Args:
        told: the file.
        layer: of the overlay.
        name: of the overlay.
        part: key of the part of the file to read; empty reads it all.
    """
    facts, head = (told.data[part], (part,)) if part else (told.data, ())
    found = {path[len(head) :]: line for path, line in told.lines.items() if path[: len(head)] == head}
    tree: Tree = {"values": facts.get("values", {})}
    lines: dict[Path, int] = {path: line for path, line in found.items() if path[:1] == ("values",)}
    if "platform" in facts:
        place = ("values", "global", "platform")
        tree, lines[place] = merge(tree, put(place, facts["platform"])), found["platform",]
    for spelled, enabled in facts.get("components", {}).items():
        line = found["components", spelled]
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
