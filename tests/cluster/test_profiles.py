"""Every profile's whole manifest in a real API server, which judges each object without keeping any."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from meshctl.errors import MeshctlError
from meshctl.model.mesh import Inputs
from meshctl.model.objects import Object, Ref
from meshctl.stages.rendering.render import render
from meshctl.stages.settings import catalogue
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.adapters.kube import KubeCluster

pytestmark = pytest.mark.cluster

ALONE = frozenset({"NetworkAttachmentDefinition"})
"""Kinds of others, which a cluster has only with their CRD: Multus', which OpenShift brings."""

EVERYTHING = (
    "components.cni.enabled=true",
    "components.ztunnel.enabled=true",
    "values.global.networkPolicy.enabled=true",
    "values.experimental.stableValidationPolicy=true",
    "values.cni.resourceQuotas.enabled=true",
    "values.ztunnel.resourceQuotas.enabled=true",
    "values.pilot.autoscaleMin=2",
    "values.pilot.taint.enabled=true",
    'values.revisionTags=["prod"]',
)


@pytest.fixture(scope="module")
def home(cluster: KubeCluster, going: list[Ref]) -> Iterator[str]:
    """The mesh's namespace; objects in it are judged only where it exists."""
    ref = Ref("v1", "Namespace", "", f"test-{uuid.uuid4().hex[:8]}")
    cluster.create(Object({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ref.name}}))
    yield ref.name
    cluster.delete(ref)
    going.append(ref)


def desired(namespace: str, profile: str, *sets: str) -> tuple[Object, ...]:
    asked = load(Inputs(profile=profile, namespace=namespace, sets=sets))
    return render(resolve(asked, asked.mesh.clusters[0]), owner="dry", install=True).objects


def refusals(cluster: KubeCluster, objects: tuple[Object, ...]) -> tuple[list[str], set[str]]:
    """What the API server says against objects, and the kinds that it does not serve."""
    served = {kind.kind for kind in cluster.kinds()}
    known = [each for each in objects if each.ref.kind in served]

    def judged(obj: Object) -> str:
        try:
            cluster.apply(obj, dry_run=True, take_over=True)
        except MeshctlError as fault:
            return f"{obj.ref}: {fault}"
        return ""

    with ThreadPoolExecutor(8) as pool:
        told = [each for each in pool.map(judged, known) if each]
    return told, {each.ref.kind for each in objects} - served


@pytest.mark.parametrize("profile", catalogue.profiles())
def test_the_api_server_accepts_every_object_of_a_profile(
    cluster: KubeCluster, home: str, profile: str
) -> None:
    told, unknown = refusals(cluster, desired(home, profile))
    assert told == []
    assert unknown == (ALONE if "openshift" in profile else set())


@pytest.mark.parametrize("platform", catalogue.platforms())
def test_the_api_server_accepts_everything_at_once_on_every_platform(
    cluster: KubeCluster, home: str, platform: str
) -> None:
    sets = (*EVERYTHING, f"values.global.platform={platform}")
    told, unknown = refusals(cluster, desired(home, "demo", *sets))
    assert told == []
    assert unknown <= ALONE
