"""`manifest generate` against istioctl, leaf by leaf, for profiles and for inputs of many kinds."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from meshctl.model.mesh import Inputs
from meshctl.stages.load import load
from meshctl.stages.render import render
from meshctl.stages.resolve import resolve
from tests.parity.leaves import compare, documents, leaves

pytestmark = pytest.mark.parity

INPUTS = Path(__file__).parent / "inputs"
IMAGES = ("hub=registry.istio.io/testing", "tag=latest")
LEAST = 0.99

ACCEPTED = {
    r"ConfigMap [^ ]*/values[^ ]*\.kubernetes\.io/description$": "a text for people, in our own words",
    r"^ValidatingAdmissionPolicy .*\.validations": "the same condition, in our own words",
}
"""Leaves that differ on purpose, and why. They count as differences all the same."""


@dataclass(frozen=True)
class Case:
    """What both are given."""

    name: str
    files: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


PROFILES = [Case(name, sets=(f"profile={name}",)) for name in ("default", "minimal", "demo", "empty")]
VARIANTS = [
    Case("kubernetes-settings", files=("kubernetes-settings.yaml",)),
    Case("overlays", files=("overlays.yaml",)),
    Case("several-gateways", files=("gateways.yaml",)),
    Case("revision-with-tags", files=("mesh.yaml",)),
    Case("many-values", files=("values.yaml",)),
    Case("remote-istiod", files=("remote.yaml",)),
    Case("unvalidated", files=("free.yaml",)),
    Case("two-files", files=("mesh.yaml", "gateways.yaml")),
    Case("revision", sets=("revision=1-32",)),
    Case("namespace", sets=("values.global.istioNamespace=mesh",)),
    Case("network-policy", sets=("values.global.networkPolicy.enabled=true",)),
    Case(
        "budget", sets=("values.pilot.autoscaleMin=3", "values.gateways.istio-ingressgateway.autoscaleMin=2")
    ),
    Case("no-autoscaler", sets=("values.pilot.autoscaleEnabled=false", "values.pilot.replicaCount=2")),
    Case("injected-gateway", sets=("values.gateways.istio-ingressgateway.injectionTemplate=gateway",)),
    Case(
        "egress", sets=("components.egressGateways[0].name=out", "components.egressGateways[0].enabled=true")
    ),
    Case("no-telemetry", sets=("values.telemetry.enabled=false", "meshConfig.rootNamespace=roots")),
    Case("openshift-gateway", sets=("values.global.platform=openshift",)),
    Case("cluster-scope", sets=("values.global.resourceScope=cluster",)),
    Case("namespace-scope", sets=("values.global.resourceScope=namespace",)),
    Case(
        "no-validation",
        sets=("values.global.configValidation=false", "values.global.operatorManageWebhooks=true"),
    ),
    Case("compatibility", sets=("compatibilityVersion=1.30",)),
    Case("stable-policy", sets=("values.experimental.stableValidationPolicy=true",)),
    Case("trust-bundles", sets=("values.pilot.env.ENABLE_CLUSTER_TRUST_BUNDLE_API=true",)),
    Case(
        "demo-with-settings",
        sets=("profile=demo", "values.pilot.traceSampling=7", "values.global.logAsJson=true"),
    ),
    Case("no-reader", sets=("values.global.enableReaderRBAC=false",)),
]


@pytest.mark.parametrize("case", PROFILES, ids=str)
def test_a_profile_renders_as_istioctl_renders_it(case: Case, istioctl: Path) -> None:
    share, told = measured(case, istioctl)
    print(told)
    assert share >= LEAST, told


@pytest.mark.parametrize("case", VARIANTS, ids=str)
def test_an_input_renders_as_istioctl_renders_it(case: Case, istioctl: Path) -> None:
    share, told = measured(case, istioctl)
    print(told)
    assert share >= LEAST, told


def measured(case: Case, istioctl: Path) -> tuple[float, str]:
    """The share of leaves that are the same, and every difference with its reason."""
    files = [str(INPUTS / name) for name in case.files]
    sets = case.sets if "free.yaml" in case.files else (*IMAGES, *case.sets)
    arguments = [part for name in files for part in ("-f", name)]
    arguments += [part for each in sets for part in ("--set", each)]
    # --force, because upstream's schema lacks some of the values that its own charts take
    done = subprocess.run(
        [istioctl, "manifest", "generate", "--force", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    asked = load(Inputs(files=tuple(files), sets=sets))
    ours = [dict(each.content) for each in render(resolve(asked, asked.mesh.clusters[0])).objects]
    version = asked.version.full
    found = compare(leaves(ours, version), leaves(documents(done.stdout), version))
    return found.share, f"{case}: {found.share:.4f} of {found.shared} shared leaves\n{explained(str(found))}"


def explained(differences: str) -> str:
    """Each difference with its reason, where it has one."""
    lines = []
    for line in differences.splitlines():
        path = line[4:].partition(" = ")[0]
        reason = next((why for pattern, why in ACCEPTED.items() if re.search(pattern, path)), "")
        lines.append(f"{line}    # {reason}" if reason else line)
    return "\n".join(lines)
