"""From the text of a backup to objects that know their lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, ProblemsError, Where
from meshctl.model.objects import Object
from meshctl.stages.applying.saving import clean
from meshctl.stages.restoring.backup import SETTINGS, is_kept
from meshctl.stages.validating.reading import read as read_objects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.stages.validating.reading import Found
    from meshctl.stages.validating.sources import Source

_CLUSTER_WIDE = frozenset({"Namespace", "GatewayClass"})


@dataclass(frozen=True)
class Saved:
    """An object of a backup, without what only a server writes; `where` is its place in the file."""

    object: Object
    where: Where


@dataclass(frozen=True)
class Backup:
    """A backup, read. `settings` are IstioOperators, one for each control plane."""

    objects: tuple[Saved, ...]
    settings: tuple[Mapping[str, Any], ...] = ()


def read(source: Source) -> Backup:
    """Read a backup, or any YAML or JSON with mesh resources.

    Raises:
        ConfigError: one thing is wrong with it; says the line.
        ProblemsError: several are; all are told.
    """
    told = read_objects(source)
    problems = list(told.problems)
    objects: dict[tuple[str, str, str, str], Saved] = {}
    settings = []
    for found in told.found:
        if (found.content["apiVersion"], found.content["kind"]) == SETTINGS:
            settings.append(found.content)
            continue
        if problem := _problem(found):
            problems.append(problem)
            continue
        saved = Saved(Object(clean(Object(found.content))), found.origin.where(()))
        ref = saved.object.ref
        key = (ref.group, ref.kind, ref.namespace, ref.name)
        if key in objects:
            first = objects[key].where
            what = f"{ref} is here a second time; the first is in line {first.line}"
            problems.append(ConfigError("object-twice", what, where=saved.where, hint="remove one of them"))
        objects.setdefault(key, saved)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise ProblemsError(problems)
    return Backup(tuple(objects.values()), tuple(settings))


def _problem(found: Found) -> ConfigError | None:
    """What keeps an object from being put back; None when nothing does."""
    meta = found.content.get("metadata") or {}
    kind, name, namespace = found.content["kind"], meta.get("name"), meta.get("namespace", "")
    if not isinstance(name, str) or not name:
        what = f"this {kind} has no name" if not name else "the name of an object is text"
        where = found.origin.where(("metadata", "name"))
        return ConfigError("not-an-object", what, where=where, hint="say it as metadata.name")
    for key in ("labels", "annotations"):
        if not isinstance(meta.get(key, {}), dict):
            where = found.origin.where(("metadata", key))
            return ConfigError("not-an-object", f"{key} of {kind} {name} are no map", where=where)
    if not isinstance(namespace, str) or (not namespace and kind not in _CLUSTER_WIDE):
        where = found.origin.where(("metadata", "namespace"))
        hint = "say it as metadata.namespace: where kubectl would put it is nobody's to guess"
        return ConfigError("no-namespace", f"{kind} {name} names no namespace", where=where, hint=hint)
    ref = Object(found.content).ref
    if not is_kept(ref):
        hint = "`kubectl apply` sends what is no resource of the mesh"
        what = f"{ref} of {ref.api_version} is nothing that a backup of a mesh holds"
        return ConfigError("not-a-mesh-resource", what, where=found.origin.where(("kind",)), hint=hint)
    return None
