"""Real calls by which a fleet is verified: here within one cluster; nothing is left, whatever happens."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from meshctl.adapters.kube import KubeCluster
from meshctl.model.objects import Object, Ref
from tests.cluster.command import Command, snapshot

pytestmark = [pytest.mark.cluster, pytest.mark.full("calls between pods")]

MESH = """
apiVersion: meshctl.dev/v1alpha1
kind: Mesh
metadata: {name: fleet}
spec:
  profile: minimal
  networks:
    - {name: net-west}
    - {name: net-east, gateways: [{address: gateway.invalid}]}
  clusters:
    - {name: west, network: net-west, eastWestGateway: false}
    - {name: east, network: net-east, context: elsewhere}
"""
ASKED = ("-f", "mesh.yaml", "--cluster", "west")
VERIFY = ("cluster", "verify", *ASKED, "--calls-timeout", "20s")
SPACE = Ref("v1", "Namespace", "", "meshctl-verify")
RULE = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "DestinationRule",
    "metadata": {"name": "plain", "namespace": "istio-system"},
    "spec": {"host": "*.meshctl-verify.svc.cluster.local", "trafficPolicy": {"tls": {"mode": "DISABLE"}}},
}


@pytest.fixture(scope="module")
def meshctl(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The command, beside the mesh.yaml of a mesh that is there."""
    folder: Path = tmp_path_factory.mktemp("verify")
    (folder / "mesh.yaml").write_text(MESH)
    command = Command(kubeconfig, folder)
    command.run("install", *ASKED, "--yes")
    yield command
    command.run("uninstall", "--mesh", "fleet", "--purge", "--yes")


def answer(meshctl: Command, *words: str) -> Mapping[str, Any]:
    """What a verification that finds something says at its end, after one event a line."""
    said = meshctl.run(*VERIFY, *words, "-o", "json", check=3).stdout
    begins = said.startswith("{\n")
    told: Mapping[str, Any] = json.loads(said if begins else said.splitlines()[-1])
    return told


def codes(told: Mapping[str, Any]) -> set[str]:
    return {each["code"] for check in told["checks"] for each in check["findings"]}


def begun(meshctl: Command, cluster: KubeCluster) -> Any:
    """A verification whose pods are on their way."""
    running = meshctl.start(*VERIFY)
    client = Ref("apps/v1", "Deployment", SPACE.name, "client-west")
    deadline = time.monotonic() + 60
    while cluster.get(client) is None:
        assert time.monotonic() < deadline
        assert running.poll() is None
        time.sleep(0.2)
    return running


def test_a_call_arrives_with_both_identities_a_lost_gateway_is_named_and_nothing_is_left(
    meshctl: Command, cluster: KubeCluster
) -> None:
    before = snapshot(cluster)
    told = answer(meshctl)
    [call] = told["traffic"]["calls"]
    assert call["ok"]
    assert call["caller"] == "spiffe://cluster.local/ns/meshctl-verify/sa/client-west"
    assert call["called"] == "spiffe://cluster.local/ns/meshctl-verify/sa/server-west"
    assert codes(told) == {"fleet-gateway-there", "fleet-gateways-reached"}
    [gateway] = told["traffic"]["gateways"]
    assert (gateway["address"], gateway["fault"]) == ("gateway.invalid:15443", "its name is not resolved")
    assert snapshot(cluster) == before


def test_what_a_killed_run_has_left_goes_with_the_next(meshctl: Command, cluster: KubeCluster) -> None:
    running = begun(meshctl, cluster)
    running.kill()
    running.wait()
    assert cluster.get(SPACE)
    assert answer(meshctl)["traffic"]["calls"][0]["ok"]
    assert cluster.get(SPACE) is None


def test_a_run_that_is_interrupted_removes_what_it_made(meshctl: Command, cluster: KubeCluster) -> None:
    running = begun(meshctl, cluster)
    running.send_signal(signal.SIGINT)
    assert running.wait(120) == 4
    assert cluster.get(SPACE) is None


def test_a_call_that_is_not_mtls_is_a_finding(meshctl: Command, cluster: KubeCluster) -> None:
    rule = Object(RULE)
    cluster.create(rule)
    try:
        told = answer(meshctl)
    finally:
        cluster.delete(rule.ref)
    assert "fleet-identities-proven" in codes(told)
    assert told["traffic"]["calls"][0]["caller"] == ""


def test_without_traffic_nothing_is_made(meshctl: Command, cluster: KubeCluster) -> None:
    before = snapshot(cluster)
    told = answer(meshctl, "--checks-only")
    assert (codes(told), told["traffic"]) == ({"fleet-gateway-there"}, None)
    assert snapshot(cluster) == before
