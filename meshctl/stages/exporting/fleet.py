"""Every cluster of a mesh.yaml in a folder of its own, and what delivers all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meshctl.stages.exporting.argocd import Member, application_sets, member
from meshctl.stages.exporting.export import Place, plain
from meshctl.stages.exporting.forms import exported

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshctl.model.manifest import Manifest
    from meshctl.model.values import Values
    from meshctl.stages.exporting.export import Git
    from meshctl.stages.exporting.objects import Files


def exported_fleet(found: Iterable[tuple[Values, Manifest]], form: str | None, git: Git) -> Files:
    """The files of all clusters, each in the folder that has its name.

    Argo CD gets an ApplicationSet above these folders. With the other forms each folder stands for
    itself: a Flux in each cluster reads its own, Helm and Kustomize are called cluster by cluster.

    Args:
        found: every cluster, settled and rendered.
        form: as for `exported`; None: plain files.
        git: the repository, and the folder in it that holds those of the clusters.
    """
    files: Files = {}
    members: list[Member] = []
    for values, manifest in found:
        name = values.cluster.name
        if form == "argocd":
            told, own = member(values, manifest)
            members.append(told)
        else:
            own = exported_cluster(values, manifest, form, replace(git, folder=f"{git.folder}/{name}"))
        files |= {f"{name}/{path}": text for path, text in own.items()}
    return {**(application_sets(members, git) if form == "argocd" else {}), **files}


def exported_cluster(values: Values, manifest: Manifest, form: str | None, git: Git) -> Files:
    """The files of one cluster; `git` names its own folder."""
    if not form:
        return plain(manifest)
    named = f"{values.mesh.name}-{values.cluster.name}" if values.mesh.identifier else values.mesh.name
    return exported(manifest, form, Place(named, values.namespace, values.version.full, git))
