"""Which overlays a cluster is settled from: of components, version and profiles, and the user's own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, ProblemsError, Where, listed
from meshctl.model.mesh import Inputs, Layer, Overlay
from meshctl.model.values import merged, put
from meshctl.stages.schema.schema import schema
from meshctl.stages.settings import availability, catalogue, operator, setpath, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meshctl.model.values import Tree, Version


@dataclass(frozen=True)
class Given:
    """What the user gave for one cluster, read.

    Attributes:
        inputs: what the command line says.
        wishes: its settings.
        files: overlays of files, lowest first.
        own: overlay of the cluster in a mesh.yaml; None without one.
        version: Istio's version.
        recorded: overlays of a release, settled when it was made; they stand below all others.
    """

    inputs: Inputs
    wishes: Sequence[setpath.Setting]
    files: Sequence[Overlay]
    own: Overlay | None
    version: Version
    recorded: Sequence[Overlay] = ()


def gather(problems: list[ConfigError], work: Callable[[], Any]) -> Any:
    """What `work` gives, or None when it finds a problem, which is kept."""
    try:
        return work()
    except ProblemsError as several:
        problems += several.problems
    except ConfigError as problem:
        problems.append(problem)
    return None


def layered(given: Given, problems: list[ConfigError]) -> tuple[str, tuple[Overlay, ...]]:
    """Name of the profile, and the overlays of one cluster, lowest first.

    Args:
        given: what the user gave.
        problems: what is wrong is added here; with any, the overlays are of no use. Files, which clusters
            have in common, are not checked again.
    """
    users = [*given.recorded, *given.files, *([given.own] if given.own else [])]
    name, where = _profile(given, users)
    chain = gather(problems, lambda: catalogue.profile(name, where)) or catalogue.profile("default")
    lower = [each.overlay for each in catalogue.components().values()]
    lower += [*versions.overlays(given.version), *(each.overlay for each in chain)]
    below = merged(lower) if given.wishes else {}
    for wish in given.wishes:
        laid = gather(problems, lambda: setpath.overlay(wish, merged(users), below, schema()))  # noqa: B023 - called at once
        if laid:
            users.append(laid)
    users += _flags(given.inputs)
    kept = len(given.recorded)
    for each in users[kept + len(given.files) :]:
        problems += faults(each, given.version)
    if problems:
        return name, ()
    users = [*given.recorded, *(operator.translated(each) for each in users[kept:])]
    told = merged(users)
    lower = [_unless_another(each, told) for each in lower]
    lower += gather(problems, lambda: _chosen_by_values(told, chain, given.version)) or ()
    return name, (*lower, *users)


def faults(overlay: Overlay, version: Version) -> list[ConfigError]:
    """What is wrong with an overlay of the user's."""
    return [*operator.problems(overlay), *availability.problems(overlay, version)]


def _flags(inputs: Inputs) -> list[Overlay]:
    """Flags that are values; they come last, as the most deliberate."""
    found = []
    for flag, value, key in (
        ("--revision", inputs.revision, "revision"),
        ("--namespace", inputs.namespace, "namespace"),
    ):
        if value is not None:
            found.append(Overlay(Layer.SET, flag, {key: value}))
    return found


def _profile(given: Given, users: Sequence[Overlay]) -> tuple[str, Where | None]:
    """The profile asked for and where: the last --set, else the flag, else the last file that names one.

    What a mesh.yaml says of one cluster is the last of `users`.
    """
    for wish in reversed(given.wishes):
        if wish.steps == ("profile",):
            return wish.text, wish.where
    if given.inputs.profile is not None:
        return given.inputs.profile, Where("--profile")
    for each in reversed(users):
        if isinstance(each.tree.get("profile"), str) and each.tree["profile"]:
            return each.tree["profile"], each.where(("profile",))
    return "default", None


def _unless_another(given: Overlay, user: Tree) -> Overlay:
    """A profile without its values, where the user's `values.profile` names another to take their place."""
    own = (given.tree.get("values") or {}).get("profile") if given.layer == Layer.PROFILE else None
    wanted = (user.get("values") or {}).get("profile")
    if own and wanted and own != wanted:
        return replace(given, tree={**given.tree, "values": {}})
    return given


def _chosen_by_values(user: Tree, chain: tuple[catalogue.Profile, ...], version: Version) -> list[Overlay]:
    """Overlays that the user's values name: `values.profile` and `compatibilityVersion`."""
    values = user.get("values") or {}
    found = []
    name = values.get("profile")
    if name and name not in [each.name for each in chain]:
        for each in catalogue.profile(name, Where("values.profile")):
            if each.name not in [known.name for known in chain]:
                tree = {"values": each.overlay.tree.get("values", {})}
                found.append(Overlay(Layer.PROFILE, each.overlay.origin, tree, each.overlay.lines, each.name))
    wanted = values.get("compatibilityVersion")
    if wanted:
        found.append(_compatibility(str(wanted), version))
    return found


def _compatibility(wanted: str, version: Version) -> Overlay:
    known = versions.compatibility(version)
    if wanted not in known:
        raise ConfigError(
            "unknown-compatibility-version",
            f"unknown compatibility version {wanted!r}",
            where=Where("compatibilityVersion"),
            hint=f"Istio {version.full} can behave as {listed(known)} did",
        )
    tree = put(("values",), known[wanted])
    return Overlay(Layer.PROFILE, f"compatibilityVersion {wanted}", tree, name=wanted)
