"""What is to go when a mesh is removed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshctl.model.objects import Ref


@dataclass(frozen=True, slots=True)
class Scope:
    """How much is to go.

    Attributes:
        mesh: name of the mesh.
        namespace: the mesh's namespace.
        purge: also definitions with all resources of their kinds, links to other clusters, and
            what other installers left.
        keep_ca: leave the certificate authority's key, so that a new install signs with it again.
        revision: only this control plane; None is all of them. Empty is the unnamed one.
        strip: take finalizers of resources away whose definitions go, so that they cannot hold them.
        file: where the user's resources are saved before their definitions go.
        seconds: budget of each wait.
        force: go on though proxies are attached, or tags lead to what goes.
        uninject: take sidecars out of running workloads first.
    """

    mesh: str
    namespace: str = "istio-system"
    purge: bool = False
    keep_ca: bool = False
    revision: str | None = None
    strip: bool = False
    file: str = "istio-resources.yaml"
    seconds: float = 300.0
    force: bool = False
    uninject: bool = False


@dataclass(frozen=True, slots=True)
class Doomed:
    """An object that goes, the component it is of, and why it goes."""

    ref: Ref
    component: str
    why: str
