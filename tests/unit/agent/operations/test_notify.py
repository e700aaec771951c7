"""systemd hears what it has to."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshctl.agent.notify import Notifier


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind(str(tmp_path / "notify"))
        door.settimeout(5)
        yield door


def heard(door: socket.socket) -> str:
    return door.recv(65536).decode()


def test_systemd_hears_of_ready_status_and_stopping(systemd: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": systemd.getsockname()})
    notifier.ready()
    notifier.status("2 clusters\nREADY=1")
    notifier.more_time(1.5)
    notifier.stopping()
    said = [heard(systemd) for _ in range(4)]
    assert said == ["READY=1", "STATUS=2 clusters READY=1", "EXTEND_TIMEOUT_USEC=1500000", "STOPPING=1"]


def test_an_abstract_name_is_found(tmp_path: Path) -> None:
    name = f"meshctl-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind("\0" + name)
        Notifier({"NOTIFY_SOCKET": "@" + name}).ready()
        assert heard(door) == "READY=1"


@pytest.mark.parametrize("place", ["", "/nowhere/notify", "vsock:2:1234", "relative"])
def test_without_systemd_nothing_fails(place: str) -> None:
    Notifier({"NOTIFY_SOCKET": place} if place else {}).ready()


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({"WATCHDOG_USEC": "20000000"}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "much"}, 0.0),
        ({}, 0.0),
    ],
)
def test_the_watchdog_is_what_systemd_asks_of_this_very_process(
    environment: dict[str, str], seconds: float
) -> None:
    assert Notifier(environment).watchdog == seconds


def test_signs_of_life_come_from_the_event_loop_itself(systemd: socket.socket) -> None:
    async def live() -> None:
        notifier = Notifier({"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "90000"})
        task = asyncio.ensure_future(notifier.stay_alive())
        await asyncio.sleep(0.2)
        task.cancel()

    asyncio.run(live())
    systemd.setblocking(False)
    signs = 0
    while True:
        try:
            assert heard(systemd) == "WATCHDOG=1"
        except BlockingIOError:
            break
        signs += 1
    assert signs >= 3


def test_no_secret_is_shown_by_the_status(systemd: socket.socket) -> None:
    Notifier({"NOTIFY_SOCKET": systemd.getsockname()}).status("refused authorization: Bearer abcd")
    assert heard(systemd) == "STATUS=refused authorization: Bearer [hidden]"
