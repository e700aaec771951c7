"""A fleet under adversity: an API server that dies, a root that changes, faults that `verify` has to name.

The tests are one story of a mesh over two networks, and run in this order.
"""

from __future__ import annotations

import base64
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from meshctl import pki
from meshctl.adapters.clock import SystemClock
from meshctl.adapters.record import MeshRecord
from meshctl.adapters.releases import ClusterReleases
from meshctl.adapters.rotation_codec import ROTATION
from meshctl.model.objects import Object, Ref
from meshctl.model.release import Status
from meshctl.model.rotation import Stage
from tests.cluster.fleet.calls import Calls, Member, calls
from tests.cluster.fleet.conftest import Fleet, Operator
from tests.cluster.test_faults import IMPATIENT
from tests.cluster.traffic import is_rolled_out, until

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
SEED = 1848
LONGEST = 900.0
"""Seconds in which a rotation has to come to its end; not a measure of anything."""


@pytest.fixture(scope="module")
def mesh(fleet: Fleet, operator: Operator) -> Operator:
    """Two clusters on two networks, of which one lost its API server while the mesh was installed."""
    contexts = {name: fleet.context(name) for name in ("one", "two")}
    operator.write(MESH.format(root=operator.root, **contexts))
    command = [sys.executable, "-c", IMPATIENT, "install", "-f", "mesh.yaml", "--yes"]
    installing = subprocess.Popen(
        command,
        env=operator.command.env,
        cwd=operator.command.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    begun = Ref("apps/v1", "Deployment", HOME, "istiod")
    with installing:
        until(lambda: installing.poll() is not None or fleet.doors["two"].get(begun))
        start_again = fleet.kill_api_server("two")
        _, told = installing.communicate()
    start_again()
    assert installing.returncode == 4, told
    assert "run the same command again" in told
    records = ClusterReleases(fleet.doors["one"], SystemClock()).of("mesh")
    assert [each.status for each in records] == [Status.DEPLOYED], told
    operator.run("install", "--yes")
    return operator


@pytest.fixture(scope="module")
def flowing(mesh: Operator, fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Calls]:
    """Calls between both clusters."""
    members = [Member(name, fleet.doors[name], replicas=2) for name in ("one", "two")]
    with calls(members, tmp_path_factory.mktemp("calls")) as found:
        yield found


def test_an_install_that_lost_an_api_server_is_finished_by_the_same_command(flowing: Calls) -> None:
    flowing.last(3)
    assert not flowing.counts().failures, str(flowing.counts())


def test_a_root_is_replaced_under_traffic_without_a_failed_request_though_killed_half_way(
    mesh: Operator, fleet: Fleet, flowing: Calls, figure: Callable[[str], None]
) -> None:
    kill_at = random.Random(SEED).choice([each for each in Stage if each is not Stage.TRUST])
    old = roots_in_use(mesh)
    mesh.command.run("ca", "init", str(mesh.root), "--another")
    began = time.monotonic()
    rotating = mesh.command.start("ca", "rotate", "-f", "mesh.yaml", "--yes")
    while rotating.poll() is None and not is_at(fleet, kill_at):
        time.sleep(0.05)  # a stage is short
    rotating.kill()
    assert rotating.wait() < 0, "it had ended already"
    while (done := mesh.run("ca", "rotate", "--yes", check=None)).returncode == 4:
        assert time.monotonic() - began < LONGEST, done.stderr
    assert done.returncode == 0, done.stderr
    seconds = time.monotonic() - began
    counts = flowing.end()
    assert not counts.failures, str(counts)
    new = roots_in_use(mesh)
    assert (len(new), new & old) == (1, set())
    figure(f"killed at {kill_at!r}, ended in {seconds:.0f} s; {counts}")


def is_at(fleet: Fleet, stage: Stage) -> bool:
    """Whether a rotation is at this stage."""
    rotation = MeshRecord(ROTATION, fleet.doors["one"], "mesh").read()
    return rotation is not None and rotation.stage is stage


def roots_in_use(mesh: Operator) -> set[str]:
    """SHA-256 of every root that any proxy or istiod trusts."""
    told = mesh.json("ca", "status", check=None)
    used = [each for cluster in told["clusters"] for each in cluster["inUse"]]
    assert used
    return {root for each in used for root in each["roots"]}


def test_verify_finds_the_mesh_sound_and_leaves_nothing(mesh: Operator, fleet: Fleet) -> None:
    before = fleet.snapshots("one", "two")
    found = mesh.json("cluster", "verify")
    assert [each["ok"] for each in found["traffic"]["calls"]] == [True] * 4
    assert fleet.snapshots("one", "two") == before


def test_verify_names_the_cause_of_each_fault_in_a_line(mesh: Operator, fleet: Fleet) -> None:
    home = Ref("v1", "Namespace", "", HOME)
    gateway = Ref("apps/v1", "Deployment", HOME, "istio-eastwestgateway")
    with ExitStack() as faults:
        for name, ref, patch in (
            ("two", _secret("cacerts"), _of_another_root),
            ("one", _secret("istio-remote-secret-two"), _with_an_expired_token),
            ("two", home, lambda _: {"metadata": {"labels": {"topology.istio.io/network": None}}}),
            ("two", gateway, lambda _: {"spec": {"replicas": 0}}),
        ):
            faults.enter_context(patched(fleet, name, ref, patch))
        faults.enter_context(doubled(fleet, "two", _secret("istio-remote-secret-one")))
        found = mesh.json("cluster", "verify", "--calls-timeout", "5s", check=3)
    told = {each["code"]: each["message"] for check in found["checks"] for each in check["findings"]}
    assert told.keys() >= {
        "fleet-roots-shared",
        "fleet-tokens-taken",
        "fleet-network-labelled",
        "fleet-gateways-reached",
        "fleet-links-usable",
    }, told
    assert not [each for each in told.values() if "\n" in each]
    until(lambda: (found := fleet.doors["two"].get(gateway)) and is_rolled_out(found))


@contextmanager
def patched(fleet: Fleet, name: str, ref: Ref, patch: Callable[[Object], dict[str, Any]]) -> Iterator[None]:
    """While this is open, an object of a cluster is another; then it is as it was."""
    door = fleet.doors[name]
    before = door.get(ref)
    assert before is not None
    change = patch(before)
    door.patch(ref, change)
    try:
        yield
    finally:
        door.patch(ref, _undone(before.content, change))


def _undone(before: Any, change: Any) -> Any:
    """The patch that takes another one back."""
    if not isinstance(change, dict):
        return before
    held = before or {}
    return {key: _undone(held.get(key), each) for key, each in change.items()}


@contextmanager
def doubled(fleet: Fleet, name: str, ref: Ref) -> Iterator[None]:
    """While this is open, a Secret of a cluster is there twice, under two names."""
    door = fleet.doors[name]
    found = door.get(ref)
    assert found is not None
    meta = {"name": f"{ref.name}-again", "namespace": ref.namespace, "labels": dict(found.labels)}
    again = Object({**found.content, "metadata": meta})
    door.create(again)
    try:
        yield
    finally:
        door.delete(again.ref)


def _secret(name: str) -> Ref:
    return Ref("v1", "Secret", HOME, name)


def _of_another_root(_: Object) -> dict[str, Any]:
    root = pki.new_authority(pki.Subject("Another Root"), datetime.now(UTC))
    signer = root.intermediate(pki.Subject("two"), datetime.now(UTC))
    parts = {
        "ca-cert.pem": signer.pair.certificate,
        "ca-key.pem": signer.pair.key,
        "root-cert.pem": root.root,
        "cert-chain.pem": signer.chain,
    }
    return {"data": {name: base64.b64encode(each).decode() for name, each in parts.items()}}


def _with_an_expired_token(secret: Object) -> dict[str, Any]:
    kubeconfig = yaml.safe_load(base64.b64decode(secret.content["data"]["two"]))
    user = kubeconfig["users"][0]["user"]
    head, claims, signature = user["token"].split(".")
    told = json.loads(base64.urlsafe_b64decode(claims + "=="))
    late = json.dumps({**told, "exp": told["iat"] - 60}).encode()
    user["token"] = ".".join((head, base64.urlsafe_b64encode(late).decode().rstrip("="), signature))
    return {"data": {"two": base64.b64encode(yaml.safe_dump(kubeconfig).encode()).decode()}}
