"""Workloads and Gateways put through istiod's own injector, with templates of ours or of upstream's.

The judge (`meshctl/sandbox/gomod/istio/injectjudge`) is upstream's Go code with a door for many cases.
"""

from __future__ import annotations

import json
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from meshctl.model.mesh import Inputs
from meshctl.stages.rendering.render import render
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CASES = Path(__file__).parent.parent / "cases" / "injection"
IMAGES = ("hub=registry.istio.io/testing", "tag=latest")
INJECTOR = "istio-sidecar-injector"

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


Installed = dict[str, str]
"""The injector ConfigMap's data: `config` with the templates, and `values`."""


@cache
def by_us(settings: tuple[str, ...], version: str) -> Installed:
    """The injector's data, as we would install it."""
    asked = load(Inputs(sets=(*IMAGES, *settings), version=version))
    objects = render(resolve(asked, asked.mesh.clusters[0])).objects
    found = next(each for each in objects if (each.ref.kind, each.ref.name) == ("ConfigMap", INJECTOR))
    return dict(found.content["data"])


@cache
def by_upstream(settings: tuple[str, ...], istioctl: Path, charts: Path | None = None) -> Installed:
    """The injector's data, as istioctl would install it, from other charts than its own if they are given."""
    command = [str(istioctl), "manifest", "generate", "--force"]
    command += ["--manifests", str(charts)] if charts else []
    command += [word for setting in (*IMAGES, *settings) for word in ("--set", setting)]
    told = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    found = next(
        each
        for each in told.split("\n---\n")
        if "kind: ConfigMap" in each and f"\n  name: {INJECTOR}\n" in each
    )
    data: Installed = yaml.safe_load(found)["data"]
    return data


def templates(installed: Installed) -> dict[str, str]:
    """The injection templates, by name."""
    found: dict[str, str] = yaml.safe_load(installed["config"])["templates"]
    return found


def question(
    name: str, case: Case, install: Callable[[tuple[str, ...]], Installed], **more: Any
) -> dict[str, Any]:
    """What the judge is asked of a case; `install` gives the injector's data for the case's settings."""
    values = json.loads(install(tuple(case.get("install", ())))["values"])
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


def ask(
    judge: Path, sides: Mapping[str, Mapping[str, str]], questions: list[dict[str, Any]]
) -> dict[str, Verdict]:
    """What the templates of each side make of each question, by the question's name."""
    asked = json.dumps({"templates": sides, "cases": questions})
    told = subprocess.run([str(judge)], input=asked, capture_output=True, check=False, text=True)
    assert told.returncode == 0, told.stderr
    return dict(zip((each["name"] for each in questions), json.loads(told.stdout), strict=True))


def verdicts(judge: Path, install: Callable[[tuple[str, ...]], Installed]) -> dict[str, dict[str, Any]]:
    """Leaves of what one side makes of every case that it has the template for; of an error, only that it is.

    Args:
        judge: the program.
        install: gives the injector's data for the settings of a case.
    """
    known = templates(install(()))
    questions = [question(name, case, install, object=workload(case)) for name, case in pods()]
    questions += [
        question(name, case, install, template=template, gateway=gateway(case, template))
        for name, case, template in gateways()
        if template in known
    ]
    told = ask(judge, {"one": known}, questions)
    return {name: leaves(verdict["one"].get("documents", "error")) for name, verdict in told.items()}


def leaves(node: Any, path: str = "") -> dict[str, Any]:
    """Every scalar and every empty map or list, by its path."""
    if isinstance(node, dict) and node:
        pairs = [(f"{path}.{key}", value) for key, value in node.items()]
    elif isinstance(node, list) and node:
        pairs = [(f"{path}[{index}]", value) for index, value in enumerate(node)]
    else:
        return {path: node}
    return {at: leaf for inner, value in pairs for at, leaf in leaves(value, inner).items()}
