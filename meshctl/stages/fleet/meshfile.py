"""A mesh.yaml, read strictly: every problem of it at once, each with its line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from meshctl.model.mesh import (
    TRUST_DOMAIN,
    Cluster,
    Layer,
    Mesh,
    Network,
    NetworkGateway,
    Overlay,
    Role,
    Source,
    Tokens,
    Trust,
)
from meshctl.model.values import merge, put
from meshctl.stages.fleet import meshcheck, topologycheck, trustcheck
from meshctl.stages.fleet.meshshape import API_VERSION, KIND, settings, shape
from meshctl.stages.settings import operator

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from meshctl.errors import ConfigError, Where
    from meshctl.model.mesh import Path
    from meshctl.model.values import Tree
    from meshctl.stages.settings.document import Document

_PLATFORM = ("values", "global", "platform")


@dataclass(frozen=True)
class Declared:
    """One document of a mesh.yaml.

    Attributes:
        mesh: the mesh.
        version: Istio's version; None leaves it to others.
        common: settings of all clusters.
        own: settings of each cluster, by its name.
        places: where each cluster is declared, by its name.
    """

    mesh: Mesh
    version: str | None
    common: Overlay
    own: Mapping[str, Overlay]
    places: Mapping[str, Where]


def is_mesh(told: Document) -> bool:
    """Whether a document is, or was meant to be, part of a mesh.yaml."""
    if not isinstance(told.data, dict):
        return False
    group = str(told.data.get("apiVersion") or "").partition("/")[0]
    return told.data.get("kind") == KIND or group == API_VERSION.partition("/")[0]


def implied(mesh: Mesh) -> Declared:
    """A mesh that no file declares."""
    return Declared(mesh, None, Overlay(Layer.FILE, "", {}), {}, {})


def read(file: tuple[Document, ...]) -> tuple[tuple[Declared, ...], list[ConfigError]]:
    """The meshes of a file's documents, and everything that is wrong with them.

    With problems there are no meshes; without, values are still to be checked with the other files'.
    """
    said = [Overlay(Layer.FILE, each.file, _map(each.data), each.lines) for each in file]
    problems: list[ConfigError] = []
    for told, doc in zip(file, said, strict=True):
        problems += meshcheck.problems(told.data, shape(), (), doc)
    trees = [meshcheck.without_nulls(each.tree) for each in said]
    if not problems:  # who belongs to whom cannot be judged where a name may be missing
        problems += topologycheck.problems(trees, said)
        problems += [
            fault for tree, doc in zip(trees, said, strict=True) for fault in trustcheck.problems(tree, doc)
        ]
    problems += [fault for each in _all_settings(said) for fault in topologycheck.said_twice(each)]
    if problems:
        problems += [fault for each in _all_settings(said) for fault in operator.problems(each)]
        return (), problems
    meshes = [_mesh(tree, trees, PurePath(doc.origin).parent) for tree, doc in zip(trees, said, strict=True)]
    return tuple(_declared(*each) for each in zip(meshes, trees, said, strict=True)), []


def _map(data: Any) -> Mapping[str, Any]:
    return data if isinstance(data, dict) else {}


# The nouns.


def _mesh(tree: Tree, all_trees: Iterable[Tree], beside: PurePath) -> Mesh:
    """The mesh of a sound document, which knows the trust domains and networks of the others.

    Paths in it are told from `beside`, the folder of its file.
    """
    spec, name = tree["spec"], tree["metadata"]["name"]
    trust = spec.get("trust") or {}
    domain = trust.get("domain", "")
    others = [each["spec"] for each in all_trees if each is not tree]
    foreign = [(each.get("trust") or {}).get("domain") or TRUST_DOMAIN for each in others]
    own = domain or TRUST_DOMAIN
    trusted = dict.fromkeys([*trust.get("aliases", ()), *foreign])
    foreign_networks = {cluster.get("network", "") for each in others for cluster in each["clusters"]}
    return Mesh(
        name,
        tuple(_cluster(each, spec["clusters"]) for each in spec["clusters"]),
        identifier=spec.get("meshID") or name,
        trust_domain=domain,
        trusted=tuple(each for each in trusted if each != own),
        networks=tuple(_network(each) for each in spec.get("networks", ())),
        beside=tuple(sorted(foreign_networks - {""})),
        trust=_trust(trust, beside),
        tokens=_tokens(spec.get("remoteSecrets") or {}),
    )


def _trust(said: Tree, beside: PurePath) -> Trust:
    usual = Trust()
    source = Source(said.get("ca", Source.THERE))
    return Trust(
        source,
        root=_placed(said.get("root", "ca"), beside) if source is Source.MANAGED else "",
        files=_placed(said["files"], beside) if source is Source.FILES else "",
        days=said.get("days", usual.days),
        constrained=said.get("nameConstraints", False),
    )


def _placed(path: str, beside: PurePath) -> str:
    return path if path.startswith("~") else str(beside / path)


def _tokens(said: Tree) -> Tokens:
    return Tokens(said.get("days", Tokens().days), said.get("longLived", False))


def _cluster(said: Tree, clusters: list[Tree]) -> Cluster:
    role = Role(said.get("role", Role.PRIMARY))
    return Cluster(
        said["name"],
        context=said.get("context", ""),
        role=role,
        network=said.get("network", ""),
        control_plane=topologycheck.control_plane(said, clusters),
        address=said.get("address", ""),
        gateway=said.get("eastWestGateway"),
        kubeconfig=said.get("kubeconfig", ""),
        server=said.get("server", ""),
    )


def _network(said: Tree) -> Network:
    gateways = [NetworkGateway(**each) for each in said.get("gateways", ())]
    return Network(said["name"], tuple(gateways))


# The settings.


def _declared(mesh: Mesh, tree: Tree, said: Overlay) -> Declared:
    own, places = {}, {}
    for index, cluster in enumerate(mesh.clusters):
        at: Path = ("spec", "clusters", index)
        settled = _settings(tree["spec"]["clusters"][index], said, at, Layer.CLUSTER)
        own[cluster.name] = _inherited(settled, cluster, mesh, tree)
        places[cluster.name] = said.where(at)
    common = _settings(tree["spec"], said, ("spec",), Layer.FILE)
    return Declared(mesh, tree["spec"].get("version"), common, own, places)


def _settings(told: Mapping[str, Any], said: Overlay, at: Path, layer: Layer) -> Overlay:
    """The settings at a place of a document, in the shape of an IstioOperator's `spec`."""
    names = {key for key, each in settings().items() if each.setting} | {"compatibilityVersion"}
    tree: Tree = {key: each for key, each in told.items() if key in names and each is not None}
    lines = {path[len(at) :]: line for path, line in said.lines.items() if path[: len(at)] == at}
    if isinstance(told.get("platform"), str):
        tree = merge(put(_PLATFORM, told["platform"]), tree)
        lines[_PLATFORM] = lines["platform",]
    return Overlay(layer, said.origin, tree, lines, lead=at)


def _inherited(settled: Overlay, cluster: Cluster, mesh: Mesh, tree: Tree) -> Overlay:
    """A remote's settings, with the revision and the namespace of the istiod that serves it."""
    names = [each.name for each in mesh.clusters]
    if not cluster.control_plane:
        return settled
    server = tree["spec"]["clusters"][names.index(cluster.control_plane)]
    same = {key: server[key] for key in topologycheck.SHARED if key in server}
    return Overlay(settled.layer, settled.origin, merge(same, settled.tree), settled.lines, lead=settled.lead)


def _all_settings(said: Iterable[Overlay]) -> Iterator[Overlay]:
    """The settings wherever in the documents they stand; takes what fits of documents that are not sound."""
    for doc in said:
        spec = _map(doc.tree.get("spec"))
        clusters = spec.get("clusters")
        places: list[tuple[Any, Path, Layer]] = [(spec, ("spec",), Layer.FILE)]
        for index, each in enumerate(clusters if isinstance(clusters, list) else ()):
            places.append((each, ("spec", "clusters", index), Layer.CLUSTER))
        for told, at, layer in places:
            deep = {key: each for key, each in _map(told).items() if key in meshcheck.DEEP}
            fit = {key: each for key, each in deep.items() if isinstance(each, dict)}
            yield _settings(fit, doc, at, layer)
