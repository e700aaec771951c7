"""A loopback HTTP server that answers as it was told, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml


@dataclass
class Answer:
    """One answer; a list of bodies is a stream of lines."""

    body: Any = None
    code: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]


class ScriptedApi:
    """Answers by path, in the order given; the last answer of a path stays."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._answers: dict[tuple[str, bool], list[Answer]] = {}
        self._lock = threading.Lock()

    def on(self, path: str, *answers: Answer, watch: bool = False) -> None:
        self._answers[path, watch] = list(answers)

    def answer(self, asked: Asked) -> Answer:
        with self._lock:
            self.asked.append(asked)
            script = self._answers.get((asked.path, "watch" in asked.query))
            if not script:
                return Answer({"kind": "Status", "message": "not found"}, 404)
            return script.pop(0) if len(script) > 1 else script[0]


@contextlib.contextmanager
def serving(api: ScriptedApi, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """The address where `api` answers, by HTTPS when `tls` is given."""

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = api.answer(Asked(self.command, parts.path, query, dict(self.headers)))
            lines = answer.body if isinstance(answer.body, list) else [answer.body]
            data = b"\n".join(json.dumps(line).encode() for line in lines) + b"\n" * isinstance(
                answer.body, list
            )
            self.send_response(answer.code)
            for key, value in answer.headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http{'s' * bool(tls)}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def kubeconfig(
    folder: Path, server: str, *, user: dict[str, Any] | None = None, name: str = "here", **cluster: Any
) -> str:
    """A kubeconfig file with one context."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "someone", "user": user or {}}],
        "contexts": [{"name": name, "context": {"cluster": "c", "user": "someone"}}],
        "current-context": name,
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return str(path)


CORE = {
    "kind": "APIGroupDiscoveryList",
    "items": [
        {
            "metadata": {},
            "versions": [
                {
                    "version": "v1",
                    "resources": [
                        {
                            "resource": "configmaps",
                            "responseKind": {"kind": "ConfigMap"},
                            "scope": "Namespaced",
                            "verbs": ["list", "get"],
                        }
                    ],
                }
            ],
        }
    ],
}
NO_GROUPS = {"kind": "APIGroupDiscoveryList", "items": []}
