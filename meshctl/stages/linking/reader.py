"""The account in whose name a cluster is read, and all that it stands on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, assert_never

from meshctl.errors import ConfigError, Where
from meshctl.model.link import LinkKind
from meshctl.model.manifest import Manifest
from meshctl.model.mesh import Layer
from meshctl.model.objects import Ref
from meshctl.stages.rendering.render import render

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshctl.model.manifest import Part
    from meshctl.model.objects import Object
    from meshctl.model.values import Values

_BINDINGS = ("ClusterRoleBinding", "RoleBinding")
_STANDING = frozenset({"Namespace", "ServiceAccount", "ClusterRole", "Role", *_BINDINGS})
_ACCOUNT = "istio-reader-service-account"


@dataclass(frozen=True)
class Reader:
    """An account of a cluster that is read.

    Attributes:
        account: the ServiceAccount.
        parts: of the cluster's manifest, with no more than the namespace, the account where it is ours to
            make, its roles and their bindings.
    """

    account: Ref
    parts: tuple[Part, ...]


def reader(values: Values, kind: LinkKind) -> Reader:
    """Who reads a cluster with these values, as an install of it would make them.

    Raises:
        ConfigError: an install would bind no role to that account.
    """
    known = _standing(values)
    if kind not in known.readers:
        known.readers[kind] = _reader(values, kind, known.manifest)
    return known.readers[kind]


def _reader(values: Values, kind: LinkKind, manifest: Manifest) -> Reader:
    account = account_of(values, kind)
    bindings = [obj for obj in manifest.objects if obj.ref.kind in _BINDINGS and _binds(obj, account)]
    if not bindings:
        raise _nobody(values, account)
    roles = {(each.at("roleRef.kind"), each.at("roleRef.name")) for each in bindings}
    wanted = {account, Ref("v1", "Namespace", "", account.namespace), *(each.ref for each in bindings)}

    def stands_on(ref: Ref) -> bool:
        return ref in wanted or ((ref.kind, ref.name) in roles and ref.namespace in ("", account.namespace))

    return Reader(account, _only(manifest, stands_on))


def namespace_of(values: Values) -> tuple[Part, ...]:
    """The namespace of a cluster's istiod as an install would make it."""
    home = Ref("v1", "Namespace", "", values.namespace)
    return _only(_standing(values).manifest, lambda ref: ref == home)


@dataclass(frozen=True)
class _Standing:
    """What accounts of one cluster stand on, as an install would make it, and the accounts asked for."""

    values: Values
    manifest: Manifest
    readers: dict[LinkKind, Reader] = field(default_factory=dict)


_known: dict[int, _Standing] = {}


def _standing(values: Values) -> _Standing:
    """Rendered once for all the links of a cluster: a fleet has as many links as pairs of clusters."""
    known = _known.get(id(values))
    if known is None or known.values is not values:
        manifest = render(values, owner=values.mesh.name, install=True)
        known = _Standing(values, Manifest(_only(manifest, lambda ref: ref.kind in _STANDING)))
        _known[id(values)] = known
    return known


def _only(manifest: Manifest, is_wanted: Callable[[Ref], bool]) -> tuple[Part, ...]:
    """The parts with those of their objects that are wanted, none of which is awaited."""
    parts = (
        replace(part, objects=tuple(obj for obj in part.objects if is_wanted(obj.ref)), needs=(), ready=())
        for part in manifest.parts
    )
    return tuple(part for part in parts if part.objects)


def place(values: Values) -> Where:
    """Where the cluster of these values is declared."""
    for overlay in reversed(values.overlays):
        if overlay.layer == Layer.CLUSTER:
            return overlay.where(())
    return Where("mesh.yaml")


def account_of(values: Values, kind: LinkKind) -> Ref:
    """The ServiceAccount in whose name a cluster with these values is read."""
    match kind:
        case LinkKind.CONFIG:
            suffix = f"-{values.revision}" if values.revision else ""
            return Ref("v1", "ServiceAccount", values.namespace, f"istiod{suffix}")
        case LinkKind.REMOTE:
            own = values.at("values.global.readerServiceAccount")
            said = own if isinstance(own, dict) and own.get("name") else {}
            namespace = str(said.get("namespace") or values.namespace)
            return Ref("v1", "ServiceAccount", namespace, str(said.get("name") or _ACCOUNT))
        case _:
            assert_never(kind)


def _binds(binding: Object, account: Ref) -> bool:
    return any(
        (each.get("kind"), each.get("name")) == ("ServiceAccount", account.name)
        and each.get("namespace", binding.ref.namespace) == account.namespace
        for each in binding.at("subjects", ())
    )


def _nobody(values: Values, account: Ref) -> ConfigError:
    return ConfigError(
        "no-reader",
        f"nothing lets istiods elsewhere read {values.cluster.name!r}: no role would be bound to {account}",
        where=place(values),
        hint="leave `values.global.enableReaderRBAC` on, and the component `pilot` as its role has it",
    )
