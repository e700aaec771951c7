"""The programs a sandbox runs, as paths into the cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where each program is.

    Attributes:
        kubernetes: folder of kube-apiserver, kube-controller-manager, kube-scheduler, kubelet,
            kube-proxy and kubectl.
        istio: folder of pilot-discovery and pilot-agent for each tag.
        istioctl: the first tag's istioctl.
        coredns: the cluster DNS; None in light mode.
        kwok: the simulated nodes of light mode; None in full.
        etcd: the store.
        envoy: the upstream proxy.
        bootstrap: the pinned Istio tree's template of Envoy's bootstrap file.
    """

    kubernetes: Path
    istio: dict[str, Path]
    istioctl: Path
    coredns: Path | None
    kwok: Path | None
    etcd: Path
    envoy: Path
    bootstrap: Path
