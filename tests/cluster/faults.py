"""An API server that misbehaves: a proxy before the real one, which fails requests as a seed says.

What it does is what API servers, their balancers and networks do: refuse writes for a conflict (409) or for
load (429, 503), fail (500), answer late, lose a request before it was done or the answer after it was, and
end watches early or with `410 Gone`. It changes no answer that it lets through.
"""

from __future__ import annotations

import base64
import json
import random
import socket
import ssl
import struct
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


class Fault(StrEnum):
    """What happens to one request."""

    CONFLICT = "409: the object has been modified"
    BUSY = "429"
    BUSY_UNTIL = "429 with Retry-After"
    BROKEN = "500"
    BROKEN_AFTER = "500, though it was done"
    AWAY = "503"
    SLOW = "answered late"
    RESET = "connection reset before it was done"
    LOST = "done, and the connection reset before the answer"
    DROPPED = "a watch or a stream cut in the middle"
    FORGOTTEN = "a watch ended with 410"


ANY = (Fault.BUSY, Fault.BUSY_UNTIL, Fault.BROKEN, Fault.AWAY, Fault.SLOW, Fault.RESET, Fault.LOST)
CHANGES = (*ANY, Fault.BROKEN_AFTER, Fault.CONFLICT)
"""Faults of requests that change an object that is there; a creation has no conflict of this kind."""
STREAMS = (Fault.DROPPED, Fault.FORGOTTEN, Fault.AWAY, Fault.RESET)

_STATUS = {
    Fault.CONFLICT: (409, "Conflict", "Operation cannot be fulfilled: the object has been modified"),
    Fault.BUSY: (429, "TooManyRequests", "too many requests, please try again later"),
    Fault.BUSY_UNTIL: (429, "TooManyRequests", "too many requests, please try again later"),
    Fault.BROKEN: (500, "InternalError", "Internal error occurred: made up by the test"),
    Fault.BROKEN_AFTER: (500, "", "etcdserver: request timed out"),
    Fault.AWAY: (503, "ServiceUnavailable", "the server is currently unable to handle the request"),
}
_HOP = frozenset({"connection", "host", "content-length", "transfer-encoding", "keep-alive"})


class Dice:
    """Draws a fault for a request, or none; safe for several threads.

    Args:
        seed: what is drawn depends on this and on the order of requests.
        rate: share of requests that something happens to.
    """

    def __init__(self, seed: int, rate: float) -> None:
        self.drawn: Counter[Fault] = Counter()
        self._random = random.Random(seed)
        self._rate = rate
        self._lock = threading.Lock()

    def fault(self, method: str, *, streams: bool) -> Fault | None:
        """What happens to the next request."""
        kinds = STREAMS if streams else CHANGES if method in ("PUT", "PATCH", "DELETE") else ANY
        with self._lock:
            if self._random.random() >= self._rate:
                return None
            fault = self._random.choice(kinds)
            self.drawn[fault] += 1
            return fault

    def seconds(self, most: float) -> float:
        """A time up to `most`."""
        with self._lock:
            return self._random.uniform(0.05, most)


@dataclass
class FaultyApi:
    """The proxy while it runs.

    Attributes:
        kubeconfig: leads to it.
        dice: what happens to requests.
        asked: requests so far by method; watches and streams are `WATCH`.
        leaves_after: with so many writes it goes away; None: it stays.
        is_away: nothing is answered at all while this is set.
    """

    kubeconfig: str
    dice: Dice
    asked: Counter[str]
    leaves_after: int | None = None
    is_away: bool = False
    streams: set[socket.socket] = field(default_factory=set)

    @property
    def writes(self) -> int:
        """Requests so far that change something that is there, or apply."""
        return sum(self.asked[method] for method in ("PUT", "PATCH", "DELETE"))

    def go_away(self) -> None:
        """Answer nothing from here on, and cut what is being followed."""
        self.is_away = True
        for each in tuple(self.streams):
            _cut(each)

    def come_back(self) -> None:
        """Answer again, for good."""
        self.leaves_after, self.is_away = None, False


@contextmanager
def faulty(kubeconfig: str, folder: Path, dice: Dice) -> Iterator[FaultyApi]:
    """A misbehaving API server before that of the current context; its own kubeconfig is in `folder`."""
    config = json.loads(Path(kubeconfig).read_text())
    entry = _entries(config)
    upstream = _Upstream.of(*entry)
    server = _Server(("127.0.0.1", 0), _Door)
    cluster, user = entry[0]["name"], entry[1]["name"]
    content = {
        **config,
        "clusters": [{"name": cluster, "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": user, "user": {}}],
        "contexts": [each for each in config["contexts"] if each["name"] == config["current-context"]],
    }
    path = folder / "faulty.kubeconfig"
    path.write_text(json.dumps(content))
    server.upstream, server.api = upstream, FaultyApi(str(path), dice, Counter())
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server.api
    finally:
        server.shutdown()
        server.server_close()


def _entries(config: Any) -> tuple[Any, Any]:
    chosen = next(each for each in config["contexts"] if each["name"] == config["current-context"])["context"]
    return (
        next(each for each in config["clusters"] if each["name"] == chosen["cluster"]),
        next(each for each in config["users"] if each["name"] == chosen["user"]),
    )


@dataclass(frozen=True)
class _Upstream:
    """The real API server, and how we show who we are."""

    host: str
    port: int
    tls: ssl.SSLContext

    @classmethod
    def of(cls, cluster: Any, user: Any) -> _Upstream:
        tls = ssl.create_default_context(cadata=_decoded(cluster["cluster"], "certificate-authority-data"))
        with tempfile.NamedTemporaryFile("w") as pair:  # the library takes files only
            pair.write(_decoded(user["user"], "client-certificate-data"))
            pair.write(_decoded(user["user"], "client-key-data"))
            pair.flush()
            tls.load_cert_chain(pair.name)
        address = urlsplit(cluster["cluster"]["server"])
        return cls(str(address.hostname), int(address.port or 443), tls)

    def connection(self) -> HTTPConnection:
        return HTTPSConnection(self.host, self.port, context=self.tls, timeout=60)

    def socket(self) -> socket.socket:
        return self.tls.wrap_socket(
            socket.create_connection((self.host, self.port)), server_hostname=self.host
        )


def _decoded(entry: Any, key: str) -> str:
    return base64.b64decode(entry[key]).decode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    upstream: _Upstream
    api: FaultyApi

    def shutdown_request(self, request: Any) -> None:
        self.close_request(request)  # without a goodbye, so that a reset is one

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # the client went: that is its right


class _Door(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    server: _Server
    timeout = 600

    def setup(self) -> None:
        super().setup()
        self.behind = self.server.upstream.connection()

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()
        self.behind.close()

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self) -> None:
        api = self.server.api
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        query = parse_qs(urlsplit(self.path).query)
        watches = query.get("watch", ["0"])[-1] in ("1", "true")
        tunnels = "upgrade" in self.headers.get("Connection", "").lower()
        api.asked["WATCH" if watches or tunnels else self.command] += 1
        if api.leaves_after is not None and api.writes > api.leaves_after and not api.is_away:
            api.go_away()
        if api.is_away:
            self._reset()
            return
        fault = api.dice.fault(self.command, streams=watches or tunnels)
        if fault is Fault.RESET:
            self._reset()
        elif fault in _STATUS and fault is not Fault.BROKEN_AFTER:
            self._refuse(fault)
        elif tunnels:
            self._tunnel(fault)
        elif watches:
            self._watch(fault)
        else:
            self._pass(body, fault)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815 - the library's names

    def _pass(self, body: bytes, fault: Fault | None) -> None:
        answer = self._ask(body)
        data = answer.read()
        if fault is Fault.SLOW:
            time.sleep(self.server.api.dice.seconds(3.0))
        if fault is Fault.LOST:
            self._reset()
        elif fault is Fault.BROKEN_AFTER:
            self._refuse(fault)
        else:
            self._head(answer, {"Content-Length": str(len(data))})
            self.wfile.write(data)

    def _ask(self, body: bytes) -> HTTPResponse:
        """The real server's answer; a kept connection that it closed meanwhile is opened anew."""
        headers = {key: value for key, value in self.headers.items() if key.lower() not in _HOP}
        try:
            self.behind.request(self.command, self.path, body or None, headers)
            return self.behind.getresponse()
        except (OSError, HTTPException):
            self.behind.close()
            self.behind.request(self.command, self.path, body or None, headers)
            return self.behind.getresponse()

    def _head(self, answer: HTTPResponse, more: dict[str, str]) -> None:
        self.send_response(answer.status)
        for key, value in answer.headers.items():
            if key.lower() not in _HOP:
                self.send_header(key, value)
        for key, value in more.items():
            self.send_header(key, value)
        self.end_headers()

    def _watch(self, fault: Fault | None) -> None:
        answer = self._ask(b"")
        self._head(answer, {"Connection": "close"})
        self.close_connection = True
        behind = self.behind.sock
        end = threading.Timer(self.server.api.dice.seconds(4.0), lambda: _cut(behind)) if fault else None
        if end:
            end.daemon = True
            end.start()
        with self._followed(behind), suppress(OSError, HTTPException, ValueError):
            while data := answer.read1(65536):
                self.wfile.write(data)
        if fault is Fault.FORGOTTEN:
            gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
            with suppress(OSError):
                self.wfile.write(b"\n" + json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")

    def _tunnel(self, fault: Fault | None) -> None:
        """Hand the connection through as it is, until either side ends."""
        self.close_connection = True
        lines = [f"{self.command} {self.path} HTTP/1.1", *(f"{k}: {v}" for k, v in self.headers.items())]
        with self.server.upstream.socket() as far:
            far.sendall("\r\n".join([*lines, "", ""]).encode())
            if fault:
                end = threading.Timer(self.server.api.dice.seconds(2.0), lambda: _cut(far))
                end.daemon = True
                end.start()
            threading.Thread(target=_copy, args=(self.connection, far), daemon=True).start()
            with self._followed(far):
                _copy(far, self.connection)

    @contextmanager
    def _followed(self, stream: socket.socket) -> Iterator[None]:
        """While this is open, the stream ends when the server goes away."""
        streams = self.server.api.streams
        streams.add(stream)
        try:
            if self.server.api.is_away:  # since the request came
                _cut(stream)
            yield
        finally:
            streams.discard(stream)

    def _refuse(self, fault: Fault) -> None:
        code, reason, message = _STATUS[fault]
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
        data = json.dumps({**status, "reason": reason, "message": message}).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if fault is Fault.BUSY_UNTIL:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(data)

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError, ValueError):
        while data := source.recv(65536):
            target.sendall(data)
    _cut(target)


def _cut(end: socket.socket | None) -> None:
    if end is not None:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
