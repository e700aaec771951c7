"""The agent's DNS server against the one of Istio's own agent: the same names, the same questions.

The judge (`meshctl/sandbox/gomod/istio/dnsjudge`) is Istio's server with a door for many worlds: name tables,
namespaces, search domains, resolvers of the host. Both must say the same of a question: how it went, with
which addresses, by which alias, and whether with authority. Where ours differs on purpose, `DIFFERENCES` says
how and why; the worlds that are made at random keep out of those.

How the host's resolvers are asked differs too, which tests/unit/agent/dns/test_forwarding.py shows: in the
order of resolv.conf and not at random; the next after a second and not after five, and at once when one says
that it failed; alike questions are asked once. An answer that is longer than its client takes is cut, where
theirs is a failure.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.dns_servers import HOST, ask, free_port, name_table, resolver, running, service, zone

pytestmark = pytest.mark.parity

SECONDS = 2.0
"""How long a server waits for the host's resolver."""
OUTSIDE = {
    "www.example.org.": {"A": ["192.0.2.80"], "AAAA": ["2001:db8::80"], "TXT": ['"hello"']},
    "api.example.com.": {"A": ["192.0.2.81"], "MX": ["10 mail.example.com."]},
    "chain.example.org.": {"CNAME": ["www.example.org."]},
    "big.example.org.": {"A": [f"192.0.2.{number}" for number in range(1, 120)]},
}


@dataclass(frozen=True)
class World:
    """What a server knows; names of None: istiod has not told any."""

    names: dict[str, Any] | None
    search: tuple[str, ...] = ()
    namespace: str = "ns1"
    domain: str = "ns1.svc.cluster.local"


@dataclass(frozen=True)
class Question:
    """What a client asks, with what else dnspython is to say."""

    name: str
    kind: str = "A"
    tcp: bool = False
    options: dict[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Said:
    """What an answer comes to: names in lower case, records in no order."""

    rcode: str
    records: tuple[str, ...]
    authority: bool
    truncated: bool

    @staticmethod
    def of(message: dns.message.Message) -> Said:
        records = {
            f"{each.name} {dns.rdatatype.to_text(each.rdtype)} {item}".lower()
            for each in message.answer
            for item in each
        }
        return Said(
            dns.rcode.to_text(message.rcode()),
            tuple(sorted(records)),
            bool(message.flags & dns.flags.AA),
            bool(message.flags & dns.flags.TC),
        )


class Judge:
    """Istio's server, in one world after another."""

    def __init__(self, binary: Path) -> None:
        self._process = subprocess.Popen(
            [binary], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def close(self) -> None:
        self._process.communicate(timeout=30)

    def begin(self, world: World, server: str) -> int:
        """The port where it answers in a world from now on."""
        port = free_port()
        said = {
            "namespace": world.namespace,
            "domain": world.domain,
            "listen": f"{HOST}:{port}",
            "search": world.search,
            "servers": [server],
            "seconds": SECONDS,
            "names": world.names,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(said) + "\n")
        self._process.stdin.flush()
        assert json.loads(self._process.stdout.readline()) == {}
        return port


@pytest.fixture(scope="module")
def judge(dnsjudge: Path) -> Iterator[Judge]:
    found = Judge(dnsjudge)
    yield found
    found.close()


@pytest.fixture(scope="module")
def outside() -> Iterator[str]:
    """The host's resolver, which both ask."""
    with resolver(zone(OUTSIDE)) as found:
        yield found.server


@contextmanager
def both(judge: Judge, world: World, server: str) -> Iterator[tuple[int, int]]:
    """The ports of their server and of ours, in the same world."""
    names = None if world.names is None else name_table(world.names)
    given = {"namespace": world.namespace, "domain": world.domain, "search": world.search}
    with running(names, servers=(server,), timeout=SECONDS, **given) as ours:
        yield judge.begin(world, server), ours.port


def answered(port: int, question: Question) -> dns.message.Message:
    options = {"use_edns": False, **question.options}
    return ask(port, question.name, question.kind, tcp=question.tcp, **options)


def differences(judge: Judge, world: World, server: str, questions: list[Question]) -> list[str]:
    found = []
    with both(judge, world, server) as (their_port, our_port):
        for question in questions:
            theirs, ours = (Said.of(answered(port, question)) for port in (their_port, our_port))
            if theirs != ours:
                found.append(f"{question}\n    theirs: {theirs}\n    ours:   {ours}\n    in {world}")
    return found


def entry(*ips: str) -> dict[str, Any]:
    return {"ips": list(ips), "registry": "External"}


def pod(name: str, subdomain: str, namespace: str, *ips: str) -> dict[str, Any]:
    """A pod of a headless service."""
    short = f"{name}.{subdomain}"
    said = {"ips": list(ips), "registry": "Kubernetes", "shortname": short, "namespace": namespace}
    return {f"{short}.{namespace}.svc.cluster.local": said}


EVERYTHING = {
    **service("reviews", "ns1", "10.0.0.1"),
    **service("ratings", "ns2", "10.0.0.2", "fd00::2"),
    **service("six", "ns2", "fd00::6"),
    **service("db", "ns1", "10.1.0.1", "10.1.0.2", "10.1.0.3"),
    **pod("db-0", "db", "ns1", "10.1.0.1"),
    **pod("db-1", "db", "ns2", "10.1.0.2"),
    **service("far", "ns1", "10.9.0.1", domain="svc.cluster.remote"),
    **service("mcs", "ns1", "10.9.0.2", domain="svc.clusterset.local"),
    **service("many", "ns1", *(f"10.2.{number >> 8}.{number & 255}" for number in range(1, 400))),
    "api.example.com": entry("240.240.0.1"),
    "UPPER.Example.com": entry("240.240.0.3"),
    "dot.example.com.": entry("240.240.0.4"),
    "*.wild.example.com": entry("240.240.0.5"),
    "*.deep.wild.example.com": entry("240.240.0.6"),
    "own.wild.example.com": entry("240.240.0.7", "2001:db8::7"),
    "cidr.example.com": entry("10.0.0.0/8"),
    "some.example.com": entry("10.0.0.0/8", "240.240.0.8", "::ffff:1.2.3.4", "fe80::1%eth0"),
    "single": entry("240.240.0.9"),
    "former.ns1.svc.cluster.local": {
        **service("former", "ns1", "10.0.0.9")["former.ns1.svc.cluster.local"],
        "altHosts": ["former.example.net"],
    },
}
ASKED = (Path(__file__).parent / "inputs" / "agent-dns-names.txt").read_text().split()
SEARCHES: tuple[tuple[str, ...], ...] = (
    (),
    ("ns1.svc.cluster.local", "svc.cluster.local", "cluster.local"),
    ("svc.cluster.local",),
    ("corp.example",),
    ("Corp.Example.", "second.example"),
    ("example.com",),
)


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search[0] if search else "none")
@pytest.mark.parametrize("namespace", ["ns1", "ns2"])
def test_every_name_of_a_mesh_is_answered_as_istio_answers_it(
    judge: Judge, outside: str, namespace: str, search: tuple[str, ...]
) -> None:
    world = World(EVERYTHING, search, namespace, f"{namespace}.svc.cluster.local")
    names = [
        *ASKED,
        *(f"{name}.{suffix}" for suffix in search for name in ASKED if "wild" not in name and name != "."),
    ]
    questions = [Question(name, kind) for name in names for kind in ("A", "AAAA")]
    assert differences(judge, world, outside, questions) == []


@pytest.mark.parametrize(
    "domain", ["svc.cluster.local", "ns1.svc.cluster.local", "ns1.svc.cluster.remote", "ns1", "x"]
)
def test_the_domain_decides_who_has_short_names(judge: Judge, outside: str, domain: str) -> None:
    world = World(EVERYTHING, (), "ns1", domain)
    assert differences(judge, world, outside, [Question(name) for name in ASKED]) == []


@pytest.mark.parametrize("tcp", [False, True])
def test_answers_are_cut_where_istio_cuts_them(judge: Judge, outside: str, tcp: bool) -> None:
    sizes: list[dict[str, Any]] = [{}] + [
        {"use_edns": 0, "payload": size} for size in (0, 512, 1232, 4096, 65535)
    ]
    found = []
    with both(judge, World(EVERYTHING), outside) as ports:
        for name in ("many", "reviews", "www.example.org"):
            for options in sizes:
                theirs, ours = (
                    Said.of(answered(port, Question(name, tcp=tcp, options=options))) for port in ports
                )
                # Theirs has no EDNS record in an answer of its own, which leaves room for one address more.
                spare = 1 if ours.truncated else 0
                same = len(theirs.records) - spare <= len(ours.records) <= len(theirs.records)
                if not same or (theirs.rcode, theirs.truncated) != (ours.rcode, ours.truncated):
                    found.append(f"{name} {options}\n    theirs: {theirs}\n    ours:   {ours}")
    assert found == []


@pytest.mark.parametrize("kind", ["TXT", "MX", "PTR", "CNAME", "SRV", "HTTPS", "ANY"])
@pytest.mark.parametrize("tcp", [False, True])
def test_other_records_come_from_the_hosts_resolver(judge: Judge, outside: str, kind: str, tcp: bool) -> None:
    names = ("www.example.org", "api.example.com", "nowhere.example.org", "chain.example.org")
    questions = [Question(name, kind, tcp) for name in names]
    assert differences(judge, World(EVERYTHING), outside, questions) == []


ADDRESSES = st.lists(
    st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3", "fd00::1", "fd00::2", "not one", "10.0.0.0/8"]),
    max_size=4,
    unique=True,
)
HOSTS = st.sampled_from(
    [
        "www.x.com",
        "*.x.com",
        "*.w.x.com",
        "v.w.x.com",
        "x.com",
        "*.com",
        "*.svc.other",
        "y.z",
        "*.corp.example",
    ]
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Worlds where no two hosts lay claim to one name."""
    names: dict[str, Any] = {}
    for _ in range(draw(st.integers(0, 6))):
        name, namespace = draw(st.sampled_from("abc")), draw(st.sampled_from(["ns1", "ns2"]))
        domain = draw(st.sampled_from(["svc.cluster.local", "svc.cluster.local", "svc.cluster.remote"]))
        names |= service(name, namespace, *draw(ADDRESSES), domain=domain)
    for host in draw(st.lists(HOSTS, max_size=5)):
        names[host] = entry(*draw(ADDRESSES))
    search = draw(
        st.sampled_from([(), ("ns1.svc.cluster.local",), ("svc.cluster.local",), ("corp.example",)])
    )
    return World(names, search, draw(st.sampled_from(["ns1", "ns2"])), "svc.cluster.local")


LABELS = st.sampled_from(
    [
        "a",
        "b",
        "A",
        "ns1",
        "ns2",
        "svc",
        "cluster",
        "local",
        "remote",
        "www",
        "v",
        "w",
        "x",
        "com",
        "corp",
        "example",
    ]
)
ENDS = st.sampled_from(
    ["", ".ns1.svc.cluster.local", ".svc.cluster.local", ".corp.example", ".x.com", ".w.x.com"]
)


@st.composite
def questions(draw: st.DrawFn) -> Question:
    name = ".".join(draw(st.lists(LABELS, min_size=1, max_size=3))) + draw(ENDS)
    return Question(name, draw(st.sampled_from(["A", "AAAA"])), draw(st.sampled_from([False, False, True])))


def is_wild_with_search(world: World, question: Question) -> bool:
    """Whether a question may be about a wildcard host, with a search domain behind it (a difference)."""
    return (
        bool(world.search)
        and question.name.lower().endswith(f".{world.search[0]}")
        and any(host.startswith("*") for host in world.names or ())
    )


@seed(7)
@settings(
    max_examples=60,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(worlds(), st.lists(questions(), min_size=25, max_size=25))
def test_any_world_is_answered_as_istio_answers_it(
    judge: Judge, outside: str, world: World, asked: list[Question]
) -> None:
    asked = [each for each in asked if not is_wild_with_search(world, each)]
    assert differences(judge, world, outside, asked) == []


@dataclass(frozen=True)
class Difference:
    """Where ours says something else, on purpose; `theirs` and `ours` are what tells them apart."""

    reason: str
    world: World
    question: Question
    theirs: str
    ours: str

    def __str__(self) -> str:
        return self.reason.partition(":")[0]


def told_apart(message: dns.message.Message) -> str:
    """An answer in a line: how it went, flags that matter here, EDNS, records as they are written."""
    flags = [name for name in ("AA", "TC", "RA") if message.flags & dns.flags.from_text(name)]
    records = sorted(
        f"{each.name} {dns.rdatatype.to_text(each.rdtype)} {item}" for each in message.answer for item in each
    )
    edns = ["EDNS"] if message.edns >= 0 else []
    return " ".join([dns.rcode.to_text(message.rcode()), *flags, *edns, *records])


DIFFERENCES = [
    Difference(
        "recursion: a server that asks others on behalf of its clients says so (RA)",
        World(EVERYTHING), Question("reviews"),
        "NOERROR AA reviews. A 10.0.0.1",
        "NOERROR AA RA reviews. A 10.0.0.1",
    ),
    Difference(
        "edns: who asks with EDNS is answered with it, RFC 6891 section 6.1.1",
        World(EVERYTHING), Question("reviews", options={"use_edns": 0}),
        "NOERROR AA reviews. A 10.0.0.1",
        "NOERROR AA RA EDNS reviews. A 10.0.0.1",
    ),
    Difference(
        "version: an unknown version of EDNS is refused, RFC 6891 section 6.1.3",
        World(EVERYTHING), Question("reviews", options={"use_edns": 1}),
        "NOERROR AA reviews. A 10.0.0.1",
        "BADVERS RA EDNS",
    ),
    Difference(
        "letters: the records bear the name as it was asked for, which clients that mix case check",
        World(EVERYTHING), Question("ReViews.ns1"),
        "NOERROR AA reviews.ns1. A 10.0.0.1",
        "NOERROR AA RA ReViews.ns1. A 10.0.0.1",
    ),
    Difference(
        "unsynced: before istiod has told the names, the host's resolvers answer what they can",
        World(None), Question("www.example.org"),
        "SERVFAIL",
        "NOERROR RA www.example.org. A 192.0.2.80",
    ),
    Difference(
        "unsynced denial: but not that a name is missing, as the mesh may have it",
        World(None), Question("nowhere.example.org"),
        "SERVFAIL",
        "SERVFAIL RA",
    ),
    Difference(
        "wildcard alias: an alias leads to the name that was meant, and not to a name with a star",
        World(EVERYTHING, ("corp.example",)), Question("a.wild.example.com.corp.example"),
        "NOERROR AA *.wild.example.com. A 240.240.0.5 "
        "a.wild.example.com.corp.example. CNAME *.wild.example.com.",
        "NOERROR AA RA a.wild.example.com. A 240.240.0.5 "
        "a.wild.example.com.corp.example. CNAME a.wild.example.com.",
    ),
    Difference(
        "claims: a host of the mesh goes before an alias that would have its name",
        World(
            {**service("web", "ns1", "10.0.0.1"), "web.corp.example": entry("240.0.0.1")}, ("corp.example",)
        ),
        Question("web.corp.example"),
        "NOERROR AA web. A 10.0.0.1 web.corp.example. CNAME web.",
        "NOERROR AA RA web.corp.example. A 240.0.0.1",
    ),
    Difference(
        "existence: a name that the mesh has exists, whatever it is asked for",
        World(EVERYTHING), Question("reviews.ns1.svc.cluster.local", "TXT"),
        "NXDOMAIN RA",
        "NOERROR AA RA",
    ),
    Difference(
        "class: records of the Internet do not answer another class",
        World(EVERYTHING), Question("reviews", options={"rdclass": "CH"}),
        "NOERROR AA reviews. A 10.0.0.1",
        "NXDOMAIN RA",
    ),
    Difference(
        "domain: ending in the same letters is not lying in the domain",
        World({"a.ns1.mysvc.cluster.local": service("a", "ns1", "10.0.0.1")["a.ns1.svc.cluster.local"]}),
        Question("a.ns1"),
        "NOERROR AA a.ns1. A 10.0.0.1",
        "NXDOMAIN RA",
    ),
    Difference(
        "duplicates: a set of records has each once, RFC 2181 section 5",
        World({"twice.example.com": entry("10.0.0.1", "10.0.0.1")}), Question("twice.example.com"),
        "NOERROR AA twice.example.com. A 10.0.0.1 twice.example.com. A 10.0.0.1",
        "NOERROR AA RA twice.example.com. A 10.0.0.1",
    ),
    Difference(
        "dot: a service of Kubernetes may end in a dot as other hosts may",
        World({"a.ns1.svc.cluster.local.": service("a", "ns1", "10.0.0.1")["a.ns1.svc.cluster.local"]}),
        Question("a.ns1.svc.cluster.local"),
        "NXDOMAIN RA",
        "NOERROR AA RA a.ns1.svc.cluster.local. A 10.0.0.1",
    ),
    Difference(
        "transfers: the first message of a zone transfer is not the transfer",
        World(EVERYTHING), Question("www.example.org", "AXFR", tcp=True),
        "NOERROR RA",
        "REFUSED RA",
    ),
]  # fmt: skip


@pytest.mark.parametrize("difference", DIFFERENCES, ids=str)
def test_a_difference_is_as_it_is_said(judge: Judge, outside: str, difference: Difference) -> None:
    with both(judge, difference.world, outside) as ports:
        theirs, ours = (told_apart(answered(port, difference.question)) for port in ports)
    assert (theirs, ours) == (difference.theirs, difference.ours)
