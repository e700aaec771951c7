"""All metrics of a host in one text."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.agent.http import Request
from meshctl.agent.server.metrics import Metrics
from meshctl.agent.server.ready import Ready
from meshctl.agent.server.settings import ServerSettings
from tests.http_peers import Peer, answer, peer
from tests.unit.agent.server.expositions import FUZZING, seen

ENVOY = b"""# TYPE envoy_up gauge
envoy_up{cluster="a"} 1
# TYPE shared counter
shared{of="envoy"} 1
"""
APPLICATION = b"""# HELP shop_orders Orders.
# TYPE shop_orders gauge
shop_orders 3
# TYPE shared counter
shared{of="shop"} 2
"""
LIVE = answer(ENVOY, 200, "Content-Type: text/plain; version=0.0.4")


def scraped(
    folder: Path,
    envoy: bytes | Callable[[str], bytes] = LIVE,
    applications: tuple[bytes, ...] = (),
    *,
    query: str = "",
    headers: tuple[tuple[str, str], ...] = (),
    envoy_delay: float = 0,
    delay: float = 0,
    stays: bool = False,
    **changed: object,
) -> tuple[str, Metrics, list[Peer]]:
    """The text, who made it, and whom it asked: Envoy first."""

    async def scrape() -> tuple[str, Metrics, list[Peer]]:
        async with peer(envoy, socket=folder / "admin", delay=envoy_delay, stays=stays) as proxy:
            servers = [peer(said, delay=delay, stays=stays) for said in applications]
            peers = [await server.__aenter__() for server in servers]
            try:
                urls = tuple(f"http://127.0.0.1:{one.port}/metrics" for one in peers)
                settings = ServerSettings(applications=urls, **changed)  # type: ignore[arg-type]
                ready = Ready(folder / "admin", running=lambda: 1, synced=lambda: True)
                parts = {"envoy": {"starts": 1}}
                metrics = Metrics(
                    settings, admin=folder / "admin", parts=lambda: parts, ready=ready, version="1"
                )
                request = Request("GET", "/metrics", query, headers, b"", "127.0.0.1")
                text = b"".join([piece async for piece in metrics.pieces(request)])
                return text.decode(), metrics, [proxy, *peers]
            finally:
                for server in servers:
                    await server.__aexit__(None, None, None)

    return asyncio.run(scrape())


def test_envoys_the_agents_and_the_applications_are_one_text_that_others_read(tmp_path: Path) -> None:
    text, metrics, _ = scraped(tmp_path, applications=(answer(APPLICATION),))
    found = seen(text)
    assert found["envoy_up"][0] == "gauge"
    assert found["istio_agent_envoy_starts"][0] == "counter"
    assert found["shop_orders"][:2] == ("gauge", "Orders.")
    assert len(found["shared"][2]) == 2
    assert (metrics.scrapes.total, sum(metrics.scrapes.failures.values())) == (1, 0)


def test_envoys_and_the_agents_alone_when_there_is_no_application(tmp_path: Path) -> None:
    assert {"envoy_up", "istio_agent_scrapes"} <= seen(scraped(tmp_path)[0]).keys()


def test_envoys_can_be_left_out(tmp_path: Path) -> None:
    text, _, peers = scraped(tmp_path, envoy_metrics=False)
    assert "envoy_up" not in text
    assert peers[0].heard == []


@pytest.mark.parametrize(
    "application",
    [
        answer(b"", 500),
        answer(b"<html>no such page</html>", 404),
        answer(b"\x08\x01", 200, "Content-Type: application/vnd.google.protobuf"),
        answer(b"x" * 2000),
        b"nonsense",
        b"",
        b"HTTP/1.1 200 x\r\nContent-Length: 100\r\n\r\nshop_orders 1\n",
    ],
)
def test_an_application_that_fails_never_hides_envoy(application: bytes, tmp_path: Path) -> None:
    text, metrics, _ = scraped(
        tmp_path, applications=(application, answer(APPLICATION)), application_bytes=1000
    )
    assert {"envoy_up", "shop_orders"} <= seen(text).keys()
    assert metrics.scrapes.failures == {"agent": 0, "application": 1, "envoy": 0}


def test_an_application_that_hangs_never_hides_envoy(tmp_path: Path) -> None:
    began = time.monotonic()
    said = (("X-Prometheus-Scrape-Timeout-Seconds", "2"),)
    text, metrics, _ = scraped(tmp_path, applications=(answer(APPLICATION),), delay=60, headers=said)
    assert "envoy_up" in seen(text)
    assert metrics.scrapes.failures["application"] == 1
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("envoy", [answer(b"", 503), b"nonsense", b"", answer(b"x" * 1_100_000)])
def test_an_envoy_that_fails_never_hides_the_others(envoy: bytes, tmp_path: Path) -> None:
    text, metrics, _ = scraped(tmp_path, envoy, (answer(APPLICATION),))
    assert {"shop_orders", "shared", "istio_agent_scrapes"} <= seen(text).keys()
    assert metrics.scrapes.failures == {"agent": 0, "application": 0, "envoy": 1}


def test_an_envoy_that_breaks_off_leaves_what_it_said(tmp_path: Path) -> None:
    broken = b"HTTP/1.1 200 x\r\nContent-Length: 100000\r\n\r\n" + ENVOY[:-10]
    text, metrics, _ = scraped(tmp_path, broken, (answer(APPLICATION),))
    found = seen(text)
    assert {"envoy_up", "shop_orders"} <= found.keys()
    assert (
        list(found["shared"][2]) == [("shared_total", ("of", "shop"), None)] or len(found["shared"][2]) == 1
    )
    assert metrics.scrapes.failures["envoy"] == 1


def test_an_envoy_that_hangs_leaves_time_for_the_others(tmp_path: Path) -> None:
    said = (("X-Prometheus-Scrape-Timeout-Seconds", "0.5"),)
    text, metrics, _ = scraped(tmp_path, applications=(answer(APPLICATION),), headers=said, envoy_delay=60)
    assert "shop_orders" in seen(text)
    assert metrics.scrapes.failures["envoy"] == 1


def test_what_the_scraper_says_goes_on_to_those_who_are_asked(tmp_path: Path) -> None:
    said = (
        ("User-Agent", "Prometheus/3"),
        ("X-Prometheus-Scrape-Timeout-Seconds", "7"),
        ("Accept", "application/vnd.google.protobuf"),
        ("Authorization", "secret"),
        ("Accept-Encoding", "gzip"),
    )
    _, _, (envoy, application) = scraped(
        tmp_path, applications=(answer(APPLICATION),), query="usedonly&filter=^x", headers=said
    )
    assert envoy.heard[0].startswith("GET /stats/prometheus?usedonly&filter=^x HTTP/1.1\r\n")
    assert "User-Agent: Prometheus/3\r\n" in application.heard[0]
    assert "Scrape-Timeout-Seconds: 7\r\n" in application.heard[0]
    for heard in (envoy.heard[0], application.heard[0]):
        assert "Accept: text/plain;version=0.0.4\r\n" in heard
        assert "secret" not in heard
        assert "gzip" not in heard


@pytest.mark.parametrize("said", ["nan", "-1", "0", "inf", "x", "1e9", ""])
def test_a_time_of_none_is_passed_over(said: str, tmp_path: Path) -> None:
    text, _, _ = scraped(tmp_path, headers=(("X-Prometheus-Scrape-Timeout-Seconds", said),))
    assert "envoy_up" in seen(text)


def test_open_metrics_of_an_application_are_read_as_such(tmp_path: Path) -> None:
    said = b'# TYPE shop_orders counter\nshop_orders_total 3 # {trace_id="x"} 1\n# EOF\n'
    application = answer(
        said, 200, "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8"
    )
    found = seen(scraped(tmp_path, applications=(application,))[0])
    assert found["shop_orders"] == ("counter", "", {("shop_orders_total", None): 3.0})


def test_several_applications_with_the_same_series_are_still_one_text(tmp_path: Path) -> None:
    text, _, _ = scraped(tmp_path, applications=(answer(APPLICATION), answer(APPLICATION)))
    assert len(seen(text)["shared"][2]) == 2


def test_what_is_wrong_is_logged_once_until_it_changes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scrape() -> None:
        settings = ServerSettings(applications=("http://127.0.0.1:1/",))
        ready = Ready(tmp_path / "admin", running=lambda: 1, synced=lambda: True)
        metrics = Metrics(settings, admin=tmp_path / "admin", parts=dict, ready=ready, version="1")
        for _ in range(3):
            request = Request("GET", "/metrics", "", (), b"", "127.0.0.1")
            assert [piece async for piece in metrics.pieces(request)]
        assert metrics.scrapes.failures == {"agent": 0, "application": 3, "envoy": 3}

    asyncio.run(scrape())
    assert len(caplog.records) == 2


@FUZZING
@given(
    said=st.binary(max_size=300)
    | st.lists(st.sampled_from([ENVOY, APPLICATION, b"shared 1\n", b"\xff", b"# EOF"])).map(b"".join)
)
def test_whatever_an_application_says_envoys_are_there(
    said: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("m")
    for application in (answer(said), said):
        assert seen(scraped(folder, applications=(application,))[0])["envoy_up"][0] == "gauge"
        (folder / "admin").unlink(missing_ok=True)  # Python 3.13 has taken it away
