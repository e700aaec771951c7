"""Requests at the agent's HTTP server."""

from __future__ import annotations

import asyncio
import gzip
import socket
import stat
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshctl.agent.http import Answer, Limits, Request, Server, Tcp, Unix, fetch, value
from meshctl.agent.http.server import Waits
from tests.http_peers import ENOUGH, said_by

QUICK = Waits(idle=0.2, request=0.2, answer=0.5)


async def echo(request: Request) -> Answer:
    return Answer(body=f"{request.method} {request.path} {request.query} ".encode() + request.body)


def served(
    sent: bytes, handle: Callable[[Request], Awaitable[Answer]] = echo, *, finish: bool = True
) -> bytes:
    """All that a server answers to what is sent on one connection."""

    async def serve() -> bytes:
        server = Server(handle, waits=QUICK, limits=Limits(line=512, headers=8, body=64))
        port = await server.listen("127.0.0.1", 0)
        try:
            return await said_by(port, sent, finish=finish)
        finally:
            await server.close()

    return asyncio.run(serve())


def status(answered: bytes) -> int:
    return int(answered.split(b" ")[1])


GET = b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n"


def test_requests_of_one_connection_are_answered_in_turn() -> None:
    answered = served(GET + b"POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + GET)
    assert [part.rpartition(b"\r\n")[2] for part in answered.split(b"HTTP/1.1 200 OK")[1:]] == [
        b"GET /a b ",
        b"POST /c  abc",
        b"GET /a b ",
    ]


def test_a_body_may_come_in_chunks() -> None:
    sent = b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"
    assert served(sent).endswith(b"POST /c  abcd")


def test_a_client_that_asks_first_whether_to_send_is_told_so() -> None:
    sent = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab"
    assert served(sent).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_the_head_alone_has_the_length_of_what_it_leaves_out() -> None:
    answered = served(b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"Content-Length: 9\r\n" in answered
    assert answered.endswith(b"\r\n\r\n")


def test_proxies_may_ask_with_a_whole_url() -> None:
    assert served(b"GET http://x:80/a?b HTTP/1.1\r\nHost: x\r\n\r\n").endswith(b"GET /a b ")


@pytest.mark.parametrize(
    "sent", [GET.replace(b"1.1", b"1.0"), GET.replace(b"x\r\n", b"x\r\nConnection: a, Close\r\n")]
)
def test_a_connection_ends_when_the_client_wants_it_so(sent: bytes) -> None:
    answered = served(sent + GET, finish=False)
    assert answered.count(b"HTTP/1.1 200 OK") == 1
    assert b"Connection: close\r\n" in answered


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"get / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: x\n\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na", 400),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65\r\n\r\n", 413),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n41\r\n"
            + b"x" * 65
            + b"\r\n0\r\n\r\n",
            413,
        ),
        (b"GET /" + b"x" * 600 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 10 + b"\r\n", 431),
    ],
)
def test_what_two_readers_could_read_in_two_ways_is_refused_and_ends_the_connection(
    sent: bytes, expected: int
) -> None:
    answered = served(sent + GET, finish=False)
    assert status(answered) == expected
    assert b"Connection: close\r\n" in answered
    assert answered.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na",
    ],
)
def test_a_client_that_does_not_go_on_is_left(sent: bytes) -> None:
    assert b"200 OK" not in served(sent, finish=False)


def test_a_fault_in_one_answer_leaves_the_next_alone() -> None:
    async def faulty(request: Request) -> Answer:
        if request.query:
            raise ZeroDivisionError
        return Answer(body=b"fine")

    answered = served(GET + b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", faulty)
    assert answered.startswith(b"HTTP/1.1 500 ")
    assert answered.endswith(b"fine")


async def _pieces() -> AsyncGenerator[bytes, None]:
    for piece in (b"a" * 2000, b"", b"b" * 2000):
        yield piece


async def long(_: Request) -> Answer:
    return Answer(body=_pieces())


def test_a_long_answer_is_sent_in_chunks_and_the_connection_goes_on() -> None:
    answered = served(GET + b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", long)
    assert (
        b"\r\n7d0\r\n" + b"a" * 2000 + b"\r\n7d0\r\n" + b"b" * 2000 + b"\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"
        in answered
    )


def test_an_old_client_gets_a_long_answer_until_the_connection_ends() -> None:
    answered = served(b"GET / HTTP/1.0\r\n\r\n", long)
    assert b"chunked" not in answered
    assert answered.endswith(b"\r\n\r\n" + b"a" * 2000 + b"b" * 2000)


def test_a_long_answer_that_breaks_off_does_not_look_whole() -> None:
    async def breaking() -> AsyncGenerator[bytes, None]:
        yield b"a"
        raise ZeroDivisionError

    async def answer(_: Request) -> Answer:
        return Answer(body=breaking())

    assert not served(GET, answer).endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("accepted", ["gzip", "br, GZIP ; q=0.5", "gzip;q=1.0"])
@pytest.mark.parametrize("streams", [True, False])
def test_who_takes_compressed_answers_gets_them(accepted: str, streams: bool) -> None:
    async def answer(_: Request) -> Answer:
        return Answer(body=_pieces() if streams else b"a" * 2000 + b"b" * 2000)

    async def call() -> tuple[str, bytes]:
        server = Server(answer)
        port = await server.listen("127.0.0.1", 0)
        try:
            said = (("Accept-Encoding", accepted),)
            got = await fetch(Tcp("127.0.0.1", port), "GET", "/", timeout=ENOUGH, headers=said)
            return value(got.headers, "content-encoding"), gzip.decompress(got.body)
        finally:
            await server.close()

    assert asyncio.run(call()) == ("gzip", b"a" * 2000 + b"b" * 2000)


@pytest.mark.parametrize("accepted", ["gzip;q=0", "gzip;q=0.0", "deflate", "gzipped", ""])
def test_who_does_not_take_compressed_answers_gets_none(accepted: str) -> None:
    answered = served(f"GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: {accepted}\r\n\r\n".encode(), long)
    assert b"Content-Encoding" not in answered


def test_short_answers_are_not_compressed() -> None:
    assert served(GET.replace(b"x\r\n", b"x\r\nAccept-Encoding: gzip\r\n")).endswith(b"GET /a b ")


def test_more_connections_than_are_taken_are_turned_away() -> None:
    async def call() -> tuple[bytes, bytes]:
        server = Server(echo, connections=1)
        port = await server.listen("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(GET)
            first = await reader.readuntil(b"b ")
            return first, await said_by(port, GET)
        finally:
            writer.close()
            await server.close()

    first, second = asyncio.run(call())
    assert status(first) == 200
    assert second == b""


def test_its_socket_is_for_whom_it_is_meant_for_from_the_first_moment(tmp_path: Path) -> None:
    async def call() -> tuple[int, bytes]:
        with socket.socket(socket.AF_UNIX) as left:  # by an agent that was killed
            left.bind(str(tmp_path / "s"))
        server = Server(echo)
        await server.listen_unix(tmp_path / "s", 0o640)
        try:
            got = await fetch(Unix(tmp_path / "s"), "GET", "/x", timeout=ENOUGH)
            return stat.S_IMODE((tmp_path / "s").stat().st_mode), got.body
        finally:
            await server.close()

    assert asyncio.run(call()) == (0o640, b"GET /x  ")


def test_what_is_no_socket_stays(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("mine")
    with pytest.raises(OSError, match="in use"):
        asyncio.run(Server(echo).listen_unix(tmp_path / "s"))
    assert (tmp_path / "s").read_text() == "mine"


@pytest.mark.parametrize(
    ("peer", "local"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True), ("", True)]
    + [(far, False) for far in ("10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "12.7.0.1", "::2")],
)
def test_only_loopbacks_and_sockets_are_local(peer: str, local: bool) -> None:
    assert Request("GET", "/", "", (), b"", peer).local is local


_TOKENS = st.sampled_from([
    b"GET ", b"POST ", b"/", b" HTTP/1.1", b"\r\n", b"\n", b"Host: x\r\n", b"Content-Length: ", b"3", b"0",
    b"\r\n\r\n", b"Transfer-Encoding: chunked\r\n", b": ", b";", b"abc", b"\0", b"\xff", b" ",
    b"-1", b"9" * 20,
    b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"Accept-Encoding: gzip\r\n", b"x" * 600,
])  # fmt: skip


@settings(deadline=None)
@given(sent=st.binary(max_size=300) | st.lists(_TOKENS, max_size=30).map(b"".join))
def test_whatever_a_client_sends_the_server_answers_or_closes_and_serves_the_next(sent: bytes) -> None:
    async def call() -> bytes:
        server = Server(echo, waits=QUICK, limits=Limits(line=256, headers=8, body=64))
        port = await server.listen("127.0.0.1", 0)
        try:
            answered = await said_by(port, sent, finish=True)
            assert answered == b"" or answered.startswith(b"HTTP/1.1 ")
            return await said_by(port, GET, finish=True)
        finally:
            await server.close()

    assert asyncio.run(call()).endswith(b"GET /a b ")
