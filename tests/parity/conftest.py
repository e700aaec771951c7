"""The upstream programs that our output is compared with, built once and kept in the sandbox's cache."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from meshctl.sandbox import build
from tests import upstream


@pytest.fixture(scope="session")
def istioctl() -> Path:
    """The istioctl of the pinned Istio."""
    return upstream.istioctl()


@pytest.fixture(scope="session")
def injectjudge() -> Path:
    """Istiod's injector as a program, or the one MESHCTL_INJECTJUDGE names."""
    if given := os.environ.get("MESHCTL_INJECTJUDGE"):
        return Path(given)
    return build.program(build.INJECTJUDGE)


@pytest.fixture(scope="session")
def templatejudge() -> Path:
    """Go's text/template as a program, or the one MESHCTL_TEMPLATEJUDGE names."""
    if given := os.environ.get("MESHCTL_TEMPLATEJUDGE"):
        return Path(given)
    return build.program(build.TEMPLATEJUDGE)


@pytest.fixture(scope="session")
def dnsjudge() -> Path:
    """The DNS server of Istio's agent as a program, or the one MESHCTL_DNSJUDGE names."""
    if given := os.environ.get("MESHCTL_DNSJUDGE"):
        return Path(given)
    return build.program(build.DNSJUDGE)
