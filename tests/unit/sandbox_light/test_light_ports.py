"""Ports of light mode: chosen once, written down, never another program's."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from meshctl.errors import ConflictError
from meshctl.sandbox import light_ports
from meshctl.sandbox.light_ports import PLACES, POD_PORTS, Ports


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens, so that what other programs do makes no difference."""
    monkeypatch.setattr(light_ports, "is_free", lambda port: True)


def test_no_two_uses_share_a_port() -> None:
    ports = list(Ports(17_000).all())
    assert len(ports) == len(set(ports)) == 7 + PLACES * len(POD_PORTS)


def choose(record: Path) -> Ports:
    """The choice of a run that has come to its end."""
    with ExitStack() as held:
        return light_ports.choose(record, held)


def test_a_second_run_finds_the_ports_of_the_first(tmp_path: Path) -> None:
    record = tmp_path / "c1" / "ports.json"
    first = choose(record)
    assert choose(record) == first == light_ports.read(record)


def test_clusters_that_start_together_get_blocks_that_do_not_overlap(tmp_path: Path) -> None:
    with ExitStack() as one, ExitStack() as other:
        first = light_ports.choose(tmp_path / "c1.json", one)
        second = light_ports.choose(tmp_path / "c2.json", other)
        assert not set(first.all()) & set(second.all())


def test_a_block_that_another_run_is_about_to_use_is_refused_by_name(tmp_path: Path) -> None:
    with ExitStack() as held:
        ports = light_ports.choose(tmp_path / "ports.json", held)
        with pytest.raises(ConflictError, match=f"port {ports.claim} .*, wanted for the run of meshctl"):
            choose(tmp_path / "ports.json")


def test_a_block_with_a_port_in_use_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(light_ports, "is_free", lambda port: port != 17_003)
    assert 17_003 not in set(choose(tmp_path / "ports.json").all())


def test_a_written_down_port_that_somebody_took_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = choose(tmp_path / "ports.json")
    monkeypatch.setattr(light_ports, "is_free", lambda port: port != ports.kwok)
    with pytest.raises(ConflictError, match=f"port {ports.kwok} on 127.0.0.1, wanted for the kwok") as told:
        choose(tmp_path / "ports.json")
    assert told.value.code == "port-taken"


def test_no_free_block_at_all_is_an_error_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(light_ports, "is_free", lambda port: False)
    with pytest.raises(ConflictError) as told:
        choose(tmp_path / "ports.json")
    assert told.value.code == "no-free-ports"
    assert "sandbox down" in told.value.hint


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.undo()
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_somebody_listens_on_is_not_free(listener: int) -> None:
    assert not light_ports.is_free(listener)
