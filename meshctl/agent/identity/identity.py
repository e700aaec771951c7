"""Keeps the credentials fresh, as long as the agent runs."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent.identity import renewal
from meshctl.agent.identity.credentials import bundle, joined
from meshctl.agent.identity.roots import Roots, mark
from meshctl.agent.latest import Latest
from meshctl.errors import AccessError, ConfigError, FailedError, MeshctlError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshctl.agent.identity.apart import Keys
    from meshctl.agent.identity.authority import Authority
    from meshctl.agent.identity.credentials import Credentials
    from meshctl.agent.identity.settings import IdentitySettings
    from meshctl.agent.identity.store import Store
    from meshctl.agent.places import Places

_log = logging.getLogger(__name__)
_LONGEST_TOKEN: Final = 1 << 16
_BETWEEN: Final = 1.0
"""Seconds from one certificate to the request for the next, however short their lives are."""


@dataclass(frozen=True, slots=True)
class Clock:
    """How time is told.

    Attributes:
        now: epoch seconds; may jump.
        passed: seconds from any point on; never jumps, and may stand still while the host sleeps.
    """

    now: Callable[[], float] = time.time
    passed: Callable[[], float] = time.monotonic

    def after(self, seconds: float) -> Moment:
        """The moment that many seconds from now."""
        return Moment(self.now() + seconds, self.passed() + seconds)

    def has_come(self, moment: Moment) -> bool:
        """Whether it is there by either way of telling: as one is set back, or the other stood still."""
        return self.now() >= moment.now or self.passed() >= moment.passed


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment by both ways of telling time; see `Clock`."""

    now: float
    passed: float

    def or_earlier(self, other: Moment) -> Moment:
        """The earlier of two."""
        return Moment(min(self.now, other.now), min(self.passed, other.passed))


class Identity:
    """Who this host is: from the disk at first, then from the authority, again and again.

    Whatever goes wrong is told in `error` and tried again, forever; what is in hand stays in use.

    Attributes:
        latest: what Envoy and istiod are shown; None until there is something that is valid.
        renewals: certificates that the authority has given since the start.
        failures: tries in a row that brought no valid certificate.
    """

    def __init__(
        self,
        settings: IdentitySettings,
        places: Places,
        store: Store,
        authority: Authority,
        keys: Keys,
        *,
        clock: Clock | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Put the parts together; nothing is read or sent before `run`.

        Args:
            settings: whom to ask for what, and when.
            places: of the token and the operator's roots.
            store: of what outlives a restart.
            authority: signs certificates.
            keys: makes keys and checks certificates.
            clock: the host's when None.
            chance: gives a number from 0 up to, and without, 1.
        """
        self.latest: Latest[Credentials | None] = Latest(None)
        self.renewals = 0
        self.failures = 0
        self._settings = settings
        self._token = places.token
        self._store = store
        self._authority = authority
        self._keys = keys
        self._clock = clock or Clock()
        self._chance = chance
        self._roots = Roots(places.roots)
        self._told: bytes | None = None  # by the mesh's configuration, and not looked at yet
        self._unshown = False  # roots have changed, and are not shown yet
        self._held: Credentials | None = None  # may have ended, unlike `latest` at the start
        self._life = 0.0
        self._due = self._next = self._next_save = self._clock.after(0.0)
        self._key = b""  # of the certificate that is being asked for
        self._unsaved: tuple[Credentials, bytes] | None = None
        self._seen: tuple[tuple[int, ...], ...] = ()
        self._troubles: dict[str, str] = {}
        self._woken = asyncio.Event()

    @property
    def error(self) -> str:
        """What is wrong now, in sentences; empty when nothing is."""
        return "; ".join(filter(None, [*self._troubles.values(), self._roots.error]))

    @property
    def due(self) -> float:
        """Epoch seconds when the certificate is to be renewed; in the past when there is none."""
        return self._due.now

    def data(self) -> dict[str, Any]:
        """As plain data, for `status`; times are epoch seconds, 0 where there is no certificate."""
        held = self._held
        return {
            "names": list(held.names) if held else [],
            "begins": held.begins if held else 0.0,
            "ends": held.ends if held else 0.0,
            "due": self.due if held else 0.0,
            "renewals": self.renewals,
            "failures": self.failures,
            "error": self.error,
        }

    def trust(self, roots: Sequence[bytes]) -> None:
        """Take over the roots (PEM, each one or several) that the mesh's configuration names now.

        A text that differs from the last is istiod's way to ask for new certificates, even when it names the
        same roots: all hosts hear it at once, and renew within `spread` seconds.
        """
        self._told = bundle(roots)
        self._woken.set()

    def renew(self) -> None:
        """Have the certificate renewed within `spread` seconds, for example as istiod refuses it."""
        self._due = self._due.or_earlier(self._clock.after(self._settings.spread * self._chance()))
        self._woken.set()

    async def run(self) -> None:
        """Keep the credentials fresh; never ends by itself."""
        try:
            await self._load()
            while True:
                if self._clock.has_come(self._due):
                    if self._clock.has_come(self._next):
                        await self._try()
                elif self.failures:  # the clock was wrong, and is right again
                    self._forgive()
                await self._pause()
                await self._look()
        finally:
            self._keys.end()

    # What is on the disk

    async def _load(self) -> None:
        """Begin with what is stored, as far as it can still be used."""
        self._roots.look()
        self._seen = self._marks()
        try:
            stored = await asyncio.to_thread(self._store.load)
            self._roots.authority = self._roots.authority or stored.roots
            self._roots.mesh = self._roots.mesh or stored.mesh_roots
            if not stored.chain:
                return
            credentials = await self._keys.checked(stored.key, stored.chain, self._roots.trusted)
        except MeshctlError as error:
            self._trouble("disk", "what is stored cannot be used", error)
            return
        self._troubles.pop("disk", None)
        if self._is_valid() and not credentials.valid(self._clock.now()):
            self._trouble("disk", "a certificate that is not valid now was put in place, and is not taken")
        elif credentials != self._held:
            self._take(credentials, stored.since)

    async def _look(self) -> None:
        """See whether somebody has replaced a file, or named other roots."""
        others = self._roots.look()
        if self._told is not None:
            told, self._told = self._told, None
            others |= await self._hear(told)
        self._unshown |= others
        if self._unshown:
            await self._show_roots()
        before, self._seen = self._seen, self._marks()
        if self._unsaved and self._clock.has_come(self._next_save):
            await self._save()
        elif self._seen[1] != before[1]:
            await self._load()
        if others or self._seen != before:
            self._forgive()  # whatever was wrong may be right now

    def _marks(self) -> tuple[tuple[int, ...], ...]:
        return mark(self._token), self._store.mark()

    async def _save(self) -> None:
        """Store what is not stored yet; when that fails, again later."""
        if not self._unsaved:
            return
        credentials, roots = self._unsaved
        self._next_save = self._clock.after(self._settings.longest_wait)
        try:
            written = await asyncio.to_thread(self._store.save, credentials.key, credentials.chain, roots)
        except MeshctlError as error:
            self._trouble("disk", "the certificate is in use, and not stored", error)
            return
        self._unsaved = None
        self._troubles.pop("disk", None)
        self._seen = (self._seen[0], written)

    # Roots

    async def _hear(self, told: bytes) -> bool:
        """Take over what the mesh's configuration names; whether that is new."""
        if told == self._roots.mesh:
            return False
        self._roots.mesh = told
        _log.info("the mesh names %d roots, and asks for new certificates", told.count(b"BEGIN CERTIFICATE"))
        if self._held:
            self.renew()
        try:
            await asyncio.to_thread(self._store.save_mesh_roots, told)
        except MeshctlError as error:
            self._trouble("disk", "the roots are in use, and not stored", error)
        return True

    async def _show_roots(self) -> None:
        """Show the roots that are trusted now; renew a certificate that leads to none of them."""
        held, trusted = self._held, self._roots.trusted
        if held is None:
            self._unshown = False
            await self._load()
            return
        try:
            shown = await self._keys.checked(held.key, held.chain, trusted)
        except ConfigError as error:
            _log.warning("%s; it is renewed", error.message)
            self.renew()
            shown = replace(held, roots=await self._keys.readable(trusted) or held.roots)
        except MeshctlError as error:
            self._trouble("roots", "the roots cannot be read", error)
            return
        self._unshown = False
        self._troubles.pop("roots", None)
        self._held = shown
        if self.latest.value:
            self.latest.set(shown)

    # The authority

    async def _try(self) -> None:
        try:
            credentials, roots = await self._signed()
        except MeshctlError as error:
            self._fail("renewal", "there is no new certificate", error)
            return
        self.renewals += 1
        self._key = b""
        self._roots.authority = roots
        self._unsaved = credentials, roots
        self._take(credentials, self._clock.now())
        if self._is_valid():
            self._forgive()
            self._next = self._clock.after(_BETWEEN)
        else:
            self._fail("renewal", "the new certificate is not valid by the clock of this host")
        await self._save()

    async def _signed(self) -> tuple[Credentials, bytes]:
        """New credentials, and the roots that the authority named with them.

        Raises:
            MeshctlError: there are none, for whatever reason.
        """
        self._key = self._key or await self._keys.new_key(self._settings.key)
        request = await self._keys.signing_request(self._key, self._settings.spiffe)
        answer = await self._answer(request)
        given = b"".join(answer)
        credentials = await self._keys.checked(self._key, given, self._roots.trusted)
        if self._is_valid() and not credentials.valid(self._clock.now()):
            raise FailedError(
                "clocks-differ",
                "the new certificate is not valid by the clock of this host, and the one in hand is",
                hint="compare the clock of this host with that of istiod",
            )
        named = joined(answer[-1]) if len(answer) > 1 else self._roots.authority
        if named == self._roots.authority:
            return credentials, named
        trusted = joined(self._roots.operator, self._roots.mesh, named)
        try:
            return await self._keys.checked(self._key, given, trusted), named
        except ConfigError:  # it does not name the root that it signs under, so what it named before stays
            return credentials, self._roots.authority

    async def _answer(self, request: bytes) -> tuple[bytes, ...]:
        """What the authority says to one proof or another, the better first."""
        roots = self._roots.trusted
        if not roots:
            raise AccessError(
                "no-roots",
                "no root is known by which istiod can be recognised",
                hint="put it into root-cert.pem",
            )
        token = self._read_token()
        proofs: list[Credentials | str | None]
        proofs = [self._held, token] if self._is_valid() else [token, self._held]
        patience = renewal.patience(self._settings, self._living())
        failed: list[MeshctlError] = []
        for proof in (proof for proof in proofs if proof):
            try:
                return await self._authority.sign(request, roots, proof, patience)
            except MeshctlError as error:  # noqa: PERF203 - there are two proofs
                failed.append(error)
        said = [error.message for error in failed]
        if token or self._is_valid():
            more = (each for each in said if each != said[0])
            failed[0].details = (*failed[0].details, *more)
            raise failed[0]
        raise AccessError(
            "no-token",
            f"there is no valid certificate, and no token in {self._token}",
            hint="make a token for this workload's service account, and put it there",
            details=said,
        )

    def _read_token(self) -> str:
        try:
            with self._token.open("rb") as file:
                token = file.read(_LONGEST_TOKEN).decode("ascii").strip()
        except (OSError, ValueError):
            return ""
        return token if token.isprintable() else ""

    # What is in hand

    def _is_valid(self) -> bool:
        return self._held is not None and self._held.valid(self._clock.now())

    def _living(self) -> float:
        """Seconds that the certificate in hand lasts altogether; 0 when it is not valid."""
        return self._life if self._is_valid() else 0.0

    def _take(self, credentials: Credentials, since: float) -> None:
        """Use these from now on; `since` is when this host got them."""
        now = self._clock.now()
        begins, ends = renewal.life(credentials.begins, credentials.ends, since)
        wait = renewal.wait(self._settings, (begins, ends), now, self._chance())
        self._held, self._life = credentials, ends - begins
        self._due = self._clock.after(wait)
        if credentials.valid(now) or self.latest.value:
            self.latest.set(credentials)
        names = ", ".join(credentials.names) or "nobody"
        _log.info("certificate of %s: %.0f s left, renewed in %.0f s", names, credentials.ends - now, wait)
        self._troubles.pop("name", None)
        if self._settings.spiffe not in credentials.names:
            said = f"the certificate is of {names}, and this host is to be {self._settings.spiffe}"
            self._trouble("name", said)

    def _fail(self, what: str, said: str, error: MeshctlError | None = None) -> None:
        """Tell of a failed try, and wait before the next."""
        self.failures += 1
        wait = renewal.pause(self._settings, self.failures, self._living(), self._chance())
        self._next = self._clock.after(wait)
        self._trouble(what, said, error)

    def _forgive(self) -> None:
        """Forget failures, and try again at once where a certificate is due."""
        self.failures = 0
        self._next = self._clock.after(0.0)
        self._troubles.pop("renewal", None)

    def _trouble(self, what: str, said: str, error: MeshctlError | None = None) -> None:
        """Remember what is wrong until it is right again, and log it."""
        told = f"{said}: {error.message}" if error else said
        if error and error.hint:
            told = f"{told} ({error.hint})"
        self._troubles[what] = told
        _log.warning("%s%s", told, "".join(f"; {each}" for each in error.details) if error else "")

    async def _pause(self) -> None:
        """Until there may be something to do, a look at the files at the latest, or somebody wakes us."""
        waits = [moment.passed - self._clock.passed() for moment in (self._due, self._next)]
        wait = min(self._settings.look, max(0.0, *waits))
        timer = asyncio.get_running_loop().call_later(wait, self._woken.set)
        try:
            await self._woken.wait()
        finally:
            timer.cancel()
        self._woken.clear()
