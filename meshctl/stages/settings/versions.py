"""Istio's minors, as `profiles/versions/` tells them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from meshctl.errors import InternalError, UnsupportedError, Where, listed
from meshctl.model.mesh import Layer, Overlay
from meshctl.model.values import Version, merge, put
from meshctl.registry import data
from meshctl.stages.settings.document import document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from semver import Version as Number

    from meshctl.model.values import Tree
    from meshctl.stages.settings.document import Document

_TAG = ("values", "global", "tag")


def versions() -> tuple[str, ...]:
    """Every minor of the catalogue, newest last."""
    minors = (each.stem for each in data("profiles").glob("versions/*.yaml"))
    return tuple(sorted(minors, key=_order))


def is_default(minor: str) -> bool:
    """Whether a minor is the one taken when none is asked for."""
    return bool(_told(minor).data.get("default"))


@cache
def default_version() -> str:
    """The minor taken when none is asked for."""
    for minor in reversed(versions()):
        if is_default(minor):
            return minor
    raise InternalError("no-default-version", "no version of the catalogue is the default")


def version(wanted: str | None) -> Version:
    """What the catalogue knows of a version.

    Args:
        wanted: a minor `1.32` or a full version `1.32.1`; None is the catalogue's default.

    Raises:
        UnsupportedError: it is no version, or the catalogue does not hold it.
    """
    minor, patch = _asked(wanted)
    facts = _told(minor).data
    return Version(
        minor,
        patch or str(facts["images"]["tag"]),
        facts["kubernetes"],
        tuple(facts.get("upgradesFrom", ())),
        str(facts["crds"]),
        frozenset(name for each in _chain(minor) for name, on in each.data.get("features", {}).items() if on),
        str(facts["oldestProxy"]),
    )


def number(full: str) -> Number:
    """A full version as something that orders: 1.30.9 < 1.30.10, 1.31.0-rc.1 < 1.31.0."""
    from semver import Version as Number  # slow to import, and most commands compare none

    return Number.parse(full)


def overlays(of: Version) -> tuple[Overlay, ...]:
    """The values that come with a version, lowest first: the tag of its images, then its own."""
    newest = _told(of.minor)
    found = [
        Overlay(
            Layer.VERSION,
            newest.file,
            put(_TAG, of.full),
            {_TAG: newest.lines["images", "tag"]},
            of.minor,
        )
    ]
    for each in _chain(of.minor):
        lines = {path: line for path, line in each.lines.items() if path[:1] == ("values",)}
        tree = {"values": each.data.get("values", {})}
        found.append(Overlay(Layer.VERSION, each.file, tree, lines, of.minor))
    return tuple(found)


def compatibility(of: Version) -> Mapping[str, Tree]:
    """Older minors, each with the values that make this version behave by default as it did.

    A file tells what changed after a minor; taking that back for an older one takes back the newer
    changes too, but for those that the file sets to null there.
    """
    changes: Tree = {}
    for each in _chain(of.minor):
        changes = merge(changes, each.data.get("compatibility", {}))
    found: dict[str, Tree] = {}
    sofar: Tree = {}
    for minor in sorted(changes, key=_order, reverse=True):
        sofar = merge(sofar, changes[minor])
        found[minor] = _without_null(sofar)
    return found


def released(minor: str) -> str:
    """The day on which upstream released a minor, as `2026-05-18`; empty where that is not known."""
    return str(_told(minor).data.get("released", "")) if minor in versions() else ""


def changes(of: Version) -> tuple[tuple[str, Tree], ...]:
    """What a mesh with certain settings will notice, with the minor that brought it, oldest first.

    Each is told as in `profiles/versions/`: `given`, `where`, `what`, `hint`, `matters`.
    """
    told = ((minor, _told(minor).data.get("changes", ())) for minor in _minors(of.minor))
    return tuple((minor, each) for minor, several in told for each in several)


def _minors(minor: str) -> tuple[str, ...]:
    """A minor and those it extends, oldest first."""
    found = [minor]
    while before := _told(found[-1]).data.get("extends", ""):
        found.append(before)
    return tuple(reversed(found))


def _asked(wanted: str | None) -> tuple[str, str]:
    """Minor and full version of what the user wrote; the full one is empty where only a minor is named."""
    known = versions()
    if wanted is None:
        return default_version(), ""
    text = wanted.removeprefix("v")
    minor = ".".join(text.split(".")[:2])
    if minor not in known:
        hint = f"choose one of {listed(known)}"
        raise _unsupported(f"Istio {wanted} is not in the catalogue", hint)
    if text == minor:
        return minor, ""
    from semver import Version as Number  # slow to import, and few name a patch

    if not Number.is_valid(text):
        hint = f"write it as {minor}, or as in {_told(minor).data['images']['tag']}"
        raise _unsupported(f"{wanted!r} is not a version", hint)
    return minor, text


def _unsupported(problem: str, hint: str) -> UnsupportedError:
    return UnsupportedError("unknown-version", problem, where=Where("--istio-version"), hint=hint)


def _chain(minor: str) -> list[Document]:
    """The file of a minor and those it extends, lowest first."""
    return [_told(each) for each in _minors(minor)]


@cache
def _told(minor: str) -> Document:
    name = f"versions/{minor}.yaml"
    return document((data("profiles") / name).read_text("utf-8"), f"profiles/{name}")


def _order(minor: str) -> tuple[int, ...]:
    return tuple(map(int, minor.split(".")))


def _without_null(tree: Tree) -> Tree:
    kept: dict[str, Any] = {}
    for key, value in tree.items():
        if value is not None:
            kept[key] = _without_null(value) if isinstance(value, dict) else value
    return kept
