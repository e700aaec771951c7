"""A mesh.yaml: what it may say, and how each mistake in it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshctl.errors import ConfigError, ProblemsError, UnsupportedError
from meshctl.model.mesh import Inputs, Layer
from meshctl.stages.fleet.meshshape import PATTERNS, Shape, shape
from meshctl.stages.settings.load import load, load_all
from meshctl.stages.settings.operator import SPEC

HEAD = "apiVersion: meshctl.dev/v1alpha1\nkind: Mesh\nmetadata: {name: prod}\n"


def problems(text: str, *more: str, **asked: object) -> list[str]:
    """Every problem of a mesh.yaml: its code, its line, its path."""
    inputs = Inputs(files=("-", *more), **asked)  # type: ignore[arg-type]  # a test's own keywords
    with pytest.raises(ConfigError) as told:
        load_all(inputs, stdin=text)
    found = told.value.problems if isinstance(told.value, ProblemsError) else (told.value,)
    return [f"{each.code} {each.where}".replace("<stdin>:", "") for each in found]


def clusters(*said: str, spec: str = "", name: str = "prod") -> str:
    lines = "".join(f"    - {{{each}}}\n" for each in said)
    return f"{HEAD.replace('prod', name)}spec:\n{spec}  clusters:\n{lines}"


def test_every_problem_of_the_shape_is_told_at_once_with_its_line() -> None:
    text = HEAD + (
        "spec:\n"
        "  verison: '1.32'\n"
        "  version: 1.30\n"
        "  profile: dmeo\n"
        "  platform: opneshift\n"
        "  networks: [{gateways: [{port: 70000}]}]\n"
        "  clusters:\n"
        "    - name: Not_A_Name\n"
        "      role: primry\n"
        "      eastWestGateway: perhaps\n"
        "    - address: 999.1.1.1\n"
        "    - text\n"
    )
    assert problems(text) == [
        "unknown-field 5  spec.verison",
        "wrong-type 6  spec.version",
        "wrong-value 7  spec.profile",
        "wrong-value 8  spec.platform",
        "wrong-type 9  spec.networks[0].gateways[0].port",
        "incomplete-value 9  spec.networks[0].gateways[0]",
        "incomplete-value 9  spec.networks[0]",
        "wrong-value 11  spec.clusters[0].name",
        "wrong-value 12  spec.clusters[0].role",
        "wrong-type 13  spec.clusters[0].eastWestGateway",
        "wrong-type 14  spec.clusters[1].address",
        "incomplete-value 14  spec.clusters[1]",
        "wrong-type 15  spec.clusters[2]",
    ]


def test_values_are_checked_wherever_they_stand_even_where_the_rest_is_wrong() -> None:
    text = clusters(
        "name: a, rol: x, values: {pilot: {traceSamplin: 1}}", spec="  meshConfig: {acessLog: 1}\n"
    )
    assert problems(text) == [
        "unknown-field 7  spec.clusters[0].rol",
        "unknown-field 5  spec.meshConfig.acessLog",
        "unknown-value 7  spec.clusters[0].values.pilot.traceSamplin",
    ]


def test_the_nearest_name_is_offered() -> None:
    with pytest.raises(ConfigError, match="did you mean 'clusters'"):
        load(Inputs(files=("-",)), stdin=HEAD + "spec: {clusters: [{name: a}], clustres: []}\n")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (["name: a", "name: a"], "duplicate-name 7  spec.clusters[1].name"),
        (["name: a, context: x", "name: b, context: x"], "duplicate-name 7  spec.clusters[1].context"),
        (["name: a, role: remote"], "no-control-plane 6  spec.clusters[0]"),
        (["name: a", "name: b", "name: c, role: remote"], "no-control-plane 8  spec.clusters[2]"),
        (
            ["name: west", "name: b, role: remote, controlPlane: wst"],
            "unknown-control-plane 7  spec.clusters[1].controlPlane",
        ),
        (
            ["name: a", "name: b, role: remote", "name: c, role: remote, controlPlane: b"],
            "wrong-control-plane 8  spec.clusters[2].controlPlane",
        ),
        (
            ["name: a", "name: b, role: config, controlPlane: a"],
            "wrong-control-plane 7  spec.clusters[1].controlPlane",
        ),
        (["name: a", "name: b, controlPlane: a"], "no-effect 7  spec.clusters[1].controlPlane"),
        (["name: a, address: 192.0.2.1"], "no-effect 6  spec.clusters[0].address"),
        (["name: a, role: external, address: x.example"], "no-config-cluster 6  spec.clusters[0]"),
        (
            ["name: a, role: external, address: x.example", "name: b, role: config", "name: c, role: config"],
            "several-config-clusters 6  spec.clusters[0]",
        ),
        (
            ["name: a, role: external, address: x.example, network: n", "name: b, role: config, network: n"],
            "no-effect 6  spec.clusters[0].network",
        ),
        (["name: a, network: n", "name: b"], "no-network 7  spec.clusters[1]"),
        (
            ["name: a, revision: x, address: 192.0.2.1", "name: b, role: remote, revision: y"],
            "control-plane-differs 7  spec.clusters[1].revision",
        ),
        (
            ["name: a, values: {global: {network: n}}"],
            "said-by-topology 6  spec.clusters[0].values.global.network",
        ),
        (
            ["name: a, meshConfig: {trustDomain: t}"],
            "said-by-topology 6  spec.clusters[0].meshConfig.trustDomain",
        ),
    ],
)  # fmt: skip
def test_clusters_that_do_not_fit_together_are_refused_where_they_are_declared(
    said: list[str], expected: str
) -> None:
    assert problems(clusters(*said)) == [expected]


def test_networks_that_are_listed_are_the_only_ones_and_each_is_of_use() -> None:
    text = clusters(
        "name: a, network: west", "name: b, network: esat", spec="  networks: [{name: west}, {name: east}]\n"
    )
    assert problems(text) == [
        "unknown-network 8  spec.clusters[1].network",
        "no-effect 5  spec.networks[1]",
    ]


def test_clusters_of_other_meshes_count_among_those_that_name_a_network() -> None:
    text = clusters("name: a") + "---\n" + clusters("name: b, network: n", name="lab")
    assert problems(text) == ["no-network 6  spec.clusters[0]"]


def test_meshes_of_a_file_have_names_and_identifiers_of_their_own() -> None:
    one, other = clusters("name: a"), clusters("name: b")
    assert problems(f"{one}---\n{other}") == ["duplicate-name 10  metadata.name"]
    other = clusters("name: b", name="lab", spec="  meshID: prod\n")
    assert problems(f"{one}---\n{other}") == ["duplicate-name 12  spec.meshID"]


def test_a_cluster_belongs_to_one_mesh() -> None:
    text = clusters("name: a") + "---\n" + clusters("name: a", name="lab")
    assert problems(text) == ["duplicate-name 13  spec.clusters[0].name"]


def test_meshes_of_a_file_trust_each_other() -> None:
    one = clusters("name: a", spec="  trust: {domain: one.example, aliases: [old.example]}\n")
    other = clusters("name: b", name="lab")
    first, second = load_all(Inputs(files=("-",)), stdin=f"{one}---\n{other}")
    assert first.mesh.trusted == ("old.example", "cluster.local")
    assert second.mesh.trusted == ("one.example",)


def test_a_mesh_file_stands_among_other_files_in_their_order(tmp_path: Path) -> None:
    below, above = tmp_path / "below.yaml", tmp_path / "above.yaml"
    below.write_text("global: {logAsJson: false, tag: below}\npilot: {replicaCount: 2}\n")
    above.write_text("pilot: {autoscaleMax: 9}\n")
    text = clusters(
        "name: a, values: {pilot: {autoscaleMax: 7}}",
        spec="  values: {global: {tag: mesh}, pilot: {autoscaleMax: 8}}\n",
    )
    asked = load(Inputs(files=(str(below), "-", str(above))), stdin=text)
    layers = [(each.layer, each.origin) for each in asked.share(asked.mesh.clusters[0]).overlays]
    assert layers[-4:] == [
        (Layer.FILE, str(below)),
        (Layer.FILE, "<stdin>"),
        (Layer.FILE, str(above)),
        (Layer.CLUSTER, "<stdin>"),
    ]


def test_problems_of_other_files_and_flags_are_told_with_those_of_the_mesh_file(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("pilot: {traceSamplin: 1}\n")
    found = problems(clusters("name: a, x: y"), str(file), sets=("nonsense",))
    assert [each.partition(" ")[0] for each in found] == ["unknown-field", "bad-set", "unknown-value"]


def test_a_problem_that_clusters_share_is_told_once() -> None:
    found = problems(clusters("name: a", "name: b"), sets=("values.pilot.traceSamplin=1",))
    assert found == ["unknown-value --set  values.pilot.traceSamplin"]


def test_a_second_mesh_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "second.yaml"
    file.write_text(clusters("name: b"))
    assert problems(clusters("name: a"), str(file)) == [f"second-mesh-file {file}"]


def test_only_the_cluster_asked_for_is_loaded_and_it_still_knows_the_others() -> None:
    text = clusters("name: a, address: 192.0.2.1", "name: b, role: remote")
    asked = load(Inputs(files=("-",), only="b"), stdin=text)
    assert [each.name for each in asked.mesh.clusters] == ["b"]
    assert [each.name for each in asked.share(asked.mesh.clusters[0]).mesh.clusters] == ["a", "b"]
    assert problems(text, only="c") == ["unknown-cluster --cluster"]


def test_a_cluster_cannot_be_chosen_where_no_file_names_any() -> None:
    with pytest.raises(ConfigError, match="no cluster is called 'west'"):
        load(Inputs(only="west"))


def test_several_meshes_are_refused_where_one_is_wanted() -> None:
    text = clusters("name: a") + "---\n" + clusters("name: b", name="lab")
    with pytest.raises(ConfigError, match="prod, lab"):
        load(Inputs(files=("-",)), stdin=text)
    assert load(Inputs(files=("-",), only="b"), stdin=text).mesh.name == "lab"


def test_a_version_that_is_not_known_is_told_where_it_stands() -> None:
    with pytest.raises(UnsupportedError) as told:
        load(Inputs(files=("-",)), stdin=clusters("name: a", spec='  version: "1.2"\n'))
    assert str(told.value.where) == "<stdin>:5  spec.version"


def test_the_profile_of_a_cluster_beats_that_of_the_mesh_and_a_flag_beats_both() -> None:
    text = clusters("name: a, profile: minimal", "name: b", spec="  profile: demo\n")
    asked = load(Inputs(files=("-",)), stdin=text)
    assert [asked.share(each).profile for each in asked.mesh.clusters] == ["minimal", "demo"]
    asked = load(Inputs(files=("-",), profile="empty"), stdin=text)
    assert [asked.share(each).profile for each in asked.mesh.clusters] == ["empty", "empty"]


def shapes(of: Shape) -> list[Shape]:
    inner = [*of.keys.values(), *([of.of] if of.of else [])]
    return [of, *(each for one in inner for each in shapes(one))]


def test_every_field_says_what_it_is_for_and_every_pattern_is_told_in_words() -> None:
    for each in shapes(shape()):
        assert each.doc.endswith("."), each
        assert not each.pattern or each.pattern in PATTERNS, each


def test_settings_of_a_mesh_are_those_of_an_istiooperator() -> None:
    spec = shape().keys["spec"]
    cluster = spec.keys["clusters"].of
    assert cluster is not None
    for place in (spec, cluster):
        assert {name for name, each in place.keys.items() if each.setting} <= SPEC.keys()
