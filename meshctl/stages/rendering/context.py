"""What templates may name: settings, and the few words made from them."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import reduce
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import yaml

from meshctl.model.labels import OPERATOR, REVISION
from meshctl.model.mesh import Layer
from meshctl.model.values import Tree, merge, merged, put
from meshctl.stages.rendering import emit
from meshctl.stages.schema.typed import form
from meshctl.stages.settings import catalogue
from meshctl.stages.settings.document import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from meshctl.model.values import Values
    from meshctl.stages.settings.catalogue import Component, Field, Variant

_NUMBER = re.compile(r"\d+(\.\d+)?([eE][+-]?\d+)?\Z")
RELEASE = "istio"
"""Name under which istioctl renders every chart; a label of every object."""


@dataclass(frozen=True)
class View:
    """A component's share of the values.

    Attributes:
        values: everything, settled, with what the component alone sees otherwise by default.
        own: the component's own settings, over those of the whole mesh that have no prefix; what a platform
            or a profile says without a prefix, it says to every component.
        pilot: the same of istiod, whose settings concern others too.
        recorded: this component's defaults and everything set by anybody, as istiod records it: its own
            settings, which stand under `pilot`, stand at the top as well.
        asked: only what was asked for: what the first profile and the user set.
    """

    values: Tree
    own: Tree
    pilot: Tree
    recorded: Tree
    asked: Tree


def view(values: Values, component: Component, extra: Mapping[str, Any] | None = None) -> View:
    """What `component` sees of the values.

    Args:
        values: the settled values.
        component: whose defaults are at the bottom.
        extra: settings that lie over everything else.
    """
    over: Tree = {"values": dict(extra or {})}
    defaults = merge(
        merged(each for each in values.overlays if each.layer == Layer.COMPONENT)["values"], component.own
    )
    above = merge(merged(each for each in values.overlays if each.layer != Layer.COMPONENT), over)["values"]
    everything = merge(defaults, above)
    first = [each for each in values.overlays if each.layer == Layer.PROFILE][:1]
    told = merged([*first, *(each for each in values.overlays if each.layer >= Layer.ROLE)])
    asked = merge(told, over).get("values", {})
    if component.apart:
        own = _apart(values, component, everything, asked)
    else:
        own = _lifted(defaults, above, component.root)
    for key in ("profile", "compatibilityVersion"):
        if everything.get(key):
            asked = {**asked, key: everything[key]}
    for key in ("hub", "tag", "platform"):
        if everything["global"].get(key):
            asked = merge(asked, put(("global", key), everything["global"][key]))
    recorded = _lifted({"pilot": {}, **component.overlay.tree.get("values", {})}, above, "pilot")
    return View(
        everything,
        own,
        _lifted(defaults, above, "pilot"),
        {**recorded, "pilot": above.get("pilot", {})},
        asked,
    )


def _lifted(defaults: Tree, above: Tree, root: str) -> Tree:
    """What stands under `root`, over what stands at the top; whatever was set beats all defaults."""
    layers: list[Tree] = [defaults.get(root, {}), above, above.get(root, {})]
    return reduce(merge, layers, defaults)


def _apart(values: Values, component: Component, everything: Tree, asked: Tree) -> Tree:
    """The settings of a component that sees of the others only `global`, as if it were its own.

    Profiles and platforms speak to it without a prefix, users with one. It may be told of a platform of
    its own.
    """
    said = asked.get(component.root) or {}
    platform = catalogue.platform(str(said.get("platform")))
    top = Layer.PROFILE if platform else Layer.PLATFORM
    general = [each for each in values.overlays if Layer.COMPONENT < each.layer <= top]
    alone = {key: value for key, value in everything.items() if not isinstance(value, dict)}
    layers: list[Tree] = [
        merged([*general, *([platform] if platform else [])])["values"],
        everything["global"],
        alone,
        said,
    ]
    return reduce(merge, layers, component.overlay.tree["values"][component.root])


_EMPTY: dict[str, Callable[[], Any]] = {"map": dict, "list": list}


def filled(tree: Tree, fields: Mapping[tuple[str, ...], Field], root: str = "") -> Tree:
    """`tree` with every known setting in it, so that a template may name it whether it is set or not.

    Args:
        tree: values.
        fields: every known setting, by its path, which begins with `values`.
        root: settings below this key stand at the top of `tree` as well.
    """
    result = dict(tree)
    for path, field in fields.items():
        _fill(result, path[1:], field)
        if root and path[1] == root:
            _fill(result, path[2:], field)
    return result


def _fill(tree: Tree, path: tuple[str, ...], field: Field) -> None:
    here = tree
    for step in path[:-1]:
        below = here.get(step)
        here[step] = here = dict(below) if isinstance(below, dict) else {}
    if here.get(path[-1]) is None:
        here[path[-1]] = _EMPTY.get(form(field.type), lambda: None)()


# Filters: the last step from a value to text.


def to_json(value: Any) -> str:
    """JSON, which is YAML wherever it stands; what is undefined says so, by refusing to be text."""
    return json.dumps(value, ensure_ascii=False, default=str)


def pretty(value: Any) -> str:
    """JSON for people, keys sorted."""
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)


def text(value: Any) -> str:
    """A scalar as the environment of a process holds it."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return str(whole(value))
        case _:
            return str(value)


def texts(tree: Mapping[str, Any]) -> dict[str, str]:
    """A map whose values are text, as labels and annotations must be."""
    return {key: text(value) for key, value in tree.items()}


def overlaid(tree: Mapping[str, Any], *over: Mapping[str, Any] | None) -> dict[str, Any]:
    """A map with others laid over it."""
    result = dict(tree)
    for each in over:
        result.update(each or {})
    return result


def named(names: list[str]) -> list[dict[str, str]]:
    """Names as Kubernetes refers to objects by them."""
    return [{"name": name} for name in names]


def resources(tree: Mapping[str, Any] | None) -> dict[str, Any]:
    """Resource requirements without what was set to nothing; a plain number is one, in quotes or not."""
    kept = {
        kind: {name: _quantity(size) for name, size in sizes.items() if size}
        for kind in ("limits", "requests")
        if (sizes := (tree or {}).get(kind))
    }
    return {kind: sizes for kind, sizes in kept.items() if sizes}


def _quantity(size: Any) -> Any:
    return whole(float(size)) if isinstance(size, str) and _NUMBER.match(size) else size


class _GoDumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # either is a class
    """Quotes as Go's writer does: twice, where a reader would take the text for something else."""

    def as_go(self, value: str) -> yaml.ScalarNode:
        plain = "tag:yaml.org,2002:str"
        same = self.resolve(yaml.ScalarNode, value, (True, False)) == plain
        return yaml.ScalarNode(plain, value, style=None if same else '"')


_GoDumper.add_representer(str, _GoDumper.as_go)


def go_yaml(tree: Any) -> str:
    """YAML in the very form in which Go writes it: keys sorted, lists not indented."""
    return str(yaml.dump(tree, Dumper=_GoDumper, sort_keys=True, default_flow_style=False, width=1 << 20))


def yaml_each(tree: Mapping[str, Any] | None) -> dict[str, str]:
    """A map of trees as a map of YAML texts."""
    return {key: emit.block(value) for key, value in (tree or {}).items()}


FILTERS: dict[str, Callable[..., Any]] = {
    "json": to_json,
    "pretty": pretty,
    "text": text,
    "texts": texts,
    "with": overlaid,
    "named": named,
    "resources": resources,
    "yaml": emit.block,
    "go_yaml": go_yaml,
    "yaml_each": yaml_each,
}


@dataclass(frozen=True)
class Labels:
    """The labels that every object of a component carries.

    Attributes:
        variant: which use of the component.
        version: Istio's version.
        rev: the revision, `default` for the unnamed one.
        owner: value of install.operator.istio.io/owning-resource.
        manager: value of app.kubernetes.io/managed-by.
    """

    variant: Variant
    version: str
    rev: str
    owner: str
    manager: str

    def __call__(self, name: str, *extra: Mapping[str, Any], owned: bool = False) -> dict[str, str]:
        """Labels of the object of an application `name`.

        Args:
            name: value of app.kubernetes.io/name.
            extra: further labels, which win; None takes a label away.
            owned: whether the object tells its revision and component.
        """
        chart = f"{self.variant.chart}-{self.version}".replace("+", "_")[:63].rstrip("-")
        labels: dict[str, Any] = {
            "app.kubernetes.io/instance": RELEASE,
            "app.kubernetes.io/managed-by": self.manager,
            "app.kubernetes.io/name": name,
            "app.kubernetes.io/part-of": "istio",
            "app.kubernetes.io/version": self.version,
            "helm.sh/chart": chart,
            "release": RELEASE,
        }
        if owned:
            labels[REVISION] = self.rev
            labels["install.operator.istio.io/owning-resource"] = self.owner
            labels[OPERATOR] = self.variant.label
        labels = reduce(overlaid, extra, labels)
        return {key: labels[key] for key in sorted(labels) if labels[key] is not None}


def shared(
    values: Tree, revision: str, namespace: str, labels: Labels, features: Iterable[str]
) -> dict[str, Any]:
    """Words that templates of every component may use, besides the values themselves."""
    rest = values["global"]

    def image(hub: str | None, name: str, tag: Any, variant: str | None) -> str:
        """A whole image reference; what is empty follows the mesh's own."""
        if "/" in name:
            return name
        kind = variant or rest["variant"]
        return f"{hub or rest['hub']}/{name}:{text(tag or rest['tag'])}{f'-{kind}' if kind else ''}"

    return {
        **values,
        "features": able(features),
        "revision": revision,
        "rev": revision or "default",
        "suffix": f"-{revision}" if revision else "",
        "namespace": namespace,
        "labels": labels,
        "elsewhere": "" if namespace == "istio-system" else f"-{namespace}",
        "manager": labels.manager,
        "image": image,
    }


def able(features: Iterable[str]) -> Mapping[str, bool]:
    """What templates ask for by name: true for each feature of a version, false for any other."""
    return defaultdict(bool, dict.fromkeys(features, True))


def address_type(address: str | None) -> str:
    """`IPv4` or `IPv6` for an address, nothing for a host name."""
    try:
        return f"IPv{ip_address(address or '').version}"
    except ValueError:
        return ""
