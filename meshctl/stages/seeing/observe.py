"""Sees a cluster as it is: facts, records, and the live objects that a plan compares with."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, Where
from meshctl.model.observation import Observation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from meshctl.model.objects import Kind, Object, Ref
    from meshctl.ports import Cluster, Releases

THREADS = 12
"""Requests under way at once; more cost more in TLS handshakes than they save."""

_WEBHOOKS = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")

CHURNING: frozenset[str] = frozenset(
    {
        # gone by themselves, or computed when asked for
        "Event",
        "PodMetrics",
        "NodeMetrics",
        "ComponentStatus",
        # made by controllers for an object that is in the inventory, under ever new names
        "Pod",
        "ReplicaSet",
        "ControllerRevision",
        "EndpointSlice",
        "Endpoints",
        "CertificateSigningRequest",
        "IPAddress",
        "VolumeAttachment",
    }
)
"""Kinds left out of an inventory: their names change without anybody deploying anything."""


@dataclass(frozen=True, slots=True)
class Detection:
    """How to tell that a cluster is of a platform; one sign that fits is enough.

    Attributes:
        platform: name of the platform's profile.
        labels: node labels, as label selectors (`meshctl.dev/sandbox=true`).
        versions: parts of the API server's version (`-gke.`).
        groups: API groups that only this platform serves (`route.openshift.io`).
    """

    platform: str
    labels: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    @classmethod
    def of(cls, platform: str, content: Mapping[str, Any], where: Where | None = None) -> Detection:
        """From a profile's `detect:` with the lists `nodeLabels`, `versions` and `groups`.

        Raises:
            ConfigError: another key stands there, or something that is no list.
        """
        known = {"nodeLabels": "labels", "versions": "versions", "groups": "groups"}
        for key, value in content.items():
            if key not in known or not isinstance(value, list):
                raise ConfigError(
                    "detection-invalid",
                    f"platform {platform!r} cannot be detected by {key!r}",
                    where=where,
                    hint="use lists under `nodeLabels`, `versions` or `groups`",
                )
        return cls(platform, **{known[key]: tuple(map(str, value)) for key, value in content.items()})


def observe(
    cluster: Cluster,
    releases: Releases,
    mesh: str = "",
    *,
    refs: Iterable[Ref] = (),
    detections: Sequence[Detection] = (),
) -> Observation:
    """A cluster as seen now. Only reads.

    Args:
        cluster: where to look.
        releases: the cluster's records.
        mesh: whose records are wanted; empty: none.
        refs: objects to look for, besides what `look` is asked for later.
        detections: platforms to recognise, in the order in which their profiles apply.
    """
    with ThreadPoolExecutor(4) as pool:
        version = pool.submit(cluster.version)
        records = pool.submit(releases.of, mesh) if mesh else None
        kinds = pool.submit(cluster.kinds)
        platforms = detect(cluster, version.result(), kinds.result(), detections)
        return Observation(
            cluster=cluster.name,
            version=version.result(),
            kinds=kinds.result(),
            platforms=platforms,
            objects=look(cluster, refs),
            releases=records.result() if records else (),
        )


def detect(
    cluster: Cluster, version: str, kinds: Collection[Kind], detections: Sequence[Detection]
) -> tuple[str, ...]:
    """Names of the platforms whose signs are seen, in the order of `detections`."""
    groups = {kind.group for kind in kinds}
    labels = sorted({label for each in detections for label in each.labels})
    with ThreadPoolExecutor(THREADS) as pool:
        nodes = dict(zip(labels, pool.map(lambda label: _any_node(cluster, label), labels), strict=True))
    return tuple(
        each.platform
        for each in detections
        if any(nodes[label] for label in each.labels)
        or any(part in version for part in each.versions)
        or any(group in groups for group in each.groups)
    )


def look(cluster: Cluster, refs: Iterable[Ref]) -> Mapping[Ref, Object]:
    """Live objects by name; those that are not there are absent. Only reads."""
    wanted = sorted(set(refs))
    if not wanted:
        return {}
    if cluster.at_once == 1:
        return {ref: obj for ref in wanted if (obj := cluster.get(ref)) is not None}
    with ThreadPoolExecutor(min(cluster.at_once, len(wanted))) as pool:
        found = pool.map(cluster.get, wanted)
        return {ref: obj for ref, obj in zip(wanted, found, strict=True) if obj is not None}


def webhooks(cluster: Cluster) -> Mapping[Ref, Object]:
    """Every webhook configuration of a cluster, anybody's, mutating ones first. Only reads."""
    found = (obj for kind in _WEBHOOKS for obj in cluster.list("admissionregistration.k8s.io/v1", kind))
    return {obj.ref: obj for obj in found}


def inventory(
    cluster: Cluster, *, without: Collection[str] = CHURNING, kinds: Sequence[Kind] = ()
) -> tuple[Ref, ...]:
    """Names of all objects, sorted, so that uninstall can tell what was there before.

    Args:
        cluster: where to look; only names are read.
        without: kinds to leave out.
        kinds: kinds to list; empty: every kind that can be listed.
    """
    wanted = [
        kind
        for kind in kinds or cluster.kinds()
        if kind.kind not in without and (not kind.verbs or "list" in kind.verbs)
    ]
    if not wanted:
        return ()
    with ThreadPoolExecutor(THREADS) as pool:
        return tuple(sorted({ref for refs in pool.map(cluster.names, wanted) for ref in refs}))


def _any_node(cluster: Cluster, label: str) -> bool:
    return bool(cluster.list("v1", "Node", labels=label))
