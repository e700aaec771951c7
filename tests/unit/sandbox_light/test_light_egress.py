"""The API server's way into a simulated cluster."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from meshctl.pki import Subject
from meshctl.sandbox import certificates
from meshctl.sandbox.certificates import Certificates
from meshctl.sandbox.light_egress import Egress, configuration, rewritten
from meshctl.sandbox.light_places import Places, Tenant
from meshctl.sandbox.light_ports import POD_PORTS, Ports

NODE = "10.128.0.11"


@pytest.fixture
def egress(tmp_path: Path) -> Egress:
    places = Places(IPv4Network("100.65.0.0/16"))
    places.take(Tenant("istio-system", "istiod-1", "u", tmp_path / "istiod.log"))
    certificates.make(
        tmp_path / "pki",
        "c1",
        "https://127.0.0.1:1",
        api=Subject("kube-apiserver"),
        kubelet=Subject("system:node:c1", addresses=("127.0.0.1",)),
        users={},
    )
    return Egress(tmp_path / "s", NODE, Ports(_free_base()), Certificates(tmp_path / "pki"), places)


def _free_base() -> int:
    """A block that no sandbox takes: below those of light mode."""
    from meshctl.sandbox.light_ports import is_free

    return next(base for base in range(15_500, 16_900, 144) if all(map(is_free, Ports(base).all())))


def test_the_api_server_is_told_to_ask_at_the_socket() -> None:
    [selection] = json.loads(configuration(Path("/x/s")))["egressSelections"]
    assert selection["name"] == "cluster"
    assert selection["connection"]["transport"] == {"uds": {"udsName": "/x/s"}}


def test_addresses_of_the_cluster_lead_to_what_stands_for_them(egress: Egress) -> None:
    istiod = egress.places.address(0)
    assert egress.target(NODE, 10250) == egress.ports.kubelet
    assert egress.target(istiod, 15017) == egress.ports.stand_in(0, 15017)
    assert egress.target(istiod, 22) is None
    assert egress.target(egress.places.address(1), 15017) is None
    assert egress.target("8.8.8.8", 443) is None
    assert set(POD_PORTS) >= {15012, 15014, 15017}


def test_a_request_for_a_process_names_its_place_and_any_other_stays() -> None:
    rest = b"HTTP/1.1\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n\r\n"
    head = b"POST /portForward/istio-system/istiod-1?ports=1 " + rest
    assert rewritten(head, 2).startswith(
        b"POST /portForward/places/place-2?ports=1 HTTP/1.1\r\nUpgrade: SPDY/3.1\r\n"
    )
    assert rewritten(head, None) == head


def test_a_connection_that_is_not_upgraded_carries_one_request_only() -> None:
    head = b"GET /pods HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"
    assert rewritten(head, None) == b"GET /pods HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def _ask(egress: Egress, request: bytes) -> bytes:
    """What the proxy answers to a CONNECT, and what comes through the tunnel."""
    serving = asyncio.create_task(egress.serve())
    try:
        for _ in range(100):
            with suppress(OSError):
                reader, writer = await asyncio.open_unix_connection(str(egress.socket))
                break
            await asyncio.sleep(0.02)
        writer.write(request)
        answer = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        return answer
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"hello")
    writer.close()


def test_bytes_go_through_to_the_process_and_back(egress: Egress) -> None:
    async def story() -> bytes:
        port = egress.ports.stand_in(0, 15017)
        async with await asyncio.start_server(_greet, "127.0.0.1", port):
            return await _ask(egress, f"CONNECT {egress.places.address(0)}:15017 HTTP/1.1\r\n\r\n".encode())

    assert asyncio.run(story()) == b"HTTP/1.1 200 OK\r\n\r\nhello"


@pytest.mark.parametrize("target", ["8.8.8.8:443", "100.65.255.247:15017"])
def test_what_does_not_run_is_refused_with_a_reason(egress: Egress, target: str) -> None:
    answer = asyncio.run(_ask(egress, f"CONNECT {target} HTTP/1.1\r\n\r\n".encode()))
    assert answer.startswith(b"HTTP/1.1 502 ")


def test_nonsense_only_closes_the_connection(egress: Egress) -> None:
    assert asyncio.run(_ask(egress, b"\x16\x03\x01\r\n\r\n")) == b""
