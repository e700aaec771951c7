"""Instant queries."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from meshctl.adapters import prometheus
from meshctl.errors import AccessError, ConfigError, UnreachableError


class Server:
    def __init__(self) -> None:
        self.status, self.body = 200, answer("vector", [])
        self.asked: list[tuple[str, str, str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                text = self.rfile.read(int(self.headers["Content-Length"])).decode()
                query = parse_qs(text)["query"][0]
                server.asked.append((self.path, query, self.headers.get("Authorization", "")))
                self.send_response(server.status)
                self.end_headers()
                self.wfile.write(
                    server.body if isinstance(server.body, bytes) else json.dumps(server.body).encode()
                )

            def log_message(self, *_: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"


def answer(kind: str, result: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": result}}


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    threading.Thread(target=made.http.serve_forever, args=(0.01,), daemon=True).start()
    yield made
    made.http.shutdown()
    made.http.server_close()


def test_the_values_of_a_vector_and_of_a_scalar_are_given(server: Server) -> None:
    server.body = answer(
        "vector", [{"metric": {}, "value": [1.0, "0.5"]}, {"metric": {}, "value": [1.0, "NaN"]}]
    )
    first, second = prometheus.ask(f"{server.address}/tenant/", "a + b")
    assert first == 0.5
    assert second != second
    assert server.asked == [("/tenant/api/v1/query", "a + b", "")]
    server.body = answer("scalar", [1.0, "7"])
    assert prometheus.ask(server.address, "7") == (7.0,)
    server.body = answer("vector", [])
    assert prometheus.ask(server.address, "absent") == ()


def test_credentials_come_from_the_environment_and_are_never_told(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(prometheus.AUTHORIZATION, "Bearer s3cret")
    server.status, server.body = 401, b"who are you?"
    with pytest.raises(AccessError) as caught:
        prometheus.ask(server.address, "a")
    assert server.asked[0][2] == "Bearer s3cret"
    assert "s3cret" not in repr((caught.value, caught.value.message, caught.value.hint, caught.value.details))


@pytest.mark.parametrize("address", ["http://me:s3cret@prometheus:9090", "https://me@prometheus"])
def test_an_address_with_credentials_is_refused_without_telling_them(address: str) -> None:
    with pytest.raises(ConfigError) as caught:
        prometheus.ask(address, "a")
    assert caught.value.code == "credentials-in-address"
    assert "s3cret" not in repr((caught.value, caught.value.message, caught.value.hint))


@pytest.mark.parametrize("address", ["prometheus:9090", "", "ftp://prometheus", "http://", "http://[", "/x"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError) as caught:
        prometheus.require_address(address)
    assert caught.value.code == "bad-address"


def test_a_query_that_the_server_does_not_take_is_the_users_to_mend(server: Server) -> None:
    server.status, server.body = 400, {"status": "error", "error": "parse error: unexpected <aggr:sum>"}
    with pytest.raises(ConfigError) as caught:
        prometheus.ask(server.address, "sum sum")
    assert caught.value.details == ("parse error: unexpected <aggr:sum>",)


@pytest.mark.parametrize("kind", ["matrix", "string", None])
def test_an_answer_without_numbers_of_one_moment_is_refused(server: Server, kind: str | None) -> None:
    server.body = answer(str(kind), []) if kind else {"status": "success"}
    with pytest.raises(ConfigError):
        prometheus.ask(server.address, "a[5m]")


@pytest.mark.parametrize(("status", "body"), [(503, b"<html>"), (200, b"<html>"), (200, b"[]"), (302, b"")])
def test_a_server_that_cannot_answer_now_may_be_asked_again(server: Server, status: int, body: bytes) -> None:
    server.status, server.body = status, body
    with pytest.raises(UnreachableError):
        prometheus.ask(server.address, "a")


def test_a_server_that_is_not_there_is_named() -> None:
    with pytest.raises(UnreachableError) as caught:
        prometheus.ask("http://127.0.0.1:1", "a", seconds=2)
    assert "http://127.0.0.1:1" in caught.value.message
