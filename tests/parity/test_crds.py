"""Our CustomResourceDefinitions against upstream's own, leaf by leaf, for each Istio minor.

A leaf is a path and its value: field paths, types, enumerations, required, formats, limits, CEL rules,
list types, columns, versions, names, labels. Texts for people (descriptions, messages of rules) are ours
and are not compared, but must not be upstream's.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from meshctl.crds import crds

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.parity

GO_MODULE = Path(__file__).parents[2] / "meshctl/sandbox/gomod/istio"

UPSTREAM = {
    "1.30": ("istio.io/api@v1.30.1", "kubernetes/customresourcedefinitions.gen.yaml"),
    "1.31": ("istio.io/api@v1.31.1", "kubernetes/customresourcedefinitions.gen.yaml"),
    "1.32": ("istio.io/istio", "manifests/charts/base/files/crd-all.gen.yaml"),
}
"""Go module and file with the definitions of a minor; without a version, the one our go.mod pins."""

EXPLAINED: dict[tuple[str, str], str] = {}
"""Minor and leaf path that differ on purpose, and why. There are none."""

each_minor = pytest.mark.parametrize("minor", UPSTREAM)

Leaves = dict[str, Any]


def go(*arguments: str) -> str:
    """Output of a go command that leaves our go.mod as it is; skips where it cannot run."""
    program = shutil.which("go")
    if program is None:
        pytest.skip("there is no go to find upstream's module with")
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOWORK": "off"}
    done = subprocess.run(
        [program, *arguments], cwd=GO_MODULE, env=environment, capture_output=True, text=True
    )
    if done.returncode != 0:
        pytest.skip(f"go {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


@cache
def upstream(minor: str) -> dict[str, Any]:
    """Upstream's definitions of a minor by name."""
    module, file = UPSTREAM[minor]
    if "@" not in module:
        module += "@" + go("list", "-m", "-f", "{{.Version}}", module).strip()
    folder = Path(json.loads(go("mod", "download", "-json", module))["Dir"])
    documents = yaml.load_all((folder / file).read_text(), Loader=yaml.CSafeLoader)
    return {crd["metadata"]["name"]: crd for crd in documents if crd}


def ours(minor: str) -> dict[str, Any]:
    """Our definitions of a minor by name."""
    return {crd["metadata"]["name"]: crd for crd in crds(minor)}


def leaves(node: Any, path: str = "", *, names: bool = False) -> Iterator[tuple[str, Any]]:
    """Paths and values below a node; `names` says that the keys are names of fields, not of the schema."""
    if isinstance(node, dict) and node:
        for key, child in node.items():
            if names or key not in ("description", "message"):
                yield from leaves(child, f"{path}/{key}", names=key == "properties" and not names)
    elif isinstance(node, list) and node:
        for index, child in enumerate(node):
            yield from leaves(child, f"{path}/{index}")
    else:
        yield path, node


def compared(name: str, minor: str) -> tuple[set[Any], set[Any], set[Any]]:
    """Leaves of a definition that both have, that we miss and that only we have."""
    mine = set(hashable(ours(minor).get(name, {})))
    theirs = set(hashable(upstream(minor).get(name, {})))
    return mine & theirs, theirs - mine, mine - theirs


def hashable(crd: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Leaves with values in their JSON form, in which 1, 1.0 and true differ."""
    return ((path, json.dumps(value)) for path, value in leaves(crd))


def descriptions(node: Any, *, names: bool = False) -> Iterator[str]:
    """Every description of a definition, without case, blanks and punctuation."""
    if isinstance(node, dict):
        for key, child in node.items():
            if key == "description" and not names and isinstance(child, str):
                yield re.sub(r"\W+", " ", child).strip().lower()
            yield from descriptions(child, names=key == "properties" and not names)
    elif isinstance(node, list):
        for child in node:
            yield from descriptions(child)


@each_minor
def test_the_same_kinds_are_defined(minor: str) -> None:
    assert list(ours(minor)) == list(upstream(minor))


@each_minor
def test_every_difference_is_explained(minor: str) -> None:
    different = {
        f"{name}{path}: {value} ({side})"
        for name in {*ours(minor), *upstream(minor)}
        for side, found in zip(("missing", "extra"), compared(name, minor)[1:], strict=True)
        for path, value in found
        if (minor, f"{name}{path}") not in EXPLAINED
    }
    assert different == set()


@each_minor
def test_at_least_99_of_100_leaves_are_shared(minor: str) -> None:
    total = [0, 0, 0]
    for name in upstream(minor):
        counts = [len(found) for found in compared(name, minor)]
        assert counts[0] / sum(counts) >= 0.99, f"{name}: shared, missing, extra = {counts}"
        total = [before + count for before, count in zip(total, counts, strict=True)]
    print(f"Istio {minor}: shared, missing, extra = {total}, {total[0] / sum(total):.4f}")
    assert total[0] / sum(total) >= 0.99


@each_minor
def test_no_description_is_upstreams(minor: str) -> None:
    mine = {text for crd in ours(minor).values() for text in descriptions(crd)}
    theirs = {text for crd in upstream(minor).values() for text in descriptions(crd)}
    assert mine & theirs == set()
