"""What a mesh.yaml says of trust: where files are, what goes together, what follows for the values."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshctl.model.mesh import Inputs, Source
from meshctl.stages.settings.load import load_all
from meshctl.stages.settings.resolve import resolve
from tests.unit.load.test_mesh_file import HEAD, problems

CLUSTERS = "  clusters: [{name: west, context: w}, {name: east, context: e}]\n"
ENV = "values.pilot.env.ISTIO_MULTIROOT_MESH"
AGENT = "meshConfig.defaultConfig.proxyMetadata.PROXY_CONFIG_XDS_AGENT"


def text(trust: str, more: str = "") -> str:
    return f"{HEAD}spec:\n  trust: {trust}\n{more}{CLUSTERS}"


@pytest.mark.parametrize(
    ("trust", "root", "files"),
    [
        ("{ca: managed}", "conf/ca", ""),
        ("{ca: managed, root: ../roots}", "conf/../roots", ""),
        ("{ca: managed, root: /safe/roots}", "/safe/roots", ""),
        ("{ca: managed, root: ~/roots}", "~/roots", ""),
        ("{ca: files, files: 'pki/{cluster}'}", "", "conf/pki/west"),
        ("{ca: there}", "", ""),
    ],
)
def test_folders_are_found_beside_the_mesh_file(
    trust: str, root: str, files: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "mesh.yaml").write_text(text(trust))
    [found] = load_all(Inputs(files=("conf/mesh.yaml",)))
    assert (found.mesh.trust.root, found.mesh.trust.folder_of("west")) == (root, files)


def test_a_mesh_from_standard_input_has_its_folders_where_the_command_runs() -> None:
    [found] = load_all(Inputs(files=("-",)), stdin=text("{ca: managed}"))
    assert (found.mesh.trust.source, found.mesh.trust.root) == (Source.MANAGED, "ca")


@pytest.mark.parametrize(
    ("trust", "told"),
    [
        ("{ca: mnaged}", ["wrong-value 5  spec.trust.ca"]),
        ("{root: ca}", ["no-effect 5  spec.trust.root"]),
        (
            "{ca: self-signed, days: 5, nameConstraints: true}",
            ["no-effect 5  spec.trust.days", "no-effect 5  spec.trust.nameConstraints"],
        ),
        ("{ca: managed, files: 'x/{cluster}'}", ["no-effect 5  spec.trust.files"]),
        ("{ca: files}", ["no-folder 5  spec.trust.ca"]),
        ("{ca: files, files: pki}", ["one-folder-for-several 5  spec.trust.files"]),
        ("{ca: managed, days: 0}", ["wrong-type 5  spec.trust.days"]),
    ],
)
def test_what_does_not_go_together_is_told_at_its_line(trust: str, told: list[str]) -> None:
    assert problems(text(trust)) == told


def test_managed_trust_lets_roots_change_while_proxies_run_and_settings_of_the_users_win() -> None:
    [asked] = load_all(Inputs(files=("-",)), stdin=text("{ca: managed}"))
    values = resolve(asked, asked.mesh.clusters[0])
    assert (values.at(ENV.removeprefix("values.")), values.at(AGENT)) == ("true", "true")

    own = "  values: {pilot: {env: {ISTIO_MULTIROOT_MESH: 'false'}}}\n"
    own += "  meshConfig: {defaultConfig: {proxyMetadata: {PROXY_CONFIG_XDS_AGENT: 'false'}}}\n"
    [asked] = load_all(Inputs(files=("-",)), stdin=text("{ca: managed}", own))
    values = resolve(asked, asked.mesh.clusters[0])
    assert (values.at(ENV.removeprefix("values.")), values.at(AGENT)) == ("false", "false")


@pytest.mark.parametrize("trust", ["{}", "{ca: self-signed}"])
def test_other_trust_changes_no_setting(trust: str) -> None:
    [asked] = load_all(Inputs(files=("-",)), stdin=text(trust))
    values = resolve(asked, asked.mesh.clusters[0])
    assert (values.at(ENV.removeprefix("values.")), values.at(AGENT)) == (None, None)
