"""Tokens by which istiods read other clusters are renewed while pods of these clusters call each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster.fleet.calls import calls
from tests.cluster.fleet.conftest import Fleet, Operator
from tests.cluster.fleet.test_topologies import CASES

pytestmark = [pytest.mark.cluster, pytest.mark.full("traffic between pods of several clusters")]

EXTERNAL = CASES["external control plane"]
"""Its istiod reads one cluster as its own configuration, and another as any other."""


def test_new_tokens_for_every_link_of_an_external_istiod_cost_no_request(
    fleet: Fleet, operator: Operator, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    if not pytestconfig.getoption("--long"):
        pytest.skip("--long runs it; new tokens are in tests/cluster/test_links.py, without traffic")
    operator.write(EXTERNAL.text(fleet, operator.root))
    operator.run("install", "--yes")
    with calls(EXTERNAL.placed(fleet), tmp_path, {"istio-injection": "enabled"}) as flowing:
        flowing.last(3)
        operator.run("remote-secret", "rotate", "--yes")
        flowing.last(3)
        done = flowing.end()
    assert not done.failures, str(done)
    found = operator.json("cluster", "list")
    assert found["sound"], found
    assert not operator.json("cluster", "link", "--yes")["changed"]
    operator.run("uninstall", "--purge", "--yes")
