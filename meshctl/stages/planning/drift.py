"""What is not as the deployed releases left it: the difference that an install would put right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.model.drift import Drift, Fate
from meshctl.model.release import Status
from meshctl.stages.planning.difference import changes
from meshctl.stages.planning.kinds import same
from meshctl.stages.planning.records import current
from meshctl.stages.planning.tags import is_given_away

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meshctl.model.manifest import Part
    from meshctl.model.objects import Object, Ref
    from meshctl.model.plan import Change
    from meshctl.model.release import Release


def drift(records: Sequence[Release], live: Mapping[Ref, Object]) -> tuple[Drift, ...]:
    """What was changed or removed behind the back of a mesh's releases, by part and name.

    Only what was sent counts: objects and fields beside it are nobody's drift, and neither are fields
    that a component yields to a controller. Where a run was cut short after the last deployed release,
    what that run may have sent is no drift either. An object that several revisions share is as the
    newest of their releases sent it.

    Args:
        records: of one mesh, oldest first.
        live: the objects of these records that are there, with their `managedFields`.
    """
    found: dict[tuple[str, str, str, str], Drift | None] = {}
    lines = [_line(records, revision) for revision in {each.revision for each in records}]
    for line in sorted(filter(None, lines), key=lambda each: each[-1].generation, reverse=True):
        for part, obj in _sent(line[-1]):
            found.setdefault(same(obj.ref), _of(part, obj, live.get(obj.ref), line))
    told = [each for each in found.values() if each is not None]
    return tuple(sorted(told, key=lambda each: (each.revision, each.part, each.ref)))


def _line(records: Sequence[Release], revision: str) -> tuple[Release, ...]:
    """The last deployed release of a revision, and what was begun after it."""
    found = [each for each in records if each.revision == revision]
    if not any(each.status is Status.DEPLOYED for each in found):
        return ()
    return current(found, found[-1].mesh, revision)


def _sent(release: Release) -> Iterator[tuple[Part, Object]]:
    return ((part, obj) for part in release.manifest.parts for obj in part.objects)


def _of(part: Part, obj: Object, live: Object | None, line: Sequence[Release]) -> Drift | None:
    """What has become of an object, as the newest release of a line has it."""
    release = line[-1]
    earlier = [each for record in line[:-1] for _, each in _sent(record) if each.ref == obj.ref]

    def become(fate: Fate, *what: Change) -> Drift:
        return Drift(release.mesh, release.revision, part.name, obj.ref, fate, what)

    if live is None:
        is_owed = len(line) > 1 and len(earlier) < len(line) - 1  # the run that adds it did not end
        return None if is_owed else become(Fate.REMOVED)
    if is_given_away(live, release.revision):
        return None
    if live.is_leaving:
        return become(Fate.LEAVING)
    found = changes(obj, live, part.yields, (obj, *earlier))
    for each in earlier:
        known = {change.path for change in changes(each, live, part.yields, (obj, *earlier))}
        found = tuple(change for change in found if change.path in known)
    return become(Fate.CHANGED, *found) if found else None
