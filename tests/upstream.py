"""Upstream's own programs, built once from their Go modules and kept in the sandbox's cache."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from meshctl.sandbox.binaries import Binaries
from meshctl.sandbox.build import binaries, build
from meshctl.sandbox.versions import ISTIO_TAGS


@cache
def istioctl() -> Path:
    """The istioctl of the pinned Istio, or the one that MESHCTL_ISTIOCTL names."""
    given = os.environ.get("MESHCTL_ISTIOCTL")
    return Path(given) if given else _programs().istioctl


@cache
def kubectl() -> Path:
    """The kubectl of the sandbox's Kubernetes."""
    return _programs().kubernetes / "kubectl"


@cache
def pilot_agent() -> Path:
    """The agent of the pinned Istio's proxies."""
    return _programs().istio[ISTIO_TAGS[-1]] / "pilot-agent"


@cache
def bootstrap_template() -> Path:
    """What that agent makes Envoy's bootstrap of."""
    return _programs().bootstrap


@cache
def _programs() -> Binaries:
    """Built with what the full sandbox needs where that is to be had, so that nothing is built twice."""
    light = os.geteuid() != 0
    for _ in build(ISTIO_TAGS, light=light):
        pass
    return binaries(ISTIO_TAGS, light=light)
