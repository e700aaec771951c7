"""Light clusters: real programs on loopback, addresses that exist in the API only."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshctl.errors import ConfigError
from meshctl.sandbox.binaries import Binaries
from meshctl.sandbox.controlplane import api_server_command, controller_manager_command, etcd_command
from meshctl.sandbox.ledger import Ledger
from meshctl.sandbox.light import Light, plane, up
from meshctl.sandbox.light_ports import Ports
from meshctl.sandbox.names import Layout
from meshctl.sandbox.settings import Settings

NOWHERE = Path("/nowhere")
BINARIES = Binaries(NOWHERE, {}, NOWHERE, None, NOWHERE, NOWHERE, NOWHERE, NOWHERE)


def a_light(number: int, ports: Ports) -> Light:
    return Light("box", Layout("box", 0, NOWHERE).cluster(number), ports, 1)


def test_every_address_a_component_listens_on_is_loopback() -> None:
    its_plane = plane(a_light(1, Ports(17_000)), Settings(light=True), BINARIES)
    commands = [
        *etcd_command(its_plane),
        *api_server_command(its_plane),
        *controller_manager_command(its_plane),
    ]
    listening = [flag for flag in commands if "listen" in flag or "--bind-address" in flag]
    assert len(listening) == 4
    assert all("127.0.0.1" in flag for flag in listening)


def test_the_api_server_asks_the_proxy_and_names_pods_not_services() -> None:
    command = api_server_command(plane(a_light(1, Ports(17_000)), Settings(light=True), BINARIES))
    assert "--enable-aggregator-routing=true" in command
    assert "--egress-selector-config-file=/nowhere/c1/egress.json" in command


def test_pods_of_two_clusters_never_share_an_address_nor_do_simulated_ones_and_processes() -> None:
    first, second = a_light(1, Ports(17_000)), a_light(2, Ports(17_144))
    assert not first.pods.overlaps(second.pods)
    assert first.simulated.subnet_of(first.pods)
    assert first.pods.broadcast_address - 8 not in first.simulated


def test_a_folder_too_deep_for_a_socket_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    state = tmp_path / ("d" * 100) / "box"
    with pytest.raises(ConfigError, match="longer than the 107 bytes") as told:
        list(up(Ledger(state / "ledger"), Layout("box", 0, state), Settings(light=True), BINARIES))
    assert "MESHCTL_STATE" in told.value.hint
    assert not state.exists()
