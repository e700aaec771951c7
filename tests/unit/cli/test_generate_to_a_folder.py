"""`manifest generate -o DIR`: a file an object, and the forms that other tools deliver."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from meshctl.stages.settings import catalogue


def test_a_folder_holds_the_objects_of_the_stream_and_a_kustomization(meshctl, tmp_path: Path):
    stream = meshctl("manifest", "generate").out
    assert meshctl("manifest", "generate", "-o", f"{tmp_path}/out").code == 0
    (told,) = yaml.safe_load_all((tmp_path / "out/kustomization.yaml").read_text())
    written = [
        yaml.load((tmp_path / "out" / name).read_text(), yaml.CSafeLoader) for name in told["resources"]
    ]
    wanted = list(yaml.load_all(stream, yaml.CSafeLoader))
    assert sorted(written, key=str) == sorted(wanted, key=str)


def test_the_same_settings_give_the_same_bytes(meshctl, tmp_path: Path):
    def held(name: str) -> dict[str, bytes]:
        assert meshctl("manifest", "generate", "--profile", "demo", "-o", f"{tmp_path}/{name}").code == 0
        root = tmp_path / name
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    assert held("one") == held("two")


def test_an_edited_file_stops_it_and_is_named(meshctl, tmp_path: Path):
    meshctl("manifest", "generate", "-o", str(tmp_path))
    (tmp_path / "istiod/service-istiod.yaml").write_text("mine")
    done = meshctl("manifest", "generate", "-o", str(tmp_path), "--profile", "minimal")
    assert done.code == 2
    assert "istiod/service-istiod.yaml" in done.err
    assert (tmp_path / "gateway").exists()  # nothing was changed
    assert (
        meshctl("manifest", "generate", "-o", str(tmp_path), "--profile", "minimal", "--overwrite").code == 0
    )
    assert not (tmp_path / "gateway").exists()


def test_each_cluster_of_a_mesh_has_a_folder_and_argo_cd_one_file_above_them(meshctl, tmp_path: Path):
    (tmp_path / "mesh.yaml").write_text(catalogue.topology("multi-primary"))
    git = ("--repository", "https://git.example/fleet.git", "--path", "fleet")
    asked = ("manifest", "generate", "-f", f"{tmp_path}/mesh.yaml", "--as", "argocd", *git)
    done = meshctl(*asked, "-o", f"{tmp_path}/out")
    assert done.code == 0, done.err
    assert {each.name for each in (tmp_path / "out").iterdir()} == {
        ".meshctl-files.json", "applicationset.yaml", "east", "west",
    }  # fmt: skip
    assert meshctl(*asked, "-o", f"{tmp_path}/one", "--cluster", "west").code == 0
    told = yaml.safe_load((tmp_path / "one/application.yaml").read_text())
    assert (told["metadata"]["name"], told["spec"]["source"]["path"]) == ("mesh-west", "fleet/objects")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--as", "helm"), "need a folder"),
        (("--as", "flux", "-o", "x"), "name it: --repository URL"),
        (("-o", "x", "--out", "y"), "leave one of them out"),
        (("--repository", "https://git.example/x", "-o", "x"), "only Argo CD and Flux"),
        (("--as", "argocd", "--source", "flux-system", "-o", "x"), "only Flux reads"),
        (("--as", "flux", "--source", "a", "--repository", "b", "-o", "x"), "names the repository already"),
        (("-o", "jsno"), "did you mean 'json'"),
    ],
)
def test_options_that_do_not_fit_are_refused_and_nothing_is_written(
    meshctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], told: str
):
    monkeypatch.chdir(tmp_path)
    done = meshctl("manifest", "generate", *options)
    assert (done.code, told in done.err) == (2, True), done.err
    assert list(tmp_path.iterdir()) == []
