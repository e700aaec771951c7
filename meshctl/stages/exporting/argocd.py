"""An Application of Argo CD, with the folder it delivers.

Source: https://argo-cd.readthedocs.io/en/stable/user-guide/ (sync waves, sync options, diffing).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.stages.exporting.export import annotated, changed, is_definition, plain, yielded
from meshctl.stages.rendering.emit import dump

if TYPE_CHECKING:
    from meshctl.model.manifest import Manifest, Part
    from meshctl.model.values import Tree
    from meshctl.stages.exporting.export import Place
    from meshctl.stages.exporting.objects import Files

_WAVE = "argocd.argoproj.io/sync-wave"
_OPTIONS = "argocd.argoproj.io/sync-options"


def argocd(manifest: Manifest, place: Place) -> Files:
    """`application.yaml` to apply beside Argo CD, and `objects/` for the repository it reads."""
    waves = _waves(manifest)

    def marked(part: Part, content: Tree) -> Tree:
        marks = {_WAVE: str(waves[part.name])}
        if is_definition(content):
            marks[_OPTIONS] = "Prune=false,Delete=false"  # removing one removes everybody's resources
        return annotated(content, marks)

    found = {f"objects/{path}": text for path, text in plain(changed(manifest, marked)).items()}
    return {"application.yaml": dump([_application(manifest, place)]), **found}


def _waves(manifest: Manifest) -> dict[str, int]:
    """A number for each part, above those of the parts that it needs."""
    depth: dict[str, int] = {}
    for part in manifest.parts:  # those that others need come first
        below = [depth[each.name] for each in manifest.parts if each.component in part.needs]
        depth[part.name] = max((each + 1 for each in below), default=0)
    return depth


def _application(manifest: Manifest, place: Place) -> Tree:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": place.name, "namespace": "argocd"},
        "spec": {
            "project": "default",
            "source": {
                "repoURL": place.repository,
                "targetRevision": place.branch,
                "path": place.path("objects").removeprefix("./"),
            },
            "destination": {"server": "https://kubernetes.default.svc", "namespace": place.namespace},
            "ignoreDifferences": _left_alone(manifest),
            "syncPolicy": {
                "automated": {"prune": True, "selfHeal": True},
                "syncOptions": ["ServerSideApply=true", "RespectIgnoreDifferences=true"],
            },
        },
    }


def _left_alone(manifest: Manifest) -> list[dict[str, Any]]:
    """Fields that controllers take over once they run, which Argo CD must not put back."""
    kinds: dict[tuple[str, str], set[str]] = {}
    for part in manifest.parts:
        for ref, path in yielded(part):
            kinds.setdefault((ref.group, ref.kind), set()).add("." + path.replace("[*]", "[]?"))
    return [
        {"group": group, "kind": kind, "jqPathExpressions": sorted(paths)}
        for (group, kind), paths in sorted(kinds.items())
    ]
