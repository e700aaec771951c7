"""What makes a workload healthy, and what does not."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from meshctl.agent.health import by_http
from meshctl.agent.health.probes import failure
from meshctl.agent.health.settings import Check, Exec, Grpc, HttpGet, TcpSocket
from meshctl.agent.messages import HealthCheckRequest, HealthCheckResponse
from tests.http_peers import ENOUGH, Peer, answer, peer, untrusted


def reason(
    check: Check, timeout: float = ENOUGH, host: str = "127.0.0.1", relay: Path = Path("/nowhere")
) -> str:
    return asyncio.run(failure(check, host, timeout, relay))


def asked(
    said: bytes | Callable[[str], bytes],
    check: Callable[[int], HttpGet],
    timeout: float = ENOUGH,
    **how: object,
) -> tuple[str, Peer]:
    """Why a server is not healthy that says this, and the server."""

    async def call() -> tuple[str, Peer]:
        async with peer(said, **how) as server:  # type: ignore[arg-type]
            return await failure(check(server.port), "127.0.0.1", timeout, Path("/nowhere")), server

    return asyncio.run(call())


# By HTTP


@pytest.mark.parametrize("status", [200, 204, 299, 300, 304, 399])
def test_a_status_from_200_to_399_is_healthy(status: int) -> None:
    assert asked(answer(b"", status), HttpGet)[0] == ""


@pytest.mark.parametrize("status", [400, 404, 500, 503, 599])
def test_another_status_is_not_healthy_and_is_told(status: int) -> None:
    assert str(status) in asked(answer(b"", status), HttpGet)[0]


def test_a_probe_looks_like_one_of_istio() -> None:
    _, server = asked(answer(), lambda port: HttpGet(port, "status page?a=ü#part"))
    assert server.heard[0].startswith("GET /status%20page?a=%C3%BC HTTP/1.1\r\n")
    assert "User-Agent: istio-probe/1.0\r\n" in server.heard[0]
    assert f"Host: 127.0.0.1:{server.port}\r\n" in server.heard[0]


def test_a_probe_comes_from_where_capture_lets_it_pass() -> None:
    assert asked(answer(), HttpGet)[1].sources == ["127.0.0.6"]


def test_headers_are_sent_as_they_are_said() -> None:
    said = (("Host", "shop.example"), ("X-A", "1"), ("X-A", "2"), ("User-Agent", "me"))
    _, server = asked(answer(), lambda port: HttpGet(port, headers=said))
    head = server.heard[0]
    assert head.count("Host:") == head.count("User-Agent:") == 1
    assert "Host: shop.example\r\n" in head
    assert "X-A: 1\r\nX-A: 2\r\nUser-Agent: me\r\n" in head


def test_the_body_is_not_waited_for() -> None:
    said = b"HTTP/1.1 200 x\r\nContent-Length: 1000000\r\n\r\n"
    assert asked(said, HttpGet, timeout=2, stays=True)[0] == ""


def test_a_redirect_is_followed() -> None:
    def said(head: str) -> bytes:
        return answer(b"", 500) if "GET /new?x " in head else answer(b"", 302, "Location: ../new?x")

    failed, server = asked(said, lambda port: HttpGet(port, "/a/old"))
    assert "500" in failed
    assert len(server.heard) == 2


def test_a_redirect_is_followed_to_another_host_without_what_is_secret() -> None:
    async def call() -> tuple[str, str]:
        async with peer(answer(b"", 404)) as other:
            onward = answer(b"", 307, f"Location: http://localhost:{other.port}/there")
            async with peer(onward) as server:
                said = (("Authorization", "secret"), ("Host", "first.example"), ("X", "y"))
                check = HttpGet(server.port, headers=said)
                return await failure(check, "127.0.0.1", ENOUGH, Path("/nowhere")), other.heard[0]

    failed, head = asyncio.run(call())
    assert "404" in failed
    assert "secret" not in head
    assert "first.example" not in head
    assert "X: y" in head


def test_redirects_without_end_are_not_healthy() -> None:
    failed, server = asked(answer(b"", 301, "Location: /"), HttpGet)
    assert "10 redirects" in failed
    assert len(server.heard) == 10


@pytest.mark.parametrize(
    "location", ["ftp://x/", "http://[::1/", "http://x:99999/", "javascript:alert(1)", "http:///x"]
)
def test_a_redirect_to_nowhere_is_not_healthy(location: str) -> None:
    assert "redirect" in asked(answer(b"", 302, f"Location: {location}"), HttpGet)[0]


def test_a_redirect_that_says_no_place_is_an_answer() -> None:
    assert asked(answer(b"", 302), HttpGet)[0] == ""


def test_a_server_that_is_not_http_is_not_healthy() -> None:
    assert "HTTP" in asked(b"220 mail.example ESMTP\r\n", HttpGet)[0]


def test_a_server_that_takes_too_long_is_not_healthy() -> None:
    assert asked(answer(), HttpGet, timeout=0.1, delay=60)[0] == "no answer within 0.1 s"


def test_https_is_asked_whatever_its_certificate_says(tmp_path: Path) -> None:
    context: ssl.SSLContext = untrusted(tmp_path)
    assert asked(answer(), lambda port: HttpGet(port, tls=True), tls=context)[0] == ""
    assert "503" in asked(answer(b"", 503), lambda port: HttpGet(port, tls=True), tls=context)[0]


def test_https_at_a_server_without_tls_is_not_healthy() -> None:
    assert asked(answer(), lambda port: HttpGet(port, tls=True), timeout=0.5)[0] != ""


def test_a_probe_that_cannot_be_made_finds_nobody_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> str:
        raise ZeroDivisionError

    monkeypatch.setattr(by_http, "failure", broken)
    assert reason(HttpGet(80)) == "the probe could not be made: ZeroDivisionError"


# By TCP


def test_who_takes_a_connection_is_healthy() -> None:
    async def call() -> str:
        async with peer(b"") as server:
            return await failure(TcpSocket(server.port), "localhost", ENOUGH, Path("/nowhere"))

    assert asyncio.run(call()) == ""


@pytest.mark.parametrize("check", [TcpSocket, HttpGet, Grpc])
def test_nobody_there_is_not_healthy(check: Callable[[int], Check], tmp_path: Path) -> None:
    async def call() -> str:
        async with peer(b"") as server:
            port = server.port
        return await failure(check(port), "127.0.0.1", ENOUGH, tmp_path / "relay")

    assert asyncio.run(call()) == "Connection refused"


# By a command


def test_a_command_that_ends_with_0_is_healthy() -> None:
    assert reason(Exec(("true",))) == ""


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("sh", "-c", "exit 3"), "status 3"),
        (("sh", "-c", "kill -TERM $$"), "SIGTERM"),
        (("/no/such/program",), "No such file"),
        (("/etc/passwd",), "Permission denied"),
    ],
)
def test_another_end_of_a_command_is_not_healthy_and_is_told(command: tuple[str, ...], words: str) -> None:
    assert words in reason(Exec(command))


def test_words_of_a_command_are_not_read_by_a_shell() -> None:
    assert reason(Exec(("test", "$(false)", "=", "$(false)"))) == ""


def test_a_command_has_no_input_and_may_say_as_much_as_it_likes() -> None:
    assert reason(Exec(("sh", "-c", "cat; head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2"))) == ""


def test_a_command_does_not_see_how_the_agent_talks_to_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    monkeypatch.setenv("MINE", "y")
    assert reason(Exec(("sh", "-c", 'test -z "$NOTIFY_SOCKET" && test "$MINE" = y'))) == ""


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _gone(pid: int) -> bool:
    ends = time.monotonic() + ENOUGH
    while _lives(pid) and time.monotonic() < ends:
        time.sleep(0.01)
    return not _lives(pid)


@pytest.mark.parametrize(
    "how", ["{child} & wait", "trap '' TERM INT; {child} & wait; wait", "{child} & exec sleep 60"]
)
def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(how: str, tmp_path: Path) -> None:
    child = f"sh -c 'echo $$ > {tmp_path}/pid; exec sleep 60'"
    assert reason(Exec(("sh", "-c", how.format(child=child))), timeout=1.0) == "no answer within 1 s"
    assert _gone(int((tmp_path / "pid").read_text()))


def test_a_command_ends_with_the_agent(tmp_path: Path) -> None:
    async def call() -> None:
        command = Exec(("sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 60"))
        probe = asyncio.ensure_future(failure(command, "localhost", 60, Path("/nowhere")))
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            await asyncio.sleep(0.01)
        probe.cancel()
        await asyncio.wait([probe])

    asyncio.run(call())
    assert _gone(int((tmp_path / "pid").read_text()))


def test_what_a_healthy_command_leaves_behind_goes_on(tmp_path: Path) -> None:
    assert reason(Exec(("sh", "-c", f"sleep 60 & echo $! > {tmp_path}/pid"))) == ""
    pid = int((tmp_path / "pid").read_text())
    assert _lives(pid)
    os.kill(pid, 9)


# By gRPC


@asynccontextmanager
async def grpc_server(
    status: int | grpc.StatusCode | None,
    delay: float = 0.0,
    seen: list[tuple[str, dict[str, str], str]] | None = None,
) -> AsyncIterator[int]:
    """A server with the health protocol, or without when the status is None."""

    async def check(request: object, context: grpc.aio.ServicerContext) -> object:
        if seen is not None:
            metadata = {name: str(said) for name, said in context.invocation_metadata()}
            seen.append((request.service, metadata, context.peer()))  # type: ignore[attr-defined]
        await asyncio.sleep(delay)
        if isinstance(status, grpc.StatusCode):
            await context.abort(status, "because")
        return HealthCheckResponse(status=status)

    server = grpc.aio.server()
    if status is not None:
        handler = grpc.unary_unary_rpc_method_handler(
            check,
            request_deserializer=HealthCheckRequest.FromString,
            response_serializer=HealthCheckResponse.SerializeToString,
        )
        named = grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler})
        server.add_generic_rpc_handlers((named,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


def by_grpc(
    status: int | grpc.StatusCode | None, relay: Path, timeout: float = ENOUGH, delay: float = 0.0
) -> str:
    async def call() -> str:
        async with grpc_server(status, delay) as port:
            return await failure(Grpc(port), "127.0.0.1", timeout, relay)

    return asyncio.run(call())


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (1, ""),
        (0, "UNKNOWN"),
        (2, "NOT_SERVING"),
        (3, "SERVICE_UNKNOWN"),
        (99, "99"),
        (grpc.StatusCode.NOT_FOUND, "NOT_FOUND: because"),
        (None, "does not know grpc.health.v1.Health"),
    ],
)
def test_only_who_serves_is_healthy(status: int | grpc.StatusCode | None, words: str, tmp_path: Path) -> None:
    failed = by_grpc(status, tmp_path / "relay")
    assert failed == "" if not words else words in failed


def test_a_service_that_takes_too_long_is_not_healthy(tmp_path: Path) -> None:
    assert by_grpc(1, tmp_path / "relay", timeout=0.2, delay=30) == "no answer within 0.2 s"


def test_a_server_that_does_not_speak_grpc_is_not_healthy(tmp_path: Path) -> None:
    async def call() -> str:
        async with peer(b"HTTP/1.1 400 no\r\n\r\n") as server:
            return await failure(Grpc(server.port), "127.0.0.1", 2, tmp_path / "relay")

    assert asyncio.run(call()) != ""


def test_probes_may_go_on_side_by_side(tmp_path: Path) -> None:
    async def call() -> list[str]:
        async with grpc_server(1, delay=0.1) as port:
            probes = (failure(Grpc(port), "127.0.0.1", ENOUGH, tmp_path / "relay") for _ in range(5))
            return await asyncio.gather(*probes)

    assert asyncio.run(call()) == [""] * 5


def test_a_service_is_asked_for_by_name_from_where_capture_lets_it_pass(tmp_path: Path) -> None:
    seen: list[tuple[str, dict[str, str], str]] = []

    async def call() -> str:
        async with grpc_server(1, seen=seen) as port:
            return await failure(Grpc(port, "shop.Cart"), "127.0.0.1", ENOUGH, tmp_path / "relay")

    assert asyncio.run(call()) == ""
    [(service, metadata, source)] = seen
    assert service == "shop.Cart"
    assert metadata["user-agent"].startswith("istio-probe/1.0")
    assert source.startswith("ipv4:127.0.0.6:")
    assert list(tmp_path.iterdir()) == []
