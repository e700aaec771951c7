"""Who still needs the istiods of a revision."""

from __future__ import annotations

from typing import Any

import pytest

from meshctl.actions.canary import gate
from meshctl.errors import UnreachableError
from meshctl.model.objects import Ref
from meshctl.ports import World
from tests.istiods import client_config, istiod_pod
from tests.unit.gating.ground import a_world, istiod, moved


def attached(world: World, revision: str = "new") -> tuple[str, ...]:
    return gate.attached(world, "home", revision=revision)


def test_attached_are_streams_and_pods_that_the_revision_made() -> None:
    leaving = moved("web-3")
    leaving["metadata"]["finalizers"] = ["example.com/stays"]
    pods = [moved("web-1"), moved("web-2"), leaving, moved("web-4", revision="other")]
    talker = istiod(client_config("web-1"), client_config("gone-1"), client_config("away-1", cluster="away"))
    with a_world(*pods, istiods={"istiod-1": talker}) as world:
        world.clusters["home"].delete(Ref("v1", "Pod", "shop", "web-3"))
        assert attached(world) == ("shop/away-1", "shop/web-1", "shop/web-2")


def test_attached_without_an_istiod_are_the_pods_that_say_so() -> None:
    with a_world(moved(revision="default"), istiods={}) as world:
        assert attached(world, "") == ("shop/web-1",)
        assert attached(world) == ()


def test_an_istiod_that_runs_and_does_not_say_is_no_proof_that_nobody_is_attached() -> None:
    silent = istiod_pod("istiod-2", revision="new")
    with a_world(silent, istiods={"istiod-1": istiod()}) as world:
        assert attached(world) == ()  # none of its containers runs
        running = [{"name": "discovery", "state": {"running": {}}}]
        world.clusters["home"].edit(  # type: ignore[attr-defined]
            Ref("v1", "Pod", "istio-system", "istiod-2"), {"status": {"containerStatuses": running}}
        )
        with pytest.raises(UnreachableError) as caught:
            attached(world)
    assert "istiod-2 did not say which proxies it has" in caught.value.message


@pytest.mark.parametrize(("state", "is_known"), [({"waiting": {}}, True), ({"running": {}}, False)])
def test_an_only_istiod_that_is_silent_has_proxies_unless_it_is_stopped(
    state: dict[str, Any], is_known: bool
) -> None:
    silent = istiod_pod("istiod-1", revision="new")
    silent["status"]["containerStatuses"] = [{"name": "discovery", "state": state}]
    with a_world(silent, moved(), istiods={}) as world:
        if is_known:
            assert attached(world) == ("shop/web-1",)
        else:
            with pytest.raises(UnreachableError):
                attached(world)


@pytest.mark.parametrize(
    ("ready", "rider", "is_known"), [("False", "old", True), ("True", "old", False), ("False", "new", False)]
)
def test_a_silent_istiod_that_was_never_ready_has_no_proxies_where_nobody_was_led_there(
    ready: str, rider: str, is_known: bool
) -> None:
    silent = istiod_pod("istiod-1", revision="new")
    silent["status"]["containerStatuses"] = [{"name": "discovery", "state": {"running": {}}}]
    silent["status"]["conditions"] = [{"type": "Ready", "status": ready}]
    with a_world(silent, moved(revision=rider), istiods={}) as world:
        if is_known:
            assert gate.attached(world, "home", revision="new", unused=True) == ()
        else:
            with pytest.raises(UnreachableError):
                gate.attached(world, "home", revision="new", unused=True)
        with pytest.raises(UnreachableError):
            attached(world)
