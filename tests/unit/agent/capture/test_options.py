"""Nothing that an operator, or a file, says can put a rule or an option among ours."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from meshctl.agent.capture.iptables import Iptables
from meshctl.agent.capture.nftables import Nftables
from meshctl.agent.capture.options import Options, options
from meshctl.agent.capture.rules import Host, tables
from meshctl.agent.capture.settings import VARIABLES, CaptureSettings, from_variables
from meshctl.agent.capture.tools import Tools
from meshctl.errors import ProblemsError, Where

LISTS = [field.name for field in fields(CaptureSettings) if isinstance(field.default, tuple)]
TEXTS = [field.name for field in fields(CaptureSettings) if isinstance(field.default, str)]

WORD = r"[A-Za-z0-9_.,:/@+-]+"
IPTABLES_RULE = re.compile(
    rf"-A MESHCTL_(PREROUTING|OUTPUT)(?: (?:(?:-[iosd]|! -d) {WORD}|-p (?:tcp|udp)|! --syn|--[sd]port \d+"
    r"|-m multiport ! --dports [\d,]+|-m addrtype ! --dst-type LOCAL|-m conntrack --ctstate INVALID"
    r"|-m owner (?:! )?--[ug]id-owner \d+))*"
    r" -j (?:RETURN|DROP|REDIRECT --to-ports \d+|CT --zone \d+)"
)
IPTABLES_OTHER = re.compile(
    r":MESHCTL_(PREROUTING|OUTPUT) - \[0:0\]|-A (PREROUTING|OUTPUT)( -p (tcp|udp))? -j MESHCTL_\2"
)
NFTABLES_RULE = re.compile(
    r'\t\t(?:(?:[io]ifname "[A-Za-z0-9_.@*-]+"|ip6? [sd]addr (?:!= )?[0-9a-f.:/]+|meta l4proto (?:tcp|udp)'
    r"|tcp flags & \(fin \| syn \| rst \| ack\) != syn|(?:tcp|udp) [sd]port (?:!= )?(?:\d+|\{ [\d, ]+ \})"
    r"|fib daddr type != local|ct state invalid|meta sk[ug]id (?:!= )?(?:\d+|\{ [\d, ]+ \})) )*"
    r"counter (?:return|drop|redirect to :\d+|ct zone set \d+)"
)
NFTABLES_OTHER = re.compile(
    r"table ip6? meshctl_(nat|raw|mangle) \{|\tchain (PREROUTING|OUTPUT) \{|\t?\}"
    r"|\t\ttype (nat|filter) hook (prerouting|output) priority -\d+; policy accept;"
    r"|\t\tmeta l4proto != (tcp|udp) return"
)
INJECTIONS = [
    "eth0 -j ACCEPT",
    "eth0\n-A OUTPUT -j DROP",
    "eth0;reboot",
    '"; flush ruleset; "',
    "--dport",
    "-j",
    "!",
    "80 -j RETURN",
    "80:90",
    "80,90",
    "0",
    "65536",
    "٢٢",
    "+80",
    " 80",
    "80\n",
    "1e3",
    "10.0.0.0/8 -j ACCEPT",
    "10.0.0.0/33",
    "10.0.0.0/255.0.0.0",
    "fe80::1%eth0",
    "example.com",
    "../../etc/passwd",
    "$(id)",
    "`id`",
    "*",
    "a" * 300,
    "\0",
    "eth0\0",
    "root,bin",
    "4294967295",
    "-1",
]
SAID = st.one_of(
    st.sampled_from(INJECTIONS),
    st.text(max_size=20),
    st.integers(-5, 70000).map(str),
    st.ip_addresses().map(str),
    st.tuples(st.ip_addresses().map(str), st.integers(0, 130)).map(lambda each: f"{each[0]}/{each[1]}"),
    st.from_regex(r"[A-Za-z0-9_.@+-]{1,16}", fullmatch=True),
)
EVERYTHING = st.builds(
    CaptureSettings,
    **{
        name: st.lists(SAID, max_size=3).map(tuple) | st.just(("*",)) | st.just(())
        for name in LISTS
        if name not in ("users", "users_exclude", "groups", "groups_exclude")
    },
    **{
        name: SAID | st.just(getattr(CaptureSettings(), name))
        for name in TEXTS
        if name not in ("mode", "user")
    },
    dns=st.booleans(),
    dns_all=st.booleans(),
    drop_invalid=st.booleans(),
)


def _host(made: Options) -> Host:
    return Host(
        uids=(1337,),
        gids=(1337,),
        users_exclude=(5,),
        groups=(6, 7),
        resolvers=made.dns_servers,
        peers=made.peers,
        ssh_ports=(22, *made.ssh_ports),
        ipv6=True,
    )


def _one(name: str, text: str) -> CaptureSettings:
    return replace(CaptureSettings(), **{name: (text,) if name in LISTS else text})


@given(EVERYTHING)
@settings(max_examples=300, deadline=None)
def test_whatever_is_said_each_line_is_a_rule_of_ours_or_an_error(said: CaptureSettings) -> None:
    try:
        made = options(said)
    except ProblemsError as error:
        assert all(problem.where for problem in error.problems)
        return
    for table in tables(made, _host(made)):
        for line in Iptables(Tools(), "nft").render(table):
            assert IPTABLES_RULE.fullmatch(line) or IPTABLES_OTHER.fullmatch(line), line
        for line in Nftables(Tools()).render(table):
            assert NFTABLES_RULE.fullmatch(line) or NFTABLES_OTHER.fullmatch(line), line


@pytest.mark.parametrize("name", [*LISTS, "address", "user", "loopback", "mode", "flavour", "ipv6"])
@pytest.mark.parametrize(
    "text", ["eth0 -j ACCEPT", "x\n-A OUTPUT -j DROP", '"; flush ruleset', "--dport", "!", "\0"]
)
def test_an_injection_is_an_error_that_names_the_setting(name: str, text: str) -> None:
    with pytest.raises(ProblemsError) as told:
        options(_one(name, text))
    (problem,) = told.value.problems
    assert problem.where
    assert problem.where.path == name
    assert "proxy.json" in problem.hint or name == "mode"


@given(st.sampled_from(LISTS), SAID)
@example("interfaces_exclude", "eth0 ")
@example("peers", "10.0.0.1/08")
def test_a_value_is_taken_as_it_is_or_not_at_all(name: str, text: str) -> None:
    try:
        made = options(_one(name, text))
    except ProblemsError:
        return
    found = getattr(made, name)
    assert found is None if text == "*" else len(found) == 1


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("inbound_ports", "80", (80,)),
        ("inbound_ports", "*", None),
        ("interfaces_exclude", "veth+", ("veth+",)),
        ("interfaces_exclude", "br-3f2a.100", ("br-3f2a.100",)),
        ("groups", "0", (0,)),
        ("users_exclude", "DOMAIN\\svc-app", ("DOMAIN\\svc-app",)),
    ],
)
def test_what_is_right_is_taken(name: str, text: str, value: object) -> None:
    assert getattr(options(_one(name, text)), name) == value


@pytest.mark.parametrize("text", ["+", "eth0/1", "a:b", "sixteen-letters-", "-eth0", ".."])
def test_what_no_interface_is_called_is_an_error(text: str) -> None:
    with pytest.raises(ProblemsError, match="no name of an interface"):
        options(_one("interfaces_exclude", text))


def test_host_bits_and_single_addresses_are_taken_as_networks() -> None:
    made = options(replace(CaptureSettings(), outbound_networks=("10.1.2.3/8", "192.0.2.7", "fd00::7")))
    assert [str(each) for each in made.outbound_networks or ()] == [
        "10.0.0.0/8",
        "192.0.2.7/32",
        "fd00::7/128",
    ]


def test_more_groups_than_a_rule_can_have_are_an_error() -> None:
    with pytest.raises(ProblemsError, match="65 are too many"):
        options(replace(CaptureSettings(), groups=tuple(str(each) for each in range(65))))


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ProblemsError) as told:
        options(
            replace(CaptureSettings(), inbound_ports=("x", "80", "y"), loopback="10.0.0.1/8", mode="tproxy")
        )
    assert "TPROXY needs a proxy with privileges" in told.value.hint
    assert [str(each.where.path) for each in told.value.problems if each.where] == [
        "mode",
        "inbound_ports",
        "inbound_ports",
        "loopback",
    ]


class TestVariables:
    """cluster.env sets them as Istio's own tools would read it."""

    def test_what_istioctl_writes(self) -> None:
        found = from_variables(
            {
                "ISTIO_INBOUND_PORTS": "*",
                "ISTIO_LOCAL_EXCLUDE_PORTS": "22,15090,15021,15020",
                "ISTIO_SERVICE_CIDR": "*",
                "ISTIO_META_DNS_CAPTURE": "true",
                "ISTIO_SVC_IP": "10.0.0.7",
                "ISTIO_NAMESPACE": "default",
            }
        )
        made = options(CaptureSettings(**found))
        assert made.inbound_ports is None
        assert made.inbound_ports_exclude == (22, 15090, 15021, 15020)
        assert made.outbound_networks is None
        assert made.dns
        assert str(made.address) == "10.0.0.7"

    def test_nothing_set_is_the_default_and_an_empty_list_is_nothing(self) -> None:
        assert CaptureSettings(**from_variables({})) == CaptureSettings()
        found = from_variables({"ISTIO_INBOUND_PORTS": "", "ISTIO_SVC_IP": "", "ISTIO_META_DNS_CAPTURE": ""})
        assert found == {"inbound_ports": (), "dns": False}

    @pytest.mark.parametrize(
        ("variable", "text", "field", "value"),
        [
            ("ISTIO_INBOUND_INTERCEPTION_MODE", "REDIRECT", "mode", "redirect"),
            ("ISTIO_INBOUND_INTERCEPTION_MODE", "NONE", "mode", "none"),
            ("ISTIO_CUSTOM_IP_TABLES", "true", "mode", "none"),
            ("FORCE_IPTABLES_BINARY", "legacy", "flavour", "iptables-legacy"),
            ("FORCE_IPTABLES_BINARY", "nft", "flavour", "iptables-nft"),
            ("NATIVE_NFTABLES", "true", "flavour", "nftables"),
            ("REDIRECT_DNS", "1", "dns", True),
            ("INVALID_DROP", "T", "drop_invalid", True),
            ("ENVOY_PORT", "16001", "outbound_port", 16001),
            ("ISTIO_EXCLUDE_INTERFACES", "eth1, docker0,", "interfaces_exclude", ("eth1", "docker0")),
        ],
    )
    def test_each_has_its_field(self, variable: str, text: str, field: str, value: object) -> None:
        assert from_variables({variable: text}) == {field: value}

    def test_transparent_proxying_is_refused_with_the_reason(self) -> None:
        with pytest.raises(ProblemsError) as told:
            from_variables(
                {"ISTIO_INBOUND_INTERCEPTION_MODE": "TPROXY"}, lambda name: Where("cluster.env", 3, name)
            )
        assert "TPROXY" in told.value.hint
        assert str(told.value.where) == "cluster.env:3  ISTIO_INBOUND_INTERCEPTION_MODE"

    @given(
        st.dictionaries(
            st.sampled_from([name for names in VARIABLES.values() for name in names]), st.text(max_size=9)
        )
    )
    def test_any_text_is_a_value_or_an_error(self, environment: dict[str, str]) -> None:
        try:
            options(CaptureSettings(**from_variables(environment)))
        except ProblemsError as error:
            assert error.problems
