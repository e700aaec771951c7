"""IstioOperator files, and files of values, as overlays in the shape of an IstioOperator's `spec`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, Where, listed, nearest
from meshctl.model.mesh import Layer, Overlay, dotted
from meshctl.model.values import merge, put
from meshctl.model.wording import quoting, shown
from meshctl.stages.schema import typed
from meshctl.stages.schema.fields import check_field, told
from meshctl.stages.schema.schema import schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.crds.schema import Schema as Node
    from meshctl.crds.structural import Problem
    from meshctl.model.values import Tree
    from meshctl.stages.settings.document import Document

API_VERSION = "install.istio.io/v1alpha1"
_METADATA = {
    "name",
    "namespace",
    "labels",
    "annotations",
    "creationTimestamp",
    "resourceVersion",
    "uid",
    "generation",
}


@dataclass(frozen=True, slots=True)
class Declared:
    """A type that Kubernetes declares; `of` is what a list of them holds."""

    name: str
    of: str = ""


# What may stand where. A tuple is one of these Python types; a dict is a map of known keys, with `*` of
# others too; a list is a list of its one element.
_TEXT, _FLAG, _COUNT, _MAP, _ANY = (str,), (bool,), (int,), (dict,), (object,)
_NAME = (str, int, float)
KUBERNETES: dict[str, Any] = {
    **{
        name: Declared(kind)
        for name, kind in {
            "affinity": "Affinity",
            "hpaSpec": "HorizontalPodAutoscaler",
            "imagePullPolicy": "pullPolicy",
            "nodeSelector": "labels",
            "podDisruptionBudget": "PodDisruptionBudget",
            "podAnnotations": "annotations",
            "priorityClassName": "name",
            "readinessProbe": "Probe",
            "replicaCount": "count",
            "resources": "ResourceRequirements",
            "service": "Service",
            "strategy": "UpdateStrategy",
            "serviceAnnotations": "annotations",
            "securityContext": "PodSecurityContext",
        }.items()
    },
    "env": Declared("list", "EnvVar"),
    "tolerations": Declared("list", "Toleration"),
    "volumes": Declared("list", "Volume"),
    "volumeMounts": Declared("list", "VolumeMount"),
    "overlays": [
        {
            "apiVersion": _TEXT,
            "kind": _TEXT,
            "name": _TEXT,
            "patches": [{"path": _TEXT, "value": _ANY}],
        }
    ],
}
"""What a component's `k8s` may say."""
_REFUSED = frozenset({"unknown-field", "wrong-type", "duplicate-item"})
"""Problems that istioctl refuses too, which reads these settings strictly but does not validate them."""
_NAMES = frozenset({"label", "labels", "serviceName"})
"""Types of what is no patch of an object, but a name in many."""
_COMPONENT: dict[str, Any] = {
    "enabled": _FLAG,
    "namespace": Declared("label"),
    "hub": _TEXT,
    "tag": _NAME,
    "k8s": KUBERNETES,
}
_GATEWAY: dict[str, Any] = {**_COMPONENT, "name": Declared("serviceName"), "label": Declared("labels")}
SPEC: dict[str, Any] = {
    "profile": _TEXT,
    "installPackagePath": _TEXT,
    "hub": _TEXT,
    "tag": _NAME,
    "namespace": _TEXT,
    "revision": _TEXT,
    "compatibilityVersion": _NAME,
    "meshConfig": _MAP,
    "values": _MAP,
    "unvalidatedValues": _MAP,
    "components": {
        "base": _COMPONENT,
        "pilot": _COMPONENT,
        "cni": _COMPONENT,
        "ztunnel": _COMPONENT,
        "istiodRemote": _COMPONENT,
        "ingressGateways": [_GATEWAY],
        "egressGateways": [_GATEWAY],
    },
}
_SPOKEN = {
    _TEXT: "text",
    _FLAG: "true or false",
    _COUNT: "a whole number",
    _MAP: "a map",
    _NAME: "text",
}
# Settings of a spec that are values as well.
_TRANSLATED = {
    "hub": ("global", "hub"),
    "tag": ("global", "tag"),
    "revision": ("revision",),
    "compatibilityVersion": ("compatibilityVersion",),
    "meshConfig": ("meshConfig",),
    "namespace": ("global", "istioNamespace"),
}


def overlay(told: Document) -> Overlay:
    """The settings of a user's file.

    A file with a `kind` is an IstioOperator; without one it holds values, as Helm takes them.

    Raises:
        ConfigError: neither of the two.
    """
    if not isinstance(told.data, dict):
        raise ConfigError(
            "not-a-map",
            f"the file holds {shown(told.data)}, not settings",
            where=Where(told.file, told.lines[()]),
            hint=f"begin with `apiVersion: {API_VERSION}` and `kind: IstioOperator`, or with values",
        )
    if "kind" in told.data or "apiVersion" in told.data or "spec" in told.data:
        return _operator(told)
    tree = {"values": told.data}
    lines = {("values", *path): line for path, line in told.lines.items()}
    return Overlay(Layer.FILE, told.file, tree, lines, trim=("values",))


def _operator(told: Document) -> Overlay:
    for key, wanted in (("apiVersion", API_VERSION), ("kind", "IstioOperator")):
        if told.data.get(key) != wanted:
            found = told.data.get(key)
            raise ConfigError(
                "not-an-istiooperator",
                f"{key} is {found!r}, not {wanted!r}" if found else f"no {key}",
                where=Where(told.file, told.lines.get((key,), told.lines[()]), key),
                hint=f"write `{key}: {wanted}`; leave apiVersion, kind and spec out of a file of values",
            )
    for key in told.data:
        if key not in ("apiVersion", "kind", "metadata", "spec", "status"):
            raise _unknown((key,), ("metadata", "spec"), Where(told.file, told.lines[key,], key))
    spec = told.data.get("spec") or {}
    lines = {path[1:]: line for path, line in told.lines.items() if path[:1] == ("spec",)}
    if not isinstance(spec, dict):
        raise _wrong_type(("spec",), spec, "a map", Where(told.file, told.lines["spec",], "spec"))
    return Overlay(Layer.FILE, told.file, spec, lines, lead=("spec",))


def problems(given: Overlay) -> Iterator[ConfigError]:
    """What is wrong with an overlay of the user's: unknown names and wrong types, wherever they are."""
    yield from _check(given.tree, SPEC, (), given)
    for key, place in _TRANSLATED.items():
        field = schema().field(("values", *place))
        if field is not None and _is(given.tree.get(key), SPEC[key]):
            yield from check_field(field, given.tree[key], (key,), given, key)
    yield from schema().check(given)


def _is(value: Any, known: Any) -> bool:
    return isinstance(value, known) and (not isinstance(value, bool) or bool in known)


def _check(value: Any, known: Any, path: tuple[str | int, ...], given: Overlay) -> Iterator[ConfigError]:
    if value is None:
        return
    if isinstance(known, Declared):
        yield from _declared(value, known, path, given)
    elif isinstance(known, dict):
        if not isinstance(value, dict):
            yield _wrong_type(path, value, "a map", given.where(path))
            return
        for key, below in value.items():
            if key in known or "*" in known:
                yield from _check(below, known.get(key, _ANY), (*path, key), given)
            else:
                yield _unknown((*path, key), known, given.where((*path, key)))
    elif isinstance(known, list):
        if not isinstance(value, list):
            yield _wrong_type(path, value, "a list", given.where(path))
            return
        for index, below in enumerate(value):
            if below is None:
                yield _wrong_type((*path, index), below, "a map", given.where((*path, index)))
            yield from _check(below, known[0], (*path, index), given)
    elif object not in known and not _is(value, known):
        yield _wrong_type(path, value, _SPOKEN[known], given.where(path))


def _declared(
    value: Any, known: Declared, path: tuple[str | int, ...], given: Overlay
) -> Iterator[ConfigError]:
    """What istioctl would refuse too of a share of what Kubernetes declares.

    What only an API server refuses of the object in the end is a warning, see `doubts`.
    """
    for each in _misfits(value, known, path, given):
        if each.code in _REFUSED or known.name in _NAMES:
            yield told(each, given.where((*path, *each.path)))


def doubts(given: Overlay) -> Iterator[ConfigError]:
    """What an API server will refuse of the objects that an overlay's `k8s` settings change."""
    for path, value, known in _placed(given.tree, SPEC, ()):
        for each in _misfits(value, known, path, given):
            if each.code not in _REFUSED and known.name not in _NAMES:
                yield told(each, given.where((*path, *each.path)))


def _misfits(value: Any, known: Declared, path: tuple[str | int, ...], given: Overlay) -> Iterator[Problem]:
    kind = typed.type_of(known.name, known.of)
    assert kind is not None
    yield from typed.problems(kind, value, name=dotted(path), partial=True, sparse=given.is_flag)


def _placed(
    value: Any, known: Any, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], Any, Declared]]:
    """Every value in a tree of which Kubernetes declares the type."""
    if isinstance(known, Declared) and value is not None:
        yield path, value, known
    elif isinstance(known, dict) and isinstance(value, dict):
        for key, below in value.items():
            yield from _placed(below, known.get(key), (*path, key))
    elif isinstance(known, list) and isinstance(value, list):
        for index, each in enumerate(value):
            yield from _placed(each, known[0], (*path, index))


def declared(path: tuple[str | int, ...]) -> Node | None:
    """What Kubernetes declares of a place in a component's `k8s`; None of any other place."""
    known: Any = SPEC
    for index, step in enumerate(path):
        if isinstance(known, Declared):
            kind = typed.type_of(known.name, known.of)
            return typed.node_at(kind.schema, path[index:]) if kind else None
        if isinstance(known, dict):
            known = known.get(str(step))
        else:
            known = known[0] if isinstance(known, list) else None
    kind = typed.type_of(known.name, known.of) if isinstance(known, Declared) else None
    return kind.schema if kind else None


def _unknown(
    path: tuple[str | int, ...], known: Mapping[str, Any] | tuple[str, ...], where: Where
) -> ConfigError:
    name = str(path[-1])
    near = nearest(name, known)
    guess = f"; did you mean {near!r}?" if near else ""
    values = schema()
    hint = f"known here are {listed(sorted(known))}"
    if len(path) == 1 and not near and values.has(name):
        hint = f"did you mean values.{name}? " + hint
    return ConfigError("unknown-field", f"unknown field {dotted(path)!r}{guess}", where=where, hint=hint)


def _wrong_type(path: tuple[str | int, ...], value: Any, wanted: str, where: Where) -> ConfigError:
    return ConfigError(
        "wrong-type",
        f"{dotted(path)} is {wanted}, not {shown(value)}",
        where=where,
        hint=quoting(value, wants_text=wanted == "text"),
    )


def translated(given: Overlay) -> Overlay:
    """An overlay whose settings that are values as well stand there too, below its own values.

    The mesh configuration of the spec stands above that of the values, as istioctl has it. Groups set to
    null say nothing, so they are left out.
    """
    extra: Tree = {}
    lines = dict(given.lines)
    for key, place in _TRANSLATED.items():
        value = given.tree.get(key)
        if value is None:
            continue
        if key in ("tag", "compatibilityVersion"):
            value = str(value)
        extra = merge(extra, put(("values", *place), value))
        lines.update(
            {("values", *place, *path[1:]): line for path, line in given.lines.items() if path[:1] == (key,)}
        )
    tree = {key: value for key, value in given.tree.items() if value is not None}
    if "values" in tree:
        tree["values"] = schema().grouped(tree["values"])
    if "components" in tree:
        tree["components"] = {key: said for key, said in tree["components"].items() if said is not None}
    free = tree.get("unvalidatedValues")
    mesh = put(("values", "meshConfig"), tree["meshConfig"]) if "meshConfig" in tree else {}
    over = merge(mesh, {"values": free} if free else {})
    return replace(given, tree=merge(merge(extra, tree), over), lines=lines)
