"""What a host says of itself: who runs the proxy, its resolvers, and by which ports it is managed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatch
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.agent.capture.host import Seen, look
from meshctl.agent.capture.options import options
from meshctl.agent.capture.settings import CaptureSettings
from meshctl.agent.capture.tools import Tools
from meshctl.errors import ConfigError, FailedError

SETTINGS = CaptureSettings(user="1337", dns=True)
ADDRESSES = ("10.0.0.2", "fd00::2", "fe80::2")


class Files(Tools):
    """A host made of files and of what programs say."""

    __slots__ = ("files", "says")

    def __init__(self, files: Mapping[str, str], says: Mapping[str, str]) -> None:
        super().__init__()
        object.__setattr__(self, "files", files)
        object.__setattr__(self, "says", says)

    def read(self, path: str) -> str:
        return str(self.files.get(path, ""))

    def listed(self, pattern: str) -> list[str]:
        return sorted(path for path in self.files if fnmatch(path, pattern))

    def find(self, name: str) -> str:
        return name if name in self.says else ""

    def run(self, command: Sequence[str], text: str = "") -> str:
        if not self.says[command[0]]:
            raise FailedError("tool-failed", "it ends with 1")
        return str(self.says[command[0]])


def seen(
    settings: CaptureSettings = SETTINGS,
    files: Mapping[str, str] | None = None,
    says: Mapping[str, str] | None = None,
    addresses: Sequence[str] = ADDRESSES,
    session: str = "",
) -> Seen:
    environment = {"SSH_CONNECTION": session} if session else {}
    own = [(1, ip_address("127.0.0.1")), *((2, ip_address(each)) for each in addresses)]
    return look(options(settings), Files(files or {}, says or {}), own, environment)


def test_a_user_by_name_has_its_group_and_a_number_stands_for_both() -> None:
    assert (seen(replace(SETTINGS, user="root")).host.uids, seen().host.gids) == ((0,), (1337,))


@pytest.mark.parametrize("name", ["users", "users_exclude", "groups", "groups_exclude"])
def test_who_is_not_there_is_an_error_that_says_where(name: str) -> None:
    with pytest.raises(ConfigError, match="no-such-one") as told:
        seen(replace(SETTINGS, **{name: ("no-such-one",)}))
    assert told.value.where
    assert told.value.where.path == name


def test_names_of_users_and_groups_become_numbers() -> None:
    host = seen(replace(SETTINGS, users_exclude=("root", "0", "7"), groups=("root",))).host
    assert (host.users, host.users_exclude, host.groups) == (None, (0, 7), (0,))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nameserver 10.0.0.53\nnameserver fd00::53\n", ["10.0.0.53", "fd00::53"]),
        ("search a b\n# nameserver 1.1.1.1\n;nameserver 2.2.2.2\n nameserver 10.0.0.53 # x\n", ["10.0.0.53"]),
        ("nameserver fe80::1%eth0\n", ["fe80::1"]),
        ("nameserver 10.0.0.53\nnameserver 10.0.0.53\nnameserver nonsense\nnameserver\n", ["10.0.0.53"]),
        ("options edns0\n", ["127.0.0.1"]),
        ("", ["127.0.0.1"]),
    ],
)
def test_resolvers_are_those_that_the_hosts_programs_ask(text: str, expected: list[str]) -> None:
    assert [str(each) for each in seen(files={"/etc/resolv.conf": text}).host.resolvers] == expected


def test_resolvers_that_are_set_are_taken_instead_and_without_capture_none_are() -> None:
    files = {"/etc/resolv.conf": "nameserver 10.0.0.53\n"}
    assert [
        str(each) for each in seen(replace(SETTINGS, dns_servers=("10.9.9.9",)), files).host.resolvers
    ] == ["10.9.9.9"]
    assert seen(replace(SETTINGS, dns=False), files).host.resolvers == ()


@pytest.mark.parametrize(
    ("settings", "addresses", "expected"),
    [
        (SETTINGS, ["10.0.0.2"], False),
        (SETTINGS, ["10.0.0.2", "fd00::2"], False),
        (SETTINGS, ["fd00::2", "10.0.0.2"], True),
        (SETTINGS, ["fe80::2"], False),
        (replace(SETTINGS, dual_stack=True), ["10.0.0.2", "fd00::2"], True),
        (replace(SETTINGS, dual_stack=True), ["10.0.0.2", "fe80::2"], False),
        (replace(SETTINGS, address="fd00::2"), ["10.0.0.2", "fd00::2"], True),
        (replace(SETTINGS, address="10.0.0.2"), ["fd00::2", "10.0.0.2"], False),
        (replace(SETTINGS, ipv6="on"), ["10.0.0.2"], True),
        (replace(SETTINGS, ipv6="off", dual_stack=True), ["fd00::2"], False),
    ],
)
def test_ipv6_is_captured_where_envoy_listens_on_it(
    settings: CaptureSettings, addresses: list[str], expected: bool
) -> None:
    assert seen(settings, addresses=addresses).host.ipv6 is expected


def test_what_is_not_captured_is_told() -> None:
    files = {
        "/etc/resolv.conf": "nameserver fd00::53\n",
        "/etc/nsswitch.conf": "passwd: files\nhosts: files resolve [!UNAVAIL=return] dns # dns\n",
    }
    notes = seen(files=files).notes
    assert [note.split(":")[0].split(" (")[0] for note in notes] == [
        "IPv6 is not captured",
        "questions to the resolver fd00",
        "programs ask systemd-resolved without DNS",
    ]
    assert seen(replace(SETTINGS, dns=False), addresses=["10.0.0.2"]).notes == ()


@pytest.mark.parametrize(
    ("says", "session", "expected"),
    [
        ({}, "", {22}),
        ({"systemctl": ""}, "", {22}),
        ({"systemctl": "Listen=[::]:2200 (Stream)\n\nListen=\n"}, "", {22, 2200}),
        ({"systemctl": "Listen=2201 (Stream)\n"}, "", {22, 2201}),
        ({}, "198.51.100.7 50000 10.0.0.2 2222", {22, 2222}),
        ({}, "x y z w", {22}),
    ],
)
def test_ports_of_ssh_are_found_wherever_they_are_said(
    says: dict[str, str], session: str, expected: set[int]
) -> None:
    found = seen(files={"/proc/1/comm": "systemd\n"}, says=says, session=session).host.ssh_ports
    assert set(found) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Port 2022\n", {22, 2022}),
        ('#Port 2022\nport=2023\n  PORT "2024"\n', {22, 2023, 2024}),
        ("ListenAddress 0.0.0.0:2025\nListenAddress [::]:2026\nListenAddress fd00::2\n", {22, 2025, 2026}),
        ("ListenAddress host.example\nListenAddress host.example:2027\n", {22, 2027}),
        ("Port 0\nPort 99999999\nPort ٢٢\nPort -1\nPort\n", {22}),
    ],
)
@pytest.mark.parametrize("path", ["/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/50-mine.conf"])
def test_ports_that_sshd_is_told_are_known_before_it_listens_there(
    path: str, text: str, expected: set[int]
) -> None:
    assert set(seen(files={path: text}).host.ssh_ports) == expected


def test_the_peer_of_this_session_is_known_and_any_that_is_set() -> None:
    host = seen(replace(SETTINGS, peers=("192.0.2.0/24",)), session="198.51.100.7 50000 10.0.0.2 22").host
    assert [str(each) for each in host.peers] == ["192.0.2.0/24", "198.51.100.7/32"]
    assert [str(each) for each in seen(session="fe80::7%eth0 5 fe80::2%eth0 22").host.peers] == [
        "fe80::7/128"
    ]


@given(st.text(max_size=40), st.text(max_size=80), st.text(max_size=40))
def test_nothing_that_a_host_says_is_an_obstacle(session: str, resolvers: str, answer: str) -> None:
    files = {
        "/etc/resolv.conf": f"nameserver {resolvers}",
        "/etc/ssh/sshd_config": f"port {answer}\nlistenaddress {resolvers}",
        "/proc/1/comm": "systemd",
        "/etc/nsswitch.conf": answer,
    }
    found = seen(files=files, says={"systemctl": answer}, session=session)
    assert 22 in found.host.ssh_ports
