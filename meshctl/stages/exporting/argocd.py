"""An Application of Argo CD, or an ApplicationSet for a fleet, with the folders they deliver.

Source: https://argo-cd.readthedocs.io/en/stable/user-guide/ (sync waves, sync options, diffing) and
.../operator-manual/applicationset/ (git generator, progressive syncs).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshctl.stages.exporting.export import annotated, changed, is_definition, plain, yielded
from meshctl.stages.rendering.emit import block, dump

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meshctl.model.manifest import Manifest, Part
    from meshctl.model.values import Tree, Values
    from meshctl.stages.exporting.export import Git, Place
    from meshctl.stages.exporting.objects import Files

MEMBER = "mesh-cluster.yaml"
"""What an ApplicationSet reads of a cluster: names no other file, as globs may reach further than meant."""

_WAVE = "argocd.argoproj.io/sync-wave"
_OPTIONS = "argocd.argoproj.io/sync-options"
_FLEET_WAVE = "meshctl.dev/wave"
_HERE = {"server": "https://kubernetes.default.svc"}


@dataclass(frozen=True)
class Member:
    """A cluster of a fleet, as Argo CD delivers it.

    Attributes:
        mesh: its mesh.
        wave: turn within the mesh, from 0: clusters that an istiod elsewhere serves come after it.
        left_alone: `ignoreDifferences` of its objects.
    """

    mesh: str
    wave: int
    left_alone: tuple[Mapping[str, Any], ...]


def argocd(manifest: Manifest, place: Place) -> Files:
    """`application.yaml` to apply beside Argo CD, and `objects/` for the repository it reads."""
    spec = _spec(place.git, place.git.path("objects").removeprefix("./"), _left_alone(manifest))
    application = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": place.name, "namespace": "argocd"},
        "spec": {**spec, "destination": {**_HERE, "namespace": place.namespace}},
    }
    return {"application.yaml": dump([application]), **_objects(manifest)}


def member(values: Values, manifest: Manifest) -> tuple[Member, Files]:
    """One cluster of a fleet: the files of its folder, and what its mesh's ApplicationSet must know."""
    cluster, mesh = values.cluster, values.mesh
    wave = 1 if cluster.control_plane else 0
    told = {"mesh": mesh.name, "cluster": cluster.name, "namespace": values.namespace, "wave": str(wave)}
    return Member(mesh.name, wave, tuple(_left_alone(manifest))), {MEMBER: block(told), **_objects(manifest)}


def application_sets(members: Sequence[Member], git: Git) -> Files:
    """`applicationset.yaml` to apply beside Argo CD: one for each mesh, an Application for each cluster.

    It reads the clusters from the repository: a cluster that joins later needs nothing to be applied.
    """
    meshes = list(dict.fromkeys(each.mesh for each in members))
    sets = [_application_set(mesh, [each for each in members if each.mesh == mesh], git) for mesh in meshes]
    return {"applicationset.yaml": dump(sets)}


def _application_set(mesh: str, members: Sequence[Member], git: Git) -> Tree:
    files = [{"path": f"{git.path('*').removeprefix('./')}/{MEMBER}"}]
    generator = {"repoURL": git.url, "revision": git.branch, "files": files}
    waves = sorted({each.wave for each in members})
    left_alone = _union([each for one in members for each in one.left_alone])
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "ApplicationSet",
        "metadata": {"name": mesh, "namespace": "argocd"},
        "spec": {
            "goTemplate": True,
            "goTemplateOptions": ["missingkey=error"],
            "generators": [{"git": generator, "selector": {"matchLabels": {"mesh": mesh}}}],
            # A cluster that leaves the repository keeps what it has: its mesh goes by `meshctl uninstall`.
            "syncPolicy": {"preserveResourcesOnDeletion": True},
            **({"strategy": _strategy(waves)} if len(waves) > 1 else {}),
            "template": {
                "metadata": {"name": "{{.mesh}}-{{.cluster}}", "labels": {_FLEET_WAVE: "{{.wave}}"}},
                "spec": {
                    **_spec(git, "{{.path.path}}/objects", left_alone),
                    "destination": {"name": "{{.cluster}}", "namespace": "{{.namespace}}"},
                },
            },
        },
    }


def _strategy(waves: Sequence[int]) -> Tree:
    """One wave after the other; an Argo CD without progressive syncs overlooks it."""
    steps = [
        {"matchExpressions": [{"key": _FLEET_WAVE, "operator": "In", "values": [str(wave)]}]}
        for wave in waves
    ]
    return {"type": "RollingSync", "rollingSync": {"steps": steps}}


def _spec(git: Git, path: str, left_alone: Sequence[Mapping[str, Any]]) -> Tree:
    """What is the same in an Application and in the template of many; the destination is wanting."""
    return {
        "project": "default",
        "source": {"repoURL": git.url, "targetRevision": git.branch, "path": path},
        "ignoreDifferences": list(left_alone),
        "syncPolicy": {
            "automated": {"prune": True, "selfHeal": True},
            "syncOptions": ["ServerSideApply=true", "RespectIgnoreDifferences=true"],
        },
    }


def _objects(manifest: Manifest) -> Files:
    waves = _waves(manifest)

    def marked(part: Part, content: Tree) -> Tree:
        marks = {_WAVE: str(waves[part.name])}
        if is_definition(content):
            marks[_OPTIONS] = "Prune=false,Delete=false"  # removing one removes everybody's resources
        return annotated(content, marks)

    return {f"objects/{path}": text for path, text in plain(changed(manifest, marked)).items()}


def _waves(manifest: Manifest) -> dict[str, int]:
    """A number for each part, above those of the parts that it needs."""
    depth: dict[str, int] = {}
    for part in manifest.parts:  # those that others need come first
        below = [depth[each.name] for each in manifest.parts if each.component in part.needs]
        depth[part.name] = max((each + 1 for each in below), default=0)
    return depth


def _left_alone(manifest: Manifest) -> list[dict[str, Any]]:
    """Fields that controllers take over once they run, which Argo CD must not put back."""
    found = [
        {"group": ref.group, "kind": ref.kind, "jqPathExpressions": ["." + path.replace("[*]", "[]?")]}
        for part in manifest.parts
        for ref, path in yielded(part)
    ]
    return _union(found)


def _union(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One entry for each kind, with the paths of all."""
    kinds: dict[tuple[str, str], set[str]] = {}
    for each in found:
        kinds.setdefault((each["group"], each["kind"]), set()).update(each["jqPathExpressions"])
    return [
        {"group": group, "kind": kind, "jqPathExpressions": sorted(paths)}
        for (group, kind), paths in sorted(kinds.items())
    ]
