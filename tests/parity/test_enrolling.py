"""What a host is told equals what `istioctl x workload entry configure` writes, file by file.

istioctl asks an API server of ours on loopback, which has no more than the objects that it reads.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshctl.stages.enrolling.files import files
from tests.enrolments import CASES, Case, group, objects, told

pytestmark = pytest.mark.parity

TOKEN = "header.payload.signature"
HOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


class Server(ThreadingHTTPServer):
    """An API server that has some objects, and gives tokens."""

    objects: Mapping[str, Any] = {}

    @property
    def kubeconfig(self) -> str:
        cluster = {"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.server_address[1]}"}}
        context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
        user = {"name": "u", "user": {}}
        whole = {"apiVersion": "v1", "kind": "Config", "current-context": "c"}
        return json.dumps({**whole, "clusters": [cluster], "contexts": [context], "users": [user]})


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        path = self.path.partition("?")[0]
        found = self.server.objects.get(path)
        missing = {
            "apiVersion": "v1",
            "kind": "Status",
            "status": "Failure",
            "reason": "NotFound",
            "code": 404,
        }
        if path == HOOKS and "sendInitialEvents" not in self.path:  # by which istioctl resolves tags
            found = {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "items": [],
                "metadata": {"resourceVersion": "1"},
            }
            found["kind"] = "MutatingWebhookConfigurationList"
        if path == "/version":
            found = {"major": "1", "minor": "34", "gitVersion": "v1.34.4"}
        self._answer(404 if found is None else 200, found or missing)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        answer = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "status": {"token": TOKEN},
        }
        self._answer(201, answer)

    def _answer(self, code: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def theirs(istioctl: Path, server: Server, case: Case, folder: Path) -> dict[str, str]:
    """The files that istioctl writes."""
    server.objects = objects(case)
    (folder / "kubeconfig").write_text(server.kubeconfig)
    (folder / "group.yaml").write_text(yaml.safe_dump(group(case)))
    argv = [str(istioctl), "x", "workload", "entry", "configure", "-f", str(folder / "group.yaml")]
    argv += ["-o", str(folder / "out"), "--kubeconfig", str(folder / "kubeconfig"), *case.flags]
    argv += ["--revision", case.revision] if case.revision else []
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return {each.name: each.read_text() for each in (folder / "out").iterdir()}


def variables(text: str) -> dict[str, Any]:
    """What a shell makes of a file, with what is JSON or a list as such: its order is nobody's promise."""
    script = "set -a; . /dev/stdin; exec env -0"
    done = subprocess.run(
        ["env", "-i", "sh", "-c", script], input=text, capture_output=True, text=True, check=True
    )
    pairs = (each.partition("=")[::2] for each in done.stdout.split("\0") if each)
    found = {name: value for name, value in pairs if name not in ("PWD", "_", "SHLVL", "OLDPWD")}
    return {name: _plain(name, value) for name, value in found.items()}


def _plain(name: str, value: str) -> Any:
    if name in ("ISTIO_METAJSON_LABELS", "ISTIO_META_POD_PORTS"):
        return json.loads(value)
    return set(value.split(",")) if name.endswith("PORTS") else value


def settled(proxy: Mapping[str, Any]) -> dict[str, Any]:
    """A ProxyConfig whose metadata are read as variables are."""
    metadata = {name: _plain(name, value) for name, value in proxy.get("proxyMetadata", {}).items()}
    return {**proxy, "proxyMetadata": metadata}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_host_is_told_what_istioctl_tells_it(
    istioctl: Path, server: Server, case: Case, tmp_path: Path
) -> None:
    judge = theirs(istioctl, server, case, tmp_path)
    enrolled = told(case)
    written = files(enrolled)
    assert variables(written["cluster.env"]) == variables(judge["cluster.env"])
    expected = settled(yaml.safe_load(judge["mesh.yaml"])["defaultConfig"])
    assert settled(json.loads(written["proxy.json"])["proxyConfig"]) == expected
    assert written["root-cert.pem"] == judge["root-cert.pem"]
    assert list(enrolled.names) == judge["hosts"].splitlines()
    assert judge["istio-token"] == TOKEN
    assert not [text for text in written.values() if TOKEN in text]
