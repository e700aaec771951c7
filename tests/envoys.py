"""Envoys that are not there: their admin interface for real over HTTP on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.fake_clock import NOON


class FakeEnvoy:
    """Answers `/stats` and `/certs` as Envoy does while its context is open; `answers` may be changed.

    Args:
        rejected: counters whose names end in `update_rejected`.
        certs: what `/certs` says; None: an identity that is valid at noon and trusts root 0x10.
    """

    def __init__(
        self, rejected: Mapping[str, int] | None = None, certs: list[dict[str, Any]] | None = None
    ) -> None:
        self.rejected = dict(rejected or {})
        self.certs = [context()] if certs is None else certs
        self.asked: list[str] = []
        envoy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                envoy.asked.append(self.path)
                body = json.dumps(envoy.answer(self.path)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port

    def answer(self, path: str) -> dict[str, Any]:
        if path.startswith("/stats"):
            told = [{"name": name, "value": count} for name, count in self.rejected.items()]
            return {"stats": [{"name": "listener_manager.lds.update_rejected", "value": 0}, *told]}
        return {"certificates": self.certs}

    def __enter__(self) -> FakeEnvoy:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def context(
    *,
    root: int = 0x10,
    begins: datetime = NOON - timedelta(hours=1),
    expires: datetime = NOON + timedelta(hours=23),
    names: tuple[dict[str, str], ...] = ({"uri": "spiffe://cluster.local/ns/shop/sa/web"},),
) -> dict[str, Any]:
    """What `/certs` says of one TLS context."""
    return {
        "ca_cert": [certificate(root, NOON - timedelta(days=1), NOON + timedelta(days=3650))],
        "cert_chain": [certificate(0xABC, begins, expires, *names)],
    }


def certificate(serial: int, begins: datetime, expires: datetime, *names: dict[str, str]) -> dict[str, Any]:
    return {
        "path": "<inline>",
        "serial_number": f"{serial:x}",
        "subject_alt_names": list(names),
        "days_until_expiration": "1",
        "valid_from": begins.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "expiration_time": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
