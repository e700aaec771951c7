"""An install keeps to the version and the revision that are there, and says what it drops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, ConflictError, Where, listed
from meshctl.model.mesh import Layer, dotted
from meshctl.model.tag import DEFAULT
from meshctl.model.values import is_missing, look, merged
from meshctl.stages.planning.records import CUT_SHORT, standing
from meshctl.stages.settings.versions import number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meshctl.model.mesh import Path
    from meshctl.model.release import Release
    from meshctl.model.values import Values
    from meshctl.stages.settings.load import Loaded

MOST_SHOWN = 5
"""Settings named one by one that are not asked for any more."""


def kept(asked: Loaded, releases: Sequence[Release]) -> tuple[str, str]:
    """The version and the revision that are there, to load the input with again; empty where it says its own.

    Args:
        asked: what was given, for one cluster.
        releases: the cluster's records of this mesh.

    Raises:
        ConfigError: several revisions run, none of them the unnamed one, and none is named.
    """
    versions = {each.revision: each.version for each in standing(releases, asked.mesh.name)}
    return followed(asked, versions, f"choose one of {listed(versions)}, or a new one")


def followed(asked: Loaded, versions: Mapping[str, str], hint: str) -> tuple[str, str]:
    """The version and the revision of one of the control planes there; empty where the input says its own.

    Args:
        asked: what was given, for one cluster.
        versions: of the control planes there, by their revision, empty for the unnamed one.
        hint: what to do where the choice is not clear.

    Raises:
        ConfigError: there are several, none of them the unnamed one, and none is named.
    """
    said = said_revision(asked)
    revision = said or ""
    if said is None and versions and revision not in versions:
        if len(versions) > 1:
            raise ConfigError(
                "several-revisions",
                f"{len(versions)} revisions of mesh {asked.mesh.name!r} run here",
                where=Where("--revision"),
                hint=hint,
            )
        [revision] = versions
    version = versions.get("" if revision == DEFAULT else revision, "")
    keeps = asked.wanted.removeprefix("v") in ("", ".".join(version.split(".")[:2]))
    return version if keeps else "", revision if said is None else ""


def said_revision(asked: Loaded) -> str | None:
    """The revision that the input names, empty for the unnamed one; None where it names none."""
    share = asked.share(asked.mesh.clusters[0])
    tree = merged(each for each in share.overlays if each.layer >= Layer.FILE)
    said = look(tree, ("values", "revision"))
    return None if is_missing(said) or said is None else str(said)


def require_same_version(values: Values, releases: Sequence[Release]) -> None:
    """Refuse an install that would change the version of a control plane.

    Args:
        values: what is asked for.
        releases: the cluster's records of this mesh, oldest first.

    Raises:
        ConfigError: another version of this revision is deployed.
        ConflictError: an upgrade of it was stopped part-way, or failed and was not undone.
    """
    mesh, revision, wanted = values.mesh.name, values.revision, values.version.full
    there = next((each for each in standing(releases, mesh) if each.revision == revision), None)
    if there is None:
        return
    own = [each for each in releases if each.mesh == mesh and each.revision == revision]
    what = f"revision {revision or DEFAULT!r} of mesh {mesh!r}"
    last = own[-1]
    if last.status in CUT_SHORT and last.version != there.version:
        raise ConflictError(
            "upgrade-unfinished",
            f"{what} was on its way from {there.version} to {last.version}, which is {last.status}",
            hint=f"`meshctl upgrade --to {last.version} --strategy in-place` goes on, "
            f"`meshctl rollback --to {there.generation}` goes back",
        )
    if wanted == there.version:
        return
    hint = f"`meshctl upgrade --to {wanted}` changes it"
    if number(wanted) < number(there.version):
        earlier = [each.generation for each in own if each.version == wanted]
        hint = f"`meshctl rollback --to {earlier[-1]}` goes back to it" if earlier else _NO_WAY_BACK
    raise ConfigError(
        "other-version",
        f"{what} is Istio {there.version}, and an install does not make it {wanted}",
        where=Where("--istio-version"),
        hint=hint,
    )


_NO_WAY_BACK = "no release of that version is recorded; a second control plane may have it: --revision NAME"


def forgone(values: Values, releases: Sequence[Release]) -> str:
    """What the deployed release was told and this input does not say; empty when there is nothing.

    Args:
        values: what is asked for.
        releases: the cluster's records of this mesh.
    """
    found = [each for each in standing(releases, values.mesh.name) if each.revision == values.revision]
    if not found:
        return ""
    [former] = found
    names = [f"profile {former.profile}"] if former.profile != values.profile else []
    now = values.own()
    for group in ("components", "values"):
        names += [
            dotted(path) for path in _leaves(former.values.get(group) or {}, (group,)) if _is_gone(path, now)
        ]
    if not names:
        return ""
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    return (
        f"release {former.generation} had settings that are not asked for any more: "
        f"{listed(names[:MOST_SHOWN])}{more}; give them again to keep them"
    )


def _leaves(tree: Mapping[str, Any], path: Path) -> Iterator[Path]:
    for key, below in sorted(tree.items()):
        if isinstance(below, dict) and below:
            yield from _leaves(below, (*path, key))
        else:
            yield (*path, key)


def _is_gone(path: Path, now: Mapping[str, Any]) -> bool:
    return path != ("values", "revision") and is_missing(look(now, path))
