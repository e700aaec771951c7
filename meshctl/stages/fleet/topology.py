"""What a cluster's place in the topology of its mesh means for its settings.

Source: istio.io/istio samples/multicluster, and Istio's guides on installing across clusters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from meshctl.errors import ConfigError
from meshctl.model.labels import NETWORK
from meshctl.model.mesh import Role, Source
from meshctl.model.values import is_missing, look, merge, put
from meshctl.stages.fleet.meshcheck import is_ip

if TYPE_CHECKING:
    from meshctl.errors import Where
    from meshctl.model.mesh import Cluster, Mesh
    from meshctl.model.values import Tree

_XDS, _WEBHOOK = 15012, 15017
_ROOTS = "/etc/ssl/certs/ca-certificates.crt"  # where the proxy's image has the authorities of the internet
_SEVERAL_ROOTS = ("values", "pilot", "env", "ISTIO_MULTIROOT_MESH")
_ROOTS_BY_XDS = ("values", "meshConfig", "defaultConfig", "proxyMetadata", "PROXY_CONFIG_XDS_AGENT")
_AMBIENT = ("values", "pilot", "env", "PILOT_ENABLE_AMBIENT")


def derived(mesh: Mesh, cluster: Cluster, spec: Tree, place: Where | None = None) -> Tree:
    """Settings of one cluster, in the shape of an IstioOperator's `spec`.

    Args:
        mesh: the mesh.
        cluster: one of its clusters.
        spec: what is settled but for the topology; tells revision, namespace, and whether it is ambient.
        place: where the cluster is declared, for errors.

    Raises:
        ConfigError: the address of the istiod that serves it is not known.
    """
    if not mesh.identifier:  # nobody said a topology
        return _of_values({"global": {"network": cluster.network}}) if cluster.network else {}
    found = merge(_identity(mesh, cluster), _of_role(mesh, cluster, spec, place))
    found = merge(found, _rotating(mesh, spec))
    return merge(found, _east_west(mesh, cluster, spec, place))


def _of_values(tree: Tree) -> Tree:
    return {"values": tree}


def _identity(mesh: Mesh, cluster: Cluster) -> Tree:
    """Names by which the mesh, the cluster and its network are known."""
    known = mesh.known_as(cluster)
    shared: Tree = {"meshID": mesh.identifier, "multiCluster": {"clusterName": known.name}}
    if known.network:
        shared["network"] = known.network
    networks = {each.name: _entries(mesh, each.name) for each in mesh.networks if each.gateways}
    if networks:
        shared["meshNetworks"] = networks
    config: Tree = {}
    if mesh.trust_domain:
        config["trustDomain"] = mesh.trust_domain
    if mesh.trusted:
        config["trustDomainAliases"] = list(mesh.trusted)
    return _of_values({"global": shared, **({"meshConfig": config} if config else {})})


def _entries(mesh: Mesh, network: str) -> Tree:
    """A network whose gateways are said, as istiod reads it."""
    gateways = next(each.gateways for each in mesh.networks if each.name == network)
    members = [each for each in mesh.clusters if each.network == network and each.role is not Role.EXTERNAL]
    return {
        "endpoints": [{"fromRegistry": each.name} for each in members],
        "gateways": [{"address": each.address, "port": each.port} for each in gateways],
    }


def _rotating(mesh: Mesh, spec: Tree) -> Tree:
    """What lets the roots of a mesh change while its proxies run; what is settled otherwise stays."""
    found: Tree = {}
    if mesh.trust.source is Source.MANAGED:
        for path in (_SEVERAL_ROOTS, _ROOTS_BY_XDS):
            if is_missing(look(spec, path)):
                found = merge(found, put(path, "true"))
    return found


# Roles.


def _of_role(mesh: Mesh, cluster: Cluster, spec: Tree, place: Where | None) -> Tree:
    match cluster.role:
        case Role.PRIMARY:
            serves = bool(mesh.served_by(cluster.name))
            return _of_values({"global": {"externalIstiod": True}}) if serves else {}
        case Role.REMOTE | Role.CONFIG:
            return _served(mesh, cluster, place)
        case Role.EXTERNAL:
            return _external(cluster, spec)
        case _:
            assert_never(cluster.role)


def _served(mesh: Mesh, cluster: Cluster, place: Where | None) -> Tree:
    """A cluster that asks another's istiod: how it reaches it, and as whom."""
    server = mesh.cluster(cluster.control_plane)
    assert server is not None  # checked when the file was read
    address = _address(server, place)
    path = f"/inject/cluster/{cluster.name}" + (f"/net/{cluster.network}" if cluster.network else "")
    if not _has_public_name(server):  # through a Service of istiod's usual name
        remote = {"injectionPath": path}
        return _of_values({"global": {"remotePilotAddress": address}, "istiodRemote": remote})
    webhooks = f"https://{address}:{_WEBHOOK}"
    found: Tree = {"istiodRemote": {"injectionURL": webhooks + path}}
    if cluster.role is Role.CONFIG:
        found["base"] = {"validationURL": f"{webhooks}/validate"}
        found["meshConfig"] = {"defaultConfig": {"discoveryAddress": f"{address}:{_XDS}"}}
    return _of_values(found)


def _address(server: Cluster, place: Where | None) -> str:
    address = server.address or server.found
    if not address:
        raise ConfigError(
            "unknown-address",
            f"where to reach the istiod of {server.name!r} is not known",
            where=place,
            hint=f"write the address of its east-west gateway as `address` of {server.name!r}; "
            "an install of all clusters finds it out",
        )
    return address


def _has_public_name(server: Cluster) -> bool:
    """Whether others call its istiod by a host name of the user's, whose certificate anybody can check."""
    return server.role is Role.EXTERNAL and bool(server.address) and not is_ip(server.address)


def _external(cluster: Cluster, spec: Tree) -> Tree:
    """An istiod that serves others: where it finds its own settings, and how proxies find it."""
    revision, namespace = _settled(spec)
    suffix = f"-{revision}" if revision else ""
    volumes = {
        "config-volume": (f"istio{suffix}", "/etc/istio/config"),
        "inject-volume": (f"istio-sidecar-injector{suffix}", "/var/lib/istio/inject"),
    }
    injector = validator = ""  # with a host name their authority is public, so there is nothing to patch
    found: Tree = {}
    if not _has_public_name(cluster):
        elsewhere = f"-{namespace}" if namespace != "istio-system" else ""
        injector = f"istio-sidecar-injector{suffix}{elsewhere}"
        validator = f"istio-validator{suffix}-{namespace}"
    else:
        metadata = {"XDS_ROOT_CA": _ROOTS, "CA_ROOT_CA": _ROOTS}
        address = f"{cluster.address}:{_XDS}"
        config = {"discoveryAddress": address, "proxyMetadata": metadata}
        found = {"global": {"caAddress": address}, "meshConfig": {"defaultConfig": config}}
    pilot = {
        "env": {
            "INJECTION_WEBHOOK_CONFIG_NAME": injector,
            "VALIDATION_WEBHOOK_CONFIG_NAME": validator,
            "SHARED_MESH_CONFIG": f"istio{suffix}",
        },
        "volumes": [{"name": name, "configMap": {"name": of}} for name, (of, _) in volumes.items()],
        "volumeMounts": [{"name": name, "mountPath": at} for name, (_, at) in volumes.items()],
    }
    return _of_values(merge(found, {"pilot": pilot}))


def _settled(spec: Tree) -> tuple[str, str]:
    values = spec.get("values", {})
    return str(values.get("revision") or ""), str(values["global"].get("istioNamespace") or "istio-system")


# Gateways between networks, and to an istiod that serves other clusters.


def _has_gateway(mesh: Mesh, cluster: Cluster) -> bool:
    """Whether a cluster has an east-west gateway; that of an external istiod is a Service alone."""
    if cluster.gateway is not None:
        return cluster.gateway
    if cluster.role is Role.EXTERNAL:
        return not _has_public_name(cluster)
    return mesh.spans_networks or bool(mesh.served_by(cluster.name))


def _east_west(mesh: Mesh, cluster: Cluster, spec: Tree, place: Where | None) -> Tree:
    if not _has_gateway(mesh, cluster):
        return {}
    if cluster.role is Role.EXTERNAL:  # no proxies there: the load balancer leads to istiod itself
        return _components([{"enabled": True, "exposes": ["istiod"], "direct": True}])
    serves = bool(mesh.served_by(cluster.name))
    exposed = []
    if mesh.spans_networks and cluster.role in (Role.PRIMARY, Role.CONFIG):  # a remote's come from there
        exposed.append("services")
    if cluster.role is Role.PRIMARY and (serves or cluster.gateway):
        exposed.append("istiod")
    gateway: Tree = {"enabled": True, "exposes": exposed}
    found: Tree = {}
    if cluster.network:
        view = {"name": "ISTIO_META_REQUESTED_NETWORK_VIEW", "value": cluster.network}
        gateway |= {"label": {NETWORK: cluster.network}, "k8s": {"env": [view]}}
        if mesh.spans_networks and str(look(spec, _AMBIENT)).lower() == "true":
            if "istiod" in exposed:
                raise _not_for_ambient(cluster, place)
            gateway["ambient"] = True
            found = put(("values", "pilot", "env", "AMBIENT_ENABLE_MULTI_NETWORK"), "true")
    return merge(found, _components([gateway]))


def _not_for_ambient(cluster: Cluster, place: Where | None) -> ConfigError:
    return ConfigError(
        "ambient-serves-itself",
        f"{cluster.name!r} is ambient and spans networks, and its gateway cannot lead to istiod as well",
        where=place,
        hint="make each cluster of an ambient mesh that spans networks a primary",
    )


def _components(gateways: list[dict[str, Any]]) -> Tree:
    return {"components": {"eastWestGateways": gateways}}
