"""Our rules capture what those of Istio's own tool capture, for every option; where not, a reason is listed.

The tool (`pilot-agent istio-iptables --dry-run`) is run in a network and mount namespace of its own, as it
asks the host for its addresses and resolvers. Both sets of rules then judge the same packets.
"""

from __future__ import annotations

import random
import shlex
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from ipaddress import ip_address

import pytest

from meshctl.agent.capture.iptables import Iptables
from meshctl.agent.capture.nftables import Nftables
from meshctl.agent.capture.options import Options, options
from meshctl.agent.capture.rules import Host, tables
from meshctl.agent.capture.settings import VARIABLES, CaptureSettings
from meshctl.agent.capture.tools import Tools
from tests import netfilter, upstream
from tests.netfilter import Packet, Rules, Verdict

pytestmark = pytest.mark.parity

PROXY = 1337
ALL = CaptureSettings(inbound_ports_exclude=("22",))
DNS = replace(ALL, dns=True, dns_servers=("10.0.0.53", "fd00::53"))
CASES = {
    "everything": ALL,
    "nothing": replace(ALL, inbound_ports=(), outbound_networks=()),
    "inbound only": replace(ALL, outbound_networks=()),
    "outbound only": replace(ALL, inbound_ports=()),
    "inbound ports": replace(ALL, inbound_ports=("80", "8080", "9090")),
    "inbound ports and exclusions of others": replace(
        ALL, inbound_ports=("8080", "15020"), inbound_ports_exclude=("15020", "15021")
    ),
    "inbound exclusions": replace(ALL, inbound_ports_exclude=("22", "3000", "15020", "15021", "15090")),
    "outbound networks": replace(ALL, outbound_networks=("10.96.0.0/12", "192.0.2.7/32", "fd00:96::/64")),
    "a network with host bits": replace(ALL, outbound_networks=("10.96.1.7/12",)),
    "outbound network exclusions": replace(ALL, outbound_networks_exclude=("10.96.0.0/12", "fd00:96::/64")),
    "networks within excluded ones": replace(
        ALL, outbound_networks=("10.0.0.0/8",), outbound_networks_exclude=("10.96.0.0/12",)
    ),
    "loopback captured": replace(ALL, outbound_networks=("127.0.0.0/8", "10.0.0.0/8")),
    "loopback captured with DNS": replace(DNS, outbound_networks=("127.0.0.0/8", "::1/128")),
    "a wider loopback": replace(ALL, loopback="127.0.0.0/8"),
    "outbound ports": replace(ALL, outbound_networks=(), outbound_ports=("3306", "5432")),
    "outbound ports beside networks": replace(
        ALL, outbound_networks=("10.96.0.0/12",), outbound_ports=("3306",)
    ),
    "outbound port exclusions": replace(ALL, outbound_ports_exclude=("3306", "443")),
    "outbound exclusion of DNS": replace(DNS, outbound_ports_exclude=("53",)),
    "interfaces": replace(ALL, interfaces_exclude=("eth1", "docker0")),
    "interfaces with DNS": replace(DNS, interfaces_exclude=("eth1",)),
    "rerouted interfaces": replace(ALL, interfaces_reroute=("virbr0", "tap1")),
    "rerouted interfaces, networks": replace(
        ALL, interfaces_reroute=("virbr0",), outbound_networks=("10.96.0.0/12", "fd00:96::/64")
    ),
    "rerouted interfaces, no inbound": replace(ALL, interfaces_reroute=("virbr0",), inbound_ports=()),
    "groups": replace(ALL, groups=("202", "203")),
    "no groups": replace(ALL, groups=()),
    "groups with DNS": replace(DNS, groups=("202",)),
    "group exclusions": replace(ALL, groups_exclude=("202", "203")),
    "group exclusions with DNS": replace(DNS, groups_exclude=("202",)),
    "other ports of Envoy": replace(ALL, outbound_port=16001, inbound_port=16006, tunnel_port=16008),
    "DNS": DNS,
    "DNS of IPv4 alone": replace(DNS, dns_servers=("10.0.0.53",)),
    "DNS of IPv6 alone": replace(DNS, dns_servers=("fd00::53",)),
    "DNS at loopback": replace(DNS, dns_servers=("127.0.0.53",)),
    "all DNS": replace(DNS, dns_all=True),
    "DNS and nothing else": replace(DNS, inbound_ports=(), outbound_networks=()),
    "invalid packets": replace(ALL, drop_invalid=True),
    "all at once": replace(
        DNS,
        inbound_ports_exclude=("22", "3000"),
        outbound_networks=("10.0.0.0/8", "fd00::/8"),
        outbound_networks_exclude=("10.96.0.0/12",),
        outbound_ports=("3306",),
        outbound_ports_exclude=("443",),
        interfaces_exclude=("eth1",),
        interfaces_reroute=("virbr0",),
        groups_exclude=("202",),
        drop_invalid=True,
    ),
}
"""What users set, by what it is for; a field that is in none of them is in `OURS`."""

OURS = {
    "mode": "without capture, nothing is run",
    "flavour": "how rules are put in place, not which",
    "ipv6": "which families; the tool is always run with both here",
    "dual_stack": "the same",
    "address": "the same",
    "user": "the tool is given a number",
    "users": "Istio tells groups apart, not users",
    "users_exclude": "the same",
    "dns_port": "Istio's is fixed",
    "ssh_ports": "Istio knows nothing of who manages a host",
    "peers": "the same",
}
"""Fields that Istio's tool has nothing to compare with."""


@dataclass(frozen=True)
class Difference:
    """A packet that we treat otherwise, and why."""

    reason: str
    applies: Callable[[Options, Packet, Verdict, Verdict], bool]


def _unzoned(verdict: Verdict) -> Verdict:
    return replace(verdict, zone=0)


def _asks(options: Options, family: int) -> bool:
    """Whether questions to DNS are captured in a family."""
    return options.dns_all or any(each.version == family for each in options.dns_servers)


DIFFERENCES = {
    "opening": Difference(
        "what opens no connection is left alone: sessions from before the rules, SSH's too, go on",
        lambda options, packet, theirs, ours: (
            packet.protocol == "tcp" and not packet.opening and not ours.port
        ),
    ),
    "ssh": Difference(
        "SSH is never captured, nor are its packets dropped, whatever the ports that are named",
        lambda options, packet, theirs, ours: (
            packet.hook == "PREROUTING" and packet.dport == 22 and not ours.port and not ours.dropped
        ),
    ),
    "foreign": Difference(
        "inbound is what comes to this host: what only passes through, as of containers, is not ours",
        lambda options, packet, theirs, ours: (
            packet.hook == "PREROUTING" and not packet.local and not ours.port and not ours.dropped
        ),
    ),
    "excluded": Difference(
        "an excluded inbound port is excluded also where ports are named",
        lambda options, packet, theirs, ours: (
            packet.hook == "PREROUTING"
            and options.inbound_ports is not None
            and packet.dport in (*options.inbound_ports_exclude, options.tunnel_port)
            and not ours.port
        ),
    ),
    "interface": Difference(
        "an excluded interface is excluded from all of it, the dropping of invalid packets too",
        lambda options, packet, theirs, ours: (
            packet.interface in options.interfaces_exclude and ours == Verdict()
        ),
    ),
    "invalid": Difference(
        "only TCP is dropped when it fits no connection, as Istio's rules for nftables do",
        lambda options, packet, theirs, ours: (
            packet.protocol != "tcp" and theirs.dropped and ours == replace(theirs, dropped=False)
        ),
    ),
    "zone 1": Difference(
        "the agent's own questions stay in the host's zone: only what is redirected needs one apart, and "
        "answers to containers and firewalls that go by connections see nothing of it",
        lambda options, packet, theirs, ours: theirs.zone == 1 and ours == _unzoned(theirs),
    ),
    "zone 2": Difference(
        "questions that are not redirected, as of an excluded group, are tracked like all others; where none "
        "are, in a family without resolvers, so are answers",
        lambda options, packet, theirs, ours: (
            theirs.zone == 2
            and not ours.port
            and (packet.dport == 53 or not _asks(options, packet.family))
            and ours == _unzoned(theirs)
        ),
    ),
    "itself": Difference(
        "a resolver on this host that is none of resolv.conf's is asked by TCP as by UDP: without Envoy",
        lambda options, packet, theirs, ours: (
            options.dns
            and packet.hook == "OUTPUT"
            and packet.interface == "lo"
            and packet.protocol == "tcp"
            and packet.dport == 53
            and not ours.port
        ),
    ),
    "group": Difference(
        "who runs in the proxy's group is the proxy, whatever the user: its calls to this host come in",
        lambda options, packet, theirs, ours: (
            packet.gid == PROXY
            and packet.uid != PROXY
            and packet.interface == "lo"
            and ours.port in (0, options.inbound_port)
        ),
    ),
}


def _resolved(settings: CaptureSettings) -> tuple[Options, Host]:
    made = options(settings)
    host = Host(
        uids=(PROXY,),
        gids=(PROXY,),
        groups=None if made.groups is None else tuple(int(each) for each in made.groups),
        groups_exclude=tuple(int(each) for each in made.groups_exclude),
        resolvers=made.dns_servers,
        ipv6=True,
    )
    return made, host


def ours_by_iptables(settings: CaptureSettings) -> Rules:
    """What we would have iptables-restore read."""
    made, host = _resolved(settings)
    texts: dict[int, list[str]] = {4: [], 6: []}
    for table in tables(made, host):
        texts[table.family] += [f"*{table.name}", *Iptables(Tools(), "nft").render(table), "COMMIT"]
    return netfilter.iptables({family: "\n".join(lines) for family, lines in texts.items()})


def ours_by_nftables(settings: CaptureSettings) -> Rules:
    """What we would have nft read."""
    made, host = _resolved(settings)
    text = "\n".join(line for table in tables(made, host) for line in Nftables(Tools()).render(table))
    return netfilter.nftables(text, {f"meshctl_{name}": name for name in ("nat", "raw", "mangle")})


def _variables(settings: CaptureSettings) -> dict[str, str]:
    """The variables by which Istio's tool is told the same."""
    found = {"PROXY_UID": str(PROXY), "PROXY_GID": str(PROXY), "DUAL_STACK": "true"}
    flags = {"outbound_port": "ENVOY_PORT"}
    for field in fields(CaptureSettings):
        if field.name not in VARIABLES or field.name in OURS or field.name in flags:
            continue
        value = getattr(settings, field.name)
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        found[VARIABLES[field.name][0]] = text.lower() if isinstance(value, bool) else text
    found["REDIRECT_DNS"] = str(settings.dns).lower()
    return found


NAMESPACE = """
set -e
ip link set lo up
ip link add here type veth peer name there
ip address add 10.0.0.2/24 dev here
ip -6 address add fd00::2/64 dev here nodad
ip link set here up
"""


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bool], Rules]:
    """The rules of Istio's tool for a case, by iptables or by nftables; all are made at once."""
    folder = tmp_path_factory.mktemp("capture")
    agent = shlex.quote(str(upstream.pilot_agent()))
    script = [NAMESPACE]
    for number, settings in enumerate(CASES.values()):
        resolvers = folder / f"{number}.resolv.conf"
        resolvers.write_text(
            "".join(f"nameserver {each}\n" for each in settings.dns_servers or ["10.0.0.53"])
        )
        script.append(f"mount --bind {shlex.quote(str(resolvers))} /etc/resolv.conf")
        told = " ".join(f"{name}={shlex.quote(value)}" for name, value in _variables(settings).items())
        port = f"--envoy-port {settings.outbound_port}"
        for kind, flag in (("iptables", ""), ("nftables", "--native-nftables")):
            out = folder / f"{number}.{kind}"
            script.append(
                f"env {told} DRY_RUN_FILE_PATH={out}.dry {agent} istio-iptables --dry-run {port} {flag} "
                f"> {out} 2>&1"
            )
        script.append("umount /etc/resolv.conf")
    apart = ["unshare", "--map-root-user", "--net", "--mount", "sh", "-c", "\n".join(script)]
    done = subprocess.run(apart, capture_output=True, text=True)
    if "unshare" in done.stderr:
        pytest.skip(f"this user may have no namespaces of its own: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr + "\n".join(
        path.read_text()[-2000:] for path in sorted(folder.glob("*.*tables"))[-1:]
    )

    def rules(name: str, by_nftables: bool) -> Rules:
        number = list(CASES).index(name)
        if by_nftables:
            told = (folder / f"{number}.nftables").read_text()
            known = {f"istio-proxy-{table}": table for table in ("nat", "raw", "mangle")}
            return netfilter.nftables(told, known)
        return netfilter.iptables(_families((folder / f"{number}.iptables.dry").read_text()))

    return rules


def _families(text: str) -> dict[int, str]:
    """What each of the two runs of iptables-restore was told: the second begins with a table once more."""
    found: dict[int, list[str]] = {4: [], 6: []}
    family = 4
    for line in text.splitlines():
        if line.startswith("* "):
            family = 6 if f"*{line[2:]}" in found[4] else family
        if line.startswith(("*", "-")):
            found[family].append(line.replace("* ", "*", 1))
    assert found[6], text
    return {family: "\n".join(lines) for family, lines in found.items()}


def packets(settings: CaptureSettings, count: int = 400) -> Iterator[Packet]:
    """Packets that make a difference to these settings, the same each time."""
    draw = random.Random(repr(settings))
    made = options(settings)
    ports = [22, 53, 80, 443, 8080, 3000, 3306, 15001, 15006, 15008, 15020, 15053, 16008, 40000]
    ports += [*(made.inbound_ports or ()), *made.outbound_ports, *made.inbound_ports_exclude]
    addresses = {
        4: [
            "10.0.0.2",
            "127.0.0.1",
            "127.0.0.6",
            "127.0.0.53",
            "10.0.0.53",
            "10.96.3.4",
            "192.0.2.7",
            "8.8.8.8",
        ],
        6: ["fd00::2", "::1", "::6", "fd00::53", "fd00:96::7", "2001:db8::1"],
    }
    interfaces = ["lo", "eth0", "eth0", *made.interfaces_exclude, *made.interfaces_reroute]
    owners = [0, 0, 1000, 202, 203, PROXY, PROXY]
    for _ in range(count):
        family = draw.choice((4, 4, 6))
        hook = draw.choice(("PREROUTING", "OUTPUT", "OUTPUT"))
        source, destination = draw.choice(addresses[family]), draw.choice(addresses[family])
        inside = hook == "OUTPUT"
        uid = draw.choice(owners) if inside else 0
        yield Packet(
            hook,
            draw.choice(("tcp", "tcp", "udp", "icmp")),
            source,
            destination,
            draw.choice(ports),
            draw.choice(ports),
            draw.choice(interfaces),
            uid=uid,
            gid=draw.choice((uid, uid, draw.choice(owners))) if inside else 0,
            local=ip_address(destination).is_loopback or draw.random() < 0.8,
            opening=draw.random() < 0.9,
            invalid=draw.random() < 0.1,
        )


def _reasons(options: Options, packet: Packet, theirs: Verdict, ours: Verdict) -> list[str]:
    """Why we treat a packet otherwise."""
    return [name for name, each in DIFFERENCES.items() if each.applies(options, packet, theirs, ours)]


def _odd(settings: CaptureSettings, theirs: Rules, ours: Rules) -> tuple[list[str], set[str]]:
    """Packets that are treated otherwise without a reason, and the reasons that were met."""
    checked, odd, met = options(settings), [], set()
    for packet in packets(settings):
        verdicts = theirs.verdict(packet), ours.verdict(packet)
        if verdicts[0] != verdicts[1]:
            reasons = _reasons(checked, packet, *verdicts)
            met |= set(reasons[:1])
            if not reasons:
                odd.append(f"{packet}\n  theirs {verdicts[0]}\n  ours   {verdicts[1]}")
    return odd, met


@pytest.mark.parametrize("name", CASES)
def test_iptables_captures_what_istio_captures(name: str, theirs: Callable[[str, bool], Rules]) -> None:
    odd, _ = _odd(CASES[name], theirs(name, False), ours_by_iptables(CASES[name]))
    assert not odd, "\n".join(odd[:5])


@pytest.mark.parametrize("name", CASES)
def test_nftables_captures_what_istio_captures(name: str, theirs: Callable[[str, bool], Rules]) -> None:
    odd, _ = _odd(CASES[name], theirs(name, True), ours_by_nftables(CASES[name]))
    assert not odd, "\n".join(odd[:5])


def test_each_reason_to_differ_is_one(theirs: Callable[[str, bool], Rules]) -> None:
    met: set[str] = set()
    for name, settings in CASES.items():
        met |= _odd(settings, theirs(name, False), ours_by_iptables(settings))[1]
    assert met == set(DIFFERENCES)


def test_every_option_is_compared_or_said_to_be_ours() -> None:
    compared = {
        field.name
        for field in fields(CaptureSettings)
        if any(getattr(case, field.name) != field.default for case in CASES.values())
    }
    assert compared | set(OURS) == {field.name for field in fields(CaptureSettings)}
    assert not compared & set(OURS)


def test_the_judge_sees_packets_redirected_both_ways(theirs: Callable[[str, bool], Rules]) -> None:
    inbound = Packet("PREROUTING", "tcp", "10.0.0.9", "10.0.0.2", 40000, 8080, "eth0")
    outbound = Packet("OUTPUT", "tcp", "10.0.0.2", "10.96.3.4", 40000, 80, "eth0", uid=1000, gid=1000)
    for by_nftables in (False, True):
        rules = theirs("everything", by_nftables)
        assert (rules.verdict(inbound).port, rules.verdict(outbound).port) == (15006, 15001)
        asked = replace(outbound, protocol="udp", destination="10.0.0.53", dport=53)
        assert theirs("DNS", by_nftables).verdict(asked) == Verdict(15053, 2)
