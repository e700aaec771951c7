"""Rotations that take another way than straight on: one cluster, back again, past proxies that do not listen.

The tests are one story of a mesh over two networks, under calls that never stop, and run in this order.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from meshctl import pki
from meshctl.adapters.record import MeshRecord
from meshctl.adapters.rotation_codec import ROTATION
from meshctl.model.rotation import Stage
from meshctl.stages.trusting import cacerts
from tests.cluster.fleet.calls import Calls, Member, calls
from tests.cluster.fleet.conftest import Fleet, Operator
from tests.cluster.traffic import until

pytestmark = [pytest.mark.cluster, pytest.mark.full("traffic between pods of several clusters")]

HOME = "istio-system"
MESH = """
apiVersion: meshctl.dev/v1alpha1
kind: Mesh
metadata: {{name: mesh}}
spec:
  profile: minimal
  trust: {{ca: managed, root: {root}}}
  clusters:
    - {{name: one, context: {one}, network: n1}}
    - {{name: two, context: {two}, network: n2}}
"""
DEAF = (
    "--set",
    "values.pilot.env.ISTIO_MULTIROOT_MESH=false",
    "--set",
    "meshConfig.defaultConfig.proxyMetadata.PROXY_CONFIG_XDS_AGENT=false",
)
"""Settings with which istiod takes no roots while it runs, and proxies would not hear of them."""
LONGEST = 900.0
"""Seconds in which a rotation has to come to its end; not a measure of anything."""


@pytest.fixture(scope="module")
def mesh(fleet: Fleet, operator: Operator, pytestconfig: pytest.Config) -> Operator:
    """Two clusters on two networks."""
    if not pytestconfig.getoption("--long"):
        pytest.skip("--long runs it; a root that is replaced under traffic is in test_operations.py")
    contexts = {name: fleet.context(name) for name in ("one", "two")}
    operator.write(MESH.format(root=operator.root, **contexts))
    operator.run("install", "--yes")
    return operator


@pytest.fixture(scope="module")
def flowing(mesh: Operator, fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Calls]:
    """Calls between both clusters, each a connection of its own."""
    members = [Member(name, fleet.doors[name], replicas=2) for name in ("one", "two")]
    with calls(members, tmp_path_factory.mktemp("calls")) as found:
        yield found


@pytest.fixture(autouse=True)
def no_call_fails(flowing: Calls) -> Iterator[None]:
    """Whatever a test does, calls go on being answered."""
    yield
    flowing.last(min(flowing.counts().requests.values(), default=0) + 2)
    assert not flowing.counts().failures, str(flowing.counts())


def test_an_intermediate_of_one_cluster_is_replaced_and_no_pod_is_made_anew(
    mesh: Operator, fleet: Fleet, flowing: Calls
) -> None:
    before, pods = authorities(fleet), places(flowing)
    done = rotated(mesh, "--intermediate", "--cluster", "two")
    assert (done["scope"], done["clusters"]) == ("intermediate", ["two"])
    after = authorities(fleet)
    assert after["one"] == before["one"]
    assert after["two"] != before["two"]
    assert places(flowing) == pods
    assert in_use(mesh)["two"] == {after["two"]}


def test_a_rotation_that_was_killed_is_taken_back_and_leaves_nothing(
    mesh: Operator, fleet: Fleet, flowing: Calls
) -> None:
    before, pods = authorities(fleet), places(flowing)
    mesh.command.run("ca", "init", str(mesh.root), "--another")
    rotating = mesh.command.start("ca", "rotate", "-f", "mesh.yaml", "--yes")
    until(lambda: rotating.poll() is not None or is_at(fleet, Stage.RENEW))
    rotating.kill()
    assert rotating.wait() < 0, "it had ended already"
    assert authorities(fleet) != before
    assert rotated(mesh, "--abort")["aborted"]
    assert authorities(fleet) == before
    assert {name: {each} for name, each in before.items()} == in_use(mesh)
    assert places(flowing) == pods
    assert left(fleet) == []


def test_proxies_that_do_not_listen_are_made_anew(mesh: Operator, fleet: Fleet, flowing: Calls) -> None:
    mesh.run("install", "--yes", *DEAF)
    before, pods = authorities(fleet), places(flowing)
    began = time.monotonic()
    while (done := mesh.run("ca", "rotate", "--renew", "restart", "--yes", check=None)).returncode == 4:
        assert time.monotonic() - began < LONGEST, done.stderr
    assert done.returncode == 0, done.stderr
    after = authorities(fleet)
    assert not {*after.values()} & {*before.values()}
    assert {name: {each} for name, each in after.items()} == in_use(mesh)
    assert not places(flowing) & pods
    assert left(fleet) == []


def rotated(mesh: Operator, *words: str) -> Any:
    """How a rotation ended, as told after all that happened."""
    told = mesh.run("ca", "rotate", *words, "--yes", "-o", "json").stdout
    return json.loads(told.splitlines()[-1])


def authorities(fleet: Fleet) -> dict[str, str]:
    """SHA-256 of the intermediate of each cluster."""
    found = {}
    for name in ("one", "two"):
        secret = fleet.doors[name].get(cacerts.ref(HOME))
        assert secret is not None
        found[name] = pki.fingerprint(cacerts.held(secret).certificate)
    return found


def in_use(mesh: Operator) -> dict[str, set[str]]:
    """SHA-256 of what signed the certificates that istiods and proxies of each cluster use."""
    told = mesh.json("ca", "status", check=None)
    return {each["cluster"]: {one["issuer"] for one in each["inUse"]} for each in told["clusters"]}


def places(flowing: Calls) -> set[str]:
    """The pods of the calls, by name."""
    return {pod.ref.name for pod in flowing.pods()}


def is_at(fleet: Fleet, stage: Stage) -> bool:
    """Whether a rotation is at this stage."""
    rotation = MeshRecord(ROTATION, fleet.doors["one"], "mesh").read()
    return rotation is not None and rotation.stage is stage


def left(fleet: Fleet) -> list[str]:
    """Secrets of rotations that are still there."""
    secrets = [each for name in ("one", "two") for each in fleet.doors[name].list("v1", "Secret")]
    return [str(each.ref) for each in secrets if "rotation" in each.ref.name]
