"""Write a plan down, and apply it later if the cluster has not moved on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from meshctl.actions.install import agreed, drafted, refuse_during_rotation, refuse_during_upgrade
from meshctl.adapters import release_codec
from meshctl.errors import ConfigError, ConflictError, Where
from meshctl.model.objects import Ref
from meshctl.model.plan import Plan, Record
from meshctl.model.release import Release, Status
from meshctl.stages.planning import plan_file
from meshctl.stages.planning.tags import held_back
from meshctl.stages.seeing.observe import inventory, look, observe, webhooks
from meshctl.stages.settings import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl import ports
    from meshctl.model.observation import Observation
    from meshctl.ports import World
    from meshctl.stages.settings.load import Loaded

_HOME = Ref("v1", "Namespace", "", "kube-system")


@dataclass(frozen=True)
class Opened:
    """A plan file against the cluster as it is: the release it makes (None: nothing to do), and the steps."""

    release: Release | None
    plan: Plan


def sealed(
    world: World, plan: Plan, *, take_over: bool = False, adopt: bool = False, seconds: float = 300.0
) -> dict[str, Any]:
    """The data of a plan file; see `planning.plan_file`. The choices are those the plan was made with."""
    releases = [step.release for step in plan.steps if isinstance(step, Record)]
    release = release_codec.to_json(releases[-1]) if releases else None
    cluster_id = _id(world.clusters[plan.cluster])
    return plan_file.sealed(
        plan, release, cluster_id=cluster_id, take_over=take_over, adopt=adopt, seconds=seconds
    )


def opened(world: World, text: str, name: str, asked: Loaded | None = None) -> Opened:
    """The plan of a file, where the cluster is still as the plan saw it. Only reads.

    Args:
        world: doors to one cluster.
        text: of the file.
        name: of the file, for messages.
        asked: what the plan was made from; of use where tokens were left out of it.

    Raises:
        ConfigError: the file is no plan, was edited, or lacks tokens that `asked` does not give.
        ConflictError: the plan is for another cluster, this one has moved on, or is being upgraded.
    """
    data = plan_file.opened(text, name)
    [(here, door)] = world.clusters.items()
    file = data["file"]
    if file["clusterID"] != _id(door):
        raise ConflictError(
            "plan-of-another-cluster",
            f"this plan was made for cluster {data['cluster']!r}, and {here!r} at {door.server} is another",
            hint="choose it with --context",
        )
    if asked is not None and not file["masked"]:
        raise ConfigError(
            "plan-decides",
            "a plan decides everything, and -f, --set and their like have no say beside it",
            where=Where("--plan"),
            hint="leave them away, or plan again with them",
        )
    if file["release"] is None:
        return Opened(None, Plan(here))
    mesh = file["release"]["mesh"]
    refuse_during_upgrade(world.releases[here], mesh)
    refuse_during_rotation(world.releases[here], mesh)
    seen = observe(door, world.releases[here], mesh, detections=catalogue.detections())
    full = None if asked is None else release_codec.to_json(_made_from(world, asked))
    release = _release(world, seen, plan_file.filled(data, full, name), name)
    former = frozenset(ref for each in seen.releases for ref in each.refs)
    seen = replace(seen, objects={**webhooks(door), **look(door, release.refs | former)})
    steps = agreed(
        door,
        release.manifest,
        seen,
        release,
        take_over=file["takeOver"],
        adopt=file["adopt"],
        seconds=float(file["seconds"]),
    )
    begun = any(each.generation == release.generation and _is_same(each, release) for each in seen.releases)
    plan_file.require_same(data, steps, seen.objects, continued=begun)
    return Opened(release, steps)


def _release(world: World, seen: Observation, content: Mapping[str, Any], name: str) -> Release:
    """The release of a file, with what is a fact of the day it is applied."""
    [door] = world.clusters.values()
    today = {
        "status": str(Status.PENDING),
        "created": world.clock.now().isoformat(timespec="seconds"),
        "inventory": [],
    }
    try:
        release = release_codec.from_json({**content, **today})
    except (KeyError, TypeError, ValueError, AttributeError) as fault:
        raise ConfigError(
            "plan-format",
            "the release in this plan cannot be read by this version of meshctl",
            where=Where(name, path="file.release"),
            hint="plan again with this version",
            details=(f"{type(fault).__name__}: {fault}",),
        ) from fault
    before = () if seen.releases else inventory(door, kinds=seen.kinds)
    return replace(release, inventory=before)


def _made_from(world: World, asked: Loaded) -> Release:
    """A release of some inputs, for the leaves that a file leaves out."""
    [cluster] = asked.mesh.clusters
    draft = drafted(world, asked, cluster)
    return replace(
        draft.release, manifest=held_back(draft.desired, draft.seen.objects, draft.values.revision)
    )


def _is_same(one: Release, other: Release) -> bool:
    return one.manifest == other.manifest and one.revision == other.revision


def _id(door: ports.Cluster) -> str:
    """What tells a cluster from every other: its name is what a kubeconfig calls it."""
    home = door.get(_HOME)
    return "" if home is None else home.uid
