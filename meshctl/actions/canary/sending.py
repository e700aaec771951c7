"""What a canary upgrade sends of each revision, and when: manifests by the stage, plans from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from meshctl.actions.doing import do
from meshctl.model.labels import TAG
from meshctl.model.observation import Observation
from meshctl.model.plan import Phase, Plan, Record
from meshctl.model.release import Status
from meshctl.stages.planning.kinds import WORKLOADS
from meshctl.stages.planning.plan import plan
from meshctl.stages.planning.records import current
from meshctl.stages.seeing.observe import look, webhooks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from meshctl.model.event import Event
    from meshctl.model.manifest import Manifest, Part
    from meshctl.model.objects import Object, Ref
    from meshctl.model.release import Release
    from meshctl.model.upgrade import Batch, Upgrade
    from meshctl.ports import Cluster, Releases, World

GATEWAYS = frozenset({"gateway", "eastwest"})
"""Components whose parts are sent one by one, each as a batch of its own."""
_LAST = frozenset({*GATEWAYS, "ztunnel"})


@dataclass(frozen=True)
class Run:
    """Where an upgrade is made, and within which limits.

    Attributes:
        world: doors to the cluster.
        cluster: its name within the mesh.
        seconds: budget of each wait.
        take_over: take fields that other managers hold.
    """

    world: World
    cluster: str
    seconds: float = 300.0
    take_over: bool = False

    @property
    def door(self) -> Cluster:
        """The cluster."""
        return self.world.clusters[self.cluster]

    @property
    def records(self) -> Releases:
        """Its records."""
        return self.world.releases[self.cluster]

    def do(self, steps: Plan, *, heed: Callable[[], None] | None = None) -> Iterator[Event]:
        """Do one plan of the story, whose lock is held; `heed` as for `stages.applying.apply.apply`."""
        return do(self.world, steps, held=True, heed=heed)

    def kept(self, upgrade: Upgrade, **changes: Any) -> Upgrade:
        """The upgrade with changes, once they are recorded."""
        changed = replace(upgrade, **changes)
        self.records.write_upgrade(changed)
        return changed


def sending(run: Run, manifest: Manifest, release: Release) -> Plan:
    """The plan by which the revision of a release has sent this manifest and nothing else; only reads.

    What it shares with the other revision is never removed, and definitions of a newer Istio stay.
    """
    records = run.records.of(release.mesh)
    former = frozenset(ref for each in records for ref in each.refs)
    objects = {**webhooks(run.door), **look(run.door, manifest.refs | former)}
    seen = Observation(run.cluster, "", objects=objects, releases=records)
    now = run.world.clock.now().isoformat(timespec="seconds")
    draft = replace(release, generation=0, status=Status.PENDING, created=now, manifest=manifest)
    return plan(manifest, seen, draft, take_over=run.take_over, seconds=run.seconds)


def settling(run: Run, manifest: Manifest, release: Release) -> Plan:
    """As `sending`; where all is there already, because tags were moved by themselves, only the record."""
    steps = sending(run, manifest, release)
    records = run.records.of(release.mesh)
    own = current(records, release.mesh, release.revision)
    if not steps.is_empty or not own or own[-1].manifest == manifest:
        return steps
    whole = replace(own[-1], generation=records[-1].generation + 1, manifest=manifest)
    return Plan(run.cluster, (Phase("Record what was done", (Record(whole),)),))


def sending_back(run: Run, upgrade: Upgrade, count: int) -> Plan:
    """The plan that makes the source whole again, but for the gateways of the first `count` batches."""
    source = upgrade.source
    cause = f"return from {upgrade.target.version}"
    return sending(run, as_before(upgrade, count), replace(source, cause=cause, restores=source.generation))


def control_plane(target: Release) -> Manifest:
    """What stands beside the old revision before anything moves: no gateways, no tags, no ztunnel."""
    parts = []
    for part in target.manifest.parts:
        objects = tuple(obj for obj in part.objects if TAG not in obj.labels)
        if part.component not in _LAST and objects:
            left = {obj.ref for obj in objects}
            parts.append(replace(part, objects=objects, ready=tuple(r for r in part.ready if r in left)))
    return replace(target.manifest, parts=tuple(parts))


def with_gateways(upgrade: Upgrade, count: int, *, back: Part | None = None) -> Manifest:
    """The new control plane, and the gateways of the first `count` batches.

    `back` is a gateway as the source had it, which is sent in place of the target's.
    """
    base = control_plane(upgrade.target)
    moved = _gateways(upgrade, count)
    if back is not None:
        moved[back.name] = back
    return replace(base, parts=(*base.parts, *moved.values()))


def as_before(upgrade: Upgrade, count: int) -> Manifest:
    """All of the source, but for the gateways of the first `count` batches, which are still the target's."""
    source = upgrade.source.manifest
    moved = _gateways(upgrade, count)
    return replace(source, parts=tuple(moved.get(each.name, each) for each in source.parts))


def _gateways(upgrade: Upgrade, count: int) -> dict[str, Part]:
    """The target's parts that the first `count` batches are moved by, by name."""
    own = own_gateways(upgrade.target.manifest)
    return {part.name: part for each in upgrade.batches[:count] if (part := part_of(each, own))}


def own_gateways(manifest: Manifest) -> Mapping[Ref, Part]:
    """Workloads of our own gateways, each with the part that makes it."""
    return {
        obj.ref: part
        for part in manifest.parts
        if part.component in GATEWAYS
        for obj in part.objects
        if obj.ref.kind in WORKLOADS
    }


def part_of(batch: Batch, own: Mapping[Ref, Part]) -> Part | None:
    """The part by which a batch is moved; None where it is the user's workloads."""
    return next((own[each.ref] for each in batch.workloads if each.ref in own), None)


def dropped(source: Manifest, target: Manifest) -> tuple[Object, ...]:
    """Objects of gateways that the target has no more."""
    kept = target.refs
    return tuple(
        obj
        for part in source.parts
        if part.component in GATEWAYS
        for obj in part.objects
        if obj.ref not in kept
    )
