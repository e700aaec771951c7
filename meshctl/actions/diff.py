"""What would be rendered, against files, another rendering, or what a cluster holds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, FailedError, ProblemsError, Where
from meshctl.model.comparison import Comparison, Side
from meshctl.model.objects import Object
from meshctl.stages.comparing.objects_difference import compare
from meshctl.stages.comparing.picking import Picked
from meshctl.stages.planning.difference import adjusted
from meshctl.stages.planning.records import current
from meshctl.stages.planning.shapes import plain
from meshctl.stages.planning.tags import held_back
from meshctl.stages.rendering.render import render
from meshctl.stages.seeing.observe import THREADS, look, observe
from meshctl.stages.settings import catalogue
from meshctl.stages.settings.resolve import resolve
from meshctl.stages.validating.reading import read
from meshctl.stages.validating.sources import sources

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meshctl import ports
    from meshctl.model.manifest import Part
    from meshctl.model.mesh import Cluster
    from meshctl.model.objects import Ref
    from meshctl.ports import World
    from meshctl.stages.settings.load import Loaded


def from_files(names: Sequence[str], stdin: str = "") -> Side:
    """The objects of files, of folders with all below them, or of standard input (`-`).

    Raises:
        ConfigError: something cannot be read as objects.
        ProblemsError: several things cannot; all are told.
    """
    told = [read(each) for each in sources(names, stdin)]
    problems = [problem for each in told for problem in each.problems]
    if problems:
        raise problems[0] if len(problems) == 1 else ProblemsError(problems)
    objects = tuple(_object(found.content) for each in told for found in each.found)
    if not objects:
        hint = "name a file with Kubernetes objects, such as `meshctl manifest generate` prints"
        raise ConfigError("nothing-to-read", "there is no object in it", where=Where(names[0]), hint=hint)
    return Side(" ".join("<stdin>" if each == "-" else each for each in names), objects)


def _object(content: Mapping[str, Any]) -> Object:
    """The object of a file, whose name may have been written as a number."""
    meta = dict(content.get("metadata") or {})
    named = {key: str(meta[key]) for key in ("name", "namespace") if meta.get(key) is not None}
    kept = {key: value for key, value in meta.items() if key not in ("name", "namespace")}
    return Object({**content, "metadata": {**kept, **named}})


def from_rendering(asked: Loaded, cluster: Cluster) -> Side:
    """The objects that `manifest generate` renders for one cluster of these inputs."""
    return Side(called(asked), render(resolve(asked, cluster)).objects)


def called(asked: Loaded) -> str:
    """What a rendering is called: `profile demo, Istio 1.31.0`."""
    return f"profile {asked.profile}, Istio {asked.version.full}"


def against_cluster(world: World, asked: Loaded, picked: Picked) -> Comparison:
    """What an install would change in a cluster, as its API server says by a dry run. Keeps nothing.

    Fields that a controller has taken over and that components yield are no difference, and neither is
    what the server fills in. What earlier releases sent and this one would not is only on the left.

    Raises:
        AccessError: a dry run needs the rights of the real thing.
    """
    cluster = asked.mesh.clusters[0]
    door, mesh = world.clusters[cluster.name], asked.mesh.name
    seen = observe(door, world.releases[cluster.name], mesh, detections=catalogue.detections())
    values = resolve(asked, cluster, seen)
    records = current(seen.releases, mesh, values.revision)
    # Without a record the objects are another installer's: our marks on them would be all there is to see.
    desired = render(values, owner=mesh if records else "", install=True)
    sent = {ref for record in records for ref in record.refs}
    wanted = {ref for ref in desired.refs | sent if picked.has(ref)}
    live = look(door, wanted)
    desired = held_back(desired, live, values.revision)
    pairs = [(part, obj) for part in desired.parts for obj in part.objects if obj.ref in wanted]
    with ThreadPoolExecutor(THREADS) as pool:
        after = tuple(pool.map(partial(_after, door, live), pairs))
    notes = tuple(note for _, note in after if note)
    found = compare(
        Side(f"cluster {cluster.name}", tuple(live.values())),
        Side(called(asked), tuple(obj for obj, _ in after)),
        picked,
    )
    return replace(found, notes=(*found.notes, *notes))


def _after(door: ports.Cluster, live: Mapping[Ref, Object], pair: tuple[Part, Object]) -> tuple[Object, str]:
    """An object as the server would keep it, and what to know about it."""
    part, obj = pair
    before = live.get(obj.ref)
    if before is None or before.is_leaving:
        return obj, ""
    asked = adjusted(obj, before, part.yields)
    try:
        return door.apply(asked, take_over=True, dry_run=True), ""
    except FailedError as error:
        laid = Object({**before.content, **plain(asked), "metadata": before.content["metadata"]})
        return laid, f"the API server would refuse {obj.ref}: {'; '.join((error.message, *error.details))}"
