"""Credentials stay fresh, whatever happens."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from meshctl.agent.identity import keys
from meshctl.agent.identity.identity import Identity
from meshctl.agent.identity.settings import IdentitySettings
from meshctl.agent.identity.store import Store
from meshctl.agent.places import Places
from meshctl.errors import AccessError, FailedError, UnreachableError
from tests.issuing import IDENTITY, NOON, Ca, FakeIstiod, HandClock, Here, run, until

OLD, NEW = Ca("old"), Ca("new")
REFUSED = AccessError("refused", "the authority does not accept it")
HOUR = 3600.0


class Host:
    """A host with a token and a root, whose time is moved by hand."""

    def __init__(self, root: Path, ca: Ca = OLD) -> None:
        self.places = Places(root)
        self.time = HandClock()
        self.istiod = FakeIstiod(ca, self.time)
        self.chance = 0.5
        self.places.settings.mkdir(parents=True, exist_ok=True)
        if not self.places.roots.exists():
            self.places.roots.write_bytes(ca.root)
            self.places.token.write_text("a-token\n")

    def identity(self, **settings: Any) -> Identity:
        spread = {"look": 0.005, "spread": 2.0, **settings}
        who = IdentitySettings(("istiod:15012",), "", "vms", "shop", "Kubernetes", **spread)
        store = Store(self.places.identity)
        clock = self.time.clock()
        return Identity(who, self.places, store, self.istiod, Here(), clock=clock, chance=lambda: self.chance)

    @asynccontextmanager
    async def running(self, **settings: Any) -> AsyncIterator[Identity]:
        identity = self.identity(**settings)
        task = asyncio.ensure_future(identity.run())
        try:
            yield identity
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            await asyncio.wait([task])


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


async def some_looks() -> None:
    """Long enough for several looks at the files."""
    await asyncio.sleep(0.05)


async def fail(host: Host, identity: Identity, times: int) -> None:
    """Let so much time pass that tries fail at least so often."""
    while identity.failures < times:
        before = identity.failures
        host.time.advance(30)
        await until(lambda: identity.failures > before)  # noqa: B023 - is awaited here


def at_host(test: Callable[[Host], Awaitable[None]]) -> Callable[[Host], None]:
    """A test that is a coroutine."""

    def wrapper(host: Host) -> None:
        run(test(host))

    wrapper.__name__, wrapper.__doc__ = test.__name__, test.__doc__
    return wrapper


@at_host
async def test_a_new_host_gets_a_certificate_for_its_token_and_stores_it(host: Host) -> None:
    async with host.running() as identity:
        got = await identity.latest.until(bool)
        assert got
        assert got.names == (IDENTITY,)
        assert got.roots == OLD.root
        assert host.istiod.proofs == ["token"]
        await until(lambda: Store(host.places.identity).load().key == got.key)
        assert Store(host.places.identity).load().chain == got.chain
        assert (identity.error, identity.renewals, identity.failures) == ("", 1, 0)


@at_host
async def test_each_renewal_has_a_new_key_and_is_proved_by_the_certificate_in_hand(host: Host) -> None:
    host.chance = 0.0  # no jitter
    async with host.running() as identity:
        first = await identity.latest.until(bool)
        assert first
        host.time.advance(HOUR / 2 - 1)
        await some_looks()
        assert identity.renewals == 1
        host.time.advance(1)
        second = await identity.latest.until(lambda got: got != first)
        assert second
        assert second.key != first.key
        assert host.istiod.proofs == ["token", "certificate"]
        keys.paired(second.key, second.chain)


@at_host
async def test_a_restart_goes_on_with_what_is_stored_and_asks_nobody(host: Host) -> None:
    async with host.running() as identity:
        first = await identity.latest.until(bool)
        await until(lambda: Store(host.places.identity).load().chain != b"")
    asked = len(host.istiod.asked)
    host.places.token.unlink()
    host.istiod.go_away()
    async with host.running() as identity:
        assert await identity.latest.until(bool) == first
        await some_looks()
        assert len(host.istiod.asked) == asked
        assert identity.error == ""


@at_host
async def test_while_the_authority_is_away_the_certificate_in_hand_stays_and_renewal_comes_later(
    host: Host,
) -> None:
    async with host.running() as identity:
        first = await identity.latest.until(bool)
        host.istiod.go_away()
        for _ in range(8):
            host.time.advance(HOUR * 0.05)
            await some_looks()
            assert identity.latest.value is first
        host.time.advance(HOUR * 0.1)
        await until(lambda: identity.failures == 1)
        await fail(host, identity, 3)
        assert "cannot be reached" in identity.error
        host.istiod.refusal = {}
        host.time.advance(30)
        await identity.latest.until(lambda got: got != first)
        assert (identity.error, identity.failures) == ("", 0)


@at_host
async def test_the_same_key_is_asked_for_until_there_is_a_certificate_for_it(host: Host) -> None:
    host.istiod.go_away()
    async with host.running() as identity:
        await fail(host, identity, 3)
        host.istiod.refusal = {}
        host.time.advance(30)
        await identity.latest.until(bool)
    requests = [request for _, request in host.istiod.asked]
    from cryptography import x509  # a test of what the requests hold

    publics = {x509.load_pem_x509_csr(request).public_key().public_numbers() for request in requests}  # type: ignore[union-attr]
    assert len(requests) >= 4
    assert len(publics) == 1


@at_host
async def test_a_certificate_that_is_refused_gives_way_to_the_token(host: Host) -> None:
    async with host.running() as identity:
        first = await identity.latest.until(bool)
        host.istiod.refusal = {"certificate": REFUSED}
        host.time.advance(HOUR / 2)
        await identity.latest.until(lambda got: got != first)
        assert host.istiod.proofs == ["token", "certificate", "token"]
        assert identity.error == ""


@at_host
async def test_when_all_is_refused_the_old_stays_and_the_error_names_both(host: Host) -> None:
    async with host.running() as identity:
        first = await identity.latest.until(bool)
        host.istiod.refusal = {"certificate": REFUSED, "token": REFUSED}
        host.time.advance(HOUR / 2)
        await until(lambda: identity.failures == 1)
        assert identity.latest.value is first
        assert "does not accept" in identity.error


@at_host
async def test_a_host_without_a_token_says_so_and_takes_one_that_is_put_there(host: Host) -> None:
    host.places.token.unlink()
    async with host.running() as identity:
        await until(lambda: "no token" in identity.error)
        assert str(host.places.token) in identity.error
        assert host.istiod.asked == []
        host.places.token.write_text("new-token")
        await identity.latest.until(bool)
        await until(lambda: identity.error == "")


@pytest.mark.parametrize("token", [b"", b"\n", b"\xff\xfe", b"two\nlines", b"bell\x07"])
def test_a_token_that_is_none_counts_as_missing(token: bytes, host: Host) -> None:
    async def test() -> None:
        host.places.token.write_bytes(token)
        async with host.running() as identity:
            await until(lambda: "no token" in identity.error)
            assert host.istiod.asked == []

    run(test())


@at_host
async def test_a_token_that_ended_is_replaced_in_place_and_taken_at_once(host: Host) -> None:
    host.istiod.refusal = {"token": REFUSED}
    async with host.running(first_wait=30.0) as identity:
        await until(lambda: identity.failures == 1)
        await some_looks()
        assert identity.failures == 1  # it waits: no time has passed
        host.istiod.refusal = {}
        host.places.token.write_text("another-token")
        await identity.latest.until(bool)


@at_host
async def test_after_everything_has_ended_a_new_token_brings_all_back_without_a_restart(host: Host) -> None:
    async with host.running() as identity:
        first = await identity.latest.until(bool)
        host.istiod.refusal = {"token": REFUSED, "certificate": REFUSED}
        host.time.advance(HOUR * 2)
        await until(lambda: identity.failures >= 1)
        assert identity.latest.value is first  # Envoy has it anyway
        host.istiod.refusal = {"certificate": REFUSED}
        host.places.token.write_text("new-token")
        second = await identity.latest.until(lambda got: got != first)
        assert second
        assert second.valid(host.time.now)
        assert host.istiod.proofs[-1] == "token"  # asked first, as the certificate has ended


@at_host
async def test_a_restart_with_a_certificate_that_has_ended_does_not_show_it(host: Host) -> None:
    async with host.running() as identity:
        await identity.latest.until(bool)
        await until(lambda: Store(host.places.identity).load().chain != b"")
    host.places.token.unlink()
    host.istiod.go_away()
    host.time.advance(HOUR * 2)
    async with host.running() as identity:
        await until(lambda: "no token" in identity.error)
        assert identity.latest.value is None


@at_host
async def test_an_answer_under_a_root_that_is_not_trusted_is_refused_and_the_old_is_kept(host: Host) -> None:
    async with host.running() as identity:
        first = await identity.latest.until(bool)
        host.istiod.ca = NEW
        host.time.advance(HOUR / 2)
        await until(lambda: identity.failures == 1)
        assert identity.latest.value is first
        assert "leads to no trusted root" in identity.error
        assert Store(host.places.identity).load().chain == first.chain  # type: ignore[union-attr]


@at_host
async def test_an_answer_about_another_key_is_refused_and_the_old_is_kept(host: Host) -> None:
    request = keys.signing_request(keys.new_key("ecdsa-p256"), IDENTITY)
    async with host.running() as identity:
        first = await identity.latest.until(bool)
        host.istiod.sign = _answering(OLD.sign(request, NOON - 60, NOON + HOUR * 4))  # type: ignore[method-assign]
        host.time.advance(HOUR / 2)
        await until(lambda: identity.failures == 1)
        assert identity.latest.value is first
        assert "not about the key" in identity.error


def _answering(*answer: bytes) -> Any:
    async def sign(*_: object) -> tuple[bytes, ...]:
        return answer

    return sign


@at_host
async def test_roots_that_the_authority_names_beside_its_own_are_trusted_from_then_on(host: Host) -> None:
    """How a mesh changes its root: both are named before the new one signs."""
    async with host.running() as identity:
        await identity.latest.until(bool)
        host.istiod.roots = OLD.root + NEW.root
        identity.renew()
        host.time.advance(5)
        await identity.latest.until(lambda got: got is not None and NEW.root in got.roots)
        host.istiod.ca = NEW
        identity.renew()
        host.time.advance(5)
        await until(lambda: identity.renewals == 3)
        assert identity.latest.value.roots == OLD.root + NEW.root  # type: ignore[union-attr]
    host.istiod.go_away()
    async with host.running() as identity:  # a restart knows them too
        got = await identity.latest.until(bool)
        assert got
        assert got.roots == OLD.root + NEW.root


@at_host
async def test_a_root_that_nobody_names_any_more_is_no_longer_trusted(host: Host) -> None:
    host.istiod.roots = OLD.root + NEW.root
    async with host.running() as identity:
        await identity.latest.until(lambda got: got is not None and NEW.root in got.roots)
        host.istiod.roots = b""
        identity.renew()
        host.time.advance(5)
        await identity.latest.until(lambda got: got is not None and got.roots == OLD.root)


@at_host
async def test_an_authority_that_does_not_name_the_root_it_signs_under_changes_no_roots(host: Host) -> None:
    host.istiod.roots = NEW.root
    host.places.roots.write_bytes(OLD.root)
    async with host.running() as identity:
        got = await identity.latest.until(bool)
        assert got
        assert got.roots == OLD.root + NEW.root  # the operator's root vouches for the certificate


@at_host
async def test_roots_that_the_operator_replaces_are_shown_without_a_new_certificate(host: Host) -> None:
    async with host.running() as identity:
        first = await identity.latest.until(bool)
        assert first
        host.places.roots.write_bytes(OLD.root + NEW.root)
        second = await identity.latest.until(lambda got: got != first)
        assert second
        assert second.roots == OLD.root + NEW.root
        assert second.chain == first.chain
        assert identity.renewals == 1


@pytest.mark.parametrize("content", [b"", b"junk", None])
def test_the_operators_roots_stay_when_their_file_is_spoilt_or_gone_and_that_is_told(
    content: bytes | None, host: Host
) -> None:
    async def test() -> None:
        async with host.running() as identity:
            first = await identity.latest.until(bool)
            if content is None:
                host.places.roots.unlink()
            else:
                host.places.roots.write_bytes(content)
            await until(lambda: "root-cert.pem" in identity.error)
            assert identity.latest.value is first
            host.places.roots.write_bytes(OLD.root)
            await until(lambda: identity.error == "")

    run(test())


@at_host
async def test_a_host_without_roots_asks_nobody_and_begins_when_there_are_some(host: Host) -> None:
    roots = host.places.roots.read_bytes()
    host.places.roots.unlink()
    async with host.running() as identity:
        await until(lambda: "no root" in identity.error)
        assert host.istiod.asked == []
        host.places.roots.write_bytes(roots)
        await identity.latest.until(bool)


@at_host
async def test_a_mesh_that_was_made_anew_is_joined_with_its_root_and_a_token(host: Host) -> None:
    """Its authority is another, and knows neither the old root nor the certificate under it."""
    async with host.running() as identity:
        first = await identity.latest.until(bool)
        host.istiod.ca = NEW
        host.istiod.refusal = {"certificate": UnreachableError("away", "handshake failed")}
        host.time.advance(HOUR / 2)
        await until(lambda: identity.failures >= 1)
        host.places.roots.write_bytes(NEW.root)
        host.places.token.write_text("of the new mesh")
        second = await identity.latest.until(
            lambda got: got is not None and first is not None and got.chain != first.chain
        )
        assert second
        assert second.roots == NEW.root


@at_host
async def test_roots_that_the_mesh_tells_are_trusted_and_a_new_certificate_is_asked_for(host: Host) -> None:
    async with host.running() as identity:
        first = await identity.latest.until(bool)
        identity.trust([OLD.root, NEW.root])
        await identity.latest.until(lambda got: got is not None and NEW.root in got.roots)
        assert identity.renewals == 1  # hosts spread
        host.time.advance(2.0)
        await until(lambda: identity.renewals == 2)
        assert identity.latest.value.key != first.key  # type: ignore[union-attr]
        identity.trust([OLD.root, NEW.root])
        host.time.advance(5.0)
        await some_looks()
        assert identity.renewals == 2  # told again, which is no news
        identity.trust([OLD.root, NEW.root + b"\n"])  # the same roots, and another text
        await until(lambda: Store(host.places.identity).load().mesh_roots.endswith(b"\n\n"))
        host.time.advance(5.0)
        await until(lambda: identity.renewals == 3)


@at_host
async def test_what_the_mesh_told_before_a_restart_is_no_news_after_it(host: Host) -> None:
    async with host.running() as identity:
        await identity.latest.until(bool)
        identity.trust([NEW.root])
        await identity.latest.until(lambda got: got is not None and NEW.root in got.roots)
        host.time.advance(5.0)
        await until(lambda: identity.renewals == 2)
        await until(lambda: Store(host.places.identity).load().mesh_roots == NEW.root)
    async with host.running() as identity:
        got = await identity.latest.until(bool)
        assert got
        assert NEW.root in got.roots
        identity.trust([NEW.root])
        host.time.advance(5.0)
        await some_looks()
        assert identity.renewals == 0


@at_host
async def test_a_clock_that_jumps_ahead_renews_and_one_that_is_set_right_again_forgives(host: Host) -> None:
    async with host.running() as identity:
        first = await identity.latest.until(bool)
        host.istiod.go_away()
        host.time.now += 10 * HOUR
        await until(lambda: identity.failures > 0)
        host.time.now -= 10 * HOUR
        await until(lambda: identity.failures == 0 and identity.error == "")
        assert identity.latest.value is first


@at_host
async def test_a_clock_that_is_set_back_does_not_delay_the_renewal(host: Host) -> None:
    host.istiod.backdated = 40 * HOUR
    async with host.running() as identity:
        await identity.latest.until(bool)
        host.time.now -= 30 * HOUR
        host.time.passed += HOUR / 2
        await until(lambda: identity.renewals == 2)


@at_host
async def test_a_host_that_slept_renews_when_it_wakes(host: Host) -> None:
    """The clock that never jumps may stand still meanwhile."""
    async with host.running() as identity:
        await identity.latest.until(bool)
        host.time.now += HOUR * 0.6
        await until(lambda: identity.renewals == 2)


@at_host
async def test_a_valid_certificate_is_not_given_up_for_one_that_the_clock_contradicts(host: Host) -> None:
    async with host.running() as identity:
        first = await identity.latest.until(bool)
        host.istiod.backdated = -HOUR  # valid in an hour, says istiod
        host.time.advance(HOUR / 2)
        await until(lambda: identity.failures == 1)
        assert identity.latest.value is first
        assert "clock" in identity.error


@at_host
async def test_an_authority_whose_clock_is_wrong_is_not_asked_without_end(host: Host) -> None:
    host.istiod.life = -1000.0  # what it signs has ended
    host.istiod.backdated = HOUR
    async with host.running() as identity:
        await until(lambda: identity.failures == 1)
        await some_looks()
        assert len(host.istiod.asked) == 1
        assert identity.latest.value is None
        assert "clock of this host" in identity.error


@at_host
async def test_a_certificate_of_another_identity_is_used_and_told(host: Host) -> None:
    host.istiod.identity = "spiffe://cluster.local/ns/vms/sa/other"
    async with host.running() as identity:
        await identity.latest.until(bool)
        assert "sa/other" in identity.error
        assert IDENTITY in identity.error


@at_host
async def test_a_disk_that_cannot_be_written_keeps_nobody_from_a_certificate(host: Host) -> None:
    host.places.state.mkdir(parents=True)
    host.places.identity.write_text("not a folder")
    async with host.running() as identity:
        got = await identity.latest.until(bool)
        await until(lambda: "not stored" in identity.error)
        host.places.identity.unlink()
        host.time.advance(31)
        await until(lambda: identity.error == "")
        assert got
        assert Store(host.places.identity).load().key == got.key


@at_host
async def test_a_valid_certificate_is_not_given_up_for_one_that_ended_and_was_put_in_place(
    host: Host,
) -> None:
    async with host.running() as identity:
        first = await identity.latest.until(bool)
        await until(lambda: Store(host.places.identity).load().chain != b"")
        assert first
        ended = OLD.sign(keys.signing_request(first.key, IDENTITY), NOON - 60, NOON - 30)
        assert Store(host.places.identity).save_chain(first.key, ended)
        await until(lambda: "not valid now" in identity.error)
        assert identity.latest.value is first


@pytest.mark.parametrize("name", ["key.pem", "cert-chain.pem"])
def test_a_stored_file_that_is_spoilt_costs_one_request(name: str, host: Host) -> None:
    async def test() -> None:
        async with host.running() as identity:
            await identity.latest.until(bool)
            await until(lambda: Store(host.places.identity).load().chain != b"")
        (host.places.identity / name).write_bytes(b"spoilt")
        async with host.running() as identity:
            await identity.latest.until(bool)
            assert identity.renewals == 1
            await until(lambda: identity.error == "")

    run(test())


@at_host
async def test_a_stored_key_that_does_not_fit_the_chain_is_told_and_replaced(host: Host) -> None:
    host.istiod.go_away()
    request = keys.signing_request(keys.new_key("ecdsa-p256"), IDENTITY)
    Store(host.places.identity).save(
        keys.new_key("ecdsa-p256"), OLD.sign(request, NOON - 60, NOON + HOUR), OLD.root
    )
    async with host.running() as identity:
        await until(lambda: "not about the key" in identity.error)
        assert identity.latest.value is None
        host.istiod.refusal = {}
        host.time.advance(30)
        await identity.latest.until(bool)
        await until(lambda: identity.error == "")


@at_host
async def test_a_certificate_that_somebody_installs_is_taken_over_at_once(host: Host) -> None:
    host.places.token.unlink()
    store = Store(host.places.identity)
    key = store.save_key(keys.new_key("ecdsa-p256"))
    async with host.running() as identity:
        await until(lambda: "no token" in identity.error)
        chain = OLD.sign(keys.signing_request(key, IDENTITY), NOON - 60, NOON + HOUR)
        assert store.save_chain(key, chain)
        got = await identity.latest.until(bool)
        assert got
        assert (got.key, got.chain) == (key, chain)
        await until(lambda: identity.error == "")
        host.time.advance(HOUR / 2)
        await until(lambda: identity.renewals == 1)
        assert host.istiod.proofs == ["certificate"]


@at_host
async def test_short_lives_are_renewed_in_time_and_not_more_often_than_needed(host: Host) -> None:
    host.istiod.life = 60.0
    async with host.running() as identity:
        await identity.latest.until(bool)
        for _ in range(100):
            host.time.advance(3.0)
            await until(lambda: identity.due > host.time.now)
            assert identity.latest.value.valid(host.time.now)  # type: ignore[union-attr]
        assert 9 <= identity.renewals <= 13  # 300 s, each lasts 27
        assert host.istiod.patience == 2.0


@at_host
async def test_the_requests_hold_neither_time_nor_place_and_the_log_no_secret(host: Host) -> None:
    lines: list[str] = []
    handler = logging.Handler(logging.DEBUG)
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("meshctl.agent")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        async with host.running() as identity:
            await identity.latest.until(bool)
            host.istiod.go_away()
            host.time.advance(HOUR / 2)
            await until(lambda: identity.failures > 0)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    assert lines
    assert not any("a-token" in line or "PRIVATE" in line for line in lines)


@at_host
async def test_it_can_be_run_again_after_it_was_ended(host: Host) -> None:
    identity = host.identity()
    for renewals in (1, 1):
        task = asyncio.ensure_future(identity.run())
        await identity.latest.until(bool)
        await until(lambda: Store(host.places.identity).load().chain != b"")
        task.cancel()
        await asyncio.wait([task])
        assert identity.renewals == renewals


@at_host
async def test_its_state_as_data_holds_no_secret(host: Host) -> None:
    async with host.running() as identity:
        assert identity.data()["names"] == []
        got = await identity.latest.until(bool)
        assert got
        data = identity.data()
        assert data["names"] == [IDENTITY]
        assert data["ends"] == got.ends
        assert host.time.now < data["due"] < got.ends
        assert "PRIVATE" not in str(data)


@at_host
async def test_an_authority_that_does_not_sign_is_told_as_it_says(host: Host) -> None:
    host.istiod.refusal = {
        "token": FailedError("not-signed", "the authority does not sign: internal: no key")
    }
    async with host.running() as identity:
        await until(lambda: identity.failures == 1)
        assert "does not sign: internal: no key" in identity.error


def test_files_that_only_change_their_mode_are_read_again(host: Host) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")

    async def test() -> None:
        host.places.token.chmod(0)
        async with host.running() as identity:
            await until(lambda: "no token" in identity.error)
            host.places.token.chmod(0o600)
            await identity.latest.until(bool)

    run(test())
