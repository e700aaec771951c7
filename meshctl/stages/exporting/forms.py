"""Every form by the name users give it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.stages.exporting.argocd import argocd
from meshctl.stages.exporting.export import kustomize
from meshctl.stages.exporting.flux import flux
from meshctl.stages.exporting.helm import helm

if TYPE_CHECKING:
    from meshctl.model.manifest import Manifest
    from meshctl.stages.exporting.export import Place
    from meshctl.stages.exporting.objects import Files

_FORMS = {"argocd": argocd, "flux": flux, "helm": helm, "kustomize": kustomize}


def exported(manifest: Manifest, form: str, place: Place) -> Files:
    """The files of a manifest in a form: `argocd`, `flux`, `helm` or `kustomize`."""
    return _FORMS[form](manifest, place)
