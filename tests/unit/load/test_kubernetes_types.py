"""Settings of Kubernetes' own types are held against them, in values and in the `k8s` of components."""

# ruff: noqa: E501 - tables read best with a case a line

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meshctl.crds.kubernetes import TYPES, shape
from meshctl.errors import ConfigError, ProblemsError
from meshctl.model.mesh import Inputs
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve

if TYPE_CHECKING:
    from meshctl.model.values import Values

IOP = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n"


def settled(text: str, *sets: str) -> Values:
    asked = load(Inputs(files=("-",), sets=sets), stdin=text)
    return resolve(asked, asked.mesh.clusters[0])


def refused(text: str, *sets: str) -> list[tuple[str, str]]:
    """Path and message of each problem."""
    with pytest.raises(ConfigError) as refusal:
        settled(text, *sets)
    found = refusal.value.problems if isinstance(refusal.value, ProblemsError) else (refusal.value,)
    return [(each.where.path if each.where else "", each.message) for each in found]


GOOD = [
    "pilot: {resources: {requests: {cpu: 0.5, memory: 1e9, example.com/gpu: 1}, limits: {example.com/gpu: 1}}}",
    "pilot: {resources: {requests: {cpu: ''}, limits: }}",
    "pilot: {tolerations: [{operator: Exists}, {key: a.b/c, effect: NoExecute, tolerationSeconds: 5}]}",
    "pilot: {podLabels: {a: 5, b: true}, nodeSelector: {kubernetes.io/os: linux}}",
    "pilot: {seccompProfile: {}, affinity: {}}",
    "pilot: {volumes: [{name: a, secret: {secretName: s}}, {name: b}], volumeMounts: [{name: a, mountPath: /a}]}",
    "pilot: {autoscaleBehavior: {scaleUp: {policies: [{type: Pods, value: 1, periodSeconds: 60}]}}}",
    "pilot: {pdb: {maxUnavailable: 1}, rollingMaxSurge: 0, env: {A: true, B: 1}}",
    "pilot: {topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]}",
    "global: {proxy: {lifecycle: {preStop: {exec: {command: [sleep, '5']}}}}, imagePullSecrets: [a]}",
    "gateways: {istio-ingressgateway: {ports: [{port: 80, targetPort: 8080, name: http}, {port: 81, name: b}]}}",
    "gateways: {istio-ingressgateway: {type: NodePort, externalTrafficPolicy: Local}}",
    "revisionTags: [prod, default]\nrevision: 1-32-0",
]  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_what_the_api_server_takes_is_taken(text: str) -> None:
    settled(text)


BAD = {
    "pilot: {resources: {request: {}}}": ("pilot.resources.request", "unknown field 'request'; did you mean 'requests'?"),
    "pilot: {resources: {requests: {cpu: 2x}}}": ("pilot.resources.requests.cpu", "cpu cannot be '2x'"),
    "pilot: {resources: {requests: {cpuu: 1}}}": ("pilot.resources.requests.cpuu", "cpuu is no resource of a container"),
    "pilot: {resources: {limits: {cpu: 100m}}}": ("pilot.resources", "cpu is 500m, more than the limit 100m"),
    "pilot: {tolerations: [{effect: NoSchedule}]}": ("pilot.tolerations[0]", "pilot.tolerations[0] has no key"),
    "pilot: {tolerations: {key: a}}": ("pilot.tolerations", "pilot.tolerations is a list, not a map"),
    "pilot: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}}}}":
        ("pilot.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms", "nodeSelectorTerms is empty"),
    "pilot: {nodeSelector: {a: 5}}": ("pilot.nodeSelector.a", "a is text, not the number 5"),
    "pilot: {podLabels: {a: 'x y'}}": ("pilot.podLabels.a", "a cannot be 'x y'"),
    "pilot: {podLabels: {-a: x}}": ("pilot.podLabels.-a", "'-a' cannot be a key here"),
    "pilot: {seccompProfile: {localhostProfile: a}}": ("pilot.seccompProfile", "pilot.seccompProfile has no 'type'"),
    "pilot: {seccompProfile: {type: Localhost}}": ("pilot.seccompProfile", "pilot.seccompProfile has no localhostProfile"),
    "pilot: {volumeMounts: [{name: a, mountPath: /a}]}": ("pilot.volumeMounts[0]", "there is no volume 'a' in this pod"),
    "pilot: {volumes: [{name: cacerts}]}": ("pilot.volumes[0]", "volumes[0] has the name 'cacerts', which is taken"),
    "pilot: {volumes: [{name: a, secret: {secretName: s}, emptyDir: {}}]}": ("pilot.volumes[0]", "pilot.volumes[0] has secret and emptyDir, which exclude each other"),
    "pilot: {initContainers: [{name: a}]}": ("pilot.initContainers[0].image", "pilot.initContainers[0] has no 'image'"),
    "pilot: {rollingMaxSurge: 0, rollingMaxUnavailable: 0%}": ("pilot.rollingMaxSurge", "pilot.rollingMaxSurge and rollingMaxUnavailable are both 0, so that no rollout can begin"),
    "pilot: {autoscaleMin: 9}": ("pilot.autoscaleMin", "pilot.autoscaleMin is 9, more than autoscaleMax 5"),
    "pilot: {env: {A=B: 1}}": ("pilot.env.A=B", "'A=B' cannot be a key here"),
    "revision: A": ("revision", "revision cannot be 'A'"),
    "revisionTags: [a_b]": ("revisionTags[0]", "revisionTags[0] cannot be 'a_b'"),
    "global: {istioNamespace: a.b}": ("global.istioNamespace", "global.istioNamespace cannot be 'a.b'"),
    "base: {validationURL: 'http://x'}": ("base.validationURL", "base.validationURL cannot be 'http://x'"),
    "gateways: {istio-ingressgateway: {ports: [{port: 80, name: a}, {port: 81}]}}": ("gateways.istio-ingressgateway.ports[1]", "a port of gateways.istio-ingressgateway.ports has no name"),
    "gateways: {istio-ingressgateway: {ingressPorts: [{port: 1, name: a, protocol: UDP}, {port: 1, name: b}]}}": ("gateways.istio-ingressgateway.ingressPorts[1]", "gateways.istio-ingressgateway.ingressPorts has the port 1 again"),
    "gateways: {istio-ingressgateway: {ports: [{port: 0}]}}": ("gateways.istio-ingressgateway.ports[0].port", "port cannot be 0"),
    "gateways: {istio-egressgateway: {loadBalancerSourceRanges: [10.0.0.0/8]}}": ("gateways.istio-egressgateway.loadBalancerSourceRanges", "gateways.istio-egressgateway.loadBalancerSourceRanges is for the type LoadBalancer, not ClusterIP"),
    "cni: {updateStrategy: {rollingUpdate: {maxSurge: 1}}}": ("cni.updateStrategy.rollingUpdate", "rollingUpdate has maxSurge 1 and maxUnavailable 1"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "told"), BAD.items())
def test_what_the_api_server_would_refuse_is_refused_at_its_place(text: str, told: tuple[str, str]) -> None:
    ((path, message), *_) = refused(text)
    assert (path.removeprefix("values."), message) == told


def k8s(said: str, component: str = "pilot") -> str:
    return f"{IOP}  components:\n    {component}:\n      k8s: {said}\n"


@pytest.mark.parametrize(
    "said",
    [
        "{hpaSpec: {minReplicas: 2}, strategy: {rollingUpdate: {maxSurge: 1}}}",  # laid over what is there
        "{env: [{name: A, value: b}, {name: C, $patch: delete}], resources: {requests: {cpu: 1}}}",
        "{service: {ports: [{port: 15010}, {port: 15012}]}, affinity: null}",
        "{volumes: [{name: a, emptyDir: {}}], volumeMounts: [{name: a, mountPath: /a}]}",
        "{overlays: [{kind: Service, name: istiod, patches: [{path: spec.type, value: NodePort}]}]}",
    ],
)
def test_changes_of_a_component_may_be_a_part_of_what_they_change(said: str) -> None:
    settled(k8s(said))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("{hpaSpec: {minReplica: 2}}", "unknown field 'minReplica'; did you mean 'minReplicas'?"),
        ("{env: [{name: A, value: 5}]}", "value is text, not the number 5"),
        ("{resources: {limits: {cpu: [1]}}}", "cpu is a whole number or text, not a list"),
        ("{podAnnotations: {a: true}}", "a is text, not the boolean true"),
    ],
)
def test_changes_of_a_component_are_of_their_types(said: str, told: str) -> None:
    ((path, message),) = refused(k8s(said))
    assert path.startswith("spec.components.pilot.k8s.")
    assert message == told


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("{service: {type: Loadbalancer}}", "type cannot be 'Loadbalancer'; did you mean 'LoadBalancer'?"),
        ("{readinessProbe: {httpGet: {path: /, port: 99999}}}", "port cannot be 99999"),
        ("{strategy: {rollingUpdate: {maxSurge: lots}}}", "maxSurge cannot be 'lots'"),
        ("{securityContext: {runAsUser: -1}}", "runAsUser cannot be -1"),
        ("{hpaSpec: {metrics: [{resource: {name: cpu}}]}}", "metrics[0] has no 'type'"),
        ("{env: [{name: A, valueFrom: {fieldRef: {fieldPath: a.b}}}]}", "fieldPath cannot be 'a.b'"),
    ],
)
def test_what_istioctl_takes_and_an_api_server_will_refuse_is_a_warning(said: str, told: str) -> None:
    warnings = settled(k8s(said)).warnings
    assert any(told in each and "API servers will refuse it" in each for each in warnings), warnings


def test_names_of_gateways_are_names_of_services() -> None:
    gateways = f"{IOP}  components:\n    ingressGateways: [{{name: A_b, enabled: true}}]\n"
    ((path, message),) = refused(gateways)
    assert path.endswith("ingressGateways[0].name")
    assert "cannot be 'A_b'" in message


def test_a_number_of_the_command_line_is_text_where_text_is_wanted() -> None:
    values = settled("", "values.pilot.podAnnotations.a=1", "components.pilot.k8s.nodeSelector.b=true")
    assert values.at("pilot.podAnnotations") == {"a": "1"}
    assert values.at("components.pilot.k8s.nodeSelector") == {"b": "true"}


def test_every_line_of_the_table_of_types_can_be_read() -> None:
    assert all(shape(name).type_name == name for name in TYPES)
