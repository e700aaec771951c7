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
from pathlib import Path
from typing import Any

import pytest

from meshctl.stages.rendering.injection import injection_templates
from meshctl.stages.settings.versions import version
from tests.parity import injecting
from tests.parity.injecting import Case, Verdict, gateway, gateways, leaves, pods, workload

pytestmark = pytest.mark.parity

TEMPLATES = injection_templates(version("1.32").features)
"""Ours, as the pinned upstream's istiod would have them."""


class Judge:
    """The injector, with our templates and upstream's."""

    def __init__(self, binary: Path, istioctl: Path) -> None:
        self.binary, self.istioctl = binary, istioctl
        self.upstream = injecting.templates(self.installed(()))

    def installed(self, settings: tuple[str, ...]) -> injecting.Installed:
        return injecting.by_upstream(settings, self.istioctl)

    def question(self, name: str, case: Case, **more: Any) -> dict[str, Any]:
        return injecting.question(name, case, self.installed, **more)

    def ask(self, questions: list[dict[str, Any]]) -> dict[str, Verdict]:
        return injecting.ask(self.binary, {"ours": TEMPLATES, "upstream": self.upstream}, questions)


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


@pytest.mark.parametrize("name", list(TEMPLATES))
def test_a_template_names_the_values_that_upstream_s_names(name: str, judge: Judge) -> None:
    # `global` and `global.proxy` are named where ours are given their short names.
    ours = values_named(TEMPLATES[name]) - {"global", "global.proxy"}
    assert ours == values_named(judge.upstream[name])
