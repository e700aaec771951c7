"""Calls by TLS, to whoever is there."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from meshctl.agent.http import HttpError, Response, Tcp, connect, fetch, within
from tests.http_peers import ENOUGH, answer, peer, untrusted

ISOLATED = """
import sys
sys.modules["ssl"] = None
import asyncio
from meshctl.agent.http import Tcp, fetch
got = asyncio.run(fetch(Tcp("127.0.0.1", int(sys.argv[1]), tls=True), "GET", "/", timeout=10))
print(got.status, len(got.body))
"""


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """What a server needs that nobody has reason to trust."""
    return untrusted(tmp_path_factory.mktemp("tls"))


def called(context: ssl.SSLContext, said: bytes | Callable[[str], bytes]) -> Response:
    async def call() -> Response:
        async with peer(said, tls=context) as server:
            return await fetch(Tcp("127.0.0.1", server.port, tls=True), "GET", "/", timeout=ENOUGH)

    return asyncio.run(call())


def test_a_certificate_that_nobody_knows_is_taken(context: ssl.SSLContext) -> None:
    assert called(context, answer(b"abc")).body == b"abc"


def test_long_answers_come_whole(context: ssl.SSLContext) -> None:
    body = bytes(range(256)) * 3000
    assert called(context, b"HTTP/1.1 200 x\r\n\r\n" + body).body == body


def test_a_head_that_is_too_large_is_an_error(context: ssl.SSLContext) -> None:
    with pytest.raises(HttpError):
        called(context, b"HTTP/1.1 200 " + b"x" * 100_000)


def test_a_server_without_tls_is_an_error() -> None:
    async def call() -> None:
        async with peer(answer()) as server:
            with pytest.raises(OSError):
                await fetch(Tcp("127.0.0.1", server.port, tls=True), "GET", "/", timeout=0.5)

    asyncio.run(call())


def test_a_server_that_says_nothing_is_left_in_time() -> None:
    async def call() -> None:
        async with peer(b"") as server:
            with pytest.raises(TimeoutError):
                await within(connect(Tcp("127.0.0.1", server.port, tls=True)), 0.1)

    asyncio.run(call())


def test_it_works_in_a_process_that_began_without_tls(context: ssl.SSLContext, tmp_path: Path) -> None:
    async def call() -> bytes:
        async with peer(answer(b"abc"), tls=context) as server:
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-c", ISOLATED, str(server.port), stdout=subprocess.PIPE
            )
            out, _ = await child.communicate()
            return out

    assert asyncio.run(call()) == b"200 3\n"
