from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from meshctl.errors import ConfigError
from meshctl.model.mesh import Inputs
from meshctl.stages.rendering.emit import dump
from meshctl.stages.rendering.render import render
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve

if TYPE_CHECKING:
    from pathlib import Path

    from meshctl.model.manifest import Manifest
    from meshctl.model.objects import Object


def rendered(*sets: str, text: str = "", profile: str | None = None, **how: Any) -> Manifest:
    asked = load(Inputs(profile=profile, sets=sets, files=("-",) if text else ()), stdin=text)
    return render(resolve(asked, asked.mesh.clusters[0]), **how)


def the(manifest: Manifest, kind: str, name: str) -> Object:
    (found,) = [each for each in manifest.objects if (each.ref.kind, each.ref.name) == (kind, name)]
    return found


def names(manifest: Manifest) -> list[str]:
    return [part.name for part in manifest.parts]


def test_the_same_values_give_the_same_bytes() -> None:
    first, second = (dump(each.content for each in rendered(profile="demo").objects) for _ in range(2))
    assert first == second


def test_no_object_is_there_twice() -> None:
    for profile in ("default", "minimal", "demo"):
        manifest = rendered(profile=profile, owner="m", install=True)
        assert len(manifest.objects) == len(manifest.refs)


def test_an_empty_profile_asks_for_nothing_even_of_an_install() -> None:
    assert rendered(profile="empty", owner="m", install=True).parts == ()


def test_parts_come_after_those_they_need() -> None:
    manifest = rendered(profile="demo", install=True)
    assert names(manifest) == [
        "namespace", "base", "istiod", "gateway/istio-egressgateway", "gateway/istio-ingressgateway", "tag",
    ]  # fmt: skip
    assert manifest.parts[-1].needs == ("istiod",)


def test_needs_name_only_components_that_are_there() -> None:
    manifest = rendered("components.base.enabled=false")
    assert names(manifest) == ["istiod", "gateway/istio-ingressgateway"]
    assert manifest.parts[0].needs == ()


def test_readiness_is_that_of_the_workload_as_it_is_called_and_of_the_injector() -> None:
    manifest = rendered("revision=canary")
    assert [str(ref) for part in manifest.parts for ref in part.ready] == [
        "Deployment istio-system/istiod-canary",
        "MutatingWebhookConfiguration istio-sidecar-injector-canary",
        "Deployment istio-system/istio-ingressgateway",
    ]


def test_only_an_install_marks_owners_and_names_the_manager() -> None:
    plain, owned = rendered(profile="minimal"), rendered(profile="minimal", owner="shop")
    for each in plain.objects:
        assert not [label for label in each.labels if label.startswith("meshctl.dev/")]
    for part in owned.parts:
        for each in part.objects:
            assert each.labels["meshctl.dev/mesh"] == "shop"
            assert each.labels["meshctl.dev/component"] == part.component
    assert the(owned, "Deployment", "istiod").labels["app.kubernetes.io/managed-by"] == "meshctl"


def test_with_the_default_tag_an_unnamed_revision_keeps_still() -> None:
    manifest = rendered(profile="minimal", install=True)
    silent = the(manifest, "MutatingWebhookConfiguration", "istio-sidecar-injector")
    active = the(manifest, "MutatingWebhookConfiguration", "istio-revision-tag-default")
    never = {"matchLabels": {"istio.io/deactivated": "never-match"}}
    assert all(each["namespaceSelector"] == never for each in silent.content["webhooks"])
    assert len(active.content["webhooks"]) == 4
    assert never not in [each["namespaceSelector"] for each in active.content["webhooks"]]


def test_with_the_default_tag_a_named_revision_still_answers_to_its_name() -> None:
    manifest = rendered("revision=canary", profile="minimal", install=True)
    own = the(manifest, "MutatingWebhookConfiguration", "istio-sidecar-injector-canary")
    assert len(own.content["webhooks"]) == 2
    assert own.at("webhooks[0].namespaceSelector.matchExpressions[0].values") == ["canary"]
    tag = the(manifest, "MutatingWebhookConfiguration", "istio-revision-tag-default")
    assert tag.at("webhooks[0].clientConfig.service.name") == "istiod-canary"


def test_objects_may_be_those_of_the_cluster_or_the_others() -> None:
    everything = rendered(profile="minimal").refs
    cluster = rendered("values.global.resourceScope=cluster", profile="minimal").refs
    rest = rendered("values.global.resourceScope=namespace", profile="minimal").refs
    assert cluster | rest == everything
    assert not cluster & rest
    assert all(not ref.namespace for ref in cluster)
    assert all(ref.namespace for ref in rest)


def test_crds_may_be_left_out_one_by_one_or_all() -> None:
    def crds(*sets: str) -> set[str]:
        return {
            ref.name
            for ref in rendered(*sets, profile="minimal").refs
            if ref.kind == "CustomResourceDefinition"
        }

    assert len(crds()) == 15
    name = "envoyfilters.networking.istio.io"
    assert crds() - crds(f'values.base.excludedCRDs=["{name}"]') == {name}
    assert crds("values.base.enableIstioConfigCRDs=false") == set()


def test_volumes_and_their_mounts_are_really_applied() -> None:
    text = """
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  components:
    pilot:
      k8s:
        volumes: [{name: more, emptyDir: {}}]
        volumeMounts: [{name: more, mountPath: /more}]
"""
    pod = the(rendered(text=text), "Deployment", "istiod").at("spec.template.spec")
    assert {"name": "more", "emptyDir": {}} in pod["volumes"]
    assert {"name": "more", "mountPath": "/more"} in pod["containers"][0]["volumeMounts"]
    assert len(pod["volumes"]) == 7


def test_gateways_are_as_many_as_are_named_each_with_its_own_settings() -> None:
    text = """
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  components:
    ingressGateways:
      - {name: a, enabled: true, namespace: edge, label: {istio: a}}
      - {name: b, k8s: {service: {ports: [{port: 443, targetPort: 8443, name: https}]}}}
      - {name: c, enabled: false}
"""
    manifest = rendered(text=text)
    assert names(manifest)[2:] == ["gateway/a", "gateway/b"]
    assert the(manifest, "Service", "a").at("spec.selector") == {"app": "istio-ingressgateway", "istio": "a"}
    assert the(manifest, "Service", "a").ref.namespace == "edge"
    ports = the(manifest, "Service", "b").at("spec.ports")
    assert [each["port"] for each in ports] == [443]
    container = the(manifest, "Deployment", "b").at("spec.template.spec.containers[0]")
    assert [each["containerPort"] for each in container["ports"]] == [8443, 15090]


def test_documents_in_config_maps_can_be_read_and_say_what_was_asked() -> None:
    manifest = rendered("meshConfig.accessLogFile=/dev/stdout", "values.pilot.env.A=1", "revision=r")
    mesh = yaml.safe_load(the(manifest, "ConfigMap", "istio-r").at("data.mesh"))
    assert mesh["accessLogFile"] == "/dev/stdout"
    assert mesh["defaultConfig"]["discoveryAddress"] == "istiod-r.istio-system.svc:15012"
    injector = the(manifest, "ConfigMap", "istio-sidecar-injector-r").at("data")
    assert "sidecar" in yaml.safe_load(injector["config"])["templates"]
    assert json.loads(injector["values"])["pilot"]["env"] == {"A": 1}
    record = the(manifest, "ConfigMap", "values-r").at("data")
    assert json.loads(record["original-values"])["pilot"]["env"] == {"A": 1}
    assert json.loads(record["merged-values"])["env"] == {"A": 1}


def test_a_budget_asked_for_in_one_form_does_not_keep_the_other() -> None:
    text = """
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  components:
    pilot: {k8s: {hpaSpec: {minReplicas: 2}, podDisruptionBudget: {maxUnavailable: 1}}}
"""
    budget = the(rendered(text=text), "PodDisruptionBudget", "istiod").at("spec")
    assert budget["maxUnavailable"] == 1
    assert "minAvailable" not in budget


def test_no_budget_guards_a_single_replica() -> None:
    assert not [ref for ref in rendered().refs if ref.kind == "PodDisruptionBudget"]


def test_a_list_element_without_what_it_needs_is_refused_at_its_place() -> None:
    with pytest.raises(ConfigError, match=r"configVolumes\[0\] has no 'configMapName'") as refusal:
        rendered('values.gateways.istio-ingressgateway.configVolumes=[{"name":"a","mountPath":"/a"}]')
    assert refusal.value.code == "missing-field"
    assert refusal.value.hint == "set configMapName"


def test_a_map_without_what_a_template_reads_is_the_users_fault_and_names_the_template() -> None:
    with pytest.raises(ConfigError, match="'aud'") as refusal:
        rendered("components.pilot.enabled=false", text="global: {sds: {token: }}\n")
    assert refusal.value.code == "incomplete-value"
    assert str(refusal.value.where).startswith("templates/gateway/deployment.yaml.j2:")


def test_nothing_rendered_holds_a_null() -> None:
    def nulls(tree: Any) -> bool:
        if isinstance(tree, dict):
            return any(nulls(each) for each in tree.values())
        return any(nulls(each) for each in tree) if isinstance(tree, list) else tree is None

    assert not [
        str(each.ref) for each in rendered(profile="demo", install=True).objects if nulls(each.content)
    ]


def test_rendering_loads_nothing_that_talks_to_clusters_or_terminals(tmp_path: Path) -> None:
    program = (
        "import sys; from meshctl.model.mesh import Inputs; from meshctl.stages.settings.load import load;"
        "from meshctl.stages.settings.resolve import resolve;"
        "from meshctl.stages.rendering.render import render;"
        "asked = load(Inputs()); render(resolve(asked, asked.mesh.clusters[0]));"
        "print(sorted({'kubernetes', 'rich', 'cryptography', 'click', 'grpc'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_overlay_of_an_object_that_is_not_rendered_is_warned_of() -> None:
    text = (
        "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n  components:\n    pilot:\n"
        "      k8s:\n        overlays:\n"
        "          - {kind: Deployment, name: istiod, patches: [{path: spec.paused, value: true}]}\n"
        "          - {kind: Deployment, name: istoid, patches: [{path: spec.paused, value: true}]}\n"
    )
    (said,) = rendered(text=text).warnings
    assert "9  spec.components.pilot.k8s.overlays[1]" in said
    assert "no Deployment 'istoid'" in said


def test_overlays_of_what_is_off_are_not_warned_of() -> None:
    text = (
        "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n  components:\n"
        "    ingressGateways:\n      - name: x\n        enabled: false\n"
        "        k8s: {overlays: [{kind: Deployment, name: x}]}\n"
    )
    assert rendered(text=text).warnings == ()
