"""What a host is told, asked of the cluster."""

from __future__ import annotations

from typing import Any

import pytest

from meshctl.actions.hosts.enrolling import enrolment, token, workload_group
from meshctl.errors import ConfigError
from meshctl.model.enrolment import HostTerms
from meshctl.model.objects import Kind
from meshctl.stages.enrolling.files import files
from tests.enrolments import CASES, ISTIO, SPACE, group, objects, told
from tests.fake_cluster import FakeCluster
from tests.fake_kinds import KINDS

GROUPS = Kind("networking.istio.io/v1", "WorkloadGroup", "workloadgroups", namespaced=True)


def new(kind: str, name: str, namespace: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}}


@pytest.fixture
def cluster() -> FakeCluster:
    case = CASES["bare"]
    spaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in (ISTIO, SPACE)
    ]
    content = (*spaces, *objects(case).values(), group(case), new("ServiceAccount", "default", SPACE))
    return FakeCluster("c1", *content, kinds=(*KINDS, GROUPS))


def test_a_host_is_told_what_the_cluster_has(cluster: FakeCluster) -> None:
    found = enrolment(cluster, workload_group(cluster, SPACE, "shop"), HostTerms(), istio_namespace=ISTIO)
    assert files(found) == files(told(CASES["bare"]))
    assert cluster.writes == []


def test_its_token_is_for_its_account_and_for_istiod_alone(cluster: FakeCluster) -> None:
    found = enrolment(cluster, workload_group(cluster, SPACE, "shop"), HostTerms(), istio_namespace=ISTIO)
    assert token(cluster, found, seconds=600) == "token-of-vms-default-for-istio-ca"


def test_a_group_that_is_not_there_is_missed_by_name_with_the_nearest(cluster: FakeCluster) -> None:
    with pytest.raises(ConfigError) as caught:
        workload_group(cluster, SPACE, "shopp")
    assert caught.value.code == "no-workload-group"
    assert "did you mean 'shop'" in caught.value.message
    with pytest.raises(ConfigError, match="no WorkloadGroup 'x' in namespace 'none'"):
        workload_group(cluster, "none", "x")
