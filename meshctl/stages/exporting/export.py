"""The forms a manifest can be delivered in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from meshctl.model.manifest import Manifest
from meshctl.model.objects import Object
from meshctl.stages.exporting.objects import KUSTOMIZATION, Files, files, folder, kustomization
from meshctl.stages.planning.kinds import DEFINITION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from meshctl.model.manifest import Part
    from meshctl.model.objects import Ref
    from meshctl.model.values import Tree


@dataclass(frozen=True, slots=True)
class Git:
    """The repository that an export is put into.

    Attributes:
        url: of the repository; empty where nothing asks.
        folder: path within it; empty is its root.
        branch: its branch.
        source: Flux's GitRepository that reads it already; empty: one of our own is to be made.
    """

    url: str = ""
    folder: str = ""
    branch: str = "main"
    source: str = ""

    def path(self, below: str = "") -> str:
        """A folder of the export, as a path within the repository that begins with `./`."""
        return "/".join(each for each in (".", self.folder.strip("/"), below) if each)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the export of one cluster will be found by what delivers it.

    Attributes:
        name: of the mesh, and of the objects that deliver it.
        namespace: the mesh's own.
        version: Istio's, `1.32.0`.
        git: the repository, and the folder of this cluster in it.
    """

    name: str
    namespace: str
    version: str
    git: Git = Git()


def plain(manifest: Manifest) -> Files:
    """A file an object, and a kustomization of all: `kubectl apply -k` sends it."""
    found: Files = {}
    for part in manifest.parts:
        found |= files(part)
    return {**found, KUSTOMIZATION: kustomization(found)}


def kustomize(manifest: Manifest, place: Place) -> Files:
    """A kustomization for each part, and one of all parts, to lay patches over."""
    found: Files = {}
    for part in manifest.parts:
        found |= _folder(part)
    return {**found, KUSTOMIZATION: kustomization(folder(part) for part in manifest.parts)}


def _folder(part: Part) -> Files:
    own = files(part)
    names = kustomization(path.removeprefix(f"{folder(part)}/") for path in own)
    return {**own, f"{folder(part)}/{KUSTOMIZATION}": names}


def changed(manifest: Manifest, change: Callable[[Part, Tree], Mapping[str, Any]]) -> Manifest:
    """A manifest whose objects `change` has made anew; the originals stay as they are."""
    parts = (
        replace(part, objects=tuple(Object(change(part, dict(each.content))) for each in part.objects))
        for part in manifest.parts
    )
    return Manifest(tuple(parts), manifest.warnings)


def annotated(content: Tree, marks: Mapping[str, str]) -> Tree:
    """An object with further annotations."""
    if not marks:
        return content
    meta = content["metadata"]
    return {**content, "metadata": {**meta, "annotations": {**(meta.get("annotations") or {}), **marks}}}


def yielded(part: Part) -> Iterator[tuple[Ref, str]]:
    """Fields of a part's objects that a controller takes over, as the object's name and a path.

    Replicas belong to an autoscaler only where there is one.
    """
    kinds = {each.ref.kind for each in part.objects}
    for kind, path in part.yields:
        if path != "spec.replicas" or "HorizontalPodAutoscaler" in kinds:
            yield from ((each.ref, path) for each in part.objects if each.ref.kind == kind)


def is_definition(content: Mapping[str, Any]) -> bool:
    """Whether an object is a definition, whose removal would take everybody's resources with it."""
    return bool(content["kind"] == DEFINITION)
