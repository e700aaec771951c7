"""The record that a cluster carries of what meshctl did in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.model.manifest import Manifest
    from meshctl.model.mesh import Layer, Mesh
    from meshctl.model.objects import Ref


class Status(StrEnum):
    """Where a release stands."""

    PENDING = "pending"
    DEPLOYED = "deployed"
    FAILED = "failed"
    SUPERSEDED = "superseded"
    UNINSTALLING = "uninstalling"


@dataclass(frozen=True)
class Asked:
    """What a release was made from, so that the same can be asked for again.

    Attributes:
        mesh: the whole mesh with its topology; without an identifier where no mesh.yaml says one.
        settings: the user's own trees with the layer of each, lowest first, in the shape of an
            IstioOperator's `spec`. They are not laid over each other, as null and what is said of
            lists would not come through that unchanged.
    """

    mesh: Mesh
    settings: tuple[tuple[Layer, Mapping[str, Any]], ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Release:
    """One generation of a mesh in one cluster.

    Attributes:
        mesh: name of the mesh.
        cluster: name of the cluster within the mesh.
        generation: counts from 1, one for each install or upgrade that changed something.
        status: where it stands.
        version: Istio's version, `1.31.1`.
        revision: Istio's control-plane revision; empty for the unnamed one.
        profile: profile it was made from.
        namespace: the mesh's namespace, `istio-system`.
        created: when the record was first written, RFC 3339, UTC.
        manifest: what was sent; no component has a Secret in it.
        values: the user's own settings in plain form; some may be tokens (a tracer's), which is why a
            record is kept as a Secret and never shown whole.
        inventory: names of all objects seen before the first generation, so that uninstall can tell
            what was there before; carried on from generation to generation.
        labelled: namespaces that meshctl labelled, with the labels as they were before.
        asked: what it was made from; None in records of before this was kept.
        cause: why there is this generation, for people: `upgrade from 1.31.0`, `rollback to 2`.
        restores: generation whose manifest this one has again; 0 where it has its own.
    """

    mesh: str
    cluster: str
    generation: int
    status: Status
    version: str
    revision: str
    profile: str
    namespace: str
    created: str
    manifest: Manifest
    values: Mapping[str, Any] = field(repr=False)
    inventory: tuple[Ref, ...] = ()
    labelled: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    asked: Asked | None = None
    cause: str = ""
    restores: int = 0

    @property
    def refs(self) -> frozenset[Ref]:
        """Names of every object this release owns."""
        return self.manifest.refs
