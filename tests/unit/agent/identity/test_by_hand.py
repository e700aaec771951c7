"""A certificate that somebody signs by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshctl.agent.identity import by_hand, keys
from meshctl.agent.identity.settings import IdentitySettings
from meshctl.agent.identity.store import Store
from meshctl.agent.places import Places
from meshctl.errors import ConfigError
from tests.issuing import IDENTITY, NOON, Ca

CA = Ca("mesh")
SETTINGS = IdentitySettings(("istiod:15012",), "", "vms", "shop", "Kubernetes")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    found = Places(tmp_path)
    found.settings.mkdir(parents=True)
    found.roots.write_bytes(CA.root)
    return found


def test_a_request_is_signed_and_its_certificate_is_installed(places: Places) -> None:
    request = by_hand.csr(SETTINGS, places)
    chain = CA.sign(request.encode(), NOON - 60, NOON + 7200)
    said = by_hand.install(places, chain + CA.root, NOON)
    assert said == f"certificate of {IDENTITY} installed, for another 2.0 h"
    stored = Store(places.identity).load()
    assert stored.chain == chain
    keys.paired(stored.key, stored.chain)


def test_asking_again_asks_for_the_same_key(places: Places) -> None:
    first, second = by_hand.csr(SETTINGS, places), by_hand.csr(SETTINGS, places)
    chain = CA.sign(first.encode(), NOON - 60, NOON + 7200)
    by_hand.install(places, chain, NOON)
    by_hand.install(places, CA.sign(second.encode(), NOON - 60, NOON + 7200), NOON)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda chain: b"", "no certificate"),
        (lambda chain: CA.root, "not about the key"),
        (lambda chain: chain[: len(chain) // 3], "no certificate"),
    ],
)
def test_what_is_no_certificate_for_this_host_is_refused_and_nothing_changes(
    spoil: object, said: str, places: Places
) -> None:
    request = by_hand.csr(SETTINGS, places)
    chain = CA.sign(request.encode(), NOON - 60, NOON + 7200)
    by_hand.install(places, chain, NOON)
    with pytest.raises(ConfigError, match=said):
        by_hand.install(places, spoil(chain), NOON)  # type: ignore[operator]
    assert Store(places.identity).load().chain == chain


def test_a_certificate_of_another_mesh_or_one_that_has_ended_is_refused(places: Places) -> None:
    request = by_hand.csr(SETTINGS, places).encode()
    with pytest.raises(ConfigError, match="no trusted root"):
        by_hand.install(places, Ca("other").sign(request, NOON - 60, NOON + 7200), NOON)
    with pytest.raises(ConfigError, match="has ended"):
        by_hand.install(places, CA.sign(request, NOON - 60, NOON - 30), NOON)
    assert Store(places.identity).load().chain == b""


def test_without_a_key_the_way_to_one_is_told(places: Places) -> None:
    with pytest.raises(ConfigError, match="no key on this host") as raised:
        by_hand.install(places, CA.root, NOON)
    assert "meshctl-agent csr" in raised.value.hint


def test_a_key_that_is_spoilt_is_not_replaced_in_silence(places: Places) -> None:
    Store(places.identity).save_key(b"spoilt")
    with pytest.raises(ConfigError, match="cannot be read"):
        by_hand.csr(SETTINGS, places)
