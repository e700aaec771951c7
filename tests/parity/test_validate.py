"""What `validate` says istiod would refuse, upstream's own validation refuses too."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from meshctl.crds import crds
from meshctl.crds.admission import refusals
from meshctl.crds.validation import examined
from tests.cluster.mutants import specs
from tests.upstream import istioctl

pytestmark = pytest.mark.parity

MINOR = "1.32"
"""Of the istioctl that is built here."""
DRAWN = 60
"""Objects for each kind; those that the definitions refuse are left out."""


def sound_objects() -> list[dict[str, Any]]:
    """Drawn objects that the definitions allow, each with a name of its own."""
    found = []
    for crd in crds(MINOR):
        version = crd["spec"]["versions"][0]
        head = {
            "apiVersion": f"{crd['spec']['group']}/{version['name']}",
            "kind": crd["spec"]["names"]["kind"],
        }
        schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        for spec in specs(schema, DRAWN, f"parity {head['kind']}"):
            content = {**head, "metadata": {"name": f"case-{len(found)}"}, "spec": spec}
            if not examined(content, MINOR).problems:
                found.append(content)
    return found


def test_nothing_is_refused_that_istioctl_takes(tmp_path: Path) -> None:
    asked = sound_objects()
    file = tmp_path / "in.yaml"
    file.write_text("\n---\n".join(json.dumps(each) for each in asked))
    said = subprocess.run([str(istioctl()), "validate", "-f", str(file)], capture_output=True, text=True)
    theirs = set(re.findall(r"/(case-\d+):", said.stdout + said.stderr))
    ours = {each["metadata"]["name"]: list(refusals(each)) for each in asked}
    refused = {name for name, problems in ours.items() if problems}
    print(f"of {len(asked)} objects istioctl complains of {len(theirs)}, validate refuses {len(refused)}")
    assert len(refused) > 50
    assert {name: ours[name] for name in refused - theirs} == {}
