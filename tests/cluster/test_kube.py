"""The adapter keeps the promises of `ports.Cluster` against a real API server."""

from __future__ import annotations

import pytest

from tests.contracts.cluster_contract import ClusterContract

pytestmark = pytest.mark.cluster


class TestKubeCluster(ClusterContract):
    pass
