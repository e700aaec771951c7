"""What a rotation would do, before it is agreed to: which authorities go, and which root signs in the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshctl import pki
from meshctl.actions.rotation.looking import authorities, deployments_of, takes_roots, witnesses
from meshctl.errors import ConfigError, Where, listed
from meshctl.model.mesh import Source
from meshctl.model.plan import Evict, Restart
from meshctl.model.rotation import Renewal, Root, Rotation, Scope, Seat, Stage
from meshctl.stages.moving.moves import renewed
from meshctl.stages.moving.workloads import found
from meshctl.stages.rotating.plans import OURS, PART, restarting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from meshctl.actions.rotation.looking import Run
    from meshctl.model.mesh import Cluster
    from meshctl.model.objects import Ref
    from meshctl.model.plan import Plan
    from meshctl.model.rotation import Witness
    from meshctl.stages.rotating.live import Live


@dataclass(frozen=True)
class Prepared:
    """A rotation that could begin.

    Attributes:
        rotation: as it would be recorded first.
        witnesses: every proxy as it is now.
        restarts: plans by which istiods and workloads would be made anew that cannot hear of roots.
    """

    rotation: Rotation
    witnesses: tuple[Witness, ...]
    restarts: tuple[Plan, ...]

    @property
    def deaf(self) -> tuple[Witness, ...]:
        """Proxies that istiod cannot tell of new roots while they run."""
        return _deaf(self.witnesses)

    @property
    def unseen(self) -> tuple[Witness, ...]:
        """Proxies that could not be asked."""
        return tuple(each for each in self.witnesses if each.unseen)

    @property
    def restarted(self) -> tuple[tuple[str, Ref], ...]:
        """What would be made anew, each with the name of its cluster."""
        steps = ((each.cluster, step) for each in self.restarts for step in each.steps)
        return tuple((name, step.ref) for name, step in steps if isinstance(step, Restart | Evict))


def prepared(run: Run, scope: Scope, *, renewal: Renewal, lenient: bool) -> Prepared:
    """What a rotation would do now. Only reads, and has the key at hand that will sign.

    Raises:
        ConfigError: the trust of a mesh is not managed, a cluster has no authority, there is no newer root to
            go to, or the root cannot be opened.
        ConflictError: somebody else looks after an authority.
    """
    lives = authorities(run, authoritative(run))
    signer, roots = _signer(run, scope, lives)
    leaving = {each.root for each in lives.values()} - {signer} if scope is Scope.ROOT else set()
    if scope is Scope.ROOT and not leaving:
        raise ConfigError(
            "nothing-to-rotate",
            "the newest root of the folder signs in every cluster already",
            where=Where("spec.trust"),
            hint="`meshctl ca init --another` adds one to the folder; then run the same command again. "
            "With --intermediate, each cluster gets a new intermediate under the root that it has",
        )
    rotation = Rotation(
        created=run.world.clock.now().isoformat(timespec="seconds"),
        scope=scope,
        signer=signer,
        leaving=tuple(sorted(leaving)),
        roots=roots,
        seats=tuple(seat_of(run, name, live, signer) for name, live in lives.items()),
        stage=Stage.TRUST if scope is Scope.ROOT else Stage.ISSUE,
        renewal=renewal,
        lenient=lenient,
    )
    seen = witnesses(run, rotation)
    return Prepared(rotation, seen, tuple(_restarts(run, rotation, seen)))


def _deaf(seen: Iterable[Witness]) -> tuple[Witness, ...]:
    return tuple(each for each in seen if not each.hears and not each.unseen)


def _restarts(run: Run, rotation: Rotation, seen: Sequence[Witness]) -> Iterator[Plan]:
    """What has to be made anew, as far as that is known beforehand."""
    for seat in rotation.seats:
        if rotation.scope is Scope.ROOT and not takes_roots(run, seat):
            yield restarting(seat, deployments_of(run, seat), rotation.moment, run.seconds)
    if rotation.renewal is Renewal.WAIT:
        return
    late = seen if rotation.renewal is Renewal.RESTART else _deaf(seen)
    for name in sorted({each.cluster for each in late}):
        refs = {each.workload for each in late if each.cluster == name}
        riders = found(run.world.clusters[name], None, istio_namespace=run.namespaces[name])
        yield renewed(name, PART, riders, refs, moment=rotation.moment, seconds=run.seconds)


def authoritative(run: Run) -> tuple[Cluster, ...]:
    """The clusters that are asked for and have an authority.

    Raises:
        ConfigError: a mesh's trust is not managed, or none of its clusters has an istiod.
    """
    needing: list[Cluster] = []
    for mesh in run.meshes:
        if mesh.trust.source is not Source.MANAGED:
            raise ConfigError(
                "trust-not-managed",
                f"the authorities of mesh {mesh.name!r} are not ours to rotate",
                where=Where("spec.trust"),
                hint="write `ca: managed` in spec.trust, with the folder that `meshctl ca init` made",
            )
        needing += [each for each in mesh.clusters if each.has_istiod and each.name in run.world.clusters]
    if not needing:
        raise ConfigError(
            "no-authority-needed",
            "none of these clusters has an istiod; identities come from those of others",
            hint="rotate those of the clusters named by `controlPlane`",
        )
    return tuple(needing)


def _signer(run: Run, scope: Scope, lives: Mapping[str, Live]) -> tuple[str, tuple[Root, ...]]:
    """The root that signs in the end, by its SHA-256, and all roots that are trusted at any time.

    Raises:
        ConfigError: meshes have different roots, or a root cannot be opened.
    """
    signer = run.world.signer
    assert signer, "a world in which authorities are made has somebody who signs them"
    if scope is Scope.INTERMEDIATE:
        for name, live in lives.items():
            signer.unlock(run.mesh_of(name).trust.root, live.root)
        return "", roots_of(lives.values())
    folders = sorted({run.mesh_of(name).trust.root for name in lives})
    newest = {pki.fingerprint(root): root for folder in folders for root in signer.roots(folder)[:1]}
    if len(newest) > 1:
        raise ConfigError(
            "several-roots",
            f"these meshes have roots of their own: {listed(folders)}",
            where=Where("spec.trust"),
            hint="rotate each by a mesh.yaml of its own",
        )
    [(mark, certificate)] = newest.items()
    signer.unlock(folders[0], mark)
    return mark, roots_of(lives.values(), (Root(mark, certificate.decode()),))


def roots_of(lives: Iterable[Live], others: Iterable[Root] = ()) -> tuple[Root, ...]:
    """Every root that these authorities have proxies trust, and the others, none twice."""
    known = {pki.fingerprint(each): each.decode() for live in lives for each in live.roots}
    known |= {each.fingerprint: each.certificate for each in others}
    return tuple(Root(mark, known[mark]) for mark in sorted(known))


def seat_of(run: Run, name: str, live: Live, signer: str) -> Seat:
    """The authority of a cluster, as it is before a rotation.

    Args:
        run: where.
        name: of the cluster.
        live: what it has.
        signer: SHA-256 of the root that signs in the end; empty where roots stay.
    """
    mesh = run.mesh_of(name)
    served = (each.name for each in mesh.served_by(name) if each.name in run.world.clusters)
    return Seat(
        cluster=name,
        mesh=mesh.name,
        namespace=run.namespaces[name],
        serves=(name, *served),
        before="" if live.root == signer else live.mark,
        trusted=live.trusted,
        is_ours=live.by == OURS,
    )
