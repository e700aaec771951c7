"""The same input rendered by both sides: by us, and by istioctl from charts of any minor."""

from __future__ import annotations

import json
import subprocess
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshctl.model.mesh import Inputs
from meshctl.stages.rendering.render import render
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve
from tests.parity.leaves import PLACEHOLDER, Leaves, documents, leaves
from tests.parity.test_crds import leaves as schema_leaves

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.parity.variants import Case

INPUTS = Path(__file__).parent / "inputs"
IMAGES = ("hub=registry.istio.io/testing", "tag=latest")


def arguments(case: Case) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Files and settings of a case; the images are said unless its files do."""
    files = tuple(str(INPUTS / name) for name in case.files)
    return files, case.sets if "free.yaml" in case.files else (*IMAGES, *case.sets)


def ours(case: Case, version: str) -> Leaves:
    """Leaves of what we make of a case; labels tell the version of upstream's charts in their tree."""
    files, sets = arguments(case)
    asked = load(Inputs(files=files, sets=sets, version=version))
    objects = [dict(each.content) for each in render(resolve(asked, asked.mesh.clusters[0])).objects]
    told = _leaves(objects)
    for path, value in told.items():
        if path.endswith((".app.kubernetes.io/version", ".helm.sh/chart")):
            told[path] = str(value).replace(asked.version.full, PLACEHOLDER)
    return told


def theirs(case: Case, istioctl: Path, charts: Path) -> Leaves:
    """Leaves of what istioctl makes of a case with the charts in a folder `manifests`."""
    return _leaves(documents(generated(case, istioctl, charts)))


def generated(case: Case, istioctl: Path, charts: Path) -> str:
    """What istioctl prints for a case."""
    files, sets = arguments(case)
    # --force, because upstream's schema lacks some of the values that its own charts take
    command = [str(istioctl), "manifest", "generate", "--force", "--manifests", str(charts)]
    command += [part for name in files for part in ("-f", name)]
    command += [part for each in sets for part in ("--set", each)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _leaves(objects: Iterable[Mapping[str, Any]]) -> Leaves:
    """Leaves of all objects; a definition's schema is one leaf, for test_crds.py looks into it."""
    objects = list(objects)
    found = leaves(objects, PLACEHOLDER)
    for content in objects:
        if content["kind"] == "CustomResourceDefinition":
            whole = json.dumps(sorted((path, repr(value)) for path, value in schema_leaves(content["spec"])))
            name = f"CustomResourceDefinition /{content['metadata']['name']}"
            found[f"{name}.spec"] = blake2b(whole.encode(), digest_size=8).hexdigest()
            for key in ("labels", "annotations"):
                for label, value in (content["metadata"].get(key) or {}).items():
                    found[f"{name}.metadata.{key}.{label}"] = value
    return found
