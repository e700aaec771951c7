"""Every cluster of a mesh, rendered one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.errors import ConfigError, ProblemsError
from meshctl.stages.rendering.render import render
from meshctl.stages.settings.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meshctl.model.manifest import Manifest
    from meshctl.model.values import Values
    from meshctl.stages.settings.load import Loaded


def settled(asked: Sequence[Loaded]) -> list[Values]:
    """Values of every cluster of these meshes that is asked for, without looking at one.

    Raises:
        ConfigError: they cannot be settled for one cluster.
        ProblemsError: or for several; what is wrong is told of all.
    """
    found: list[Values] = []
    problems: list[ConfigError] = []
    for mesh in asked:
        for cluster in mesh.mesh.clusters:
            try:
                found.append(resolve(mesh, cluster))
            except ProblemsError as several:
                problems += several.problems
            except ConfigError as problem:
                problems.append(problem)
    if problems:
        raise problems[0] if len(problems) == 1 else ProblemsError(problems)
    return found


def rendered(asked: Sequence[Loaded], *, install: bool = False) -> Iterator[tuple[Values, Manifest]]:
    """Every cluster that is asked for, settled and as its manifest, which is made when it is wanted.

    Args:
        asked: meshes, as loaded.
        install: also make what only an install makes; see `render`.

    Raises:
        ConfigError: before the first manifest, where values cannot be settled; see `settled`. Later only
            for a change to an object that does not fit the object.
    """
    for values in settled(asked):
        yield values, render(values, install=install)
