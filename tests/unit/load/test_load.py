from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meshctl.errors import ConfigError, ProblemsError, UnsupportedError
from meshctl.model.mesh import Inputs, Layer
from meshctl.stages.schema.schema import schema
from meshctl.stages.settings import catalogue
from meshctl.stages.settings.load import Loaded, load
from meshctl.stages.settings.resolve import resolve

if TYPE_CHECKING:
    from pathlib import Path

    from meshctl.model.values import Values

IOP = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n"


def settled(asked: Loaded) -> Values:
    return resolve(asked, asked.mesh.clusters[0])


def test_the_profile_is_the_last_set_else_the_flag_else_the_last_file(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(IOP + "  profile: empty\n", "utf-8")
    assert load(Inputs()).profile == "default"
    assert load(Inputs(files=(str(file),))).profile == "empty"
    assert load(Inputs(profile="demo", files=(str(file),))).profile == "demo"
    assert load(Inputs(profile="demo", files=(str(file),), sets=("profile=minimal",))).profile == "minimal"


def test_standard_input_is_a_file_named_by_a_dash() -> None:
    asked = load(Inputs(files=("-",)), stdin="global:\n  meshID: one\n")
    (value, where), *_ = settled(asked).explain("global.meshID")
    assert (value, str(where)) == ("one", "<stdin>:2  global.meshID")


def test_a_file_that_cannot_be_read_says_so() -> None:
    with pytest.raises(ConfigError, match="no such file") as refusal:
        load(Inputs(files=("/nowhere/f.yaml",)))
    assert refusal.value.code == "no-such-file"


def test_a_file_that_is_no_text_says_so(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(Inputs(files=(str(file),)))


def test_problems_of_all_files_and_flags_are_told_together(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("a: 1\na: 2\n", "utf-8")
    two.write_text(IOP + "  hbu: x\n", "utf-8")
    with pytest.raises(ProblemsError) as refusal:
        load(Inputs(profile="dmeo", files=(str(one), str(two)), sets=("nonsense",)))
    assert [each.code for each in refusal.value.problems] == [
        "duplicate-key", "bad-set", "unknown-field", "unknown-profile",
    ]  # fmt: skip


def test_an_unknown_version_names_those_there_are() -> None:
    with pytest.raises(UnsupportedError, match=r"Istio 1\.2 is not in the catalogue") as refusal:
        load(Inputs(version="1.2"))
    assert "1.32" in refusal.value.hint


@pytest.mark.parametrize(("wanted", "tag"), [(None, "1.31.0"), ("1.32", "1.32.0"), ("1.32.4", "1.32.4")])
def test_images_are_of_the_version_asked_for(wanted: str | None, tag: str) -> None:
    values = settled(load(Inputs(version=wanted)))
    assert values.at("global.tag") == values.version.full == tag


def test_flags_win_over_everything(tmp_path: Path) -> None:
    values = settled(
        load(Inputs(sets=("revision=a", "values.global.istioNamespace=b"), revision="c", namespace="d"))
    )
    assert (values.revision, values.namespace) == ("c", "d")


def test_settings_of_a_spec_stand_among_the_values_too(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(
        IOP + "  hub: h.io\n  tag: 7\n  meshConfig: {ingressClass: c}\n  values: {global: {hub: g.io}}\n",
        "utf-8",
    )
    values = settled(load(Inputs(files=(str(file),))))
    assert values.at("global.hub") == "g.io"
    assert values.at("global.tag") == "7"
    assert values.at("meshConfig.ingressClass") == "c"


def test_the_mesh_configuration_of_a_spec_beats_that_of_its_values_as_in_istioctl(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(
        IOP + "  meshConfig: {accessLogFile: /a}\n"
        "  values: {meshConfig: {accessLogFile: /b, trustDomain: td}}\n",
        "utf-8",
    )
    values = settled(load(Inputs(files=(str(file),))))
    assert (values.at("meshConfig.accessLogFile"), values.at("meshConfig.trustDomain")) == ("/a", "td")
    assert values.explain("meshConfig.accessLogFile")[0][1].line == 4


def test_nulls_for_whole_groups_say_nothing(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(
        IOP + "  components: {pilot: }\n  values:\n    global:\n    pilot: {traceSampling: 2, resources: }\n",
        "utf-8",
    )
    values = settled(load(Inputs(files=(str(file),))))
    assert values.at("global.hub") == "registry.istio.io/release"
    assert values.at("pilot.traceSampling") == 2
    assert values.at("pilot.resources") is None


def test_unvalidated_values_are_taken_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text(IOP + "  unvalidatedValues: {pilot: {mine: 1}}\n", "utf-8")
    assert settled(load(Inputs(files=(str(file),)))).at("pilot.mine") == 1


def test_an_older_behaviour_takes_back_every_change_since() -> None:
    env = settled(
        load(
            Inputs(
                sets=("compatibilityVersion=1.29", "values.pilot.env.PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS=x")
            )
        )
    ).at("pilot.env")
    assert env["PILOT_ENABLE_STRICT_GATEWAY_MERGING"] == "false"
    assert env["PILOT_SIDECAR_PICK_BEST_SERVICE_NAMESPACE"] == "false"
    assert env["PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS"] == "x"
    assert "DISABLE_TRACK_REMAINING_CB_METRICS" not in env
    with pytest.raises(ConfigError, match=r"unknown compatibility version '1\.2'"):
        load(Inputs(sets=("compatibilityVersion=1.2",)))


def test_every_packaged_file_passes_the_checks_of_a_users_file() -> None:
    packaged = [catalogue.profile(name)[-1].overlay for name in catalogue.profiles()]
    packaged += [each for name in catalogue.platforms() if (each := catalogue.platform(name))]
    assert [str(problem) for overlay in packaged for problem in schema().check(overlay)] == []


def test_every_default_fits_its_own_type_and_every_field_is_explained() -> None:
    for component in catalogue.components().values():
        assert [str(problem) for problem in schema().check(component.overlay)] == []
    for field in schema().paths():
        assert field.doc.endswith("."), field.path


def test_layers_stand_in_the_order_that_design_names() -> None:
    assert [each.name for each in Layer] == [
        "COMPONENT", "VERSION", "PROFILE", "PLATFORM", "ROLE", "OBSERVED", "FILE", "CLUSTER", "SET",
    ]  # fmt: skip
