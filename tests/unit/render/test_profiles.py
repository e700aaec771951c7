"""What each profile is for, as its manifest shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from meshctl.errors import ConfigError
from meshctl.model.mesh import Inputs
from meshctl.model.observation import Observation
from meshctl.stages.rendering.render import render
from meshctl.stages.settings import catalogue
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve
from tests.unit.render.test_render import names, rendered, the

if TYPE_CHECKING:
    from meshctl.model.manifest import Manifest

WEBHOOKS = {"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}


def kinds(manifest: Manifest) -> set[str]:
    return {ref.kind for ref in manifest.refs}


def mesh(manifest: Manifest) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(the(manifest, "ConfigMap", "istio").at("data.mesh"))
    return found


@pytest.mark.parametrize("profile", catalogue.profiles())
def test_a_profile_holds_no_object_twice(profile: str) -> None:
    manifest = rendered(profile=profile, owner="m", install=True)
    assert len(manifest.objects) == len(manifest.refs)


def test_silent_sidecars_let_everything_pass_once_and_as_it_was() -> None:
    manifest = rendered(profile="silent")
    said = mesh(manifest)
    assert said["outboundTrafficPolicy"] == {"mode": "ALLOW_ANY"}
    assert said["defaultHttpRetryPolicy"] == {"attempts": 0}
    assert said["enableAutoMtls"] is False
    headers = said["defaultConfig"]["proxyHeaders"]
    assert all(headers[each] == {"disabled": True} for each in ("server", "requestId", "attemptCount"))
    assert not {"PeerAuthentication", "AuthorizationPolicy", "Gateway"} & kinds(manifest)
    assert names(manifest) == ["base", "istiod"]


def test_certificates_come_without_webhooks_definitions_and_rights_to_deploy() -> None:
    manifest = rendered(profile="certificates", install=True, owner="m")
    assert names(manifest) == ["namespace", "istiod"]
    assert not (WEBHOOKS | {"CustomResourceDefinition"}) & kinds(manifest)
    assert "istiod-gateway-controller-istio-system" not in {ref.name for ref in manifest.refs}
    assert [str(ref) for part in manifest.parts for ref in part.ready] == ["Deployment istio-system/istiod"]


def test_a_gateway_alone_is_filled_in_by_the_control_plane_there() -> None:
    manifest = rendered("revision=blue", profile="gateway")
    assert names(manifest) == ["gateway/istio-ingressgateway"]
    pod = the(manifest, "Deployment", "istio-ingressgateway").at("spec.template")
    assert pod["metadata"]["labels"]["istio.io/rev"] == "blue"
    assert pod["spec"]["containers"][0]["image"] == "auto"


def test_the_agent_alone_is_a_daemon_set_that_is_awaited() -> None:
    (part,) = rendered(profile="cni").parts
    assert [str(ref) for ref in part.ready] == ["DaemonSet istio-system/istio-cni-node"]


def test_ztunnel_waits_for_the_agent_and_for_istiod() -> None:
    manifest = rendered(profile="ambient", install=True)
    (ztunnel,) = [part for part in manifest.parts if part.component == "ztunnel"]
    assert set(ztunnel.needs) == {"namespace", "istiod", "cni"}
    assert [str(ref) for ref in ztunnel.ready] == ["DaemonSet istio-system/ztunnel"]


def test_on_openshift_istiod_trusts_the_ztunnel_that_is_in_kube_system() -> None:
    manifest = rendered(profile="openshift-ambient")
    tunnel = the(manifest, "DaemonSet", "ztunnel")
    assert tunnel.ref.namespace == "kube-system"
    env = the(manifest, "Deployment", "istiod").at("spec.template.spec.containers[0].env")
    assert {"name": "CA_TRUSTED_NODE_ACCOUNTS", "value": "kube-system/ztunnel"} in env
    assert tunnel.at("spec.template.spec.containers[0].securityContext.seLinuxOptions") == {"type": "spc_t"}


def test_values_profile_takes_the_place_of_the_values_of_a_profile_and_leaves_its_components() -> None:
    manifest = rendered("values.profile=ambient", profile="demo")
    assert "gateway/istio-egressgateway" in names(manifest)
    said = mesh(manifest)
    assert said["defaultConfig"]["proxyMetadata"] == {"ISTIO_META_ENABLE_HBONE": "true"}
    assert "extensionProviders" not in said


def test_volumes_of_agents_are_really_applied() -> None:
    text = """
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  profile: ambient
  components:
    ztunnel: &more
      k8s:
        volumes: [{name: more, emptyDir: {}}]
        volumeMounts: [{name: more, mountPath: /more}]
    cni: *more
"""
    manifest = rendered(text=text)
    for name in ("istio-cni-node", "ztunnel"):
        pod = the(manifest, "DaemonSet", name).at("spec.template.spec")
        assert {"name": "more", "emptyDir": {}} in pod["volumes"]
        assert {"name": "more", "mountPath": "/more"} in pod["containers"][0]["volumeMounts"]


def test_settings_of_a_ztunnel_called_otherwise_reach_it() -> None:
    sets = ("values.ztunnel.resourceName=zt", "components.ztunnel.k8s.priorityClassName=high")
    tunnel = the(rendered(*sets, profile="ambient"), "DaemonSet", "zt")
    assert tunnel.at("spec.template.spec.priorityClassName") == "high"


def test_an_install_makes_the_namespaces_of_all_parts_but_those_of_kubernetes() -> None:
    text = """
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  components:
    cni: {enabled: true, namespace: kube-system}
    ingressGateways:
      - {name: istio-ingressgateway}
      - {name: a, namespace: edge}
      - {name: b, namespace: default}
      - {name: c, namespace: unused, enabled: false}
"""
    made = rendered(text=text, install=True).parts[0]
    assert [each.ref.name for each in made.objects] == ["edge", "istio-system"]


def test_two_gateways_of_one_name_are_refused_unless_namespaces_tell_them_apart() -> None:
    text = """
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  components:
    egressGateways: [{name: istio-ingressgateway, enabled: true%s}]
"""
    with pytest.raises(ConfigError, match="would be made twice"):
        rendered(text=text % "")
    assert len(names(rendered(text=text % ", namespace: out"))) == 4


def test_where_gke_is_seen_the_agent_is_put_where_it_has_always_been() -> None:
    asked = load(Inputs(profile="ambient"))
    seen = Observation("cluster", "v1.34.1-gke.1", platforms=("gke",))
    agent = the(render(resolve(asked, asked.mesh.clusters[0], seen)), "DaemonSet", "istio-cni-node")
    assert agent.ref.namespace == "kube-system"
    folders = [each["hostPath"]["path"] for each in agent.at("spec.template.spec.volumes")]
    assert "/home/kubernetes/bin" in folders


def test_what_components_decide_is_not_changed_by_a_value_and_the_user_is_told() -> None:
    manifest = rendered("values.pilot.cni.enabled=true")
    assert any("components.cni.enabled says it" in each for each in manifest.warnings)


def test_a_daemon_set_takes_its_strategy_and_no_replicas() -> None:
    text = """
apiVersion: install.istio.io/v1alpha1
kind: IstioOperator
spec:
  components:
    cni: {enabled: true, k8s: {replicaCount: 3, strategy: {type: OnDelete, rollingUpdate: null}}}
"""
    manifest = rendered(text=text)
    spec = the(manifest, "DaemonSet", "istio-cni-node").at("spec")
    assert spec["updateStrategy"] == {"type": "OnDelete"}
    assert "replicas" not in spec
    assert any("components.cni.k8s.replicaCount changes nothing" in each for each in manifest.warnings)


@pytest.mark.parametrize(
    ("sets", "setting"),
    [
        (("components.ztunnel.namespace=tunnels",), "values.pilot.trustedZtunnelNamespace to tunnels"),
        (("values.ztunnel.resourceName=zt",), "values.pilot.trustedZtunnelName to zt"),
    ],
)
def test_a_ztunnel_that_istiod_would_not_trust_is_warned_of(sets: tuple[str, ...], setting: str) -> None:
    assert [each for each in rendered(*sets, profile="ambient").warnings if setting in each]
    assert rendered(profile="openshift-ambient").warnings == ()


def test_labels_of_a_gateway_come_from_its_component_and_the_user_is_told_of_others() -> None:
    manifest = rendered("values.gateways.istio-ingressgateway.labels.team=web")
    selector = the(manifest, "Deployment", "istio-ingressgateway").at("spec.selector.matchLabels")
    assert selector == {"app": "istio-ingressgateway", "istio": "ingressgateway"}
    assert any("labels: changes nothing" in each for each in manifest.warnings)


def test_a_gateway_that_the_injector_fills_in_comes_after_the_tag_that_lets_it() -> None:
    for template, after in (("gateway", True), ("", False)):
        sets = (f"values.gateways.istio-ingressgateway.injectionTemplate={template}",) if template else ()
        parts = rendered(*sets, owner="m", install=True).parts
        (gateway,) = (part for part in parts if part.component == "gateway")
        assert ("tag" in gateway.needs) is after
        order = [part.component for part in parts]
        assert not after or order.index("tag") < order.index("gateway")
