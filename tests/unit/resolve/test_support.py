"""Which Kubernetes is refused, which is warned of."""

from __future__ import annotations

import pytest

from meshctl.errors import UnsupportedError
from meshctl.stages.settings import support, versions

VERSION = versions.version(None)


@pytest.mark.parametrize("server", ["v1.32.0", "v1.34.4", "v1.33.1-gke.100", "v1.32.0-eks-1", "1.36"])
def test_a_kubernetes_within_the_range_is_accepted(server: str) -> None:
    assert support.require(VERSION, server) == ""


@pytest.mark.parametrize("server", ["v1.31.9", "v1.9.1-gke.3"])
def test_an_older_one_is_refused_with_what_is_needed(server: str) -> None:
    with pytest.raises(UnsupportedError, match=r"needs 1\.32 or newer"):
        support.require(VERSION, server)


@pytest.mark.parametrize("server", ["v1.37.0", "v2.0.0"])
def test_a_newer_one_is_warned_of_with_what_was_tested(server: str) -> None:
    assert "newer than 1.36" in support.require(VERSION, server)


def test_what_is_no_version_is_told_as_such() -> None:
    with pytest.raises(UnsupportedError, match="'unknown'"):
        support.require(VERSION, "unknown")
