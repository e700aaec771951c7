from __future__ import annotations

import pytest

from meshctl.errors import ConfigError
from meshctl.model.mesh import Inputs
from meshctl.model.values import Values
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve

HEAD = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n"


def settled(*sets: str, text: str = "") -> Values:
    asked = load(Inputs(sets=sets, files=("-",) if text else ()), stdin=HEAD + text)
    return resolve(asked, asked.mesh.clusters[0])


def test_packaged_settings_give_no_warnings() -> None:
    for profile in ("default", "minimal", "demo", "empty"):
        assert settled(f"profile={profile}").warnings == ()


def test_a_setting_that_has_moved_is_named_with_its_place() -> None:
    (warning,) = settled("values.global.tracer.zipkin.address=a:1").warnings
    assert warning.startswith("--set  values.global.tracer.zipkin.address: ")
    assert warning.endswith("use meshConfig.defaultConfig.tracing.zipkin.address instead")


def test_charts_of_the_users_own_are_not_rendered_in_silence() -> None:
    (warning,) = settled("installPackagePath=/charts").warnings
    assert "changes nothing" in warning


def test_a_setting_that_is_gone_is_refused_and_leads_to_its_successor() -> None:
    with pytest.raises(ConfigError, match="unknown value") as refusal:
        settled("values.global.proxy.accessLogFile=/dev/stdout")
    assert refusal.value.hint == "use meshConfig.accessLogFile instead"


def test_replicas_under_an_autoscaler_are_warned_of() -> None:
    assert len(settled("components.pilot.k8s.replicaCount=2").warnings) == 1
    assert (
        settled("components.pilot.k8s.replicaCount=2", "values.pilot.autoscaleEnabled=false").warnings == ()
    )
    gateway = "components.ingressGateways[name:istio-ingressgateway].k8s.replicaCount=2"
    assert "'istio-ingressgateway'" in settled(gateway).warnings[0]


def test_a_port_that_only_root_may_bind_is_refused() -> None:
    text = "  components: {ingressGateways: [{name: a, k8s: {service: {ports: [{port: 80, name: http}]}}}]}\n"
    with pytest.raises(ConfigError, match="port 80 of gateway 'a' leads to 80") as refusal:
        settled(text=text)
    assert str(refusal.value.where) == "<stdin>:4  spec.components.ingressGateways[0]"
    settled("values.gateways.istio-ingressgateway.runAsRoot=true", text=text)
    settled(text=text.replace("port: 80,", "port: 80, targetPort: 8080,"))
