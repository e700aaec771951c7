"""From files and flags to overlays, each of whose leaves knows its place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, ProblemsError, Where, listed
from meshctl.model.mesh import Cluster, Inputs, Layer, Mesh, Overlay
from meshctl.model.values import merge, merged, put
from meshctl.stages.settings import catalogue, operator, setpath
from meshctl.stages.settings.document import document
from meshctl.stages.settings.schema import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from meshctl.model.values import Tree, Version


@dataclass(frozen=True)
class Loaded:
    """What was asked for, checked, and not yet settled for a cluster.

    Attributes:
        mesh: the mesh and its clusters.
        version: Istio's version.
        profile: name of the profile.
        overlays: component defaults, version, profiles, files and settings, lowest first.
    """

    mesh: Mesh
    version: Version
    profile: str
    overlays: tuple[Overlay, ...]


def load(inputs: Inputs, *, stdin: str = "") -> Loaded:
    """Read and check everything the user gave.

    Args:
        inputs: what the command line says.
        stdin: standard input, for a file named `-`.

    Raises:
        ConfigError: one thing is wrong.
        ProblemsError: several things are; all are told.
        UnsupportedError: a version that the catalogue does not hold.
    """
    problems: list[ConfigError] = []
    files = [each for name in inputs.files if (each := _gather(problems, lambda: _file(name, stdin)))]  # noqa: B023 - called at once
    wishes = [each for said in inputs.sets if (each := _gather(problems, lambda: setpath.setting(said)))]  # noqa: B023 - as above
    flags = _flags(inputs)
    name, where = _profile(inputs, files, wishes)
    chain = _gather(problems, lambda: catalogue.profile(name, where)) or catalogue.profile("default")
    version, of_version, changes = catalogue.version(inputs.version)
    lower = [each.overlay for each in catalogue.components().values()]
    lower += [*of_version, *(each.overlay for each in chain)]
    users = list(files)
    below = merged(lower)
    for wish in wishes:
        laid = _gather(problems, lambda: setpath.overlay(wish, merged(users), below, schema()))  # noqa: B023 - as above
        if laid:
            users.append(laid)
    users += flags
    for each in users:
        problems += operator.problems(each)
    _end(problems)
    users = [operator.translated(each) for each in users]
    lower += _chosen_by_values(merged(users), chain, changes)
    mesh = Mesh(inputs.mesh, (Cluster(inputs.cluster, inputs.context),))
    return Loaded(mesh, version, name, (*lower, *users))


def _gather(problems: list[ConfigError], work: Callable[[], Any]) -> Any:
    """What `work` gives, or None when it finds a problem, which is kept."""
    try:
        return work()
    except ProblemsError as several:
        problems += several.problems
    except ConfigError as problem:
        problems.append(problem)
    return None


def _end(problems: list[ConfigError]) -> None:
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise ProblemsError(problems)


def _file(name: str, stdin: str) -> Overlay:
    if name == "-":
        return operator.overlay(document(stdin, "<stdin>"))
    try:
        text = Path(name).read_text("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise ConfigError(
            "bad-yaml", "the file is not UTF-8 text", where=Where(name), hint="save it as UTF-8"
        ) from fault
    except OSError as fault:
        raise ConfigError(
            "no-such-file",
            f"cannot read the file: {(fault.strerror or str(fault)).lower()}",
            where=Where(name),
            hint="check the path given to -f",
        ) from fault
    return operator.overlay(document(text, name))


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


def _profile(
    inputs: Inputs, files: Iterable[Overlay], wishes: Iterable[setpath.Setting]
) -> tuple[str, Where | None]:
    """The profile asked for and where: the last --set, else the flag, else the last file that names one."""
    for wish in reversed(list(wishes)):
        if wish.steps == ("profile",):
            return wish.text, wish.where
    if inputs.profile is not None:
        return inputs.profile, Where("--profile")
    for each in reversed(list(files)):
        if isinstance(each.tree.get("profile"), str) and each.tree["profile"]:
            return each.tree["profile"], each.where(("profile",))
    return "default", None


def _chosen_by_values(
    user: Tree, chain: tuple[catalogue.Profile, ...], changes: Mapping[str, Any]
) -> list[Overlay]:
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
        found.append(_compatibility(str(wanted), changes))
    return found


def _compatibility(wanted: str, changes: Mapping[str, Any]) -> Overlay:
    if wanted not in changes:
        raise ConfigError(
            "unknown-compatibility-version",
            f"unknown compatibility version {wanted!r}",
            where=Where("compatibilityVersion"),
            hint=f"choose one of {listed(sorted(changes))}",
        )
    since = [tree for minor, tree in changes.items() if _number(minor) >= _number(wanted)]
    tree: Tree = {}
    for each in since:
        tree = merge(tree, put(("values",), each))
    return Overlay(Layer.PROFILE, f"compatibilityVersion {wanted}", tree, name=wanted)


def _number(minor: str) -> tuple[int, ...]:
    return tuple(int(part) for part in minor.split("."))
