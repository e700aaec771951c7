"""The settings of an installed release as input again: for another version, or with a setting more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, UnsupportedError, Where
from meshctl.model.mesh import Cluster, Inputs, Layer, Mesh, Overlay, dotted
from meshctl.model.release import Asked
from meshctl.model.values import is_missing, look
from meshctl.stages.settings import availability, catalogue, operator, setpath, versions
from meshctl.stages.settings.layering import Given, gather, layered
from meshctl.stages.settings.load import Loaded, Share, end

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from meshctl.model.mesh import Path
    from meshctl.model.release import Release
    from meshctl.model.values import Version

_VARIANTS = ("", "-debug", "-distroless")
"""What upstream adds to a version in the tags of its images."""


def asked_of(loaded: Loaded, cluster: Cluster) -> Asked:
    """What a release of one cluster is recorded to be made from.

    The kubeconfig's context is left out: whoever upgrades may call it otherwise.
    """
    share = loaded.share(cluster)
    if loaded.is_fleet:
        clusters = tuple(replace(each, context="") for each in share.mesh.clusters)
    else:
        clusters = (replace(cluster, context=""),)
    own = tuple((each.layer, each.tree) for each in share.overlays if each.layer >= Layer.FILE)
    return Asked(replace(share.mesh, clusters=clusters), own)


def recorded(
    release: Release,
    *,
    version: str | None = None,
    revision: str | None = None,
    sets: Sequence[str] = (),
) -> Loaded:
    """What a release was made from: the user's own settings, its profile and its place in the mesh.

    With the release's own version and revision and nothing set, it renders to the release's manifest.

    Args:
        release: of the cluster that is asked for.
        version: Istio's minor or full version; None is the release's.
        revision: control-plane revision; None is the release's, empty the unnamed one.
        sets: `path=value` strings that are laid on top, lowest first.

    Raises:
        ConfigError: a setting does not fit the version, the images' tag is pinned to another one, or
            something is wrong with `sets`.
        ProblemsError: several such things; all are told.
        UnsupportedError: a version that the catalogue does not hold.
    """
    asked = release.asked or Asked(
        Mesh(release.mesh, (Cluster(release.cluster),)), ((Layer.SET, release.values),)
    )
    origin = f"release {release.generation}"
    target = _version(release, version, Where(origin))
    problems: list[ConfigError] = []
    wishes = [each for said in sets if (each := gather(problems, lambda: setpath.setting(said)))]  # noqa: B023 - called at once
    own = [Overlay(layer, origin, tree) for layer, tree in asked.settings]
    if revision not in (None, release.revision):
        own = [_without_revision(each) for each in own]
    if target.full != release.version:
        own = [_retagged(each, release.version, target.full) for each in own]
    problems += [fault for each in own for fault in availability.problems(each, target)]
    if not any(wish.steps == ("profile",) for wish in wishes):
        catalogue.profile(release.profile, Where(origin))
    inputs = Inputs(profile=release.profile, revision=revision or None)
    profile, laid = layered(Given(inputs, wishes, (), None, target, own), problems)
    if target.full != release.version:
        problems += _pinned(
            own, [each for each in laid if each.layer is Layer.SET and each.origin != origin], target
        )
    end(problems)
    is_fleet = bool(asked.mesh.identifier)
    cluster = asked.mesh.cluster(release.cluster) or asked.mesh.clusters[0]
    share = Share(asked.mesh, profile, laid, Where(origin) if is_fleet else None)
    return Loaded(replace(asked.mesh, clusters=(cluster,)), target, {cluster.name: share}, is_fleet)


def named(loaded: Loaded, revision: str) -> Loaded:
    """What was asked for, as the control plane of a revision; empty is the unnamed one."""
    flag = (
        (operator.translated(Overlay(Layer.SET, "--revision", {"revision": revision})),) if revision else ()
    )
    shares = {
        name: replace(each, overlays=(*map(_without_revision, each.overlays), *flag))
        for name, each in loaded.shares.items()
    }
    return replace(loaded, shares=shares)


def _without_revision(given: Overlay) -> Overlay:
    """An overlay of the user's that names no revision: an empty one would be recorded as said."""
    tree = given.tree
    for path in (("revision",), ("values", "revision")):
        if given.layer >= Layer.FILE and not is_missing(look(tree, path)):
            tree = availability.without(tree, path)
    return replace(given, tree=tree)


def _version(release: Release, wanted: str | None, where: Where) -> Version:
    try:
        return versions.version(wanted or release.version)
    except UnsupportedError as fault:
        if wanted is None:
            fault.where = where
        raise


# Tags of images that name a version.


def _retagged(given: Overlay, before: str, after: str) -> Overlay:
    """An overlay whose tags of upstream's images are those of another version."""
    tree: Any = given.tree
    for path, tag in _tags(given.tree):
        if tag.startswith(before) and tag.removeprefix(before) in _VARIANTS:
            tree = _with(tree, path, after + tag.removeprefix(before))
    return replace(given, tree=tree)


def _pinned(own: Sequence[Overlay], over: Sequence[Overlay], target: Version) -> Iterator[ConfigError]:
    """The tags of the user's own images, which would stay what they are in another version."""
    last = {path: (tag, each) for each in own for path, tag in _tags(each.tree)}
    for path, (tag, each) in last.items():
        is_ours = any(tag == target.full + variant for variant in _VARIANTS)
        if path == ("tag",) or is_ours or any(not is_missing(look(one.tree, path)) for one in over):
            continue
        yield ConfigError(
            "pinned-tag",
            f"{dotted(path)} is {tag!r}, which is no image of Istio {target.full}",
            where=each.where(path),
            hint=f"say the tag that is: --set {dotted(path)}=TAG; {tag} again where it always has the newest",
        )


def _tags(tree: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """Every tag of images in a tree of settings: of the mesh, of a component, of a gateway."""
    places: list[Path] = [()]
    for group in ("components", "values"):
        for name, below in (tree.get(group) or {}).items():
            places.append((group, name))
            if isinstance(below, list):
                places += [(group, name, index) for index in range(len(below))]
    for place in places:
        tag = look(tree, (*place, "tag"))
        if isinstance(tag, (str, int, float)) and str(tag):
            yield (*place, "tag"), str(tag)


def _with(tree: Any, path: Path, value: Any) -> Any:
    """A tree with another value at a place that it has."""
    if not path:
        return value
    head, *rest = path
    if isinstance(tree, list):
        return [_with(each, tuple(rest), value) if at == head else each for at, each in enumerate(tree)]
    return {**tree, head: _with(tree[head], tuple(rest), value)}
