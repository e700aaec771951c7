"""From texts to the set of objects that analyzers look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.errors import ProblemsError
from meshctl.model.analysis import ObjectSet, Resource
from meshctl.model.objects import Object
from meshctl.stages.validating.reading import read

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshctl.stages.validating.sources import Source


def gather(sources: Iterable[Source], minor: str) -> ObjectSet:
    """Every Kubernetes object of the given texts.

    Args:
        sources: texts of files.
        minor: of the Istio that will read the objects.

    Raises:
        ProblemsError: texts that cannot be read, or are no objects; all are told.
    """
    told = [read(source) for source in sources]
    problems = [problem for each in told for problem in each.problems]
    if problems:
        raise ProblemsError(problems)
    resources = (
        Resource(Object({**found.content, "metadata": found.content.get("metadata") or {}}), found.origin)
        for each in told
        for found in each.found
    )
    return ObjectSet(tuple(resources), minor)
