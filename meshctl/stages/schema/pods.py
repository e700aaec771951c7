"""What users add to our pods, held against what is in them: names that differ, and volumes that are there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError
from meshctl.model.values import is_missing, look, place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.model.mesh import Path
    from meshctl.model.values import Tree, Values

_GATEWAY = "gateways.istio-{}gateway"


@dataclass(frozen=True)
class Pod:
    """A pod of ours, and where values add to it.

    Attributes:
        containers: names of containers that it has.
        volumes: names of volumes that it has, with where they are mounted in its container.
        added_containers: paths of lists of containers.
        added_volumes: paths of lists of volumes, and of secrets and ConfigMaps that become volumes.
        added_mounts: paths of lists of mounts of its container.
    """

    containers: frozenset[str]
    volumes: Mapping[str, str]
    added_containers: tuple[str, ...] = ()
    added_volumes: tuple[str, ...] = ()
    added_mounts: tuple[str, ...] = ()


def _gateway(direction: str) -> Pod:
    root = _GATEWAY.format(direction)
    return Pod(
        frozenset({"istio-proxy"}),
        {
            "workload-socket": "/var/run/secrets/workload-spiffe-uds",
            "credential-socket": "/var/run/secrets/credential-uds",
            "workload-certs": "/var/run/secrets/workload-spiffe-credentials",
            "istio-envoy": "/etc/istio/proxy",
            "config-volume": "/etc/istio/config",
            "istiod-ca-cert": "/var/run/secrets/istio",
            "istio-token": "/var/run/secrets/tokens",
            "istio-certs": "/etc/certs",
            "istio-data": "/var/lib/istio/data",
            "podinfo": "/etc/istio/pod",
        },
        (f"{root}.additionalContainers",),
        (f"{root}.secretVolumes", f"{root}.configVolumes"),
        (f"{root}.secretVolumes", f"{root}.configVolumes"),
    )


PODS = (
    Pod(
        frozenset({"discovery"}),
        {
            "istio-token": "/var/run/secrets/tokens",
            "local-certs": "/var/run/secrets/istio-dns",
            "cacerts": "/etc/cacerts",
            "istio-kubeconfig": "/var/run/secrets/remote",
            "extracacerts": "/cacerts",
            "istio-csr-dns-cert": "/var/run/secrets/istiod/tls",
            "istio-csr-ca-configmap": "/var/run/secrets/istiod/ca",
        },
        ("pilot.initContainers",),
        ("pilot.volumes",),
        ("pilot.volumeMounts",),
    ),
    Pod(
        frozenset({"istio-proxy"}),
        {
            "istiod-ca-cert": "/var/run/secrets/istio",
            "istio-token": "/var/run/secrets/tokens",
            "cni-ztunnel-sock-dir": "/var/run/ztunnel",
            "tmp": "/tmp",  # noqa: S108 - within the container
            "crl-volume": "/var/run/secrets/istio/crl",
        },
        (),
        ("ztunnel.volumes",),
        ("ztunnel.volumeMounts",),
    ),
    *(_gateway(direction) for direction in ("ingress", "egress", "eastwest")),
)


def faults(values: Values, own: Tree) -> Iterator[ConfigError]:
    """Names that a pod would have twice, and volumes that it would not have."""
    for pod in PODS:
        paths = {*pod.added_containers, *pod.added_volumes, *pod.added_mounts}
        if any(not is_missing(look(own, _path(each))) for each in paths):
            yield from _faults(values, pod)


def _faults(values: Values, pod: Pod) -> Iterator[ConfigError]:
    containers = list(_items(values, pod.added_containers))
    volumes = list(_items(values, pod.added_volumes))
    mounts = [each for each in _items(values, pod.added_mounts) if each[1].get("mountPath")]
    yield from _twice(values, volumes, "name", {*pod.volumes})
    yield from _twice(values, mounts, "mountPath", {*pod.volumes.values()})
    yield from _twice(values, containers, "name", {*pod.containers})
    for path, each in containers:
        for key in ("volumeMounts", "volumeDevices"):
            mounts += [((*path, key, index), one) for index, one in enumerate(each.get(key) or ())]
    there = {*pod.volumes, *(each.get("name") for _, each in volumes)}
    blocks = {each.get("name") for _, each in volumes if {"persistentVolumeClaim", "ephemeral"} & each.keys()}
    for path, each in mounts:
        if each.get("name") not in (blocks if "devicePath" in each else there):
            kind = "claim of a volume" if "devicePath" in each else "volume"
            message = f"there is no {kind} {each.get('name')!r} in this pod"
            hint = f"add it to {pod.added_volumes[0]}"
            yield ConfigError("wrong-value", message, where=place(values, path), hint=hint)


def _path(dotted: str) -> Path:
    return ("values", *dotted.split("."))


def _items(values: Values, paths: tuple[str, ...]) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    for dotted in paths:
        for index, each in enumerate(values.at(dotted) or ()):
            yield (*_path(dotted), index), each


def _twice(
    values: Values, items: list[tuple[Path, Mapping[str, Any]]], key: str, taken: set[str]
) -> Iterator[ConfigError]:
    """Each item differs from the others, and from what is there anyway."""
    for path, each in items:
        name = str(each.get(key))
        if name in taken:
            message = f"{path[-2]}[{path[-1]}] has the {key} {name!r}, which is taken"
            where = place(values, path)
            yield ConfigError("duplicate-item", message, where=where, hint=f"choose another {key}")
        taken.add(name)
