"""Who takes part in a verification, and which gateways each has to reach."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshctl.model.mesh import TRUST_DOMAIN, Role
from meshctl.stages.verifying.workloads import Place, word

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from meshctl.model.verification import ClusterSeen, FleetSeen

_FOR_SERVED = (15012, 15017)
"""Ports of istiod that clusters without one of their own need: XDS, and webhooks."""


@dataclass(frozen=True, slots=True)
class Gate:
    """An address and port of a gateway.

    Attributes:
        word: by which a client is asked to try it.
        cluster: name of the cluster that it leads into.
        subject: the Service, or the place that says so.
        address: IP address or host name.
        port: of it.
    """

    word: str
    cluster: str
    subject: str
    address: str
    port: int

    @property
    def place(self) -> str:
        """`172.18.0.20:15443`."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


def placed(
    fleet: FleetSeen, *, image: str = ""
) -> tuple[tuple[Place, ...], Mapping[str, tuple[Gate, ...]], Mapping[str, str]]:
    """The clusters that take part, the gates that each has to reach, and why others take no part.

    Args:
        fleet: what was seen.
        image: of an Envoy; empty: that of the mesh's own proxies.
    """
    places, skipped = [], {}
    known = {each.name for each in fleet.seen}
    gates: dict[str, tuple[Gate, ...]] = {}
    for seen in fleet.clusters:
        if seen.cluster.role is Role.EXTERNAL:
            continue  # it has no workloads
        if why := _left_out(seen, known):
            skipped[seen.name] = why
            continue
        assert seen.injected is not None
        gates[seen.name] = tuple(_gates(fleet, seen))
        places.append(
            Place(
                cluster=seen.name,
                mesh=seen.mesh,
                revision=seen.revision,
                image=image or seen.injected.image,
                trust_domain=seen.injected.trust_domain or TRUST_DOMAIN,
                labels=seen.discovery,
                six=seen.six,
                doors={each.word: (each.address, each.port) for each in gates[seen.name]},
            )
        )
    return tuple(places), gates, skipped


def _left_out(seen: ClusterSeen, known: Collection[str]) -> str:
    """Why a cluster takes no part; empty where it does."""
    if seen.why:
        return seen.why
    if seen.name not in known:
        return "it is the same cluster as another"
    return "" if seen.injected else f"new pods get no proxy there: {seen.injection_fault}"


def _gates(fleet: FleetSeen, client: ClusterSeen) -> Iterator[Gate]:
    """What pods of a cluster have to reach: gateways of other networks, and of its istiod."""
    for number, gate in enumerate((*_said(fleet, client), *_seen(fleet, client))):
        yield replace(gate, word=f"{word(gate.cluster)}-{number}")


def _said(fleet: FleetSeen, client: ClusterSeen) -> Iterator[Gate]:
    """Gateways that the mesh.yaml names; istiod takes these in place of those that it finds."""
    for network in fleet.mesh(client.mesh).networks:
        if network.name == client.cluster.network:
            continue
        members = [each.name for each in fleet.seen if each.cluster.network == network.name]
        for each in network.gateways:
            yield Gate("", members[0] if members else "", f"network {network.name}", each.address, each.port)


def _seen(fleet: FleetSeen, client: ClusterSeen) -> Iterator[Gate]:
    said = {each.name for each in fleet.mesh(client.mesh).networks if each.gateways}
    for other in fleet.seen:
        if other.name == client.name:
            continue
        crosses = other.cluster.network != client.cluster.network and other.cluster.network not in said
        serves = client.cluster.control_plane == other.name
        for gateway in other.gateways:
            ports = [gateway.port] * (crosses and gateway.network == other.cluster.network)
            ports += [port for port in _FOR_SERVED if serves and port in gateway.ports]
            for address in gateway.addresses:
                yield from (Gate("", other.name, gateway.subject, address, port) for port in ports)
