"""Values that each fit, held together: what an API server or istiod would refuse of the whole.

Source: pkg/apis/{core,apps,autoscaling}/validation of Kubernetes 1.34.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.crds.minors import has, known
from meshctl.crds.schema import Array, Map, Object
from meshctl.errors import ConfigError
from meshctl.model.mesh import dotted
from meshctl.model.values import is_missing, look, place
from meshctl.stages.schema import pods, typed
from meshctl.stages.schema.fields import told
from meshctl.stages.schema.schema import schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.crds.schema import Schema
    from meshctl.model.mesh import Path
    from meshctl.model.values import Tree, Values

_GATEWAYS = ("istio-ingressgateway", "istio-egressgateway", "istio-eastwestgateway")
_MESH_CONFIG = ("values", "meshConfig")


def faults(values: Values) -> Iterator[ConfigError]:
    """Everything that is wrong with the settled values where the user has a part in it.

    Nothing is, where some of them are meant to be taken as they are.
    """
    own = values.own()
    if not own.get("values") or own.get("unvalidatedValues"):
        return
    for field in schema().paths():
        kind = typed.type_of(field.type, field.of)
        if kind is None or is_missing(look(own, field.path)):
            continue
        whole = look(values.spec, field.path)
        if is_missing(whole) or whole is None:
            continue
        for each in typed.problems(kind, whole, name=dotted(field.path[1:]), partial=False):
            path = (*field.path, *each.path)
            yield told(each, place(values, path))
    yield from _too_new(values, own)
    for root in ("pilot", *(f"gateways.{name}" for name in _GATEWAYS)):
        yield from _workload(values, own, root)
    yield from _account(values)
    yield from pods.faults(values, own)
    for name in _GATEWAYS:
        yield from _gateway(values, own, f"gateways.{name}")


def _too_new(values: Values, own: Tree) -> Iterator[ConfigError]:
    """Fields of the mesh configuration that this version of Istio does not know."""
    said = look(own, _MESH_CONFIG)
    kind = typed.type_of("MeshConfig")
    if not isinstance(said, dict) or kind is None:
        return
    for path, minor in _newer(kind.schema, said, (), values.version.minor):
        yield ConfigError(
            "not-in-this-version",
            f"Istio {values.version.full} has no {dotted(('meshConfig', *path))}",
            where=place(values, (*_MESH_CONFIG, *path)),
            hint=f"it came with Istio {minor}: choose another version with --istio-version, or leave it out",
        )


def _newer(node: Schema, said: Any, path: Path, minor: str) -> Iterator[tuple[Path, str]]:
    if not has(node, known(minor)):
        yield path, node.first_minor
    elif isinstance(node, Object) and isinstance(said, dict):
        for key, below in said.items():
            if key in node.fields:
                yield from _newer(node.fields[key], below, (*path, key), minor)
    elif isinstance(node, Map) and isinstance(said, dict):
        for key, below in said.items():
            yield from _newer(node.values, below, (*path, key), minor)
    elif isinstance(node, Array) and isinstance(said, list):
        for index, each in enumerate(said):
            yield from _newer(node.items, each, (*path, index), minor)


def _fault(values: Values, path: str, message: str, hint: str) -> ConfigError:
    return ConfigError("wrong-value", message, where=place(values, ("values", *path.split("."))), hint=hint)


def _said(own: Tree, *paths: str) -> bool:
    """Whether the user set one of these."""
    return any(not is_missing(look(own, ("values", *path.split(".")))) for path in paths)


def _workload(values: Values, own: Tree, root: str) -> Iterator[ConfigError]:
    """What istiod and gateways have in common: rollouts and autoscalers."""
    surge, missing = f"{root}.rollingMaxSurge", f"{root}.rollingMaxUnavailable"
    if _said(own, surge, missing):
        from meshctl.crds.kubernetes_rules import is_zero  # only wanted where something is set

        sizes = [values.at(each) for each in (surge, missing)]
        if all(size is not None and is_zero(size) for size in sizes):
            what = f"{surge} and rollingMaxUnavailable are both {sizes[0]}, so that no rollout can begin"
            yield _fault(values, surge, what, "set one of them above 0")
        if str(sizes[1]).endswith("%") and int(str(sizes[1])[:-1]) > 100:
            yield _fault(values, missing, f"{missing} is {sizes[1]}", "it is at most 100%")
    fewest, most = f"{root}.autoscaleMin", f"{root}.autoscaleMax"
    if _said(own, fewest, most) and values.at(f"{root}.autoscaleEnabled"):
        low, high = values.at(fewest) or 0, values.at(most) or 0
        if high and low > high:
            yield _fault(values, fewest, f"{fewest} is {low}, more than autoscaleMax {high}", "make it less")
    families, policy = values.at(f"{root}.ipFamilies") or [], values.at(f"{root}.ipFamilyPolicy")
    if _said(own, f"{root}.ipFamilies", f"{root}.ipFamilyPolicy"):
        if len(set(families)) != len(families):
            yield _fault(values, f"{root}.ipFamilies", f"{root}.ipFamilies names one twice", "name it once")
        elif len(families) > 1 and policy in ("", None, "SingleStack"):
            what = f"{root}.ipFamilies has two families, and ipFamilyPolicy is for one"
            yield _fault(values, f"{root}.ipFamilies", what, "set ipFamilyPolicy to PreferDualStack")


def _account(values: Values) -> Iterator[ConfigError]:
    """An account of the user's stands somewhere."""
    account = "global.readerServiceAccount"
    if values.at(f"{account}.name") and not values.at(f"{account}.namespace"):
        yield _fault(values, f"{account}.name", f"{account} has no namespace", "say where the account is")


def _gateway(values: Values, own: Tree, root: str) -> Iterator[ConfigError]:
    """What a gateway's Service may say, by its type; and ports of its container that differ."""
    kind = values.at(f"{root}.type")
    ranges, policy = f"{root}.loadBalancerSourceRanges", f"{root}.externalTrafficPolicy"
    if _said(own, f"{root}.type", ranges, policy):
        if kind == "ExternalName":
            yield _fault(values, f"{root}.type", f"{root}.type is ExternalName", "a gateway has addresses")
        elif kind != "LoadBalancer" and values.at(ranges):
            what = f"{ranges} is for the type LoadBalancer, not {kind}"
            yield _fault(values, ranges, what, "leave it out, or change the type")
        elif kind == "ClusterIP" and values.at(policy):
            what = f"{policy} is for the types LoadBalancer and NodePort, not {kind}"
            yield _fault(values, policy, what, "leave it out, or change the type")
    if _said(own, f"{root}.ports", f"{root}.type", f"{root}.ingressPorts", f"{root}.egressPorts"):
        yield from _ports(values, root, str(kind))


def _ports(values: Values, root: str, kind: str) -> Iterator[ConfigError]:
    """Ports of the Service differ in number and name, and those of the container in number."""
    further = f"{root}.{root.split('.')[1].split('-')[1].removesuffix('gateway')}Ports"
    seen: set[tuple[str, Any, str]] = {("to", 15090, "TCP")}
    ports = [*(values.at(f"{root}.ports") or ()), *(values.at(further) or ())]
    ours = len(values.at(f"{root}.ports") or ())
    if not ports and not values.at(f"{root}.customService"):
        yield _fault(values, f"{root}.ports", f"{root}.ports is empty", "a Service has at least one port")
    for index, each in enumerate(ports):
        # Of further ports the Service is told number and name only, as upstream's is: they are TCP.
        protocol = (each.get("protocol") if index < ours else None) or "TCP"
        marks = {("port", each.get("port"), protocol), ("name", each.get("name"), "")}
        if index < ours:
            marks.add(("to", each.get("targetPort") or each.get("port"), protocol))
        path = f"{root}.ports" if index < ours else further
        where = place(values, ("values", *path.split("."), index if index < ours else index - ours))
        for what, name, _ in sorted(marks & seen, key=str):
            said = f"{path} has the {'targetPort' if what == 'to' else what} {name!r} again"
            yield ConfigError("duplicate-item", said, where=where, hint="keep one of them")
        if len(ports) > 1 and not each.get("name"):
            hint = "with several ports each has one"
            yield ConfigError("incomplete-value", f"a port of {path} has no name", where=where, hint=hint)
        if each.get("nodePort") and kind == "ClusterIP":
            yield ConfigError("wrong-value", f"a port of {path} has a nodePort", where=where,
                              hint="it is for the types LoadBalancer and NodePort")  # fmt: skip
        seen |= marks
