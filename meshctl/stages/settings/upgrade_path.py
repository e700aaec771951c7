"""What a way from one Istio to another means for a mesh with these settings, as the version data tells."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from meshctl.model.mesh import dotted
from meshctl.model.upgrade_path import NewBehaviour, UpgradePath, numbers
from meshctl.model.values import is_missing, look, steps
from meshctl.stages.settings import versions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.model.mesh import Path
    from meshctl.model.release import Release
    from meshctl.model.values import Values

_SUPPORT: Final = timedelta(weeks=6)
"""How long upstream goes on with a minor once the second one after it is there."""


def upgrade_path(source: Release, target: Values, today: date) -> UpgradePath:
    """From the Istio of a release to that of settled values.

    Args:
        source: the release that is left.
        target: the mesh's settings, settled for the version to reach.
        today: the day.
    """
    return UpgradePath(
        source.version,
        target.version,
        today,
        is_beside=source.revision != target.revision,
        behaviours=(*_changes(source, target), *_defaults(source, target)),
        supported_until=supported_until(),
    )


def supported_until() -> Mapping[str, date]:
    """The last day of upstream's support, by minor, as far as it is settled: two minors later."""
    found = {}
    for minor in versions.versions():
        if day := versions.released(minor):
            major, number = numbers(minor)
            found[f"{major}.{number - 2}"] = date.fromisoformat(day) + _SUPPORT
    return found


def _changes(source: Release, target: Values) -> Iterator[NewBehaviour]:
    own = target.own()
    for minor, told in versions.changes(target.version):
        if not _is_later(minor, source.version):
            continue
        given = [steps(path) for path in told.get("given", ())]
        where = {steps(path): value for path, value in told.get("where", {}).items()}
        if all(not is_missing(look(own, path)) for path in given) and all(
            look(target.spec, path) == value for path, value in where.items()
        ):
            setting = dotted((given or list(where))[0])
            yield NewBehaviour(minor, setting, told["what"], told["hint"], told.get("matters", False))


def _defaults(source: Release, target: Values) -> Iterator[NewBehaviour]:
    """Defaults that are others than in the minor that is left, where the user leaves them to Istio."""
    before = ".".join(map(str, numbers(source.version)))
    kept = versions.compatibility(target.version).get(before, {})
    if target.at("compatibilityVersion"):
        return  # the user has said which defaults it shall be
    own = target.own()
    for path, value in sorted(_leaves(kept, ())):
        if is_missing(look(own, ("values", *path))):
            flag = f"--set values.{dotted(path)}={str(value).lower() if isinstance(value, bool) else value}"
            yield NewBehaviour(
                before,
                f"values.{dotted(path)}",
                f"its default is no longer the one of Istio {before}",
                f"{flag} keeps that; so does --set compatibilityVersion={before} for all of them",
            )


def _leaves(tree: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _is_later(minor: str, than: str) -> bool:
    return numbers(minor) > numbers(than)
