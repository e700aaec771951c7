"""Our injection templates against upstream's, both through istiod's own injector.

The judge (`meshctl/sandbox/gomod/istio/injectjudge`) is upstream's Go code with a door for many
cases; it is given our templates and those of `istioctl manifest generate`, the same values, the
same mesh configuration and the same pods, and what comes out must be equal leaf by leaf, lists in
the same order.
"""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshctl.stages.rendering.injection import injection_templates

pytestmark = pytest.mark.parity

CASES = Path(__file__).parent.parent / "cases" / "injection"

# What the pinned upstream can do; nothing in it says so in these words.
FEATURES = {
    "proxy_init_image": True,
    "proxy_gomaxprocs": True,
    "fips_140_3": True,
    "agentgateway_waypoint": True,
}

# The classes of gateways by their template: class, controller, kind of service.
GATEWAYS = {
    "kube-gateway": ("istio", "istio.io-gateway-controller", "LoadBalancer"),
    "waypoint": ("istio-waypoint", "istio.io-mesh-controller", "ClusterIP"),
    "agentgateway": ("istio-agentgateway", "istio.io-gateway-controller", "LoadBalancer"),
    "agentgateway-waypoint": (
        "istio-agentgateway-waypoint",
        "istio.io-agentgateway-waypoint-controller",
        "ClusterIP",
    ),
}

PORTS = [
    {"name": "status-port", "port": 15021, "protocol": "TCP", "appProtocol": "tcp"},
    {"name": "web", "port": 80, "protocol": "TCP", "appProtocol": "http"},
]

Case = dict[str, Any]
Verdict = dict[str, Any]


def table(name: str) -> Any:
    return yaml.safe_load((CASES / f"{name}.yaml").read_text())


def merged(base: Any, over: Any) -> Any:
    """`over` on `base`: maps are merged, all else replaced."""
    if isinstance(base, dict) and isinstance(over, dict):
        return base | {key: merged(base.get(key), value) for key, value in over.items()}
    return over


def workload(case: Case) -> Any:
    """The workload of a case, with its labels, annotations and pod spec."""
    found = merged({}, table("workloads")[case.get("workload", "web")])
    if found["kind"] == "Pod":
        pod = found
    elif found["kind"] == "CronJob":
        # Upstream reads a CronJob's annotations from the job template.
        pod = found["spec"]["jobTemplate"]
    else:
        pod = found["spec"]["template"]
    for key in ("labels", "annotations"):
        pod["metadata"] = merged(pod["metadata"], {key: case.get(key, {})})
    pod["spec"] = merged(pod["spec"], case.get("pod", {}))
    return found


def gateway(case: Case, template: str) -> dict[str, Any]:
    """What istiod's gateway deployment controller would know of a case's Gateway."""
    kind, controller, service = GATEWAYS[template]
    spec: dict[str, Any] = {"gatewayClassName": kind, "listeners": []}
    if "address" in case:
        spec["addresses"] = [{"type": "IPAddress", "value": case["address"]}]
    return {
        "object": {
            "metadata": {
                "name": "edge",
                "namespace": "shop",
                "uid": "c0ffee",
                "annotations": case.get("gatewayAnnotations", {}),
            },
            "spec": spec,
        },
        "deploymentName": f"edge-{kind}",
        "serviceAccount": "edge-account",
        "clusterID": "Kubernetes",
        "kubeVersion": case.get("kubeVersion", 134),
        "controller": case.get("controller", controller),
        "serviceType": case.get("serviceType", service),
        "ports": case.get("ports", PORTS),
        "labels": case.get("labels", {}),
        "annotations": case.get("annotations", {}),
    }


def pods() -> list[tuple[str, Case]]:
    return [
        (f"{name}: {case['name']}", case)
        for name in ("sidecar", "templates", "refused")
        for case in table(name)
    ]


def gateways() -> list[tuple[str, Case, str]]:
    return [
        (f"{template}: {case['name']}", case, template)
        for case in table("gateways")
        for template in ([case["template"]] if "template" in case else GATEWAYS)
    ]


class Judge:
    """The injector, asked once for all cases."""

    def __init__(self, binary: Path, istioctl: Path) -> None:
        self.binary, self.istioctl = binary, istioctl
        self.upstream = yaml.safe_load(self.installed(())["config"])["templates"]

    @cache  # noqa: B019 - lives as long as the module's tests
    def installed(self, settings: tuple[str, ...]) -> dict[str, str]:
        """The injector ConfigMap's data, as upstream would install it with these settings."""
        sets = [word for setting in settings for word in ("--set", setting)]
        command = [str(self.istioctl), "manifest", "generate", *sets]
        told = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        found = next(
            each
            for each in told.split("\n---\n")
            if "kind: ConfigMap" in each and "\n  name: istio-sidecar-injector\n" in each
        )
        data: dict[str, str] = yaml.safe_load(found)["data"]
        return data

    def question(self, name: str, case: Case, **more: Any) -> dict[str, Any]:
        values = json.loads(self.installed(tuple(case.get("install", ())))["values"])
        return {
            "name": name,
            "values": json.dumps(merged(values, case.get("values", {}))),
            "mesh": json.dumps(case.get("mesh", {})),
            "revision": case.get("revision", ""),
            "native": case.get("native", False),
            "compliance": case.get("compliance", ""),
            "uid": case.get("uid", 1337),
            "gid": case.get("gid", 1337),
            **more,
        }

    def ask(self, questions: list[dict[str, Any]]) -> dict[str, Verdict]:
        """What ours and upstream's templates make of each question, by its name."""
        asked = {
            "templates": {"ours": injection_templates(FEATURES), "upstream": self.upstream},
            "cases": questions,
        }
        told = subprocess.run(
            [str(self.binary)], input=json.dumps(asked), capture_output=True, check=False, text=True
        )
        assert told.returncode == 0, told.stderr
        return dict(zip((each["name"] for each in questions), json.loads(told.stdout), strict=True))


@pytest.fixture(scope="module")
def judge(injectjudge: Path, istioctl: Path) -> Judge:
    return Judge(injectjudge, istioctl)


@pytest.fixture(scope="module")
def injected(judge: Judge) -> dict[str, Verdict]:
    return judge.ask([judge.question(name, case, object=workload(case)) for name, case in pods()])


@pytest.fixture(scope="module")
def injected_twice(judge: Judge, injected: dict[str, Verdict]) -> dict[str, Verdict]:
    return judge.ask(
        [
            judge.question(name, case, object=injected[name]["upstream"]["documents"][0])
            for name, case in pods()
            if "documents" in injected[name]["upstream"]
        ]
    )


@pytest.fixture(scope="module")
def deployed(judge: Judge) -> dict[str, Verdict]:
    return judge.ask(
        [
            judge.question(name, case, template=template, gateway=gateway(case, template))
            for name, case, template in gateways()
        ]
    )


def leaves(node: Any, path: str = "") -> dict[str, Any]:
    """Every scalar and every empty map or list, by its path."""
    if isinstance(node, dict) and node:
        pairs = [(f"{path}.{key}", value) for key, value in node.items()]
    elif isinstance(node, list) and node:
        pairs = [(f"{path}[{index}]", value) for index, value in enumerate(node)]
    else:
        return {path: node}
    return {at: leaf for inner, value in pairs for at, leaf in leaves(value, inner).items()}


def differences(name: str, verdict: Verdict) -> list[str]:
    """Leaves that are not alike, each as `input path ours upstream`."""
    ours, upstream = (
        leaves(verdict[side].get("documents", verdict[side].get("error"))) for side in ("ours", "upstream")
    )
    return [
        f"{name}  {path}  {ours.get(path, '(none)')!r}  {upstream.get(path, '(none)')!r}"
        for path in sorted(ours.keys() | upstream.keys())
        if ours.get(path, ...) != upstream.get(path, ...)
    ]


@pytest.mark.parametrize(("name", "case"), pods(), ids=[name for name, _ in pods()])
def test_a_pod_is_injected_as_upstream_injects_it(
    name: str, case: Case, injected: dict[str, Verdict]
) -> None:
    verdict = injected[name]
    if "error" in case:
        assert case["error"] in verdict["ours"]["error"]
        assert case["error"] in verdict["upstream"]["error"]
        return
    assert "error" not in verdict["ours"], verdict["ours"]["error"]
    if case.get("refuses") == "upstream":
        assert "error" in verdict["upstream"], "upstream has mended this: compare it from now on"
        return
    found = differences(name, verdict)
    allowed = case.get("differs", [])
    unexpected = [each for each in found if not any(path in each for path in allowed)]
    assert not unexpected, "\n".join(unexpected)
    assert bool(allowed) == bool(found), "this no longer differs from upstream"


@pytest.mark.parametrize(
    "name", [name for name, case in pods() if not {"error", "refuses", "differs"} & case.keys()]
)
def test_an_injected_pod_is_injected_again_as_upstream_does_it(
    name: str, injected_twice: dict[str, Verdict]
) -> None:
    assert not differences(name, injected_twice[name])


@pytest.mark.parametrize("name", [name for name, _, _ in gateways()])
def test_a_gateway_is_deployed_as_upstream_deploys_it(name: str, deployed: dict[str, Verdict]) -> None:
    verdict = deployed[name]
    assert "error" not in verdict["ours"], verdict["ours"]["error"]
    assert [each["kind"] for each in verdict["ours"]["documents"]] == [
        "ServiceAccount",
        "Deployment",
        "Service",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
    ]
    assert not differences(name, verdict)


@pytest.mark.parametrize("cni", [False, True])
@pytest.mark.parametrize("template", ["sidecar", "gateway"])
def test_a_namespace_s_own_user_and_group_are_used_as_upstream_uses_them(
    template: str, cni: bool, judge: Judge
) -> None:
    pod = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "web", "image": "web"}]}}
    case = {"uid": 1000710000, "gid": 1000710001, "values": {"pilot": {"cni": {"enabled": cni}}}}
    verdict = judge.ask([judge.question("web", case, template=template, object=pod)])["web"]
    assert 1000710000 in leaves(verdict["ours"]["documents"]).values()
    assert not differences("web", verdict)


def test_grpc_without_an_agent_gets_upstream_s_bootstrap_file_with_an_address_that_works(
    tmp_path: Path, judge: Judge
) -> None:
    case = {"workload": "bare-pod", "annotations": {"inject.istio.io/templates": "grpc-simple"}}
    verdict = judge.ask([judge.question("grpc", case, object=workload(case))])["grpc"]
    written = {}
    for side in ("ours", "upstream"):
        container = verdict[side]["documents"][0]["spec"]["initContainers"][0]
        environment = {each["name"]: each.get("value", each["name"].lower()) for each in container["env"]}
        command = [each.replace("/var/lib/grpc/data", str(tmp_path)) for each in container["command"]]
        subprocess.run(command, env=environment, check=True)
        written[side] = json.loads((tmp_path / "bootstrap.json").read_text())
    assert written["ours"]["xds_servers"][0]["server_uri"] == "dns:///istiod.istio-system.svc:15010"
    # Upstream's script leaves the line end of ISTIO_NAMESPACE in the address, as a blank.
    server = written["upstream"]["xds_servers"][0]
    assert server["server_uri"] == "dns:///istiod.istio-system .svc:15010"
    server["server_uri"] = server["server_uri"].replace(" ", "")
    assert written["ours"] == written["upstream"]


def values_named(template: str) -> set[str]:
    """Paths of the values a template names; ours has short names for two of them."""
    longer = template.replace("$proxy.", ".Values.global.proxy.").replace("$global.", ".Values.global.")
    return set(re.findall(r"\.Values\)?\.([\w.]+)", longer.replace(").", ".")))


@pytest.mark.parametrize("name", list(injection_templates(FEATURES)))
def test_a_template_names_the_values_that_upstream_s_names(name: str, judge: Judge) -> None:
    # `global` and `global.proxy` are named where ours are given their short names.
    ours = values_named(injection_templates(FEATURES)[name]) - {"global", "global.proxy"}
    assert ours == values_named(judge.upstream[name])
