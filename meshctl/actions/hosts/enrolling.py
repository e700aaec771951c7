"""What a host has to know, as the cluster has it at this moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.errors import ConfigError, Where, listed, nearest
from meshctl.model.objects import Ref
from meshctl.stages.enrolling.control_plane import control_plane, refs
from meshctl.stages.enrolling.enrol import enrol

if TYPE_CHECKING:
    from meshctl.model.enrolment import Enrolment, HostTerms
    from meshctl.model.objects import Object
    from meshctl.ports import Cluster

_GROUP = ("networking.istio.io/v1", "WorkloadGroup")


def workload_group(cluster: Cluster, namespace: str, name: str) -> Object:
    """The WorkloadGroup of hosts.

    Raises:
        ConfigError: there is none of this name.
    """
    found = cluster.get(Ref(*_GROUP, namespace, name))
    if found is not None:
        return found
    known = sorted(each.ref.name for each in cluster.list(*_GROUP, namespace=namespace))
    near = nearest(name, known)
    raise ConfigError(
        "no-workload-group",
        f"there is no WorkloadGroup {name!r} in namespace {namespace!r}"
        + (f"; did you mean {near!r}?" if near else ""),
        where=Where(f"WorkloadGroup {namespace}/{name}"),
        hint=f"there are {listed(known)}" if known else "make it first; hosts have their identity from it",
    )


def enrolment(
    cluster: Cluster,
    group: Object,
    terms: HostTerms,
    *,
    istio_namespace: str,
    revision: str = "",
    cluster_id: str = "",
) -> Enrolment:
    """What a host of a group has to know.

    Args:
        cluster: the one with the control plane.
        group: its WorkloadGroup.
        terms: what is said of this host.
        istio_namespace: where istiod is.
        revision: of istiod; empty is the unnamed one.
        cluster_id: of the cluster; empty: as its injector says.

    Raises:
        ConfigError: there is no such control plane, or what is said cannot be used.
    """
    space = group.ref.namespace
    live = {ref: found for ref in refs(istio_namespace, revision, space) if (found := cluster.get(ref))}
    plane = control_plane(istio_namespace, revision, space, live, cluster=cluster_id)
    return enrol(group, plane, terms)


def token(cluster: Cluster, enrolled: Enrolment, *, seconds: int) -> str:
    """The token by which a host asks for its first certificate. Never log it."""
    return cluster.token(
        enrolled.namespace, enrolled.account, audiences=(enrolled.audience,), seconds=seconds
    )
