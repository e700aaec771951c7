from __future__ import annotations

import ipaddress
import socket

from meshctl.agent.host import Host, Interface, this_host


def test_only_addresses_that_others_may_use_are_told_each_once() -> None:
    host = Host(
        "h",
        (
            Interface("lo", used=False, addresses=("127.0.0.1",)),
            Interface("a", used=True, addresses=("10.0.0.1", "169.254.1.1", "fe80::1", "fd00::1", "0.0.0.0")),
            Interface("b", used=True, addresses=("10.0.0.1", "192.168.0.1")),
            Interface("c", used=False, addresses=("10.0.0.2",)),
        ),
    )
    assert host.addresses() == ("10.0.0.1", "fd00::1", "192.168.0.1")
    assert host.addresses(without=("a",)) == ("10.0.0.1", "192.168.0.1")


def test_this_host_is_as_the_kernel_says() -> None:
    found = this_host()
    assert "." not in found.name
    assert {each.name for each in found.interfaces} == {name for _, name in socket.if_nameindex()}
    loopback = [each for each in found.interfaces if "127.0.0.1" in each.addresses]
    assert [each.used for each in loopback] == [False]
    assert all(ipaddress.ip_address(address) for each in found.interfaces for address in each.addresses)
