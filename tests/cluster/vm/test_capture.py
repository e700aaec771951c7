"""Capture on real hosts: what it redirects, what it never does, and that it leaves no trace behind."""

from __future__ import annotations

import io
import json
import shlex
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import meshctl
from meshctl.sandbox import hosts, network, rootfs
from meshctl.sandbox.host_files import SshFiles
from meshctl.sandbox.ledger import Begun, Ledger
from meshctl.sandbox.names import HostLayout, Layout
from meshctl.sandbox.settings import Settings
from meshctl.sandbox.undo import undo
from tests.cluster.vm.host import Host

pytestmark = [pytest.mark.cluster, pytest.mark.full("hosts")]

NAME = "t-capture"
HOME = "/opt/capture-test"
AGENT = "mesh-proxy"
OTHER = "mesh-other"
FLAVOURS = ("iptables-nft", "iptables-legacy", "nftables")
TIMES, FEW = 100, 10
"""How often rules are put in and taken away with `--long`, and in every run."""

DRIVER = """
import argparse, json, sys
sys.path.insert(0, sys.argv.pop(1))
from pathlib import Path
from meshctl.agent.capture import command
from meshctl.agent.capture.settings import CaptureSettings
from meshctl.agent.places import Places
from meshctl.errors import MeshctlError
root, settings = sys.argv.pop(1), json.loads(sys.argv.pop(1))
settings = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
parser = argparse.ArgumentParser()
command.configure(parser)
try:
    said, code = command.run(parser.parse_args(), Places(Path(root)), lambda: CaptureSettings(**settings))
except MeshctlError as error:
    print(error.code, error.message, *error.details, sep="\\n", file=sys.stderr)
    sys.exit(1)
print(said)
sys.exit(code)
"""
"""`meshctl-agent capture` with settings that are an argument."""

CALL = """
import socket, sys
host, port, source, kind = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
family = socket.AF_INET6 if ":" in host else socket.AF_INET
with socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as caller:
    caller.settimeout(5)
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if source:
        caller.bind(("", source))
    caller.connect((host, port))
    if kind == "udp":
        caller.send(b"?")
    print(caller.recv(512).decode(errors="replace").strip())
"""


@dataclass(frozen=True)
class Captured:
    """The host whose traffic is captured.

    Attributes:
        host: itself, over SSH.
        layout: where its network namespace is.
        folder: for what runs outside of it.
    """

    host: Host
    layout: HostLayout
    folder: Path

    def capture(self, flavour: str, words: str, *, check: int | None = 0, **settings: object) -> str:
        """What a command of capture says; nft, which the host has not, is run from outside."""
        said = {"flavour": flavour, "user": AGENT, **settings}
        if flavour == "nftables":
            said["user"] = self.host.run(f"id -u {AGENT}").strip()
            done = subprocess.run(
                [
                    *self.inside,
                    *self.driver(str(Path(meshctl.__file__).parents[1]), str(self.folder), said),
                    *words.split(),
                ],
                capture_output=True,
                text=True,
            )
            assert check is None or done.returncode == check, done.stderr
            return done.stdout
        return self.host.sudo(f"{self.line(said)} {words}", check=check)

    def line(self, said: dict[str, object]) -> str:
        """The command line on the host."""
        return shlex.join(self.driver(HOME, "/", said))

    @staticmethod
    def driver(home: str, root: str, said: dict[str, object]) -> list[str]:
        """The command, wherever it is run."""
        python = "/usr/bin/python3" if home == HOME else "python3"
        return [python, "-I", "-c", DRIVER, home, root, json.dumps(said)]

    @property
    def inside(self) -> list[str]:
        """What comes before a command that is to see the host's network."""
        return ["nsenter", f"--net={network.NAMESPACES / self.layout.netns}"]

    def traces(self) -> str:
        """All that capture could leave behind."""
        network_ = subprocess.run(
            [
                *self.inside,
                "sh",
                "-c",
                "nft list ruleset; ip address; ip rule; ip -6 rule; ip route show table all",
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        on_host = self.host.sudo(
            "for ip in ip ip6; do ${ip}tables-nft-save; for table in $(cat /proc/net/${ip}_tables_names); do "
            "${ip}tables-legacy-save -t $table; done; done | grep -v ^# | sed 's/ .[0-9]*:[0-9]*.$//'; "
            "find /proc/sys/net -type f -perm -u=r | sort | grep -v -e nf_conntrack_count -e random | "
            "while read f; do echo $f $(cat $f 2>/dev/null); done; "
            "find /etc /opt /usr/local /var/lib -xdev -type f -not -path '/var/lib/systemd/*' | sort | "
            "xargs sha256sum; cat /etc/passwd /etc/group /etc/resolv.conf; systemctl list-units --all "
            "--no-legend 'meshctl*'"
        )
        return network_ + on_host


@dataclass(frozen=True)
class World:
    """A host that is captured, and another one that it calls and is called by."""

    one: Captured
    two: Host

    def call(
        self, who: Host, host: str, port: int, *, user: str = OTHER, source: int = 0, kind: str = "tcp"
    ) -> str:
        """Who answers a call; the error's name when nobody does."""
        words = shlex.join(["python3", "-I", "-c", CALL, host, str(port), str(source), kind])
        return who.run(f"sudo -u {user} {words} 2>&1 | tail -n 1").strip()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two hosts without a cluster, each with an application and, in vain so far, a proxy."""
    list(rootfs.make(rootfs.HOST))
    state = tmp_path_factory.mktemp("sandbox") / NAME
    ledger = Ledger(state / "ledger.jsonl")
    settings = Settings(name=NAME, hosts=2, network="separate")
    try:
        with network.slots_locked():
            layout = Layout(NAME, network.free_slot(NAME, state), state)
            ledger.record(Begun(settings.to_json(), layout.slot, light=False))
            network.make_bridge(ledger, layout)
        list(hosts.up(ledger, layout, settings, rootfs.HOST.path))
        layouts = layout.hosts(2)
        one, two = (Host(each.name, str(each.address), SshFiles(state).config) for each in layouts)
        for number, host in enumerate((one, two), 1):
            prepare(host, number)
        yield World(Captured(one, layouts[0], tmp_path_factory.mktemp("outside")), two)
    finally:
        list(undo(ledger))


def prepare(host: Host, number: int) -> None:
    """Accounts, addresses, our code, and what listens."""
    code = Path(meshctl.__file__).parent
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in ("__init__.py", "errors.py", "agent"):
            archive.add(
                code / name,
                f"meshctl/{name}",
                filter=lambda each: None if "__pycache__" in each.name else each,
            )
    host.sudo(f"mkdir -p {HOME}; tar -x -C {HOME}; chmod -R a+rX {HOME}", stdin=packed.getvalue())
    host.write(f"{HOME}/listener.py", Path(__file__).with_name("capture_listener.py").read_bytes(), "0644")
    host.sudo(f"for name in {AGENT} {OTHER}; do useradd --system $name; done")
    link = host.run("ip -o -4 route show | grep -o 'dev [a-z0-9]*' | grep -v lo | head -n 1").split()[1]
    host.sudo(f"ip -6 address add fd00:c::{number}/64 dev {link} nodad")
    listen(host, OTHER, "tcp:8080:app", "tcp:2222:app", "tcp:9090:app")
    listen(host, AGENT, "tcp:15001:out", "tcp:15006:in", "tcp:15053:dns", "udp:15053:dns")
    listen(host, "root", "udp:53:resolver", "tcp:53:resolver")


def listen(host: Host, user: str, *words: str) -> None:
    """Have something listen on a host."""
    unit = f"listener-{user}-{words[0].split(':')[1]}"
    host.sudo(
        f"systemd-run --quiet --unit={unit} --uid={user} python3 -I {HOME}/listener.py {shlex.join(words)}"
    )
    ports = [word.split(":")[1] for word in words if word.startswith("tcp")]
    wait = " && ".join(f"ss -ltn | grep -q ':{port} '" for port in ports)
    host.sudo(f"for i in $(seq 100); do {wait} && exit 0; sleep 0.1; done; exit 1")


@pytest.fixture(params=FLAVOURS)
def flavour(request: pytest.FixtureRequest, world: World) -> Iterator[str]:
    """Each way to put rules in place; they are gone afterwards."""
    yield request.param
    world.one.capture(request.param, "remove")


DNS = {"dns": True, "dual_stack": True, "inbound_ports_exclude": ["15001", "15006", "15053"]}


def test_traffic_is_redirected_both_ways(world: World, flavour: str) -> None:
    one, two = world.one.host, world.two
    assert world.call(two, one.address, 8080) == "app"
    world.one.capture(flavour, "apply", **DNS)
    assert world.call(two, one.address, 8080) == f"in {one.address}:8080"
    assert world.call(one, two.address, 8080) == f"out {two.address}:8080"
    assert world.call(one, two.address, 8080, user=AGENT) == "app"
    world.one.capture(flavour, "remove")
    assert world.call(two, one.address, 8080) == "app"
    assert world.call(one, two.address, 8080) == "app"


def test_ipv6_too(world: World, flavour: str) -> None:
    one, two = world.one.host, world.two
    world.one.capture(flavour, "apply", **DNS)
    assert world.call(two, "fd00:c::1", 8080) == "in fd00:c::1:8080"
    assert world.call(one, "fd00:c::2", 8080) == "out fd00:c::2:8080"
    assert world.call(one, "fd00:c::2", 8080, user=AGENT) == "app"
    world.one.capture(flavour, "apply", **{**DNS, "ipv6": "off"})
    assert world.call(two, "fd00:c::1", 8080) == "app"


def test_a_host_may_call_itself(world: World, flavour: str) -> None:
    one = world.one.host
    world.one.capture(flavour, "apply", **DNS)
    for address in ("127.0.0.1", "::1", one.address, "fd00:c::1"):
        assert world.call(one, address, 8080) == "app"
    # Envoy has chosen this host for a call of it, and comes in as all others do.
    assert world.call(one, one.address, 8080, user=AGENT) == f"in {one.address}:8080"
    assert world.call(one, "127.0.0.1", 8080, user=AGENT) == "app"


def test_questions_to_dns_go_to_the_agent_and_its_own_to_the_resolver(world: World, flavour: str) -> None:
    one, two = world.one.host, world.two
    world.one.capture(flavour, "apply", **DNS, dns_servers=[two.address, "fd00:c::2"])
    for kind in ("udp", "tcp"):
        for resolver in (two.address, "fd00:c::2"):
            assert world.call(one, resolver, 53, kind=kind).startswith("dns")
            assert world.call(one, resolver, 53, kind=kind, user=AGENT).startswith("resolver")
    assert world.call(one, one.address, 53, kind="udp") == "resolver"
    # The agent's question may have the very port that a client's had: they are tracked apart.
    for _ in range(3):
        assert world.call(one, two.address, 53, kind="udp", source=5353) == "dns"
        assert world.call(one, two.address, 53, kind="udp", source=5353, user=AGENT) == "resolver"


def test_what_is_excluded_is_left_alone(world: World, flavour: str) -> None:
    one, two = world.one.host, world.two
    world.one.capture(
        flavour,
        "apply",
        **{**DNS, "inbound_ports_exclude": ["9090"]},
        outbound_ports_exclude=["9090"],
        users_exclude=["root"],
    )
    assert world.call(two, one.address, 9090) == "app"
    assert world.call(two, one.address, 8080).startswith("in ")
    assert world.call(one, two.address, 9090) == "app"
    assert world.call(one, two.address, 8080, user="root") == "app"
    assert world.call(one, two.address, 8080).startswith("out ")
    world.one.capture(
        flavour, "apply", **DNS, outbound_networks=[f"{two.address}/32"], inbound_ports=["9090"]
    )
    assert world.call(one, two.address, 8080).startswith("out ")
    assert world.call(one, "fd00:c::2", 8080) == "app"
    assert world.call(two, one.address, 8080) == "app"
    assert world.call(two, one.address, 9090).startswith("in ")


def test_ssh_and_the_peer_are_never_captured(world: World, flavour: str) -> None:
    one, two = world.one.host, world.two
    world.one.capture(flavour, "apply", **DNS, inbound_ports=["22", "2222", "8080"], ssh_ports=["2222"])
    assert world.call(two, one.address, 22).startswith("SSH-")
    assert world.call(two, one.address, 2222) == "app"
    assert world.call(two, one.address, 8080).startswith("in ")
    world.one.capture(flavour, "apply", **DNS, peers=[two.address])
    assert world.call(two, one.address, 8080) == "app"
    assert world.call(one, two.address, 8080) == "app"
    assert world.call(two, "fd00:c::1", 8080).startswith("in ")


RESTART = "systemctl reset-failed ssh; systemctl restart ssh"
"""systemd refuses to start a service too often in a short time."""


def test_a_port_where_sshd_listens_is_found(world: World, flavour: str) -> None:
    one = world.one.host
    try:
        one.sudo(f"printf 'Port 22\\nPort 2022\\n' > /etc/ssh/sshd_config.d/more.conf; {RESTART}")
        world.one.capture(flavour, "apply", **DNS) if flavour != "nftables" else world.one.capture(
            flavour, "apply", **DNS, ssh_ports=["2022"]
        )
        assert world.call(world.two, one.address, 2022).startswith("SSH-")
    finally:
        one.sudo(f"rm /etc/ssh/sshd_config.d/more.conf; {RESTART}")


def test_a_session_from_before_goes_on(world: World, flavour: str) -> None:
    """An SSH session at a port that nobody has told us of, and a call that this host has made."""
    one = world.one.host
    command = ["ssh", "-F", str(one.config), one.name, "while read line; do echo got $line; done"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as session:
        assert session.stdin
        assert session.stdout
        for word in ("before", "after", "gone"):
            session.stdin.write(f"{word}\n")
            session.stdin.flush()
            assert session.stdout.readline() == f"got {word}\n"
            world.one.capture(flavour, "apply" if word == "before" else "remove", **DNS)
        session.stdin.close()


def test_applying_and_removing_again_and_again_leaves_no_trace(
    world: World, flavour: str, pytestconfig: pytest.Config
) -> None:
    one = world.one
    times = TIMES if pytestconfig.getoption("--long") else FEW
    if flavour == "iptables-legacy":
        one.capture(flavour, "apply", **DNS)  # the kernel keeps an empty legacy table once there was one
        one.capture(flavour, "remove")
    before = one.traces()
    if flavour == "nftables":
        for _ in range(times // 10):
            one.capture(flavour, "apply", **DNS)
            one.capture(flavour, "remove")
    else:
        line = one.line({"flavour": flavour, "user": AGENT, **DNS})
        again = f"{line} apply >/dev/null && {line} remove >/dev/null || exit 1"
        for _ in range(times // 10):  # SSH in between, as it must go on working
            one.host.sudo(f"for i in $(seq 10); do {again}; done")
    assert one.traces() == before


def test_what_others_have_is_left_as_it_was(world: World) -> None:
    one = world.one
    theirs = "-t nat -A OUTPUT -d 203.0.113.1 -p tcp -j REDIRECT --to-ports 8080"
    try:
        one.host.sudo(f"iptables {theirs}; iptables -t nat -N MINE; iptables -t nat -A MINE -j RETURN")
        before = one.traces()
        one.capture("iptables-nft", "apply", **DNS)
        one.capture("iptables-nft", "remove")
        assert one.traces() == before
    finally:
        one.host.sudo("iptables -t nat -F; iptables -t nat -X")


def test_a_process_that_is_killed_at_any_moment_is_cleaned_up_after(
    world: World, pytestconfig: pytest.Config
) -> None:
    one = world.one
    one.capture("iptables-nft", "apply", **DNS)
    one.capture("iptables-nft", "remove")
    before = one.traces()
    line = one.line({"flavour": "iptables-nft", "user": AGENT, **DNS})
    for hundredths in range(5, 95, 6 if pytestconfig.getoption("--long") else 30):
        one.host.sudo(f"timeout -s KILL 0.{hundredths:02} {line} apply", check=None)
        if hundredths % 4 == 1:
            one.host.sudo(f"timeout -s KILL 0.{hundredths:02} {line} remove", check=None)
        if hundredths % 4 == 3:
            one.capture("iptables-nft", "apply", **DNS)
            assert one.capture("iptables-nft", "check", **DNS).startswith("all rules")
        one.capture("iptables-nft", "remove")
        assert one.traces() == before, hundredths


def test_unconfirmed_rules_go_when_the_session_that_made_them_has_gone(world: World) -> None:
    one = world.one
    before = one.traces()
    line = one.line({"flavour": "iptables-nft", "user": AGENT, **DNS})
    stay = f"sudo {line} apply --confirm-within 4s && sleep 100"
    command = ["ssh", "-F", str(one.host.config), one.host.name, stay]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as session:
        assert session.stdout
        assert session.stdout.readline() == "traffic is captured by iptables-nft\n"
        session.send_signal(signal.SIGKILL)
    one.host.sudo("pkill -KILL -f '[s]leep 100'", check=None)
    assert world.call(world.two, one.host.address, 8080).startswith("in ")
    until_app(world)
    refused = one.host.sudo(f"{line} apply 2>&1", check=1)
    assert "nobody confirmed it" in refused
    one.host.sudo("rm /var/lib/meshctl-agent-capture/refused.json")
    assert one.traces() == before


def test_confirmed_rules_stay(world: World) -> None:
    one = world.one
    one.capture("iptables-nft", "apply --confirm-within 3s", **DNS)
    assert one.capture("iptables-nft", "confirm") == "the last change stays\n"
    time.sleep(4)
    assert world.call(world.two, one.host.address, 8080).startswith("in ")
    one.capture("iptables-nft", "remove")


def test_unconfirmed_rules_give_way_to_those_before(world: World) -> None:
    one = world.one
    one.capture("iptables-nft", "apply", **DNS, inbound_ports=["9090"])
    one.capture("iptables-nft", "apply --confirm-within 3s", **DNS)
    assert world.call(world.two, one.host.address, 8080).startswith("in ")
    until_app(world)
    assert world.call(world.two, one.host.address, 9090).startswith("in ")
    one.capture("iptables-nft", "remove")
    one.host.sudo("rm /var/lib/meshctl-agent-capture/refused.json")


def until_app(world: World) -> None:
    """Wait until the host is no longer captured, which takes seconds."""
    for _ in range(100):
        if world.call(world.two, world.one.host.address, 8080) == "app":
            return
        time.sleep(0.2)
    raise AssertionError("the rules are still there")


def test_settings_that_mean_nothing_on_this_host_say_so_and_change_nothing(world: World) -> None:
    before = world.one.traces()
    said = world.one.host.sudo(f"{world.one.line({'user': 'nobody-of-that-name'})} apply 2>&1", check=1)
    assert "this host has no user 'nobody-of-that-name'" in said
    assert world.one.traces() == before
