"""A rotation of certificate authorities over a mesh, as it stands: what the records of it hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from meshctl.model.objects import Ref

if TYPE_CHECKING:
    from collections.abc import Iterable


class Scope(StrEnum):
    """What is replaced."""

    ROOT = "root"
    """The root of all clusters, and so the intermediate of each."""
    INTERMEDIATE = "intermediate"
    """The intermediate of each cluster; the roots stay."""


class Renewal(StrEnum):
    """How proxies come by new certificates."""

    AUTO = "auto"
    """Those that istiod can tell of new roots renew at once; the workloads of others are made anew."""
    RESTART = "restart"
    """All workloads are made anew."""
    WAIT = "wait"
    """By themselves, when half of their certificate's life is over."""


class Stage(StrEnum):
    """What a rotation is at, in the order of the story; on the way back it begins with the second or last."""

    TRUST = "trust"
    """The new root is trusted beside the old one; nothing is signed by it yet."""
    ISSUE = "issue"
    """Every istiod gets its new intermediate; the old one is kept in a Secret beside it."""
    RENEW = "renew"
    """Proxies get certificates of the new intermediates."""
    DROP = "drop"
    """The old root is trusted no more, and the old intermediates go."""


_STAGES = tuple(Stage)


@dataclass(frozen=True, slots=True)
class Root:
    """A root that some cluster trusts: its SHA-256 in hex, and the certificate itself, PEM."""

    fingerprint: str
    certificate: str


@dataclass(frozen=True, slots=True)
class Seat:
    """The authority of one cluster's istiods, as it was before the rotation.

    Attributes:
        cluster: name of the cluster.
        mesh: name of its mesh.
        namespace: of these istiods.
        serves: names of the clusters whose proxies get certificates there, its own first.
        before: SHA-256 of the intermediate's certificate; empty where it stays, as it is of the new root.
        trusted: SHA-256 of the roots that its proxies trusted, sorted.
        is_ours: whether we made it; one that the user brought is theirs again where the rotation is aborted.
    """

    cluster: str
    mesh: str
    namespace: str
    serves: tuple[str, ...]
    before: str
    trusted: tuple[str, ...]
    is_ours: bool

    @property
    def kept(self) -> Ref:
        """The Secret that holds the old authority until it is needed no more."""
        return Ref("v1", "Secret", self.namespace, "cacerts-before-rotation")


@dataclass(frozen=True, slots=True)
class Rotation:
    """A rotation under way, recorded in every cluster before each of its stages is begun.

    Attributes:
        created: when it began, RFC 3339, UTC.
        scope: what is replaced.
        signer: SHA-256 of the root that signs in the end; empty where only intermediates are replaced.
        leaving: SHA-256 of the roots that are trusted no more in the end, sorted; none where only
            intermediates are replaced.
        roots: every root that is trusted at any time of it.
        seats: the authorities that are replaced, by cluster.
        stage: what it is at.
        renewal: how proxies come by new certificates.
        is_back: whether it was aborted, and all goes back to the old authorities.
        lenient: whether proxies that cannot be asked are taken on trust.
        rounds: how many times it began from its first stage again.
        reason: why it stopped; empty while it goes on.
    """

    created: str
    scope: Scope
    signer: str
    leaving: tuple[str, ...]
    roots: tuple[Root, ...]
    seats: tuple[Seat, ...]
    stage: Stage
    renewal: Renewal = Renewal.AUTO
    is_back: bool = False
    lenient: bool = False
    rounds: int = 0
    reason: str = ""

    @property
    def moment(self) -> str:
        """What is written into pod templates in this stage, RFC 3339.

        It follows from the record alone, so that a run that continues another makes no pod anew twice.
        """
        passed = _STAGES.index(self.stage) + len(_STAGES) * (self.is_back + 2 * self.rounds)
        begun = datetime.fromisoformat(self.created) + timedelta(seconds=passed)
        return begun.isoformat(timespec="seconds")

    @property
    def clusters(self) -> tuple[str, ...]:
        """Names of all clusters whose proxies it is about, sorted."""
        return tuple(sorted({name for seat in self.seats for name in seat.serves}))

    @property
    def goes(self) -> tuple[str, ...]:
        """Roots that the last stage takes away: the old ones, or on the way back the new one."""
        if self.scope is Scope.INTERMEDIATE:
            return ()
        if not self.is_back:
            return self.leaving
        return () if any(self.signer in seat.trusted for seat in self.seats) else (self.signer,)

    def trusted(self, seat: Seat) -> tuple[str, ...]:
        """Roots that the proxies of a seat are to trust in this stage, sorted."""
        if self.scope is Scope.INTERMEDIATE:
            return seat.trusted
        if self.stage is not Stage.DROP:
            return tuple(sorted({*seat.trusted, *self.leaving, self.signer}))
        if self.is_back:
            return seat.trusted
        return tuple(sorted(({*seat.trusted} - {*self.leaving}) | {self.signer}))

    def certificates(self, fingerprints: Iterable[str]) -> tuple[bytes, ...]:
        """These roots' certificates, PEM, in the order asked for."""
        known = {each.fingerprint: each.certificate for each in self.roots}
        return tuple(known[each].encode() for each in fingerprints)


@dataclass(frozen=True, slots=True)
class Witness:
    """A proxy as a rotation looks at it.

    Attributes:
        cluster: name of its cluster.
        namespace: of its pod.
        pod: name of that pod.
        workload: what its pod belongs to.
        issuer: SHA-256 of the certificate that signed its own; empty: it was not seen.
        root: SHA-256 of the root among those that it trusts that vouches for its own; empty: none does.
        trusts: SHA-256 of the roots that it trusts.
        expires: end of its certificate; None: it was not seen.
        hears: whether istiod can tell it of new roots while it runs.
        unseen: why it could not be asked; empty where it was.
    """

    cluster: str
    namespace: str
    pod: str
    workload: Ref
    issuer: str = ""
    root: str = ""
    trusts: frozenset[str] = frozenset()
    expires: datetime | None = None
    hears: bool = False
    unseen: str = ""

    @property
    def name(self) -> str:
        """As people read it, with its cluster: `west/shop/web-5d4f8`."""
        return f"{self.cluster}/{self.namespace}/{self.pod}"
