"""What is wrong with a mesh that is installed."""

from __future__ import annotations

from typing import Any

from meshctl.actions.checks import after_install, checks, run
from meshctl.checks.site import Site
from meshctl.model.check import Moment
from meshctl.model.objects import Object
from meshctl.ports import World
from tests.building import obj
from tests.fakes import FakeClock, FakeCluster, FakeFiles, FakeReleases


def pod(name: str, *, ready: bool, reason: str = "", **more: Any) -> Object:
    state = {"waiting": {"reason": reason}} if reason else {"running": {}}
    status = {"containerStatuses": [{"name": "istio-proxy", "ready": ready, "state": state}]}
    return obj(
        "Pod", name, "default", labels={"service.istio.io/canonical-name": name}, status=status, **more
    )


def told(*pods: Object) -> list[str]:
    cluster = FakeCluster("east")
    for each in pods:
        cluster.seed(each.content)
    chosen = [each for each in checks() if each.moment is Moment.AFTER]
    outcomes = run(Site(cluster), chosen, FakeClock())
    findings = [each for outcome in outcomes for each in outcome.findings]
    assert {each.rule.code for each in findings} <= {"proxies-ready"}
    return [f"{each.subject}: {each.message}" for each in findings]


def test_proxies_that_are_ready_pass() -> None:
    assert told(pod("web", ready=True)) == []


def test_proxies_that_are_not_ready_are_told_with_the_reason() -> None:
    assert told(pod("web", ready=False, reason="CrashLoopBackOff"), pod("shop", ready=False)) == [
        "Pod default/shop: its proxy is not ready",
        "Pod default/web: its proxy is not ready: CrashLoopBackOff",
    ]


def test_a_cluster_without_a_mesh_says_so_for_every_rule_of_a_mesh() -> None:
    cluster, clock = FakeCluster("east"), FakeClock()
    world = World({"east": cluster}, {"east": FakeReleases()}, clock, FakeFiles())
    outcomes = {each.check: each for each in after_install(world, "istio-system")}
    assert outcomes["control-plane-ready"].skipped == "there is no mesh here"
    assert outcomes["proxies"].skipped == "control-plane-ready does not hold"
