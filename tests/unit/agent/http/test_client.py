"""Calls of the agent's HTTP client."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshctl.agent.http import HttpError, Limits, Response, Tcp, Unix, client, exchange, fetch, value
from tests.http_peers import ENOUGH, answer, peer


def called(said: bytes, method: str = "GET", path: str = "/", **options: object) -> Response:
    """What the client makes of what a server says."""

    async def call() -> Response:
        async with peer(said) as server:
            return await fetch(Tcp("127.0.0.1", server.port), method, path, timeout=ENOUGH, **options)  # type: ignore[arg-type]

    return asyncio.run(call())


@pytest.mark.parametrize(
    ("said", "body"),
    [
        (answer(b"abc"), b"abc"),
        (b"HTTP/1.0 200 OK\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 200\nX: y\n\nabc", b"abc"),
        (
            b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1 \r\nc\r\n0\r\nT: 1\r\n\r\n",
            b"abc",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nA: b\r\n\r\n" + answer(b"abc"), b"abc"),
        (b"HTTP/1.1 200 x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabcdef", b"abc"),
        (b"HTTP/1.1 204 x\r\nContent-Length: 3\r\n\r\nabc", b""),
        (b"HTTP/1.1 200 x\r\nA: one\r\n  two\r\nContent-Length: 0\r\n\r\n", b""),
    ],
)
def test_a_body_ends_where_its_framing_says(said: bytes, body: bytes) -> None:
    assert called(said).body == body


def test_an_answer_without_a_body_is_not_waited_for_when_only_the_head_was_asked_for() -> None:
    assert called(b"HTTP/1.1 200 x\r\nContent-Length: 9\r\n\r\n", "HEAD").status == 200


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2x0 no\r\n\r\n",
        b"HTTP/1.1 099 no\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 200 x\r\nno header\r\n\r\n",
        b"HTTP/1.1 200 x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 x\r\nContent-Length: -3\r\n\r\n",
        b"HTTP/1.1 200 x\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 x\r\nX: y",
        b"HTTP/1.1 100 x\r\n\r\n" * 40,
    ],
)
def test_what_is_not_http_is_an_error(said: bytes) -> None:
    with pytest.raises(HttpError):
        called(said)


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 " + b"x" * 20000 + b"\r\n\r\n",
        b"HTTP/1.1 200 x\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        answer(b"x" * 2000),
        b"HTTP/1.1 200 x\r\n\r\n" + b"x" * 2000,
        b"HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"400\r\n"
        + b"x" * 1024
        + b"\r\n3\r\nabc\r\n0\r\n\r\n",
    ],
)
def test_an_answer_that_is_too_large_is_an_error(said: bytes) -> None:
    with pytest.raises(HttpError):
        called(said, limits=Limits(body=1024))


def test_a_server_that_closes_without_an_answer_is_an_error_of_the_connection() -> None:
    with pytest.raises(ConnectionError):
        called(b"")


def test_a_server_that_does_not_answer_in_time_is_left() -> None:
    async def call() -> int:
        async with peer(answer(), delay=60) as server:
            with pytest.raises(TimeoutError):
                await fetch(Tcp("127.0.0.1", server.port), "GET", "/", timeout=0.05)
            await asyncio.sleep(0.05)
            return server.open

    assert asyncio.run(call()) in (0, 1)


def test_a_body_that_does_not_end_in_time_is_left() -> None:
    async def call() -> None:
        async with peer(b"HTTP/1.1 200 x\r\nContent-Length: 10\r\n\r\nabc", stays=True) as server:
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                await fetch(Tcp("127.0.0.1", server.port), "GET", "/", timeout=0.1)
            assert time.monotonic() - began < ENOUGH

    asyncio.run(call())


def test_nobody_there_is_an_error_of_the_system() -> None:
    async def call() -> None:
        async with peer(answer()) as server:
            port = server.port
        with pytest.raises(ConnectionRefusedError):
            await fetch(Tcp("127.0.0.1", port), "GET", "/", timeout=ENOUGH)

    asyncio.run(call())


def test_of_several_addresses_that_refuse_the_first_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = iter([errno.ECONNREFUSED, errno.EADDRNOTAVAIL])

    async def linked(*_: object) -> socket.socket:
        raise OSError(next(reasons), "x")

    monkeypatch.setattr(client, "_linked", linked)
    with pytest.raises(ConnectionRefusedError, match="localhost:80"):
        asyncio.run(fetch(Tcp("localhost", 80), "GET", "/", timeout=ENOUGH))


@pytest.mark.parametrize("host", ["a" * 300, "x..y", "\N{SNOWMAN}..x"])
def test_a_host_that_is_none_is_an_error(host: str) -> None:
    with pytest.raises((OSError, HttpError)):
        asyncio.run(fetch(Tcp(host, 1), "GET", "/", timeout=ENOUGH))


def test_a_call_says_who_is_asked_and_that_it_is_the_only_one() -> None:
    async def call() -> str:
        async with peer(answer()) as server:
            to = Tcp("127.0.0.1", server.port)
            await fetch(
                to,
                "POST",
                "/a?b=c",
                timeout=ENOUGH,
                headers=(("Connection", "upgrade"), ("X", "y")),
                body=b"z",
            )
            return server.heard[0].replace(str(server.port), "PORT")

    head = asyncio.run(call())
    assert head.startswith(
        "POST /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nConnection: close\r\nContent-Length: 1\r\n"
    )
    assert "X: y" in head
    assert "upgrade" not in head


def test_a_host_header_takes_the_place_of_the_address() -> None:
    async def call() -> str:
        async with peer(answer()) as server:
            await fetch(
                Tcp("127.0.0.1", server.port), "GET", "/", timeout=ENOUGH, headers=(("host", "app.local"),)
            )
            return server.heard[0]

    assert asyncio.run(call()).count("app.local") == 1


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/a b", ()),
        ("no-slash", ()),
        ("/a\r\nX: y", ()),
        ("/", (("X", "a\r\nY: b"),)),
        ("/", (("X Y", "a"),)),
        ("/", (("X", "\N{SNOWMAN}"),)),
    ],
)
def test_nothing_is_sent_that_would_be_read_as_something_else(
    path: str, headers: tuple[tuple[str, str], ...]
) -> None:
    async def call() -> list[str]:
        async with peer(answer()) as server:
            with pytest.raises(HttpError):
                await fetch(Tcp("127.0.0.1", server.port), "GET", path, timeout=ENOUGH, headers=headers)
            return server.heard

    assert asyncio.run(call()) == []


def test_unix_sockets_are_servers_as_well(tmp_path: Path) -> None:
    async def call() -> Response:
        async with peer(answer(b"here"), socket=tmp_path / "s"):
            return await fetch(Unix(tmp_path / "s"), "GET", "/", timeout=ENOUGH)

    assert asyncio.run(call()).body == b"here"


def test_a_long_answer_comes_in_pieces_and_need_not_be_read_to_its_end() -> None:
    async def call() -> tuple[int, int]:
        async with peer(answer(b"x" * 1_000_000)) as server:
            to = Tcp("127.0.0.1", server.port)
            async with exchange(to, "GET", "/", timeout=ENOUGH) as reply:
                first = await anext(reply.pieces())
            return reply.status, len(first)

    status, size = asyncio.run(call())
    assert status == 200
    assert 0 < size <= 65536


def test_a_call_comes_from_the_source_that_is_asked_for() -> None:
    async def call() -> list[str]:
        async with peer(answer()) as server:
            to = Tcp("127.0.0.1", server.port, sources=("127.0.0.6", "::6"))
            await fetch(to, "GET", "/", timeout=ENOUGH)
            return server.sources

    assert asyncio.run(call()) == ["127.0.0.6"]


def test_a_source_that_this_host_does_not_have_is_left_aside() -> None:
    async def call() -> list[str]:
        async with peer(answer()) as server:
            to = Tcp("localhost", server.port, sources=("192.0.2.7", "::6"))
            await fetch(to, "GET", "/", timeout=ENOUGH)
            return server.sources

    assert asyncio.run(call()) == ["127.0.0.1"]


def test_a_source_that_leads_nowhere_is_left_aside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = client._linked

    async def linked(family: int, address: object, source: str) -> socket.socket:
        if source:
            raise OSError(errno.EINVAL, "from a loopback address to another host")
        return await real(family, address, source)

    async def call() -> list[str]:
        async with peer(answer()) as server:
            await fetch(Tcp("127.0.0.1", server.port, sources=("127.0.0.6",)), "GET", "/", timeout=ENOUGH)
            return server.sources

    monkeypatch.setattr(client, "_linked", linked)
    assert asyncio.run(call()) == ["127.0.0.1"]


def test_headers_are_found_whatever_their_case() -> None:
    assert value(called(answer(b"", 200, "CONTENT-type: a/b")).headers, "content-type") == "a/b"


@settings(deadline=None)
@given(said=st.binary(max_size=400) | st.binary(max_size=300).map(lambda tail: b"HTTP/1.1 200 x\r\n" + tail))
def test_whatever_a_server_says_it_is_an_answer_or_an_error(said: bytes) -> None:
    with suppress(HttpError, ConnectionError):
        assert 200 <= called(said, limits=Limits(line=64, headers=4, body=128)).status < 1000
