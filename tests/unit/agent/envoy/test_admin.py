from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from meshctl.agent.envoy.admin import Admin
from meshctl.agent.envoy.settings import log_levels
from meshctl.errors import ConfigError, FailedError, UnreachableError

T = TypeVar("T")

CONNECTIONS = b"""http.inbound.downstream_cx_active: 9
listener.0.0.0.0_15006.downstream_cx_active: 3
listener.0.0.0.0_15006.worker_0.downstream_cx_active: 3
listener.0.0.0.0_15021.downstream_cx_active: 1
listener.127.0.0.1_15090.downstream_cx_active: 2
listener.[__]_8080.downstream_cx_active: 4
listener.admin.downstream_cx_active: 1
listener.admin.main_thread.downstream_cx_active: 1
listener.envoy_internal_main.downstream_cx_active: 5
no number: x
"""


def with_envoy(
    path: Path, answers: dict[str, bytes], ask: Callable[[Admin], Awaitable[T]], status: int = 200
) -> tuple[T, list[str]]:
    """What `ask` gets of an Envoy that answers so, and the lines that Envoy was asked."""
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()[0].rpartition(" ")[0]
        asked.append(line)
        body = answers.get(line.split(" ")[1].split("?")[0], b"OK\n")
        writer.write(
            b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (status, len(body))
        )
        writer.write(body)
        await writer.drain()
        writer.close()

    async def run() -> T:
        server = await asyncio.start_unix_server(serve, path)
        try:
            return await ask(Admin(path))
        finally:
            server.close()
            await asyncio.sleep(0)

    return asyncio.run(run()), asked


def test_only_connections_of_the_mesh_count(tmp_path: Path) -> None:
    found, _ = with_envoy(
        tmp_path / "s", {"/stats": CONNECTIONS}, lambda admin: admin.connections((15021, 15090))
    )
    assert found == 7


def test_an_envoy_without_such_statistics_does_not_say_zero(tmp_path: Path) -> None:
    found, _ = with_envoy(tmp_path / "s", {"/stats": b""}, lambda admin: admin.connections((15021,)))
    assert found is None


def test_levels_are_set_for_all_and_then_for_components(tmp_path: Path) -> None:
    levels = log_levels("info,upstream:debug,misc:error")
    _, asked = with_envoy(tmp_path / "s", {}, lambda admin: admin.set_levels(levels))
    assert asked == ["POST /logging?level=info", "POST /logging?paths=misc:error,upstream:debug"]


@pytest.mark.parametrize("level", ["", "loud", "info,upstream:loud", "a b:info", "x&y:info", "info,:debug"])
def test_a_level_that_there_is_not_never_gets_to_envoy(level: str) -> None:
    with pytest.raises(ConfigError, match="no log level"):
        log_levels(level)


def test_draining_sends_inbound_clients_elsewhere_and_leaves_envoy_running(tmp_path: Path) -> None:
    _, asked = with_envoy(tmp_path / "s", {}, lambda admin: admin.drain())
    assert asked == ["POST /drain_listeners?graceful&inboundonly&skip_exit"]


def test_the_version_is_read_out_of_what_envoy_says(tmp_path: Path) -> None:
    said = {"/server_info": b'{"version": "9e55/1.40.0-dev/Clean/RELEASE/BoringSSL"}'}
    assert with_envoy(tmp_path / "s", said, lambda admin: admin.version())[0] == "1.40.0-dev"
    for other in (b"{}", b"[]", b"not json", b'{"version": 3}'):
        found, _ = with_envoy(tmp_path / "t", {"/server_info": other}, lambda admin: admin.version())
        assert found == ""


def test_an_envoy_that_is_not_there_refuses_or_says_no_is_not_ready(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="does not answer"):
        asyncio.run(Admin(tmp_path / "none").ask("/ready"))
    assert not asyncio.run(Admin(tmp_path / "none").is_live())
    live, _ = with_envoy(tmp_path / "s", {"/ready": b"INITIALIZING\n"}, lambda admin: admin.is_live(), 503)
    assert not live
    with pytest.raises(FailedError, match="503"):
        with_envoy(tmp_path / "s", {}, lambda admin: admin.ask("/stats"), 503)


def test_a_path_can_not_carry_a_second_request(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no path"):
        asyncio.run(Admin(tmp_path / "none").ask("/ready HTTP/1.1\r\nX: y"))
