"""Kustomizations of Flux, one a part, each waiting for those that it needs.

Source: https://fluxcd.io/flux/components/kustomize/kustomizations/ and .../source/gitrepositories/.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.model.objects import Object
from meshctl.stages.exporting.export import annotated, changed, is_definition, kustomize, yielded
from meshctl.stages.exporting.objects import KUSTOMIZATION, folder, kustomization
from meshctl.stages.rendering.emit import dump

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshctl.model.manifest import Manifest, Part
    from meshctl.model.values import Tree
    from meshctl.stages.exporting.export import Place
    from meshctl.stages.exporting.objects import Files

_NAMESPACE = "flux-system"


def flux(manifest: Manifest, place: Place) -> Files:
    """`flux.yaml` to apply beside Flux, and `objects/` for the repository it reads.

    A Flux that looks after the whole folder applies `flux.yaml` alone, as the kustomization says.
    """
    own = changed(manifest, _own)
    found = {f"objects/{path}": text for path, text in kustomize(own, place).items()}
    source = [] if place.git.source else [_repository(place)]
    wanted = [*source, *(_kustomization(part, manifest, place) for part in manifest.parts)]
    return {"flux.yaml": dump(wanted), KUSTOMIZATION: kustomization(["flux.yaml"]), **found}


def _own(part: Part, content: Tree) -> Tree:
    """An object without what controllers take over: Flux would put it back at every turn."""
    ref = Object(content).ref
    for taken, path in yielded(part):
        if taken == ref:
            content = without(content, path.replace("[*]", ".*").split("."))
    keep = {"kustomize.toolkit.fluxcd.io/prune": "disabled"}  # it would take everybody's resources
    return annotated(content, keep if is_definition(content) else {})


def without(tree: Tree, path: Sequence[str]) -> Tree:
    """A tree without what stands at a path; `*` is every element of a list."""
    step, *rest = path
    if step not in tree:
        return tree
    if not rest:
        return {key: value for key, value in tree.items() if key != step}
    below = tree[step]
    if rest[0] == "*":
        return {**tree, step: [without(each, rest[1:]) for each in below]}
    return {**tree, step: without(below, rest)}


def _repository(place: Place) -> Tree:
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": place.name, "namespace": _NAMESPACE},
        "spec": {"interval": "10m", "url": place.git.url, "ref": {"branch": place.git.branch}},
    }


def _kustomization(part: Part, manifest: Manifest, place: Place) -> Tree:
    needs = [_name(each, place) for each in manifest.parts if each.component in part.needs]
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": _name(part, place), "namespace": _NAMESPACE},
        "spec": {
            **({"dependsOn": [{"name": name} for name in needs]} if needs else {}),
            "interval": "10m",
            "timeout": "5m",
            "prune": True,
            "wait": True,
            "path": place.git.path(f"objects/{folder(part)}"),
            "sourceRef": {"kind": "GitRepository", "name": place.git.source or place.name},
        },
    }


def _name(part: Part, place: Place) -> str:
    return f"{place.name}-{part.name.replace('/', '-')}"
