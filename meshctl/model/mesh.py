"""What the user asks for, before it is settled: a mesh, its clusters, and overlays of values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from meshctl.errors import Where

if TYPE_CHECKING:
    from collections.abc import Mapping

Path: TypeAlias = tuple[str | int, ...]
"""Steps to a place in a tree: keys of maps, and indexes into lists."""


class Role(StrEnum):
    """What a cluster does for the mesh."""

    PRIMARY = "primary"


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster of a mesh.

    Attributes:
        name: name within the mesh.
        context: context in the kubeconfig; empty is the current one.
        role: what it does for the mesh.
        network: clusters on one network reach each other's pods directly; empty is the only network.
    """

    name: str
    context: str = ""
    role: Role = Role.PRIMARY
    network: str = ""


@dataclass(frozen=True, slots=True)
class Mesh:
    """A mesh: its name, and its clusters in the order they were named."""

    name: str
    clusters: tuple[Cluster, ...]


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the command line says.

    Attributes:
        profile: name of a profile; None takes what the files name, or `default`.
        files: IstioOperator files or files of values, lowest first; `-` is standard input.
        sets: `path=value` strings, lowest first.
        version: Istio's minor or full version; None is the catalogue's default.
        revision: control-plane revision; None leaves it to the files.
        namespace: the mesh's namespace; None leaves it to the files.
        mesh: name of the mesh.
        cluster: name of the cluster within the mesh.
        context: its context in the kubeconfig; empty is the current one.
    """

    profile: str | None = None
    files: tuple[str, ...] = ()
    sets: tuple[str, ...] = field(default=(), repr=False)
    version: str | None = None
    revision: str | None = None
    namespace: str | None = None
    mesh: str = "mesh"
    cluster: str = "cluster"
    context: str = ""


class Layer(IntEnum):
    """The one order in which values beat each other, lowest first."""

    COMPONENT = 0
    VERSION = 1
    PROFILE = 2
    PLATFORM = 3
    ROLE = 4
    OBSERVED = 5
    FILE = 6
    CLUSTER = 7
    SET = 8


@dataclass(frozen=True)
class Overlay:
    """A tree of settings laid over those below it.

    Attributes:
        layer: where it stands in the order; overlays of one layer stand in the order given.
        origin: the file or flag it came from, as a person would name it.
        tree: settings in the shape of an IstioOperator's `spec`.
        lines: line of each place in the tree, counting from 1; places without one take their parent's.
        name: a component's or a profile's name, where it is one.
        trim: steps that stand before a place in the tree but not in the file: `values` in a file of values.
        lead: steps that stand before a place in the file but not in the tree: `spec` in an IstioOperator.
    """

    layer: Layer
    origin: str
    tree: Mapping[str, Any] = field(repr=False)
    lines: Mapping[Path, int] = field(default_factory=dict, compare=False, repr=False)
    name: str = ""
    trim: Path = ()
    lead: Path = ()

    def where(self, path: Path) -> Where:
        """The place of `path` in this overlay's origin."""
        line = next(
            (self.lines[path[:end]] for end in range(len(path), -1, -1) if path[:end] in self.lines), None
        )
        shown = path[len(self.trim) :] if path[: len(self.trim)] == self.trim else path
        return Where(self.origin, line, dotted(self.lead + shown))


def dotted(path: Path) -> str:
    r"""A path as Istio writes it: `a.b[0]`, a dot within a key as `\.`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            key = step.replace(".", "\\.")
            text += f".{key}" if text else key
    return text
