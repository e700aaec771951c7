"""What templates may name: settings, and the few words made from them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import reduce
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from meshctl.model.labels import OPERATOR, REVISION
from meshctl.model.mesh import Layer
from meshctl.model.values import Tree, merge, merged, put
from meshctl.stages.rendering import emit
from meshctl.stages.settings.document import whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meshctl.model.values import Values
    from meshctl.stages.settings.catalogue import Component, Field, Variant

RELEASE = "istio"
"""Name under which istioctl renders every chart; a label of every object."""


@dataclass(frozen=True)
class View:
    """A component's share of the values.

    Attributes:
        values: everything, settled.
        recorded: this component's defaults and everything set by anybody, as istiod records it: its own
            settings, which stand under `pilot`, stand at the top as well.
        asked: only what was asked for: what the first profile and the user set.
    """

    values: Tree
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
    everything = merge(values.spec, over)["values"]
    defaults = component.overlay.tree.get("values", {})
    above = merge(merged(each for each in values.overlays if each.layer != Layer.COMPONENT), over)["values"]
    recorded = merge(merge({**defaults, "pilot": {}}, defaults.get("pilot", {})), above)
    recorded = merge(recorded, recorded["pilot"])
    first = [each for each in values.overlays if each.layer == Layer.PROFILE][:1]
    own = merged([*first, *(each for each in values.overlays if each.layer >= Layer.OBSERVED)])
    asked = merge(own, over).get("values", {})
    for key in ("profile", "compatibilityVersion"):
        if everything.get(key):
            asked = {**asked, key: everything[key]}
    for key in ("hub", "tag"):
        asked = merge(asked, put(("global", key), everything["global"][key]))
    return View(everything, recorded, asked)


_EMPTY: dict[str, Callable[[], Any]] = {"map": dict, "list": list}


def filled(tree: Tree, fields: Mapping[tuple[str, ...], Field]) -> Tree:
    """`tree` with every known setting in it, so that a template may name it whether it is set or not."""
    result = dict(tree)
    for path, field in fields.items():
        here = result
        for step in path[1:-1]:
            below = here.get(step)
            here[step] = here = dict(below) if isinstance(below, dict) else {}
        if here.get(path[-1]) is None:
            here[path[-1]] = _EMPTY.get(field.type, lambda: None)()
    return result


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
    """Resource requirements without what was set to nothing."""
    kept = {
        kind: {name: size for name, size in (sizes or {}).items() if size}
        for kind, sizes in (tree or {}).items()
    }
    return {kind: sizes for kind, sizes in kept.items() if sizes}


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


def shared(values: Tree, revision: str, namespace: str, labels: Labels) -> dict[str, Any]:
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
        "revision": revision,
        "rev": revision or "default",
        "suffix": f"-{revision}" if revision else "",
        "namespace": namespace,
        "labels": labels,
        "elsewhere": "" if namespace == "istio-system" else f"-{namespace}",
        "manager": labels.manager,
        "image": image,
    }


def address_type(address: str | None) -> str:
    """`IPv4` or `IPv6` for an address, nothing for a host name."""
    try:
        return f"IPv{ip_address(address or '').version}"
    except ValueError:
        return ""
