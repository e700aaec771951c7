"""Real calls: who takes part, that all is removed again, and what is made of the answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from meshctl.actions.verification.traffic import Trial, traffic
from meshctl.errors import ConflictError, FailedError
from meshctl.model.event import Warned
from meshctl.model.fleet import Told
from meshctl.model.mesh import Cluster, Role
from meshctl.model.objects import Object, Ref
from meshctl.model.verification import ClusterSeen, FleetSeen, Traffic
from meshctl.ports import World
from meshctl.stages.verifying.envoys import ASKING_PORT, CLIENT_HEADER, FLAGS_HEADER, SERVER_HEADER
from meshctl.stages.verifying.workloads import NAMESPACE, word
from tests.building import obj
from tests.fakes import FakeClock, FakeCluster, FakeFiles, FakeReleases
from tests.unit.checks.fleet_ground import fleet, seen

NAMESPACE_REF = Ref("v1", "Namespace", "", NAMESPACE)
Answer = tuple[int, dict[str, str], str]


def identity(account: str) -> str:
    return f"spiffe://cluster.local/ns/{NAMESPACE}/sa/{account}"


def well(client: str, path: str) -> Answer:
    """What a client is told in a fleet in which all is well."""
    if path.startswith("/open/"):
        return 503, {FLAGS_HEADER: "UC"}, "connection termination"
    server = path.removeprefix("/call/")
    xfcc = f"By={identity(f'server-{server}')};Hash=1;URI={identity(f'client-{client}')}"
    return 200, {SERVER_HEADER: server, CLIENT_HEADER: xfcc}, ""


class Client:
    """The client of one cluster: HTTP on loopback, as `answer` says."""

    def __init__(self, name: str, answer: Callable[[str, str], Answer]) -> None:
        self.asked: list[str] = []
        client = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                client.asked.append(self.path)
                status, headers, body = answer(name, self.path)
                self.send_response(status)
                for key, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.place = ("127.0.0.1", self._server.server_port)

    def __enter__(self) -> Client:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Running(FakeCluster):
    """A cluster in which Deployments have a pod each; `broken` names one that never becomes ready."""

    def __init__(self, name: str, clock: FakeClock, *objects: Object, broken: str = "") -> None:
        super().__init__(name, *(each.content for each in objects), clock=clock)
        self.broken = broken

    def apply(self, obj: Object, *, take_over: bool = False, dry_run: bool = False) -> Object:
        made = super().apply(obj, take_over=take_over, dry_run=dry_run)
        if obj.ref.kind != "Deployment":
            return made
        if obj.ref.name == self.broken:
            raise FailedError("request-refused", "no room for it")
        labels = obj.at("spec.template.metadata.labels")
        pod = {"name": f"{obj.ref.name}-1", "namespace": NAMESPACE, "labels": labels}
        self.seed({"apiVersion": "v1", "kind": "Pod", "metadata": pod, "status": {"phase": "Running"}})
        return made

    @property
    def made(self) -> set[str]:
        return {each.removeprefix("apply ") for each in self.writes if each.startswith("apply ")}


@contextmanager
def a_world(
    *names: str, answer: Callable[[str, str], Answer] = well, broken: dict[str, str] | None = None
) -> Iterator[World]:
    clock = FakeClock()
    with ExitStack() as stack:
        doors = {}
        for name in names:
            door = Running(name, clock, broken=(broken or {}).get(name, ""))
            client = stack.enter_context(Client(name, answer))
            door.targets[NAMESPACE, f"client-{name}-1", ASKING_PORT] = client.place
            doors[name] = door
        yield World(doors, {name: FakeReleases() for name in names}, clock, FakeFiles())


def tried(world: World, site: FleetSeen, trial: Trial | None = None) -> tuple[Traffic, list[Told]]:
    story = traffic(world, site, trial or Trial(seconds=5, calling=3))
    told = []
    while True:
        try:
            told.append(next(story))
        except StopIteration as end:
            return end.value, told


def left(world: World) -> list[str]:
    return [name for name, door in world.clusters.items() if door.get(NAMESPACE_REF)]


def test_every_client_calls_every_server_and_nothing_is_left() -> None:
    with a_world("west", "east") as world:
        found, _ = tried(world, fleet())
        assert [(each.client, each.server, each.is_well) for each in found.calls] == [
            ("west", "west", True),
            ("west", "east", True),
            ("east", "west", True),
            ("east", "east", True),
        ]
        assert [(each.client, each.cluster, each.fault) for each in found.opened] == [
            ("west", "east", ""),
            ("east", "west", ""),
        ]
        assert left(world) == []


def test_all_that_is_made_is_in_the_namespace_that_goes() -> None:
    with a_world("west", "east") as world:
        tried(world, fleet())
        west = world.clusters["west"]
        assert isinstance(west, Running)
        assert {each for each in west.made if f" {NAMESPACE}/" not in each} == {f"Namespace {NAMESPACE}"}


def test_every_cluster_has_the_services_of_all_servers_and_pods_of_its_own_alone() -> None:
    with a_world("west", "east") as world:
        tried(world, fleet())
        west = world.clusters["west"]
        assert isinstance(west, Running)
        kinds = {
            kind: {each for each in west.made if each.startswith(kind)} for kind in ("Service ", "Deploy")
        }
        assert kinds == {
            "Service ": {f"Service {NAMESPACE}/server-west", f"Service {NAMESPACE}/server-east"},
            "Deploy": {f"Deployment {NAMESPACE}/server-west", f"Deployment {NAMESPACE}/client-west"},
        }


def test_what_a_killed_run_has_left_is_removed_first() -> None:
    with a_world("west", "east") as world:
        old = obj("Namespace", NAMESPACE, labels={"meshctl.dev/component": "verify"})
        other = obj("Namespace", "meshctl-verify-old", labels={"meshctl.dev/component": "verify"})
        world.clusters["west"].seed(old.content)  # type: ignore[attr-defined]
        world.clusters["west"].seed(other.content)  # type: ignore[attr-defined]
        found, _ = tried(world, fleet())
        assert all(each.is_well for each in found.calls)
        assert left(world) == []
        assert world.clusters["west"].get(other.ref) is None


def test_a_namespace_of_somebody_else_is_let_alone() -> None:
    with a_world("west", "east") as world:
        world.clusters["east"].seed(obj("Namespace", NAMESPACE).content)  # type: ignore[attr-defined]
        with pytest.raises(ConflictError, match="that no verification has made"):
            tried(world, fleet())
        assert left(world) == ["east"]


def test_two_verifications_of_one_cluster_keep_out_of_each_others_way() -> None:
    with a_world("west", "east") as world:
        with world.releases["east"].lock("verify"), pytest.raises(ConflictError):
            tried(world, fleet())
        assert left(world) == []


@pytest.mark.parametrize("turns", [1, 5, 20])
def test_a_run_that_is_interrupted_leaves_nothing(turns: int) -> None:
    with a_world("west", "east") as world:
        story = traffic(world, fleet(), Trial(seconds=5, calling=3))
        for _ in range(turns):
            next(story)
        story.close()
        assert left(world) == []


def test_a_cluster_whose_pods_do_not_come_is_told_and_the_others_are_tried() -> None:
    with a_world("west", "east", broken={"east": "server-east"}) as world:
        found, _ = tried(world, fleet())
        assert [(each.client, each.server) for each in found.calls] == [("west", "west")]
        assert "no room for it" in found.skipped["east"]
        assert left(world) == []


def test_calls_that_fail_at_first_are_made_again() -> None:
    turns: dict[str, int] = {}

    def late(client: str, path: str) -> Answer:
        turns[path] = turns.get(path, 0) + 1
        return (503, {FLAGS_HEADER: "-"}, "no healthy upstream") if turns[path] < 3 else well(client, path)

    with a_world("west", answer=late) as world:
        found, _ = tried(world, fleet(seen("west")))
        assert [each.is_well for each in found.calls] == [True]


def test_what_goes_on_failing_is_told_with_where_the_caller_would_reach_it() -> None:
    def shut(client: str, path: str) -> Answer:
        if path.startswith("/open/"):
            return 503, {FLAGS_HEADER: "UF"}, "connection timeout"
        if path == "/call/east" and client == "west":
            return 503, {FLAGS_HEADER: "-"}, "upstream connect error: connection timeout"
        if path.startswith("/clusters"):
            host = {"address": {"socket_address": {"address": "192.0.2.4", "port_value": 15443}}}
            name = f"outbound|8000||server-east.{NAMESPACE}.svc.cluster.local"
            import json

            return 200, {}, json.dumps({"cluster_statuses": [{"name": name, "host_statuses": [host]}]})
        return well(client, path)

    with a_world("west", "east", answer=shut) as world:
        door = world.clusters["west"]
        assert isinstance(door, Running)
        door.targets[NAMESPACE, "client-west-1", 15000] = door.targets[
            NAMESPACE, "client-west-1", ASKING_PORT
        ]
        found, _ = tried(world, fleet())
    [lost] = [each for each in found.calls if not each.is_well]
    assert (lost.client, lost.server, lost.path) == ("west", "east", ("192.0.2.4:15443",))
    assert lost.fault == "no answer in time at 192.0.2.4:15443"
    assert {each.fault for each in found.opened} == {"no answer"}


def test_what_cannot_be_removed_is_told() -> None:
    with a_world("west") as world:
        door = world.clusters["west"]
        door.fail("delete", f"Namespace {NAMESPACE}", FailedError("request-refused", "may not"), times=9)  # type: ignore[attr-defined]
        _, told = tried(world, fleet(seen("west")))
        [warning] = [each.event for each in told if isinstance(each.event, Warned)]
        assert warning.reason.endswith("the next verification removes it")


# Who takes part.


def without(site: ClusterSeen, **more: Any) -> ClusterSeen:
    return replace(site, **more)


def test_clusters_without_workloads_or_proxies_take_no_part() -> None:
    hub = without(seen("north"), cluster=Cluster("north", role=Role.EXTERNAL))
    bare = without(seen("east"), injected=None, injection_fault="nobody answers")
    with a_world("west", "east", "north") as world:
        found, _ = tried(world, fleet(seen("west"), bare, hub))
        assert [(each.client, each.server) for each in found.calls] == [("west", "west")]
        assert found.skipped == {"east": "new pods get no proxy there: nobody answers"}


def test_one_cluster_under_two_names_takes_part_once() -> None:
    with a_world("west", "east") as world:
        found, _ = tried(world, fleet(seen("west"), without(seen("east"), uid="uid-west")))
        assert [(each.client, each.server) for each in found.calls] == [("west", "west")]
        assert found.skipped == {"east": "it is the same cluster as another"}


def test_clusters_of_one_network_need_no_gateways() -> None:
    site = fleet(seen("west", network="flat"), seen("east", network="flat"))
    with a_world("west", "east") as world:
        found, _ = tried(world, site)
        assert found.opened == ()


@pytest.mark.parametrize(
    "name", ["east", "a" * 63, "arn:aws:eks:eu-1:12:cluster/x", "EAST", "east-", "---", "9", "日本"]
)
def test_names_of_clusters_become_parts_of_names_of_objects(name: str) -> None:
    import re

    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", word(name))
    assert len(f"server-{word(name)}") <= 63


def test_no_two_clusters_share_a_word() -> None:
    names = ["east", "EAST", "east-", "east_", "a" * 63, "a" * 62, "日本", "中国"]
    assert len({word(each) for each in names}) == len(names)
