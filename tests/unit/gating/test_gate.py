"""What was moved passes the gate, or the reason is told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from meshctl.actions.canary import gate
from meshctl.errors import AccessError, ConfigError, FailedError, UnreachableError
from meshctl.model.event import Done, Event, Started, Waiting
from meshctl.model.objects import Ref
from meshctl.model.upgrade import Gate, Method, Mover
from meshctl.ports import World
from tests.envoys import context
from tests.fakes import NOON, FakeClock
from tests.istiods import (
    client_config,
)
from tests.unit.gating.ground import ROOT, a_world, envoy, istiod, moved

WEB = (("shop", "web-1"),)
REJECTED = "listener_manager.lds.update_rejected"


class Turning(FakeClock):
    """A clock with things that happen when somebody has slept so often."""

    def __init__(self, *turns: Callable[[], object]) -> None:
        super().__init__()
        self._turns = list(turns)

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self._turns:
            self._turns.pop(0)()


def passing(world: World, *, pods: gate.Pods = WEB, batch: str = "", **terms: Any) -> list[Event]:
    return list(gate.pass_through(world, "home", revision="new", pods=pods, gate=Gate(**terms), batch=batch))


def refused(world: World, **terms: Any) -> FailedError:
    with pytest.raises(FailedError) as caught:
        passing(world, **{"seconds": 30.0, **terms})
    assert caught.value.code == "gate-failed"
    return caught.value


def test_proxies_that_are_where_they_should_be_pass_at_the_first_look() -> None:
    with a_world(
        moved(), istiods={"istiod-1": istiod(client_config("web-1"))}, envoys={"web-1": envoy()}
    ) as world:
        events = passing(world)
        assert world.clock.slept == []  # type: ignore[attr-defined]
    assert events == [
        Started("gate", "proxies on revision new"),
        Done("gate", "1 proxies passed on revision new", 0.0),
    ]


def test_a_type_that_was_never_sent_is_no_reason() -> None:
    config = client_config("web-1", CDS="SYNCED", LDS="NOT_SENT")
    with a_world(moved(), istiods={"istiod-1": istiod(config)}, envoys={"web-1": envoy()}) as world:
        assert isinstance(passing(world)[-1], Done)


def test_a_proxy_that_stays_with_the_old_revision_is_named_with_it() -> None:
    with a_world(moved(revision="old"), istiods={"istiod-1": istiod()}) as world:
        error = refused(world)
    assert error.details == (
        "shop/web-1: it is connected to no istiod of revision 'new': its proxy is of revision 'old'",
    )
    assert "after 30 s" in error.message


def test_a_pod_that_the_injector_left_out_is_told() -> None:
    pod = moved()
    pod["spec"]["containers"] = [{"name": "app", "image": "app:1"}]
    with a_world(pod, istiods={"istiod-1": istiod()}) as world:
        assert "it has no proxy: the injector of revision 'new' left it out" in refused(world).details[0]


def test_rejected_configuration_is_told_in_envoys_words_and_waited_for_a_little_only() -> None:
    config = client_config(
        "web-1", CDS="SYNCED", LDS="ERROR", error="Didn't find a registered\nimplementation"
    )
    with a_world(
        moved(ready=False), istiods={"istiod-1": istiod(config)}, envoys={"web-1": envoy()}
    ) as world:
        error = refused(world, seconds=300.0)
    assert error.details == ("shop/web-1: it rejected LDS: Didn't find a registered implementation",)
    assert "after 10 s" in error.message


def test_a_watched_move_ends_when_a_rejection_has_lasted_and_not_before_or_for_anything_else() -> None:
    talker = istiod(client_config("web-1", CDS="STALE"))
    with a_world(moved(ready=False), istiods={"istiod-1": talker}) as world:
        clock = world.clock
        look = gate.watch(world, "home", revision="new", pods=WEB)
        for _ in range(100):
            clock.sleep(5.0)
            look()
        talker._configs = (client_config("web-1", CDS="SYNCED", LDS="ERROR", error="no such filter"),)
        look()
        clock.sleep(5.0)
        look()
        clock.sleep(5.0)
        with pytest.raises(FailedError) as caught:
            look()
    assert caught.value.code == "gate-failed"
    assert caught.value.details == ("shop/web-1: it rejected LDS: no such filter",)


def test_configuration_that_is_mended_in_time_lets_the_proxy_pass() -> None:
    fine = client_config("web-1")
    talker = istiod(client_config("web-1", CDS="SYNCED", LDS="ERROR", error="no"))
    clock = Turning(lambda: None, lambda: setattr(talker, "_configs", (fine,)))
    rejecting = envoy(rejected={REJECTED: 1})
    with a_world(moved(), istiods={"istiod-1": talker}, envoys={"web-1": rejecting}, clock=clock) as world:
        events = passing(world)
    assert [each.cause for each in events if isinstance(each, Waiting)] == [
        "shop/web-1: it rejected LDS: no",
        f"shop/web-1: Envoy rejected configuration: {REJECTED} 1",
    ]
    assert isinstance(events[-1], Done)


def test_an_envoy_that_rejects_again_and_again_does_not_pass_though_istiod_sees_it_in_sync() -> None:
    rejecting = envoy(rejected={REJECTED: 1})

    def once_more() -> None:
        rejecting.rejected[REJECTED] += 1

    clock = Turning(*[once_more] * 40)
    with a_world(
        moved(),
        istiods={"istiod-1": istiod(client_config("web-1"))},
        envoys={"web-1": rejecting},
        clock=clock,
    ) as world:
        assert REJECTED in refused(world, seconds=60.0).details[0]


def test_a_proxy_that_has_not_acknowledged_is_waited_for() -> None:
    talker = istiod(client_config("web-1", CDS="STALE", LDS="SYNCED"))
    clock = Turning(lambda: setattr(talker, "_configs", (client_config("web-1"),)))
    with a_world(moved(), istiods={"istiod-1": talker}, envoys={"web-1": envoy()}, clock=clock) as world:
        events = passing(world)
    assert events[1] == Waiting("gate", "0 of 1 proxies", "shop/web-1: it has not acknowledged CDS")
    assert isinstance(events[-1], Done)


def test_nobody_is_asked_more_than_once_a_second() -> None:
    with a_world(moved(), istiods={"istiod-1": istiod()}) as world:
        refused(world, seconds=20.0)
        assert min(world.clock.slept) >= 1.0  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("certs", "words"),
    [
        (context(root=ROOT, expires=NOON), "its certificate expired at 2026-01-01T12:00:00+00:00"),
        (context(root=ROOT, begins=NOON + timedelta(hours=1)), "its certificate is valid only from"),
        (context(root=ROOT + 1), "it trusts another root than the mesh's"),
    ],
)
def test_a_certificate_must_be_valid_and_of_the_mesh(certs: dict[str, Any], words: str) -> None:
    with a_world(
        moved(),
        istiods={"istiod-1": istiod(client_config("web-1"))},
        envoys={"web-1": envoy(certs=[context(root=ROOT), certs])},
    ) as world:
        assert words in refused(world).details[0]


def test_a_gateways_certificate_for_the_outside_is_not_the_meshs_matter() -> None:
    outside = context(root=1, expires=NOON - timedelta(days=1), names=({"dns": "shop.example"},))
    with a_world(
        moved(role="router"),
        istiods={"istiod-1": istiod(client_config("web-1"))},
        envoys={"web-1": envoy(certs=[outside])},
    ) as world:
        assert isinstance(passing(world)[-1], Done)


def test_an_envoy_that_does_not_answer_is_a_reason() -> None:
    with a_world(moved(), istiods={"istiod-1": istiod(client_config("web-1"))}) as world:
        assert "nothing listens on port 15000 of Pod shop/web-1" in refused(world).details[0]


def test_an_admin_port_of_the_users_is_asked() -> None:
    pod = moved()
    proxy = pod["spec"]["containers"][1]
    proxy["env"] = [
        {"name": "PROXY_CONFIG", "value": '{"proxyAdminPort":15999}\n'},
        {"name": "X", "valueFrom": {}},
    ]
    with a_world(pod, istiods={"istiod-1": istiod(client_config("web-1"))}) as world, envoy() as admin:
        world.clusters["home"].targets["shop", "web-1", 15999] = ("127.0.0.1", admin.port)  # type: ignore[attr-defined]
        assert isinstance(passing(world)[-1], Done)


@pytest.mark.parametrize("kind", ["ztunnel", "agent"])
def test_proxies_that_are_no_envoys_are_not_asked_as_one(kind: str) -> None:
    pod = moved(role="ztunnel" if kind == "ztunnel" else "sidecar")
    pod["spec"]["containers"][1]["env"] = [{"name": "DISABLE_ENVOY", "value": "true"}] * (kind == "agent")
    with a_world(pod, istiods={"istiod-1": istiod(client_config("web-1"))}) as world:
        assert isinstance(passing(world)[-1], Done)


def test_a_pod_that_is_not_ready_is_told_with_its_trouble() -> None:
    pod = moved(ready=False)
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    pod["status"]["containerStatuses"] = [{"name": "app", "image": "app:1", "state": waiting}]
    with a_world(pod, istiods={"istiod-1": istiod()}) as world:
        error = refused(world, seconds=300.0)
    assert "container 'app' of pod 'web-1': ImagePullBackOff: no such image" in error.details[0]
    assert "after 20 s" in error.message  # there is no use in waiting longer


def test_without_an_istiod_of_the_revision_nobody_passes() -> None:
    with a_world(moved(), istiods={}) as world:
        assert "no istiod of revision 'new' runs" in refused(world).details[0]


def test_one_istiod_that_is_silent_is_named_where_a_proxy_is_missed() -> None:
    istiods = {"istiod-1": istiod(client_config("web-1")), "istiod-2": istiod(mood="hangs-up")}
    pods = (*WEB, ("shop", "web-2"))
    with a_world(moved(), moved("web-2"), istiods=istiods, envoys={"web-1": envoy()}) as world:
        error = refused(world, pods=pods)
    assert [each for each in error.details if "istiod-2 did not answer" in each] == list(error.details)
    assert error.details[0].startswith("shop/web-2: ")


def test_a_proxy_of_another_cluster_does_not_stand_for_one_of_the_same_name() -> None:
    config = client_config("web-1", cluster="away")
    with a_world(moved(), istiods={"istiod-1": istiod(config)}, envoys={"web-1": envoy()}) as world:
        assert "connected to no istiod" in refused(world).details[0]


def test_pods_that_are_gone_by_now_are_passed_over_but_not_all_of_them() -> None:
    with a_world(
        moved(), istiods={"istiod-1": istiod(client_config("web-1"))}, envoys={"web-1": envoy()}
    ) as world:
        assert isinstance(passing(world, pods=(*WEB, ("shop", "web-0")))[-1], Done)
        assert (
            "none of the 1 that were moved is there any more"
            in refused(world, pods=[("shop", "web-0")]).message
        )


def test_pods_are_found_anew_at_each_look() -> None:
    looks = iter([[("shop", "web-0")], list(WEB)])
    with a_world(
        moved(), istiods={"istiod-1": istiod(client_config("web-1"))}, envoys={"web-1": envoy()}
    ) as world:
        assert isinstance(passing(world, pods=lambda: next(looks))[-1], Done)


def test_a_soak_begins_again_when_something_is_said_meanwhile() -> None:
    good, bad = (client_config("web-1"),), (client_config("web-1", CDS="STALE"),)
    talker = istiod(*good)
    steps = [None, None, bad, good, *[None] * 10]
    clock = Turning(*[lambda to=to: to and setattr(talker, "_configs", to) for to in steps])
    with a_world(moved(), istiods={"istiod-1": talker}, envoys={"web-1": envoy()}, clock=clock) as world:
        events = passing(world, soak=5.0)
        assert sum(world.clock.slept) == pytest.approx(9.0)  # type: ignore[attr-defined]
    assert [each.cause for each in events if isinstance(each, Waiting)] == [
        "all must hold for 5 s",
        "shop/web-1: it has not acknowledged CDS",
        "all must hold for 5 s",
    ]


def test_an_api_server_that_is_away_for_a_moment_is_waited_for() -> None:
    broken: dict[str, Exception] = {"Pod": UnreachableError("cluster-unreachable", "it does not answer")}
    with a_world(
        moved(), istiods={"istiod-1": istiod(client_config("web-1"))}, envoys={"web-1": envoy()}
    ) as world:
        cluster = world.clusters["home"]
        cluster._broken = broken  # type: ignore[attr-defined]
        world.clock.sleep = lambda _: broken.clear()  # type: ignore[method-assign]
        assert passing(world)[1] == Waiting("gate", "0 of 0 proxies", "API server: it does not answer")


def test_who_may_not_look_is_told_at_once() -> None:
    broken: dict[str, Exception] = {"token": AccessError("not-allowed", "you may not")}
    with a_world(moved(), istiods={"istiod-1": istiod(client_config("web-1"))}, broken=broken) as world:
        assert "you may not" in refused(world).message
        assert world.clock.slept == []  # type: ignore[attr-defined]


def good() -> Any:
    return a_world(moved(), istiods={"istiod-1": istiod(client_config("web-1"))}, envoys={"web-1": envoy()})


def test_the_users_command_is_run_once_and_told_the_batch() -> None:
    code = (
        "import os, sys; names = 'CLUSTER', 'REVISION', 'BATCH'; "
        "sys.exit([os.environ['MESHCTL_' + each] for each in names] != ['home', 'new', 'batch 1 of 2'])"
    )
    with good() as world:
        events = passing(world, batch="batch 1 of 2", command=(sys.executable, "-c", code))
    assert isinstance(events[-1], Done)


def test_a_command_that_fails_fails_the_gate_with_its_last_words() -> None:
    with good() as world:
        error = refused(world, command=(sys.executable, "-c", "raise SystemExit('orders are down')"))
    assert error.details == ("orders are down",)
    with good() as world:
        assert "'no-such-program' cannot be run" in refused(world, command=("no-such-program",)).message


@pytest.mark.parametrize(
    ("query", "values", "words"),
    [
        ("errors < 1", (), "errors < 1: it gives nothing"),
        ("sum(ok)", (0.0,), "sum(ok): it gives 0"),
        ("a", UnreachableError("prometheus-silent", "it does not answer"), "it does not answer"),
        ("a b", ConfigError("promql-refused", "it does not take that"), "it does not take that"),
    ],
)
def test_a_query_that_does_not_hold_fails_the_gate(
    query: str, values: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*_: str) -> Any:
        if isinstance(values, Exception):
            raise values
        return values

    monkeypatch.setattr("meshctl.adapters.prometheus.ask", ask)
    with good() as world:
        assert words in refused(world, query=query, prometheus="http://prometheus:9090").message


def test_a_query_is_asked_again_until_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([(), (), (0.0,)])
    monkeypatch.setattr("meshctl.adapters.prometheus.ask", lambda *_: next(answers))
    with good() as world:
        assert isinstance(passing(world, query="errors < 1", prometheus="http://prometheus:9090")[-1], Done)


def test_a_query_without_a_server_is_refused_before_anything_is_looked_at() -> None:
    with good() as world, pytest.raises(ConfigError) as caught:
        passing(world, query="up")
    assert caught.value.code == "gate-without-prometheus"


def test_pods_of_a_workload_are_found_by_their_owners() -> None:
    def of(kind: str, name: str) -> list[dict[str, Any]]:
        return [{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": f"{kind}-{name}"}]

    def owned(pod: dict[str, Any], owners: list[dict[str, Any]]) -> dict[str, Any]:
        pod["metadata"]["ownerReferences"] = owners
        return pod

    sets = [
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {"namespace": "shop", "name": name, "ownerReferences": of("Deployment", owner)},
        }
        for name, owner in (("web-5", "web"), ("api-5", "api"))
    ]
    pods = [
        owned(moved("web-1"), of("ReplicaSet", "web-5")),
        owned(moved("api-1"), of("ReplicaSet", "api-5")),
        owned(moved("db-0"), of("StatefulSet", "db")),
        owned(moved("web-9", namespace="bank"), of("ReplicaSet", "web-5")),
        owned(moved("web-2", phase="Succeeded"), of("ReplicaSet", "web-5")),
        moved("bare"),
    ]
    with a_world(*sets, *pods, istiods={}) as world:
        workloads = [
            Mover(Ref("apps/v1", kind, "shop", name), Method.RESTART, 1)
            for kind, name in (("Deployment", "web"), ("StatefulSet", "db"))
        ]
        assert gate.pods_of(world.clusters["home"], workloads) == (("shop", "db-0"), ("shop", "web-1"))


def test_what_proxies_reject_can_be_asked_for_alone() -> None:
    configs = (
        client_config("web-1", LDS="ERROR", error="no such filter"),
        client_config("web-2", LDS="STALE"),
    )
    pods = (*WEB, ("shop", "web-2"))
    with a_world(moved(ready=False), moved("web-2"), istiods={"istiod-1": istiod(*configs)}) as world:
        told = gate.rejected(world, "home", revision="new", pods=pods)
    assert told == ("shop/web-1: it rejected LDS: no such filter",)
    with a_world(moved(), istiods={}, broken={"Pod": UnreachableError("x", "no answer")}) as world:
        assert gate.rejected(world, "home", revision="new", pods=WEB) == ()
