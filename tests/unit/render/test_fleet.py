"""Every cluster of a mesh, rendered: the starting files, and what clusters share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from meshctl.errors import ConfigError, ProblemsError
from meshctl.model.mesh import Cluster, Inputs, Mesh
from meshctl.registry import data
from meshctl.stages.rendering.emit import block, dump
from meshctl.stages.rendering.fleet import rendered, settled
from meshctl.stages.rendering.render import render
from meshctl.stages.settings import catalogue
from meshctl.stages.settings.load import load_all
from tests.golden import CASES, Case

if TYPE_CHECKING:
    from meshctl.model.manifest import Manifest

HEAD = "apiVersion: meshctl.dev/v1alpha1\nkind: Mesh\nmetadata: {name: prod}\nspec:\n  version: '1.32'\n"
TOPOLOGIES = sorted(catalogue.topologies())


def clusters(text: str, **how: Any) -> dict[str, Manifest]:
    found = rendered(load_all(Inputs(files=("-",)), stdin=HEAD + text), **how)
    return {values.cluster.name: manifest for values, manifest in found}


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_a_starting_file_gives_each_cluster_what_is_expected(name: str, update: bool) -> None:
    """Goldens hold what was settled by the user and the topology, and the objects by name."""
    file = data("profiles") / "topologies" / f"{name}.yaml"
    values = settled(load_all(Inputs(files=(str(file),), version="1.32")))
    told = {}
    for each in values:
        objects = [
            obj for obj in render(each, install=True).objects if obj.ref.kind != "CustomResourceDefinition"
        ]
        whole = [obj.content for obj in objects if obj.ref.kind in ("Gateway", "VirtualService", "Namespace")]
        told[each.cluster.name] = {
            "own": each.own(),
            "objects": [f"{obj.ref.kind} {obj.ref.place}" for obj in objects],
            "whole": whole,
        }
    case = Case(CASES / "topologies" / name)
    for cluster, found in told.items():
        case.check(f"{cluster}.yaml", block(found), update=update)
    assert sorted(each.stem for each in case.path.iterdir()) == sorted(told)


@pytest.mark.parametrize("name", TOPOLOGIES)
def test_a_starting_file_tells_in_a_line_what_it_is_for(name: str) -> None:
    assert catalogue.topology(name).startswith(f"# {catalogue.topologies()[name]}\n")
    assert 20 < len(catalogue.topologies()[name]) <= 110


def test_an_unknown_topology_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'multi-primary'"):
        catalogue.topology("multi-primry")


def test_clusters_do_not_leak_into_each_other() -> None:
    overlay = "{kind: Service, name: istiod, patches: [{path: spec.type, value: NodePort}]}"
    text = (
        "  clusters:\n"
        "    - name: a\n"
        f"      components: {{pilot: {{k8s: {{replicaCount: 3, overlays: [{overlay}]}}}}}}\n"
        "    - name: b\n"
        "      network: n\n"
    ).replace("    - name: a\n", "    - name: a\n      network: n\n")
    both = clusters(text)
    alone = clusters("  clusters: [{name: b, network: n}]\n")["b"]
    assert dump(each.content for each in both["b"].objects) == dump(each.content for each in alone.objects)
    assert dump(each.content for each in both["a"].objects) != dump(each.content for each in alone.objects)


def test_clusters_of_a_version_share_its_definitions() -> None:
    both = clusters("  clusters: [{name: a}, {name: b}]\n")
    one, other = (
        [each for each in manifest.objects if "CustomResource" in each.ref.kind] for manifest in both.values()
    )
    assert len(one) > 10
    assert all(mine.content is theirs.content for mine, theirs in zip(one, other, strict=True))


def test_what_keeps_clusters_from_being_settled_is_told_of_all_before_any_is_rendered() -> None:
    text = "  clusters: [{name: a}, {name: b, role: remote}, {name: c, role: remote}]\n"
    with pytest.raises(ProblemsError) as told:
        clusters(text)
    assert [each.code for each in told.value.problems] == ["unknown-address", "unknown-address"]


def test_the_namespace_of_a_remote_names_the_istiod_that_looks_after_it() -> None:
    text = "  clusters: [{name: a, address: 192.0.2.1, network: n}, {name: b, role: remote, network: m}]\n"
    made = clusters(text, install=True)
    spaces = {name: next(o for o in each.objects if o.ref.kind == "Namespace") for name, each in made.items()}
    assert spaces["a"].annotations == {}
    assert spaces["b"].annotations == {"topology.istio.io/controlPlaneClusters": "a"}
    assert spaces["b"].labels == {"topology.istio.io/network": "m"}


def test_an_external_control_plane_installs_no_webhook_where_it_runs() -> None:
    text = "  clusters: [{name: far, role: external, address: x.example}, {name: a, role: config}]\n"
    made = clusters(text, install=True)
    kinds = {each.ref.kind for each in made["far"].objects}
    assert "Deployment" in kinds
    assert not [kind for kind in kinds if "Webhook" in kind or kind == "CustomResourceDefinition"]
    assert "CustomResourceDefinition" in {each.ref.kind for each in made["a"].objects}


def test_what_leads_to_an_external_istiod_is_a_service_that_lets_through_what_is_encrypted() -> None:
    text = (
        "  revision: r1\n"
        "  values: {gateways: {istio-eastwestgateway: {serviceAnnotations: {lb: nlb}}}}\n"
        "  clusters: [{name: far, role: external}, {name: a, role: config}]\n"
    )
    asked = load_all(Inputs(files=("-",), only="far"), stdin=HEAD + text)
    ((_, made),) = rendered(asked)
    (part,) = [each for each in made.parts if each.component == "eastwest"]
    (service,) = part.objects
    assert service.annotations == {"lb": "nlb"}
    assert service.at("spec.selector") == {"app": "istiod", "istio.io/rev": "r1"}
    assert [each["port"] for each in service.at("spec.ports")] == [15012, 15017]
    assert service.at("spec.type") == "LoadBalancer"


def test_a_gateway_between_networks_takes_settings_of_its_own() -> None:
    text = (
        "  values:\n"
        "    gateways:\n"
        "      istio-eastwestgateway: {autoscaleMin: 2, serviceAnnotations: {lb: nlb}}\n"
        "  clusters: [{name: a, network: n}, {name: b, network: m}]\n"
    )
    objects = {(each.ref.kind, each.ref.name): each for each in clusters(text)["a"].objects}
    assert objects["Service", "istio-eastwestgateway"].annotations == {"lb": "nlb"}
    assert objects["HorizontalPodAutoscaler", "istio-eastwestgateway"].at("spec.minReplicas") == 2
    assert objects["HorizontalPodAutoscaler", "istio-ingressgateway"].at("spec.minReplicas") == 1


def test_a_mesh_without_a_file_has_one_cluster_that_is_nobodys_remote() -> None:
    mesh = Mesh("mesh", (Cluster("here"),))
    assert mesh.steward(mesh.clusters[0]) == ""
    assert not mesh.spans_networks
