"""What the agent's server answers, and whom."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from meshctl.agent.health.settings import Grpc, HealthSettings, HttpGet, TcpSocket
from meshctl.agent.http import Answer, HttpError, Request, Response, Tcp, fetch
from meshctl.agent.latest import Latest
from meshctl.agent.messages import NameTable
from meshctl.agent.server.metrics import Metrics
from meshctl.agent.server.ready import Ready
from meshctl.agent.server.server import StatusServer
from meshctl.agent.server.settings import ServerSettings
from meshctl.errors import FailedError
from tests.http_peers import ENOUGH, answer, peer
from tests.unit.agent.server.expositions import seen

LOOPBACK, ELSEWHERE = "127.0.0.1", "10.0.0.7"


@dataclass
class Host:
    """A host with an Envoy that is ready, or not, and what was ordered there."""

    folder: Path
    settings: ServerSettings = field(default_factory=ServerSettings)
    envoy: int = 0
    orders: list[str] = field(default_factory=list)
    names: Latest[bytes | None] = field(default_factory=lambda: Latest(None))

    def server(self) -> StatusServer:
        ready = Ready(self.folder / "admin", running=lambda: self.envoy, synced=lambda: True)
        return StatusServer(
            self.settings,
            ready=ready,
            metrics=Metrics(self.settings, admin=self.folder / "admin", parts=dict, ready=ready, version="1"),
            names=self.names,
            drain=lambda: self.orders.append("drain"),
            end=lambda: self.orders.append("end"),
            relay=self.folder / "relay",
        )

    def answers(self, path: str, method: str = "GET", peer: str = LOOPBACK, **headers: str) -> Answer:
        """The answer to one request; header names have `_` for `-`."""

        async def ask() -> Answer:
            said = tuple((name.replace("_", "-"), value) for name, value in headers.items())
            got = await self.server().answer(Request(method, path, "", said, b"", peer))
            await asyncio.sleep(0)  # orders are carried out once they are answered
            return got

        return asyncio.run(ask())


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_it_says_why_the_proxy_is_not_ready(host: Host) -> None:
    got = host.answers("/healthz/ready")
    assert (got.status, got.body) == (503, b"Envoy does not run\n")


def test_it_says_that_the_proxy_is_ready(host: Host) -> None:
    stats = b"server.state: 0\nlistener_manager.workers_started: 1\n"
    updates = b"cluster_manager.cds.update_success: 1\nlistener_manager.lds.update_success: 1\n"

    async def ask() -> Answer:
        host.envoy = 1
        async with peer(answer(stats + updates), socket=host.folder / "admin"):
            return await host.server().answer(Request("GET", "/healthz/ready", "", (), b"", ELSEWHERE))

    assert asyncio.run(ask()).status == 200


@pytest.mark.parametrize(("path", "ordered"), [("/quitquitquit", "end"), ("/drain", "drain")])
def test_this_host_may_give_orders(path: str, ordered: str, host: Host) -> None:
    assert host.answers(path, "POST").body == b"OK"
    assert host.answers(path, "POST", peer="::1").status == 200
    assert host.orders == [ordered, ordered]


@pytest.mark.parametrize("path", ["/quitquitquit", "/drain"])
@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({"method": "GET"}, 405),
        ({"method": "PUT"}, 405),
        ({"method": "HEAD"}, 405),
        ({"method": "POST", "peer": ELSEWHERE}, 403),
        ({"method": "GET", "peer": ELSEWHERE}, 403),
        ({"method": "POST", "Origin": "http://evil.example"}, 403),
        ({"method": "POST", "X_Forwarded_For": LOOPBACK}, 403),
        ({"method": "POST", "x_forwarded_proto": "http"}, 403),
    ],
)
def test_nobody_else_and_nothing_by_chance_gives_orders(
    path: str, how: dict[str, str], status: int, host: Host
) -> None:
    assert host.answers(path, **how).status == status  # type: ignore[arg-type]
    assert host.orders == []


@pytest.mark.parametrize(
    "path", ["/", "/drain/", "//drain", "/quitquitquit;x", "/DRAIN", "/healthz", "/debug/pprof/"]
)
def test_what_it_does_not_have_it_does_not_do(path: str, host: Host) -> None:
    assert host.answers(path, "POST").status == 404
    assert host.orders == []


def test_pages_are_got_and_not_sent(host: Host) -> None:
    assert host.answers("/metrics", "POST").status == 405
    assert host.answers("/healthz/ready", "DELETE").status == 405


def test_the_names_of_the_mesh_are_shown_to_this_host_alone(host: Host) -> None:
    assert (host.answers("/debug/ndsz").status, host.answers("/debug/ndsz").body) == (404, b"{}")
    table = NameTable()
    table.table["shop.vms.svc.cluster.local"].ips.extend(["10.0.0.1", "10.0.0.2"])
    table.table["shop.vms.svc.cluster.local"].registry = "Kubernetes"
    table.table["shop.vms.svc.cluster.local"].alt_hosts.append("shop.example")
    host.names.set(table.SerializeToString())
    got = host.answers("/debug/ndsz")
    assert got.content_type == "application/json"
    assert isinstance(got.body, bytes)
    assert json.loads(got.body) == {
        "table": {
            "shop.vms.svc.cluster.local": {
                "ips": ["10.0.0.1", "10.0.0.2"],
                "registry": "Kubernetes",
                "altHosts": ["shop.example"],
            }
        }
    }
    assert host.answers("/debug/ndsz", peer=ELSEWHERE).status == 403


@pytest.fixture
def free_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        port = taken.getsockname()[1]
    yield port


async def _asked(server: StatusServer, port: int, *calls: tuple[str, str]) -> list[Response]:
    """The answers of a server that runs."""
    task = asyncio.ensure_future(server.run())
    try:
        for _ in range(100):
            try:
                return [await fetch(Tcp(LOOPBACK, port), *call, timeout=ENOUGH) for call in calls]
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
        raise TimeoutError("it does not listen")
    finally:
        task.cancel()
        await asyncio.wait([task])


def test_it_answers_at_its_port_and_can_be_started_again(host: Host, free_port: int) -> None:
    host.settings = ServerSettings(port=free_port)
    server = host.server()
    calls = (
        ("GET", "/healthz/ready"),
        ("GET", "/stats/prometheus"),
        ("HEAD", "/metrics"),
        ("POST", "/drain"),
    )
    for _ in range(2):
        got = asyncio.run(_asked(server, free_port, *calls))
        assert [each.status for each in got] == [503, 200, 200, 200]
        assert "istio_agent_build_info" in seen(got[1].body.decode())
    assert host.orders == ["drain", "drain"]


def test_a_port_that_is_taken_is_told(host: Host) -> None:
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        host.settings = ServerSettings(port=taken.getsockname()[1])
        with pytest.raises(FailedError, match="cannot be listened on"):
            asyncio.run(host.server().run())


# Probes of containers


def probed(host: Host, said: bytes, check: str = "http", **headers: str) -> tuple[int, bytes, str]:
    """Status and body of the answer to a probe of an application that says this, and what that was asked."""

    async def ask() -> tuple[int, bytes, str]:
        async with peer(said) as application:
            checks = {
                "http": HttpGet(application.port, "/health?x"),
                "tcp": TcpSocket(application.port),
                "grpc": Grpc(application.port),
            }
            probe = HealthSettings(checks[check], host=LOOPBACK)
            host.settings = ServerSettings(probes=(("/app-health/web/livez", probe),))
            sent = tuple((name.replace("_", "-"), value) for name, value in headers.items())
            request = Request("GET", "/app-health/web/livez", "", sent, b"", ELSEWHERE)
            got = await host.server().answer(request)
            assert isinstance(got.body, bytes)
            heard = application.heard[0] if application.heard else ""
            return got.status, got.body, heard.replace(str(application.port), "PORT")

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("said", "status", "body"),
    [
        (answer(b"fine"), 200, b"fine"),
        (answer(b"x" * 20_000), 200, b"x" * 10_240),
        (answer(b"broken", 503), 503, b"broken"),
        (answer(b"moved", 302, "Location: http://elsewhere.invalid/"), 200, b""),
        (answer(b"", 302), 200, b""),
    ],
)
def test_a_probe_is_answered_as_the_application_answers(
    said: bytes, status: int, body: bytes, host: Host
) -> None:
    assert probed(host, said)[:2] == (status, body)


@pytest.mark.parametrize("said", [b"", b"nonsense", answer(b"", 301, "Location: /")])
def test_an_application_without_an_answer_fails_its_probe(said: bytes, host: Host) -> None:
    assert probed(host, said)[0] == 500


def test_an_application_is_asked_as_the_kubelet_asked(host: Host) -> None:
    sent = {
        "Host": "10.0.0.1:15020",
        "User_Agent": "kube-probe/1.35",
        "X_A": "b",
        "Accept_Encoding": "gzip",
        "Connection": "close",
    }
    head = probed(host, answer(), **sent)[2]
    assert head.startswith("GET /health?x HTTP/1.1\r\nHost: 10.0.0.1:PORT\r\n")
    assert "User-Agent: kube-probe/1.35\r\n" in head
    assert "X-A: b\r\n" in head
    assert "gzip" not in head
    assert head.count("Connection") == 1


def test_a_probe_of_a_virtual_host_keeps_its_name(host: Host) -> None:
    assert "Host: shop.example\r\n" in probed(host, answer(), Host="shop.example")[2]


def test_probes_by_tcp_and_grpc_say_yes_or_no(host: Host) -> None:
    assert probed(host, b"", "tcp")[0] == 200
    assert probed(host, b"", "grpc")[0] == 500


def test_a_probe_that_nobody_set_is_none(host: Host) -> None:
    assert host.answers("/app-health/other/livez").status == 400


@pytest.mark.parametrize("port", ["15020x", "x:15020"])
def test_a_strange_host_does_no_harm(port: str, host: Host) -> None:
    assert probed(host, answer(), Host=port)[0] == 200
    with pytest.raises(HttpError):
        asyncio.run(fetch(Tcp(LOOPBACK, 1), "GET", "/", timeout=ENOUGH, headers=(("Host", "a\nb"),)))
