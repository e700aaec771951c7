"""What the user asks for, before it is settled: a mesh, its clusters, and overlays of values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from meshctl.errors import Where

if TYPE_CHECKING:
    from collections.abc import Mapping

Path: TypeAlias = tuple[str | int, ...]
"""Steps to a place in a tree: keys of maps, and indexes into lists."""


TRUST_DOMAIN: Final = "cluster.local"
"""Istio's own, where none is said."""


class Role(StrEnum):
    """What a cluster does for the mesh; what each changes is in profiles/roles."""

    PRIMARY = "primary"
    """Has an istiod of its own, which may serve remotes too."""
    REMOTE = "remote"
    """Is served by the istiod of a primary, or by an external one."""
    CONFIG = "config"
    """A remote in which an external istiod finds the mesh's configuration."""
    EXTERNAL = "external"
    """Runs an istiod for others, and has no workloads in the mesh."""


class Source(StrEnum):
    """Where the certificate authorities of a mesh's clusters come from."""

    THERE = "there"
    """Whatever the clusters have: Secrets of the user's own, or what istiod makes itself."""
    MANAGED = "managed"
    """An intermediate for each cluster, issued by us under a root that the operator keeps."""
    FILES = "files"
    """Files of the user's, a folder for each cluster."""
    SELF_SIGNED = "self-signed"
    """Made by the istiod of each cluster; clusters do not trust each other."""


@dataclass(frozen=True, slots=True)
class Trust:
    """What vouches for the identities of a mesh.

    Attributes:
        source: where authorities come from.
        root: folder of the roots that `meshctl ca init` made; of use where the source is MANAGED.
        files: folder of a cluster's files, with `{cluster}` for its name; of use where the source is FILES.
        days: length of an intermediate's validity.
        constrained: whether intermediates may sign names of the mesh's trust domains alone.
    """

    source: Source = Source.THERE
    root: str = ""
    files: str = ""
    days: int = 730
    constrained: bool = False

    def folder_of(self, cluster: str) -> str:
        """Folder of the user's files for a cluster."""
        return self.files.replace("{cluster}", cluster)


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens by which the istiods of a mesh read each other's clusters.

    Attributes:
        days: length of a token's life; an API server may cut it.
        long_lived: whether they never end.
    """

    days: int = 90
    long_lived: bool = False


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster of a mesh.

    Attributes:
        name: name within the mesh, by which istiod and proxies know it.
        context: context in the kubeconfig; empty is the current one.
        role: what it does for the mesh.
        network: clusters on one network reach each other's pods directly; empty is the only network.
        control_plane: name of the cluster whose istiod serves this one; empty: its own.
        address: IP address or host name at which clusters that it serves reach its istiod; empty: unknown.
        gateway: whether it has an east-west gateway; None: where the topology asks for one.
        kubeconfig: file in which its context is; empty: where the command line says.
        server: address of its API server as other clusters reach it; empty: as the kubeconfig says.
        found: address of its east-west gateway as seen, which counts where `address` is not said.
    """

    name: str
    context: str = ""
    role: Role = Role.PRIMARY
    network: str = ""
    control_plane: str = ""
    address: str = ""
    gateway: bool | None = None
    kubeconfig: str = ""
    server: str = ""
    found: str = ""

    @property
    def has_istiod(self) -> bool:
        """Whether an istiod runs in it, for itself or for others."""
        return self.role in (Role.PRIMARY, Role.EXTERNAL)


@dataclass(frozen=True, slots=True)
class NetworkGateway:
    """Where traffic enters a network: an IP address or host name, and a port."""

    address: str
    port: int = 15443


@dataclass(frozen=True, slots=True)
class Network:
    """A network whose gateways are said; those of other networks are found by their labels."""

    name: str
    gateways: tuple[NetworkGateway, ...] = ()


@dataclass(frozen=True, slots=True)
class Mesh:
    """A mesh: its name, and its clusters in the order they were named.

    Attributes:
        name: by which releases and owned objects are known.
        clusters: never empty.
        identifier: Istio's mesh ID; empty where no mesh.yaml says the topology.
        trust_domain: of the mesh's identities; empty is Istio's default.
        trusted: other trust domains whose identities count as this mesh's own.
        networks: those whose gateways are said.
        trust: what vouches for its identities.
        tokens: by which its istiods read each other's clusters.
        beside: networks of other meshes, whose identities are trusted and whose services are called.
    """

    name: str
    clusters: tuple[Cluster, ...]
    identifier: str = ""
    trust_domain: str = ""
    trusted: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    beside: tuple[str, ...] = ()
    trust: Trust = field(default_factory=Trust)
    tokens: Tokens = field(default_factory=Tokens)

    @property
    def spans_networks(self) -> bool:
        """Whether traffic has to cross from one network to another."""
        own = {each.network for each in self.clusters if each.role is not Role.EXTERNAL}
        return len({*own, *self.beside}) > 1

    def cluster(self, name: str) -> Cluster | None:
        """The cluster of this name; None where there is none."""
        return next((each for each in self.clusters if each.name == name), None)

    def served_by(self, name: str) -> tuple[Cluster, ...]:
        """The clusters that the istiod of cluster `name` serves, besides its own."""
        return tuple(each for each in self.clusters if each.control_plane == name)

    def known_as(self, cluster: Cluster) -> Cluster:
        """The cluster as which its istiod works: an external one works as its config cluster."""
        if cluster.role is not Role.EXTERNAL:
            return cluster
        served = self.served_by(cluster.name)
        return next((each for each in served if each.role is Role.CONFIG), cluster)

    def steward(self, cluster: Cluster) -> str:
        """Name of the cluster as which the istiod of another one works for this; empty: nobody's does."""
        server = self.cluster(cluster.control_plane)
        if server is None or self.known_as(server).name == cluster.name:
            return ""
        return self.known_as(server).name


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the command line says.

    Attributes:
        profile: name of a profile; None takes what the files name, or `default`.
        files: a mesh.yaml, IstioOperator files or files of values, lowest first; `-` is standard input.
        sets: `path=value` strings, lowest first.
        version: Istio's minor or full version; None is the catalogue's default.
        revision: control-plane revision; None leaves it to the files.
        namespace: the mesh's namespace; None leaves it to the files.
        only: the one cluster of a mesh.yaml that is asked for; None: all.
        mesh: name of the mesh where no mesh.yaml names it.
        cluster: name of the cluster within that mesh.
        context: its context in the kubeconfig; empty is the current one.
    """

    profile: str | None = None
    files: tuple[str, ...] = ()
    sets: tuple[str, ...] = field(default=(), repr=False)
    version: str | None = None
    revision: str | None = None
    namespace: str | None = None
    only: str | None = None
    mesh: str = "mesh"
    cluster: str = "cluster"
    context: str = ""


class Layer(IntEnum):
    """The one order in which values beat each other, lowest first; within a layer, the order given."""

    COMPONENT = 0
    """Defaults of a component: templates/*/component.yaml."""
    VERSION = 1
    """What an Istio minor brings: profiles/versions."""
    PROFILE = 2
    """A profile and those it extends: profiles/*.yaml."""
    PLATFORM = 3
    """Where a cluster runs, as its nodes show or a file says: profiles/platforms."""
    ROLE = 4
    """What a cluster does for the mesh: profiles/roles."""
    OBSERVED = 5
    """What follows from which components there are."""
    FILE = 6
    """Files given with -f, in their order; a mesh.yaml's settings for all clusters are one of them."""
    CLUSTER = 7
    """One cluster of a mesh.yaml: what its place in the topology means, then its own settings."""
    SET = 8
    """--set, and flags that are settings."""


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

    @property
    def is_flag(self) -> bool:
        """Whether it is one flag's, and may say no more than one field of one item of a list."""
        return self.origin.startswith("--")

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
