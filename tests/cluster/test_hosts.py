"""Hosts of the sandbox: real systemd, real sshd, their own identity, and nothing left when they go."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from meshctl.sandbox import cgroups, hosts, network, rootfs
from meshctl.sandbox.host_files import SshFiles
from meshctl.sandbox.ledger import Begun, Ledger
from meshctl.sandbox.names import HostLayout, Layout
from meshctl.sandbox.process import run
from meshctl.sandbox.settings import Settings
from meshctl.sandbox.undo import undo

pytestmark = [pytest.mark.cluster, pytest.mark.full("hosts")]

NAME = "t-hosts"


@dataclass(frozen=True)
class World:
    """Two hosts without a cluster, and the journal that knows them."""

    layout: Layout
    ledger: Ledger
    settings: Settings

    @property
    def hosts(self) -> tuple[HostLayout, ...]:
        """Their layouts."""
        return self.layout.hosts(self.settings.hosts)

    def on(self, name: str, command: str) -> str:
        """What a command says on a host, where it is run over SSH as the status tells to."""
        return run(["ssh", "-F", str(SshFiles(self.layout.state).config), name, command]).strip()


def bring_up(state: Path, count: int, kind: str = "flat", name: str = NAME) -> World:
    """Hosts on a bridge of their own."""
    settings = Settings(name=name, hosts=count, network="flat" if kind == "flat" else "separate")
    ledger = Ledger(state / "ledger.jsonl")
    with network.slots_locked():
        layout = Layout(name, network.free_slot(name, state), state)
        ledger.record(Begun(settings.to_json(), layout.slot, light=False))
        network.make_bridge(ledger, layout)
    list(hosts.up(ledger, layout, settings, rootfs.HOST.path))
    return World(layout, ledger, settings)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two hosts."""
    list(rootfs.make(rootfs.HOST))
    state = tmp_path_factory.mktemp("sandbox") / NAME
    try:
        yield bring_up(state, 2)
    finally:
        list(undo(Ledger(state / "ledger.jsonl")))


def test_systemd_has_booted_and_says_so(world: World) -> None:
    found = hosts.status(world.layout, world.settings, world.ledger)
    assert [(one.name, one.state) for one in found] == [("vm1", "running"), ("vm2", "running")]
    assert world.on("vm1", "cat /proc/1/comm") == "systemd"


def test_admin_is_nobody_special_until_sudo_is_asked(world: World) -> None:
    assert world.on("vm1", "id -un; sudo -n id -un").split() == ["admin", "root"]


def test_each_host_has_a_name_a_machine_id_and_a_host_key_of_its_own(world: World) -> None:
    def who(name: str) -> list[str]:
        return world.on(name, "hostname; cat /etc/machine-id; cat /etc/ssh/ssh_host_*_key.pub").splitlines()

    first, second = who("vm1"), who("vm2")
    assert (first[0], second[0]) == ("vm1", "vm2")
    assert len(first) == len(second) == 3
    assert not set(first) & set(second)


def test_a_host_with_another_key_is_not_trusted(world: World, tmp_path: Path) -> None:
    files = SshFiles(world.layout.state)
    lines = {line.split(",")[0]: line for line in files.known_hosts.read_text().splitlines()}
    key_of_the_other = lines["vm2"].split(" ", 1)[1]
    forged = tmp_path / "known_hosts"
    forged.write_text(f"vm1,{world.hosts[0].address} {key_of_the_other}\n")
    command = ["ssh", "-F", str(files.config), "-o", f"UserKnownHostsFile={forged}", "vm1", "true"]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr


def test_the_private_key_is_for_its_owner_alone(world: World) -> None:
    assert SshFiles(world.layout.state).key.stat().st_mode & 0o777 == 0o600


def test_iptables_can_redirect_by_user(world: World) -> None:
    rule = "OUTPUT -p tcp -m owner --uid-owner 1337 -j RETURN"
    world.on("vm1", f"sudo iptables -t nat -A {rule} && sudo iptables -t nat -D {rule}")


def test_hosts_reach_each_other_by_name_and_units_of_one_are_not_the_others(world: World) -> None:
    world.on("vm1", "sudo systemd-run --unit=only-here sleep 1000")
    assert world.on("vm1", "systemctl is-active only-here") == "active"
    assert world.on("vm2", "systemctl is-active only-here || true") == "inactive"
    greeting = "exec 3<>/dev/tcp/vm2/22; head -c4 <&3"
    assert world.on("vm1", f"bash -c '{greeting}'") == "SSH-"


def test_a_flat_network_has_routes_to_pods_and_services(world: World) -> None:
    cluster = world.layout.cluster(1)
    routes = world.on("vm1", "ip route")
    assert f"{cluster.pods} via {cluster.address}" in routes
    assert f"{cluster.services} via {cluster.address}" in routes


def test_what_one_host_writes_is_its_own_and_the_shared_tree_stays(world: World) -> None:
    world.on("vm1", "echo mine | sudo tee /etc/mine")
    assert world.on("vm2", "cat /etc/mine 2>/dev/null || echo none") == "none"
    assert not (rootfs.HOST.path / "etc" / "mine").exists()


def test_down_leaves_nothing_of_separate_hosts_either(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    list(undo(world.ledger))
    state = tmp_path_factory.mktemp("again") / NAME
    again = bring_up(state, 1, kind="separate")
    assert str(again.layout.cluster(1).pods) not in again.on("vm1", "ip route")
    list(undo(again.ledger))
    assert not state.exists()
    assert not network.link_exists(again.layout.bridge)
    assert not network.namespace_exists(again.hosts[0].netns)
    assert NAME not in Path("/proc/self/mountinfo").read_text()
    assert not any(cgroups.members(again.layout.cgroup))
    assert not [root for root in cgroups.hierarchies() if (root / again.layout.cgroup).exists()]
    left = [path.name for path in Path("/run/systemd/nspawn").rglob("*") if NAME in path.name]
    assert left == []
