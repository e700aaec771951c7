"""Settings of an install in files, an IstioOperator or a mesh.yaml, checked as an install checks them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.errors import ConfigError, UnsupportedError
from meshctl.stages.fleet import meshfile
from meshctl.stages.settings import operator, versions
from meshctl.stages.settings.document import Document
from meshctl.stages.settings.layering import faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.model.values import Version
    from meshctl.stages.validating.reading import Found

_OPERATOR = "IstioOperator"


def is_settings(found: Found) -> bool:
    """Whether an object holds settings of an install, or is meant to."""
    return found.content["kind"] == _OPERATOR or meshfile.is_mesh(_alone(found))


def settings_problems(told: tuple[Found, ...], version: Version) -> list[ConfigError]:
    """What an install would refuse in a file's settings.

    Args:
        told: objects of one file for which `is_settings` holds.
        version: Istio's version, where a mesh.yaml names none.
    """
    documents = [_alone(each) for each in told]
    meshes = tuple(each for each in documents if meshfile.is_mesh(each))
    problems: list[ConfigError] = []
    for each in documents:
        if not meshfile.is_mesh(each):
            problems += _of_operator(each, version)
    if meshes:
        problems += _of_meshes(meshes, version)
    return list(_once(problems))


def _alone(found: Found) -> Document:
    """An object as a document of its own, with the lines that it has in its file."""
    base = found.origin.base
    lines = {
        path[len(base) :]: line for path, line in found.document.lines.items() if path[: len(base)] == base
    }
    return Document(found.origin.file, dict(found.content), lines)


def _of_operator(told: Document, version: Version) -> list[ConfigError]:
    try:
        return faults(operator.overlay(told), version)
    except ConfigError as problem:
        return [problem]


def _of_meshes(told: tuple[Document, ...], version: Version) -> Iterator[ConfigError]:
    declared, problems = meshfile.read(told)
    yield from problems
    for mesh in declared:
        try:
            asked = versions.version(mesh.version) if mesh.version else version
        except UnsupportedError as fault:
            yield ConfigError(fault.code, fault.message, where=fault.where, hint=fault.hint)
            continue
        for overlay in (mesh.common, *mesh.own.values()):
            yield from faults(overlay, asked)


def _once(problems: list[ConfigError]) -> Iterator[ConfigError]:
    """Each problem once: what a cluster inherits is wrong in every cluster that does."""
    seen = set()
    for each in problems:
        mark = (each.code, each.message, each.where)
        if mark not in seen:
            seen.add(mark)
            yield each
