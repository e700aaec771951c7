"""Every cluster of a mesh.yaml in the forms of the tools that deliver a fleet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshctl.model.mesh import Inputs
from meshctl.stages.exporting.export import Git
from meshctl.stages.exporting.fleet import exported_fleet
from meshctl.stages.rendering.fleet import rendered
from meshctl.stages.settings import catalogue
from meshctl.stages.settings.load import load_all

GIT = Git("https://git.example/fleet.git", "fleet", "release")


def exported(file: Path, form: str | None, git: Git = GIT, *, of: str) -> Mapping[str, str]:
    file.write_text(of)
    return exported_fleet(rendered(load_all(Inputs(files=(str(file),))), install=True), form, git)


def documents(files: Mapping[str, str], path: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(files[path]))


def test_argo_cd_finds_every_cluster_by_a_file_in_its_folder(tmp_path: Path):
    files = exported(tmp_path / "mesh.yaml", "argocd", of=catalogue.topology("multi-network"))
    (told,) = documents(files, "applicationset.yaml")
    ((generator,), template) = told["spec"]["generators"], told["spec"]["template"]
    assert generator["git"] == {
        "repoURL": "https://git.example/fleet.git",
        "revision": "release",
        "files": [{"path": "fleet/*/mesh-cluster.yaml"}],
    }
    members = {path.split("/")[0]: documents(files, path)[0] for path in files if "mesh-cluster" in path}
    assert sorted(members) == ["east", "west"]
    asked_for = {"{{.mesh}}-{{.cluster}}", "{{.cluster}}", "{{.namespace}}", "{{.wave}}"}
    said = {template["metadata"]["name"], *template["metadata"]["labels"].values()}
    assert said | {*template["spec"]["destination"].values()} == asked_for
    for name, member in members.items():
        assert member == {"mesh": "mesh", "cluster": name, "namespace": "istio-system", "wave": "0"}
        assert f"{name}/objects/istiod/deployment-istiod.yaml" in files
        assert f"{name}/application.yaml" not in files


def test_argo_cd_brings_clusters_after_those_whose_istiod_serves_them(tmp_path: Path):
    files = exported(tmp_path / "mesh.yaml", "argocd", of=catalogue.topology("primary-remote"))
    waves = {name: documents(files, f"{name}/mesh-cluster.yaml")[0]["wave"] for name in ("west", "east")}
    assert waves == {"west": "0", "east": "1"}
    (told,) = documents(files, "applicationset.yaml")
    steps = told["spec"]["strategy"]["rollingSync"]["steps"]
    assert [step["matchExpressions"][0]["values"] for step in steps] == [["0"], ["1"]]


def test_argo_cd_leaves_alone_what_controllers_take_over_in_any_of_the_clusters(tmp_path: Path):
    mesh = yaml.safe_load(catalogue.topology("primary-remote"))
    mesh["spec"]["clusters"][0]["values"] = {"pilot": {"autoscaleEnabled": False}}
    files = exported(tmp_path / "mesh.yaml", "argocd", of=yaml.safe_dump(mesh))
    (told,) = documents(files, "applicationset.yaml")
    left = {
        each["kind"]: each["jqPathExpressions"]
        for each in told["spec"]["template"]["spec"]["ignoreDifferences"]
    }
    assert set(left) >= {"Deployment", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}


def test_a_cluster_that_leaves_the_repository_keeps_its_mesh(tmp_path: Path):
    files = exported(tmp_path / "mesh.yaml", "argocd", of=catalogue.topology("multi-primary"))
    (told,) = documents(files, "applicationset.yaml")
    assert told["spec"]["syncPolicy"] == {"preserveResourcesOnDeletion": True}


def test_meshes_of_one_file_have_a_set_each_that_takes_its_own_clusters(tmp_path: Path):
    files = exported(tmp_path / "mesh.yaml", "argocd", of=catalogue.topology("multi-mesh"))
    chosen = {
        each["metadata"]["name"]: each["spec"]["generators"][0]["selector"]["matchLabels"]["mesh"]
        for each in documents(files, "applicationset.yaml")
    }
    assert chosen == {"shop": "shop", "bank": "bank"}
    assert documents(files, "bank-west/mesh-cluster.yaml")[0]["mesh"] == "bank"


def test_a_fleet_at_the_root_of_the_repository_has_plain_paths(tmp_path: Path):
    text = catalogue.topology("multi-primary")
    files = exported(tmp_path / "mesh.yaml", "argocd", Git("https://git.example/fleet.git"), of=text)
    (told,) = documents(files, "applicationset.yaml")
    assert told["spec"]["generators"][0]["git"]["files"] == [{"path": "*/mesh-cluster.yaml"}]


def test_each_cluster_has_a_folder_for_the_flux_that_runs_there(tmp_path: Path):
    files = exported(tmp_path / "mesh.yaml", "flux", of=catalogue.topology("multi-network"))
    for name in ("east", "west"):
        (whole,) = documents(files, f"{name}/kustomization.yaml")
        assert whole["resources"] == ["flux.yaml"]  # else Flux sends the objects a second time
        source, *told = documents(files, f"{name}/flux.yaml")
        assert source["metadata"]["name"] == f"mesh-{name}"
        for each in told:
            folder = each["spec"]["path"].removeprefix("./fleet/")
            assert f"{folder}/kustomization.yaml" in files


def test_flux_reads_by_the_source_that_is_there(tmp_path: Path):
    git = Git(folder="fleet", source="flux-system")
    files = exported(tmp_path / "mesh.yaml", "flux", git, of=catalogue.topology("multi-primary"))
    told = documents(files, "west/flux.yaml")
    assert {each["kind"] for each in told} == {"Kustomization"}
    assert {each["spec"]["sourceRef"]["name"] for each in told} == {"flux-system"}


@pytest.mark.parametrize("form", [None, "kustomize", "helm"])
def test_other_forms_have_a_folder_for_each_cluster_and_nothing_above(tmp_path: Path, form: str | None):
    files = exported(tmp_path / "mesh.yaml", form, of=catalogue.topology("multi-primary"))
    assert {path.split("/")[0] for path in files} == {"east", "west"}
