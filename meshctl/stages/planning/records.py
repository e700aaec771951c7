"""What the records of a mesh say of its revisions: which stand, and what may still be in the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.errors import ConfigError, Where, listed
from meshctl.model.release import Status
from meshctl.model.tag import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshctl.model.release import Release

CUT_SHORT = frozenset({Status.PENDING, Status.FAILED, Status.UNINSTALLING})
"""What a record says whose work did not come to its end."""


def current(releases: Sequence[Release], mesh: str, revision: str) -> tuple[Release, ...]:
    """Records whose objects may still be in the cluster: the last deployed one and what came after.

    What is superseded holds nothing: another release of its revision took its place, or the revision
    was removed.
    """
    own = [each for each in releases if each.mesh == mesh and each.revision == revision]
    deployed = [place for place, each in enumerate(own) if each.status is Status.DEPLOYED]
    after = own[deployed[-1] if deployed else 0 :]
    return tuple(each for each in after if each.status is not Status.SUPERSEDED)


def standing(releases: Sequence[Release], mesh: str) -> tuple[Release, ...]:
    """The deployed release of each revision that runs, oldest first."""
    newest = {
        each.revision: each for each in releases if each.mesh == mesh and each.status is Status.DEPLOYED
    }
    return tuple(sorted(newest.values(), key=lambda each: each.generation))


def chosen(releases: Sequence[Release], mesh: str, revision: str | None) -> Release:
    """The deployed release of a revision.

    Args:
        releases: records, oldest first.
        mesh: whose.
        revision: empty or `default` for the unnamed one; None: the only one that runs.

    Raises:
        ConfigError: it does not run, or several do and none is named.
    """
    found = standing(releases, mesh)
    if not found:
        raise ConfigError(
            "not-installed",
            f"no release of mesh {mesh!r} is deployed here",
            hint="`meshctl install` installs one, or finishes one that was stopped; "
            "`meshctl history` shows the records",
        )
    names = listed(each.revision or DEFAULT for each in found)
    if revision is None:
        if len(found) > 1:
            raise ConfigError(
                "several-revisions",
                f"{len(found)} revisions of mesh {mesh!r} run here",
                where=Where("--revision"),
                hint=f"choose one of {names}",
            )
        return found[0]
    wanted = "" if revision == DEFAULT else revision
    for each in found:
        if each.revision == wanted:
            return each
    raise ConfigError(
        "no-such-revision",
        f"revision {revision!r} of mesh {mesh!r} does not run here",
        where=Where("--revision"),
        hint=f"choose one of {names}",
    )
