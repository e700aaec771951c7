"""Places: who runs as a process, and at which address."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

from meshctl.sandbox.light_places import Places, Tenant
from meshctl.sandbox.light_ports import PLACES

RANGE = IPv4Network("100.65.0.0/16")


def tenant(number: int) -> Tenant:
    return Tenant("ns", f"pod-{number}", f"uid-{number}", Path(f"{number}.log"))


def test_each_place_has_an_address_of_its_own_within_the_range() -> None:
    places = Places(RANGE)
    addresses = {places.address(place) for place in range(PLACES)}
    assert len(addresses) == PLACES
    assert addresses <= {str(address) for address in RANGE.hosts()}


def test_a_tenant_is_found_by_address_name_and_uid_until_it_leaves() -> None:
    places = Places(RANGE)
    place = places.take(tenant(1))
    assert place is not None
    assert places.at(places.address(place)) == places.of("ns", "pod-1") == places.of_uid("uid-1") == place
    assert places.log(place) == Path("1.log")
    places.leave(place)
    assert places.at(places.address(place)) is places.of("ns", "pod-1") is places.of_uid("uid-1") is None
    assert places.log(place) is None


def test_when_all_places_are_taken_the_next_has_to_wait_for_one() -> None:
    places = Places(RANGE)
    taken = [places.take(tenant(number)) for number in range(PLACES)]
    assert sorted(filter(lambda one: one is not None, taken)) == list(range(PLACES))
    assert places.take(tenant(99)) is None
    places.leave(3)
    assert places.take(tenant(99)) == 3
