"""The agent says how it is to those who may ask, takes their orders, and a person can read what it says."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from meshctl.agent.http import Unix, fetch
from meshctl.agent.status import Door, ask, order, shown
from meshctl.errors import ConfigError, FailedError, UnreachableError

NOW = 1_800_000_000.0
DOCUMENT: dict[str, Any] = {
    "ready": True,
    "cause": "",
    "since": NOW - 300,
    "workload": {"name": "vm1", "namespace": "shop", "addresses": ["10.0.0.7"]},
    "versions": {"agent": "0.1.0", "python": "3.11.2", "envoy": ""},
    "identity": {
        "names": ["spiffe://cluster.local/ns/shop/sa/cart"],
        "begins": NOW - 40_000,
        "ends": NOW + 46_000,
        "renewals": 2,
        "error": "",
    },
    "configuration": {
        "server": "10.1.0.4:15012",
        "since": NOW - 250,
        "protocol": "delta",
        "error": "",
        "types": {"CDS": {"pushes": 3, "accepted": 3, "rejected": 0, "error": ""}},
        "removed": {},
    },
    "envoy": {"pid": 77, "restarts": 0, "error": ""},
    "parts": [{"name": "ads", "state": "runs", "failures": 0, "error": ""}],
}


async def document() -> dict[str, Any]:
    return DOCUMENT


async def set_level(what: Mapping[str, str]) -> str:
    if what != {"ads": "debug"}:
        raise ConfigError("unknown-level", f"unknown {what}", hint="use debug")
    return "ads logs from debug on"


async def broken(_: Mapping[str, str]) -> str:
    raise OSError("a fault")


@asynccontextmanager
async def opened(socket: Path):  # type: ignore[no-untyped-def]
    door = Door(socket, document, {"log-level": set_level, "broken": broken})
    task = asyncio.ensure_future(door.run())
    while not socket.exists():
        await asyncio.sleep(0.01)
    yield
    task.cancel()
    await asyncio.wait([task])


def test_who_asks_is_told_and_who_orders_is_obeyed(tmp_path: Path) -> None:
    async def story() -> None:
        socket = tmp_path / "status.sock"
        async with opened(socket):
            assert await ask(socket) == DOCUMENT
            assert await order(socket, "log-level", {"ads": "debug"}) == "ads logs from debug on"
            with pytest.raises(FailedError, match="; use debug"):
                await order(socket, "log-level", {"dns": "loud"})
            with pytest.raises(FailedError, match="no such order"):
                await order(socket, "fly", {})
            with pytest.raises(FailedError):
                await order(socket, "broken", {})
            assert await ask(socket) == DOCUMENT

    asyncio.run(story())


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"ads": 1}', b"\xff", b"[" * 100_000])
def test_an_order_that_is_none_is_refused(tmp_path: Path, body: bytes) -> None:
    async def story() -> int:
        socket = tmp_path / "status.sock"
        async with opened(socket):
            return (await fetch(Unix(socket), "POST", "/log-level", body=body, timeout=5)).status

    assert asyncio.run(story()) == 400


def test_others_on_the_host_may_not_ask(tmp_path: Path) -> None:
    async def story() -> int:
        async with opened(tmp_path / "status.sock"):
            return (tmp_path / "status.sock").stat().st_mode & 0o777

    assert asyncio.run(story()) == 0o660


def test_without_an_agent_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="no agent answers") as found:
        asyncio.run(ask(tmp_path / "status.sock"))
    assert "journalctl" in found.value.hint


def test_a_socket_without_an_agent_is_no_agent(tmp_path: Path) -> None:
    async def story() -> None:
        async with opened(tmp_path / "status.sock"):
            os.link(tmp_path / "status.sock", tmp_path / "left.sock")
        await ask(tmp_path / "left.sock")

    with pytest.raises(UnreachableError, match="no agent answers"):
        asyncio.run(story())


def test_a_person_reads_whether_it_works_and_since_when() -> None:
    assert shown(DOCUMENT, NOW).splitlines() == [
        "ready",
        "  workload     vm1.shop at 10.0.0.7",
        "  versions     agent 0.1.0, python 3.11.2",
        "  running      for 5 min",
        "  certificate  spiffe://cluster.local/ns/shop/sa/cart, for another 13 h, renewed 2 times",
        "  istiod       10.1.0.4:15012 for 4 min, delta",
        "  CDS          3 pushes, 3 accepted",
        "  envoy        pid 77, restarts 0",
    ]


def test_a_person_reads_what_is_wrong() -> None:
    away = {**DOCUMENT["configuration"], "server": "", "error": "no route to host"}
    away["types"] = {"LDS": {"pushes": 2, "accepted": 1, "rejected": 1, "error": "no such filter"}}
    identity = {**DOCUMENT["identity"], "ends": NOW - 7300, "error": "the token is refused"}
    part = {"name": "dns", "state": "starts again", "failures": 4, "error": "OSError: port taken"}
    wrong = {
        **DOCUMENT,
        "ready": False,
        "cause": "no listeners yet",
        "configuration": away,
        "identity": identity,
        "parts": [part],
    }
    text = shown(wrong, NOW)
    for said in (
        "not ready: no listeners yet",
        "expired 2 h ago",
        "; the token is refused",
        "istiod       not connected; no route to host",
        "1 REJECTED: no such filter",
        "dns          starts again, 4 failures, the last: OSError: port taken",
    ):
        assert said in text


def test_before_the_first_certificate_there_is_none() -> None:
    identity = {"names": [], "begins": 0.0, "ends": 0.0, "renewals": 0, "error": "istiod is away"}
    assert "certificate  none yet; istiod is away" in shown({**DOCUMENT, "identity": identity}, NOW)
