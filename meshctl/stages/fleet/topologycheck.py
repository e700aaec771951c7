"""Whether the clusters of a mesh.yaml fit together: names, roles, who serves whom, networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, listed, nearest
from meshctl.model.mesh import Role, dotted
from meshctl.model.values import is_missing, look, steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meshctl.model.mesh import Overlay, Path
    from meshctl.model.values import Tree

SHARED = {"namespace": "istio-system", "revision": ""}
"""Settings that a cluster has in common with the one whose istiod serves it, and what they are unset."""

# Values that the topology says, and where it says them.
_SAID_BY = {
    "global.meshID": "spec.meshID",
    "global.multiCluster.clusterName": "the cluster's name",
    "global.network": "the cluster's network",
    "global.remotePilotAddress": "address of the cluster whose istiod serves this one",
    "global.externalIstiod": "role",
    "global.configCluster": "role",
    "istiodRemote.enabled": "role",
    "meshConfig.trustDomain": "spec.trust.domain",
    "meshConfig.trustDomainAliases": "spec.trust.aliases",
}
_SERVERS = {Role.REMOTE: (Role.PRIMARY, Role.EXTERNAL), Role.CONFIG: (Role.EXTERNAL,)}


def control_plane(said: Tree, clusters: Sequence[Tree]) -> str:
    """Name of the cluster whose istiod serves this one; empty where it is its own, or cannot be told."""
    if "controlPlane" in said:
        return str(said["controlPlane"])
    if _role(said) not in _SERVERS:
        return ""
    able = _able(said, clusters)
    return str(able[0]["name"]) if len(able) == 1 else ""


def problems(trees: Sequence[Tree], docs: Sequence[Overlay]) -> Iterator[ConfigError]:
    """Everything that does not fit together, in documents each of which is sound by itself."""
    yield from _twice(
        [(doc, ("metadata", "name"), tree["metadata"]["name"]) for tree, doc in _both(trees, docs)]
    )
    named = [
        (doc, ("spec", "clusters", index, "name"), each["name"])
        for tree, doc in _both(trees, docs)
        for index, each in enumerate(tree["spec"]["clusters"])
    ]
    yield from _twice(named)
    by_name = {tree["metadata"]["name"]: (tree, doc) for tree, doc in _both(trees, docs)}
    identifiers = [
        (doc, ("spec", "meshID"), tree["spec"].get("meshID", name)) for name, (tree, doc) in by_name.items()
    ]
    yield from _twice(identifiers, "the mesh ID")
    everywhere = [each for tree in trees for each in tree["spec"]["clusters"]]
    several = any("network" in each for each in everywhere)
    for tree, doc in _both(trees, docs):
        clusters = tree["spec"]["clusters"]
        contexts = [
            (doc, ("spec", "clusters", index, "context"), each["context"])
            for index, each in enumerate(clusters)
            if each.get("context")
        ]
        yield from _twice(contexts, "the context")
        servers = [control_plane(each, clusters) for each in clusters]
        for index, each in enumerate(clusters):
            serves = [one for one, server in zip(clusters, servers, strict=True) if server == each["name"]]
            yield from _served(each, clusters, serves, ("spec", "clusters", index), doc)
        yield from _apart(tree["spec"], servers, doc)
        yield from _networks(tree["spec"], doc, named_anywhere=several)


def _both(trees: Sequence[Tree], docs: Sequence[Overlay]) -> list[tuple[Tree, Overlay]]:
    return list(zip(trees, docs, strict=True))


def _twice(found: Sequence[tuple[Overlay, Path, str]], what: str = "the name") -> Iterator[ConfigError]:
    first: dict[str, tuple[Overlay, Path]] = {}
    for doc, path, name in found:
        if name in first:
            other, there = first[name]
            yield ConfigError(
                "duplicate-name",
                f"{what} {name!r} is given twice",
                where=doc.where(path),
                hint=f"give each its own; the first is at {other.where(there)}",
            )
        else:
            first[name] = (doc, path)


# Who serves whom.


def _role(said: Tree) -> Role:
    return Role(said.get("role", Role.PRIMARY))


def _able(said: Tree, clusters: Sequence[Tree]) -> list[Tree]:
    """The clusters whose istiod could serve this one."""
    return [each for each in clusters if _role(each) in _SERVERS.get(_role(said), ())]


def _served(
    said: Tree, clusters: Sequence[Tree], serves: Sequence[Tree], path: Path, doc: Overlay
) -> Iterator[ConfigError]:
    role, name = _role(said), said["name"]
    if role in _SERVERS:
        yield from _server(said, clusters, path, doc)
    elif "controlPlane" in said:
        yield _pointless(
            f"{name!r} is {_a(role)}, and has an istiod of its own", (*path, "controlPlane"), doc,
            "leave controlPlane out, or write `role: remote`",
        )  # fmt: skip
    if "address" in said and not serves and role is not Role.EXTERNAL:
        yield _pointless(
            f"no cluster is served by {name!r}, so its address is of no use", (*path, "address"), doc,
            "leave it out, or name this cluster as controlPlane of another",
        )  # fmt: skip
    if role is Role.EXTERNAL:
        yield from _external(said, serves, path, doc)


def _server(said: Tree, clusters: Sequence[Tree], path: Path, doc: Overlay) -> Iterator[ConfigError]:
    name, role = said["name"], _role(said)
    able = [each["name"] for each in _able(said, clusters)]
    wanted = said.get("controlPlane")
    choice = f"choose one of {listed(able)}" if able else f"add a cluster with `role: {_SERVERS[role][0]}`"
    if wanted is None:
        if len(able) != 1:
            what = "several clusters could" if able else "no cluster can"
            yield ConfigError(
                "no-control-plane",
                f"{name!r} is {_a(role)}, and {what} serve it",
                where=doc.where(path),
                hint=f"name one in its controlPlane: {choice}" if able else choice,
            )
        return
    where = doc.where((*path, "controlPlane"))
    known = [each["name"] for each in clusters]
    if wanted not in known:
        near = nearest(wanted, able)
        guess = f"; did you mean {near!r}?" if near else ""
        yield ConfigError(
            "unknown-control-plane", f"no cluster is called {wanted!r}{guess}", where=where, hint=choice
        )
    elif wanted not in able:
        other = _role(clusters[known.index(wanted)])
        yield ConfigError(
            "wrong-control-plane",
            f"{name!r} is {_a(role)}, which cannot be served by {_a(other)} such as {wanted!r}",
            where=where,
            hint=choice,
        )


def _apart(spec: Mapping[str, Any], servers: Sequence[str], doc: Overlay) -> Iterator[ConfigError]:
    """Settings of clusters that are not as those of the istiod that serves them."""
    known = {each["name"]: each for each in spec["clusters"]}
    for index, (said, server) in enumerate(zip(spec["clusters"], servers, strict=True)):
        for key, unset in SHARED.items():
            due = known.get(server, {}).get(key, spec.get(key, unset))
            if server and key in said and said[key] != due:
                yield ConfigError(
                    "control-plane-differs",
                    f"{key} of {said['name']!r} is not that of {server!r}, whose istiod serves it",
                    where=doc.where(("spec", "clusters", index, key)),
                    hint=f"leave it out: it is {due!r}",
                )


def _external(said: Tree, serves: Sequence[Tree], path: Path, doc: Overlay) -> Iterator[ConfigError]:
    name = said["name"]
    configs = [each["name"] for each in serves if _role(each) is Role.CONFIG]
    if len(configs) != 1:
        yield ConfigError(
            "no-config-cluster" if not configs else "several-config-clusters",
            f"the external control plane {name!r} needs one cluster that holds its configuration"
            + (f", not {listed(configs)}" if configs else ""),
            where=doc.where(path),
            hint=f"write `role: config` and `controlPlane: {name}` at one of the clusters it serves",
        )
    if "network" in said:
        yield _pointless(
            f"{name!r} has no workloads in the mesh, so its network is of no use", (*path, "network"), doc,
            "leave it out",
        )  # fmt: skip


def _a(role: Role) -> str:
    match role:
        case Role.EXTERNAL:
            return "an external control plane"
        case Role.CONFIG:
            return "a config cluster"
        case _:
            return f"a {role}"


def _pointless(what: str, path: Path, doc: Overlay, hint: str) -> ConfigError:
    return ConfigError("no-effect", what, where=doc.where(path), hint=hint)


# Networks.


def _networks(spec: Mapping[str, Any], doc: Overlay, *, named_anywhere: bool) -> Iterator[ConfigError]:
    listed_networks = spec.get("networks", ())
    yield from _twice(
        [(doc, ("spec", "networks", i, "name"), each["name"]) for i, each in enumerate(listed_networks)]
    )
    known = [each["name"] for each in listed_networks]
    members = [(i, each) for i, each in enumerate(spec["clusters"]) if _role(each) is not Role.EXTERNAL]
    named = [each["network"] for _, each in members if "network" in each]
    for index, each in members:
        network = each.get("network")
        if network is None and (named_anywhere or known):
            yield ConfigError(
                "no-network",
                f"{each['name']!r} has no network, while the others have",
                where=doc.where(("spec", "clusters", index)),
                hint="name the network of every cluster, or of none where all reach each other's pods",
            )
        elif network is not None and known and network not in known:
            near = nearest(network, known)
            guess = f"; did you mean {near!r}?" if near else ""
            yield ConfigError(
                "unknown-network",
                f"{network!r} is not among spec.networks{guess}",
                where=doc.where(("spec", "clusters", index, "network")),
                hint=f"choose one of {listed(known)}, or add it there",
            )
    for index, each in enumerate(listed_networks):
        if each["name"] not in named and not each.get("gateways"):
            yield _pointless(
                f"the network {each['name']!r} has neither clusters nor gateways",
                ("spec", "networks", index), doc, "name it at a cluster, give it gateways, or leave it out",
            )  # fmt: skip


# Values.


def said_twice(overlay: Overlay) -> Iterator[ConfigError]:
    """The settings of an overlay that are the topology's to say."""
    for value, place in _SAID_BY.items():
        path = steps(value)
        for each in (path, path[1:]) if path[1] == "meshConfig" else (path,):
            if not is_missing(look(overlay.tree, each)):
                yield ConfigError(
                    "said-by-topology",
                    f"{dotted(path[1:])} follows from the topology",
                    where=overlay.where(each),
                    hint=f"leave it out; it is said by {place}",
                )
