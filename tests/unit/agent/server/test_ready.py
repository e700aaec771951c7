"""When the proxy is ready."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pytest

from meshctl.agent.server.ready import Ready
from tests.http_peers import answer, peer

GOOD = {
    "cluster_manager.cds.update_success": 1,
    "listener_manager.lds.update_success": 2,
    "listener_manager.workers_started": 1,
    "server.state": 0,
}


def stats(**changed: int | None) -> bytes:
    """What Envoy says, with dots written as `__`; None leaves one out."""
    said = {**GOOD, **{name.replace("__", "."): value for name, value in changed.items()}}
    return answer("".join(f"{name}: {value}\n" for name, value in said.items() if value is not None).encode())


def reasons(
    folder: Path,
    said: bytes | Callable[[str], bytes],
    *,
    running: Callable[[], int] = lambda: 1,
    synced: bool = True,
    then: Callable[[Ready], None] = lambda _: None,
) -> tuple[str, str, list[str]]:
    """Why it is not ready, why it is not after something happened, and what Envoy was asked."""

    async def ask() -> tuple[str, str, list[str]]:
        async with peer(said, socket=folder / "admin") as envoy:
            ready = Ready(folder / "admin", running=running, synced=lambda: synced)
            first = await ready.why_not()
            then(ready)
            return first, await ready.why_not(), envoy.heard

    return asyncio.run(ask())


def test_a_live_envoy_with_clusters_listeners_and_workers_is_ready(tmp_path: Path) -> None:
    first, _, heard = reasons(tmp_path, stats())
    assert first == ""
    path = unquote(heard[0].split(" ")[1])
    assert path.startswith("/stats?usedonly&filter=^(")
    assert all(name.split(".")[-1].split("_")[0] in path for name in GOOD)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (stats(cluster_manager__cds__update_success=0), "no clusters yet"),
        (stats(cluster_manager__cds__update_success=None), "no clusters yet"),
        (stats(listener_manager__lds__update_success=None), "no listeners yet"),
        (
            stats(cluster_manager__cds__update_success=None, listener_manager__lds__update_success=0),
            "no clusters and no listeners",
        ),
        (
            stats(listener_manager__lds__update_success=0, listener_manager__lds__update_rejected=3),
            "rejected",
        ),
        (stats(server__state=1), "DRAINING"),
        (stats(server__state=2), "PRE_INITIALIZING"),
        (stats(server__state=77), "77"),
        (stats(server__state=None), "state"),
        (stats(listener_manager__workers_started=0), "workers"),
        (stats(listener_manager__workers_started=None), "workers"),
        (answer(b"", 503), "503"),
        (answer(b"server.state: x\n"), "no clusters"),
        (answer(b"\xff\xfe\0"), "no clusters"),
        (b"nonsense", "answer"),
        (b"", "answer"),
    ],
)
def test_anything_less_is_not_ready_and_says_why(said: bytes, words: str, tmp_path: Path) -> None:
    assert words in reasons(tmp_path, said)[0]


def test_an_envoy_that_does_not_run_is_not_asked(tmp_path: Path) -> None:
    first, _, heard = reasons(tmp_path, stats(), running=lambda: 0)
    assert (first, heard) == ("Envoy does not run", [])


def test_an_envoy_that_is_not_there_is_not_ready(tmp_path: Path) -> None:
    ready = Ready(tmp_path / "admin", running=lambda: 1, synced=lambda: True)
    assert "does not answer" in asyncio.run(ready.why_not())


def test_who_was_ready_once_is_not_asked_again(tmp_path: Path) -> None:
    _, second, heard = reasons(tmp_path, stats())
    assert (second, len(heard)) == ("", 1)


def test_an_envoy_that_was_started_again_is_asked_again(tmp_path: Path) -> None:
    runs = iter([1, 2])
    answers = iter([stats(), stats(server__state=3)])
    first, second, _ = reasons(tmp_path, lambda _: next(answers), running=lambda: next(runs))
    assert (first, second) == ("", "Envoy is INITIALIZING")


def test_dns_without_the_names_of_the_mesh_is_not_ready(tmp_path: Path) -> None:
    assert "DNS" in reasons(tmp_path, stats(), synced=False)[0]


def test_who_drains_is_no_longer_ready(tmp_path: Path) -> None:
    first, second, _ = reasons(tmp_path, stats(), then=Ready.drain)
    assert (first, second) == ("", "the proxy drains")


def test_how_long_it_took_is_known_from_the_first_time_it_is_ready(tmp_path: Path) -> None:
    async def ask() -> list[float | None]:
        answers = iter([stats(server__state=2), stats()])
        async with peer(lambda _: next(answers), socket=tmp_path / "admin"):
            ready = Ready(tmp_path / "admin", running=lambda: 1, synced=lambda: True)
            took = []
            for _ in range(3):
                await ready.why_not()
                took.append(ready.took)
            return took

    before, took, later = asyncio.run(ask())
    assert before is None
    assert took == later
    assert took
