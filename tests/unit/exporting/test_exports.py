"""A manifest in the forms of the tools that deliver it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import yaml

from meshctl.model.manifest import Manifest, Part
from meshctl.model.mesh import Inputs
from meshctl.model.objects import Object
from meshctl.stages.exporting.argocd import argocd
from meshctl.stages.exporting.export import Git, Place, kustomize, plain
from meshctl.stages.exporting.flux import flux
from meshctl.stages.exporting.helm import helm
from meshctl.stages.rendering.render import render
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve

GIT = Git("https://git.example/fleet.git", "clusters/one", "release")
PLACE = Place("mesh", "istio-system", "1.2.3", GIT)


def rendered(*sets: str) -> Manifest:
    asked = load(Inputs(sets=sets))
    return render(resolve(asked, asked.mesh.clusters[0]), install=True)


def documents(files: Mapping[str, str], path: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(files[path]))


def objects(files: Mapping[str, str], prefix: str = "") -> Iterator[dict[str, Any]]:
    for path in files:
        if path.startswith(prefix) and path.endswith(".yaml") and "kustomization" not in path:
            yield from documents(files, path)


def place_of(content: Mapping[str, Any]) -> tuple[str, str, str]:
    meta = content["metadata"]
    return content["kind"], meta.get("namespace", ""), meta["name"]


FORMS: dict[str, Callable[[Manifest], tuple[Mapping[str, str], str]]] = {
    "plain": lambda manifest: (plain(manifest), ""),
    "kustomize": lambda manifest: (kustomize(manifest, PLACE), ""),
    "argocd": lambda manifest: (argocd(manifest, PLACE), "objects/"),
    "flux": lambda manifest: (flux(manifest, PLACE), "objects/"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_object_is_in_a_file_of_its_own(form: str):
    manifest = rendered("profile=demo")
    files, prefix = FORMS[form](manifest)
    found = sorted(place_of(each) for each in objects(files, prefix) if each)
    assert found == sorted(place_of(each.content) for each in manifest.objects)
    assert all(len(documents(files, path)) == 1 for path in files if path.startswith(prefix or "istiod/"))


@pytest.mark.parametrize("form", FORMS)
def test_every_kustomization_names_what_is_there(form: str):
    files, _ = FORMS[form](rendered())
    for path in files:
        if path.endswith("kustomization.yaml"):
            folder = path.removesuffix("kustomization.yaml")
            (told,) = documents(files, path)
            for name in told["resources"]:
                assert f"{folder}{name}" in files or f"{folder}{name}/kustomization.yaml" in files


def test_definitions_and_accounts_stand_before_what_needs_them():
    (told,) = documents(plain(rendered()), "kustomization.yaml")
    order = told["resources"]
    assert order[0].startswith("namespace/")
    assert order.index("istiod/serviceaccount-istiod.yaml") < order.index("istiod/deployment-istiod.yaml")
    assert max(i for i, each in enumerate(order) if "customresourcedefinition" in each) < order.index(
        "istiod/deployment-istiod.yaml"
    )


def test_objects_of_one_name_in_two_namespaces_have_two_files():
    twins = [
        Object({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": place}})
        for place in ("x", "y")
    ]
    assert set(plain(Manifest((Part("p", "p", objects=tuple(twins)),)))) == {
        "p/configmap-a.x.yaml", "p/configmap-a.y.yaml", "kustomization.yaml",
    }  # fmt: skip


def test_no_name_leads_out_of_the_folder():
    odd = Object({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "../a:b"}})
    paths = plain(Manifest((Part("gateway/../../x", "gateway", objects=(odd,)),)))
    assert all(".." not in path.split("/") and ":" not in path for path in paths)


def test_the_chart_is_named_after_the_mesh_and_versioned_after_istio():
    (told,) = documents(helm(rendered(), PLACE), "Chart.yaml")
    assert (told["name"], told["version"], told["appVersion"]) == ("mesh", "1.2.3", "1.2.3")


def test_the_chart_leaves_the_namespace_to_helm():
    assert not any(each["kind"] == "Namespace" for each in objects(helm(rendered(), PLACE), "objects/"))


@pytest.mark.parametrize(
    ("make", "key", "value"),
    [
        (helm, "helm.sh/resource-policy", "keep"),
        (argocd, "argocd.argoproj.io/sync-options", "Prune=false,Delete=false"),
        (flux, "kustomize.toolkit.fluxcd.io/prune", "disabled"),
    ],
)
def test_removing_the_delivery_keeps_the_definitions_and_everybodys_resources(make, key, value):
    found = [each for each in objects(make(rendered(), PLACE), "objects/") if each]
    kept = {each["kind"] for each in found if (each["metadata"].get("annotations") or {}).get(key) == value}
    assert kept == {"CustomResourceDefinition"}


def test_argo_cd_sends_istiod_before_gateways_and_leaves_alone_what_istiod_takes_over():
    files = argocd(rendered(), PLACE)
    waves = {
        place_of(each): int(each["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"])
        for each in objects(files, "objects/")
    }
    gateway = waves["Deployment", "istio-system", "istio-ingressgateway"]
    assert waves["Namespace", "", "istio-system"] < waves["Deployment", "istio-system", "istiod"] < gateway
    (told,) = documents(files, "application.yaml")
    assert told["spec"]["source"] == {
        "repoURL": "https://git.example/fleet.git",
        "targetRevision": "release",
        "path": "clusters/one/objects",
    }
    left = {
        (each["group"], each["kind"]): each["jqPathExpressions"] for each in told["spec"]["ignoreDifferences"]
    }
    assert (
        ".webhooks[]?.failurePolicy" in left["admissionregistration.k8s.io", "ValidatingWebhookConfiguration"]
    )
    assert left["apps", "Deployment"] == [".spec.replicas"]


def test_replicas_are_delivered_where_no_autoscaler_owns_them():
    off = (
        "values.pilot.autoscaleEnabled=false",
        "values.gateways.istio-ingressgateway.autoscaleEnabled=false",
    )
    (told,) = documents(argocd(rendered(*off), PLACE), "application.yaml")
    assert "Deployment" not in {each["kind"] for each in told["spec"]["ignoreDifferences"]}


def test_flux_waits_for_what_a_part_needs_and_never_flips_a_failure_policy_back():
    files = flux(rendered(), PLACE)
    source, *told = documents(files, "flux.yaml")
    assert source["spec"]["ref"] == {"branch": "release"}
    by_name = {each["metadata"]["name"]: each["spec"] for each in told}
    gateway = by_name["mesh-gateway-istio-ingressgateway"]
    assert {each["name"] for each in gateway["dependsOn"]} >= {"mesh-istiod"}
    assert gateway["path"] == "./clusters/one/objects/gateway/istio-ingressgateway"
    assert all(
        f"{spec['path'].removeprefix('./clusters/one/')}/kustomization.yaml" in files
        for spec in by_name.values()
    )
    for each in objects(files, "objects/"):
        if each["kind"] == "ValidatingWebhookConfiguration":
            assert all("failurePolicy" not in hook for hook in each["webhooks"])


def test_a_folder_at_the_root_of_the_repository_has_plain_paths():
    root = Place("mesh", "istio-system", "1.2.3", Git("https://git.example/fleet.git"))
    (told,) = documents(argocd(rendered(), root), "application.yaml")
    assert told["spec"]["source"]["path"] == "objects"
