"""`manifest generate` against istioctl, leaf by leaf, for profiles and for inputs of many kinds."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from meshctl.model.mesh import Inputs
from meshctl.stages.rendering.render import render
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve
from tests.parity.leaves import compare, documents, leaves
from tests.parity.variants import PROFILES, VARIANTS, Case

pytestmark = pytest.mark.parity

INPUTS = Path(__file__).parent / "inputs"
IMAGES = ("hub=registry.istio.io/testing", "tag=latest")
PINNED = "1.32"
"""Minor of the istioctl that renders beside us."""

LEAST = 0.995

ACCEPTED = {
    r"^ConfigMap [^ ]*/values[^ ]*\.kubernetes\.io/description$": "a text for people; we have none there",
    r"^ValidatingAdmissionPolicy .*\.validations": "the same condition, in our own words",
    r"^DaemonSet tunnels/tunnel\.spec\.template\.": (
        "upstream drops `k8s` of a ztunnel that is called otherwise; ours follows the name"
    ),
}
"""Leaves that differ on purpose, and why. They count as differences all the same."""


@pytest.mark.parametrize("case", PROFILES, ids=str)
def test_a_profile_renders_as_istioctl_renders_it(case: Case, istioctl: Path) -> None:
    judge(case, istioctl)


@pytest.mark.parametrize("case", VARIANTS, ids=str)
def test_an_input_renders_as_istioctl_renders_it(case: Case, istioctl: Path) -> None:
    judge(case, istioctl)


def judge(case: Case, istioctl: Path) -> None:
    """Render both, print every difference with its reason, and want few, none without a reason."""
    files = tuple(str(INPUTS / name) for name in case.files)
    sets = case.sets if "free.yaml" in case.files else (*IMAGES, *case.sets)
    asked = load(Inputs(files=files, sets=sets, version=PINNED))
    ours = [dict(each.content) for each in render(resolve(asked, asked.mesh.clusters[0])).objects]
    version = asked.version.full
    found = compare(leaves(ours, version), leaves(documents(theirs(istioctl, files, sets)), version))
    reasons = {path: reason(path) for path in (*found.missing, *found.extra)}
    print(f"{case}: {found.share:.4f}, {found.shared} leaves shared")
    print(
        "\n".join(f"{line}    # {reasons[line[4:].partition(' = ')[0]]}" for line in str(found).splitlines())
    )
    assert not [path for path, why in reasons.items() if not why], str(found)
    assert found.share >= LEAST, str(found)


def theirs(istioctl: Path, files: tuple[str, ...], sets: tuple[str, ...]) -> str:
    """What istioctl makes of the same input."""
    arguments = [part for name in files for part in ("-f", name)]
    arguments += [part for each in sets for part in ("--set", each)]
    # --force, because upstream's schema lacks some of the values that its own charts take
    done = subprocess.run(
        [istioctl, "manifest", "generate", "--force", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def reason(path: str) -> str:
    """Why a leaf differs on purpose; empty when there is no reason."""
    return next((why for pattern, why in ACCEPTED.items() if re.search(pattern, path)), "")
