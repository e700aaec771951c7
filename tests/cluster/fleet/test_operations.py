"""A fleet under adversity: an API server that dies, faults that `verify` has to name, roots that change."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from meshctl.adapters.clock import SystemClock
from meshctl.adapters.releases import ClusterReleases
from meshctl.model.objects import Object, Ref
from meshctl.model.release import Status
from tests.cluster.fleet.calls import Member, calls
from tests.cluster.fleet.conftest import Fleet, Operator
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
IMPATIENT = """
from meshctl.adapters import kube_http
kube_http._PATIENCE = 3.0
from meshctl.cli import main
main()
"""
"""The command, giving up on an API server sooner than it does."""
SEED = 1848


@pytest.fixture(scope="module")
def mesh(fleet: Fleet, operator: Operator) -> Operator:
    """Two clusters on two networks, of which one lost its API server while the mesh was installed."""
    contexts = {name: fleet.context(name) for name in ("one", "two")}
    operator.write(MESH.format(root=operator.root, **contexts))
    command = [sys.executable, "-c", IMPATIENT, "install", "-f", "mesh.yaml", "--yes"]
    installing = subprocess.Popen(
        command, env=operator.command.env, cwd=operator.command.folder, stderr=subprocess.PIPE, text=True
    )
    begun = Ref("apps/v1", "Deployment", HOME, "istiod")
    until(lambda: installing.poll() is not None or fleet.doors["two"].get(begun))
    start_again = fleet.kill_api_server("two")
    _, told = installing.communicate()
    start_again()
    assert installing.returncode == 4, told
    assert "run the same command again" in told
    records = ClusterReleases(fleet.doors["one"], SystemClock()).of("mesh")
    assert [each.status for each in records] == [Status.DEPLOYED]
    operator.run("install", "--yes")
    return operator


def members(fleet: Fleet, replicas: int = 1) -> list[Member]:
    return [Member(name, fleet.doors[name], replicas=replicas) for name in ("one", "two")]


def test_an_install_that_lost_an_api_server_is_finished_by_the_same_command(
    mesh: Operator, fleet: Fleet, tmp_path: Path
) -> None:
    with calls(members(fleet), tmp_path) as flowing:
        flowing.last(3)
        done = flowing.end()
    assert not done.failures, str(done)
