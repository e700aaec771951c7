"""The fake keeps the promises that a real API server keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from meshctl.model.objects import Object, Ref
from tests.contracts.cluster_contract import ClusterContract
from tests.fakes import FakeCluster


class TestFakeCluster(ClusterContract):
    @pytest.fixture
    def cluster(self) -> FakeCluster:
        return FakeCluster()

    @pytest.fixture
    def namespace(self) -> str:
        return "default"

    @pytest.fixture
    def other(self, cluster: FakeCluster) -> Callable[[Ref, Mapping[str, Any]], Object]:
        return lambda ref, patch: cluster.edit(ref, patch, "somebody")
