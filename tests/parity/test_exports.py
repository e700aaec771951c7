"""Exports, judged by the tools' own renderers: Helm's, and kubectl's Kustomize."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshctl.adapters import folder
from meshctl.model.manifest import Manifest
from meshctl.model.mesh import Inputs
from meshctl.sandbox import build
from meshctl.stages.exporting.export import Place, kustomize, plain
from meshctl.stages.exporting.helm import helm
from meshctl.stages.rendering.render import render
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve
from tests import upstream

pytestmark = pytest.mark.parity

PLACE = Place("mesh", "istio-system", "1.2.3")


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    asked = load(Inputs(profile="demo"))
    return render(resolve(asked, asked.mesh.clusters[0]), install=True)


def by_name(contents: Any) -> dict[tuple[str, str, str], Any]:
    return {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each
        for each in contents
        if each
    }


def output(*command: str | Path) -> dict[tuple[str, str, str], Any]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return by_name(yaml.load_all(done.stdout, yaml.CSafeLoader))


def test_helm_renders_the_objects_of_the_chart_unchanged(manifest: Manifest, tmp_path: Path):
    folder.write(tmp_path, helm(manifest, PLACE))
    made = output(build.program(build.HELMJUDGE), tmp_path)
    wanted = by_name(dict(each.content) for each in manifest.objects if each.ref.kind != "Namespace")
    assert made == wanted


@pytest.mark.parametrize("form", ["plain", "kustomize"])
def test_kustomize_builds_the_objects_of_the_folder_unchanged(manifest: Manifest, tmp_path: Path, form: str):
    folder.write(tmp_path, plain(manifest) if form == "plain" else kustomize(manifest, PLACE))
    made = output(upstream.kubectl(), "kustomize", tmp_path)
    assert made == by_name(dict(each.content) for each in manifest.objects)
