"""Upstream's own programs, built once from their Go modules and kept in the sandbox's cache."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from meshctl.sandbox.build import binaries, build
from meshctl.sandbox.versions import ISTIO_TAGS


@cache
def istioctl() -> Path:
    """The istioctl of the pinned Istio, or the one that MESHCTL_ISTIOCTL names.

    Built together with what the full sandbox needs where that is to be had, so that nothing is built twice.
    """
    if given := os.environ.get("MESHCTL_ISTIOCTL"):
        return Path(given)
    light = os.geteuid() != 0
    for _ in build(ISTIO_TAGS, light=light):
        pass
    return binaries(ISTIO_TAGS, light=light).istioctl
