"""A release's settings as input again: the same bytes, another version, a setting more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from meshctl.adapters.release_codec import decode, encode
from meshctl.errors import ConfigError, UnsupportedError
from meshctl.model.mesh import Inputs
from meshctl.model.observation import Observation
from meshctl.model.release import Release, Status
from meshctl.stages.rendering.render import render
from meshctl.stages.settings import catalogue
from meshctl.stages.settings.load import Loaded, load, load_all
from meshctl.stages.settings.recorded import asked_of, named, recorded
from meshctl.stages.settings.resolve import resolve
from tests.golden import Case, cases
from tests.parity import variants, version_cases

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.model.manifest import Manifest
    from meshctl.model.mesh import Cluster
    from meshctl.model.values import Values

PLACES = Path(variants.__file__).parent / "inputs"


def released(asked: Loaded, cluster: Cluster, seen: Observation | None = None) -> Release:
    """The record of what was asked for, as another run reads it."""
    values = resolve(asked, cluster, seen)
    made = Release(
        mesh=asked.mesh.name,
        cluster=cluster.name,
        generation=3,
        status=Status.DEPLOYED,
        version=values.version.full,
        revision=values.revision,
        profile=values.profile,
        namespace=values.namespace,
        created="2026-01-01T00:00:00+00:00",
        manifest=without_places(render(values, owner=asked.mesh.name)),
        values=values.own(),
        asked=asked_of(asked, cluster),
    )
    return decode(encode(made), "record")


def without_places(manifest: Manifest) -> Manifest:
    """A manifest whose warnings do not tell where a setting was read."""
    return replace(manifest, warnings=tuple(each.partition(": ")[2] for each in manifest.warnings))


def again(record: Release, seen: Observation | None = None, **more: Any) -> Release:
    asked = recorded(record, **more)
    return released(asked, asked.mesh.clusters[0], seen)


def inputs() -> Iterator[Any]:
    for profile in catalogue.profiles():
        yield pytest.param(Inputs(profile=profile, version="1.30.9", revision="r1"), id=f"profile-{profile}")
    for platform in catalogue.platforms():
        if platform != "sandbox":
            sets = (f"values.global.platform={platform}",)
            yield pytest.param(Inputs(sets=sets, namespace="mesh"), id=f"platform-{platform}")
    for case in version_cases.cases("1.31"):
        files = tuple(str(PLACES / name) for name in case.files)
        yield pytest.param(Inputs(files=files, sets=case.sets), id=f"variant-{case}")


@pytest.mark.parametrize("given", list(inputs()))
def test_what_is_recorded_renders_to_the_same_bytes(given: Inputs) -> None:
    asked = load(given)
    before = released(asked, asked.mesh.clusters[0])
    assert encode(again(before)) == encode(before)


@pytest.mark.parametrize(
    "case", [each for each in cases("pipe") if (each.path / "manifest.yaml").exists()], ids=str
)
def test_what_was_asked_of_a_cluster_seen_renders_to_the_same_bytes(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(case.path)
    ask: dict[str, Any] = dict(case.data("ask.yaml"))
    seen = Observation("cluster", **ask.pop("seen")) if "seen" in ask else None
    ask.pop("install", None)
    given: Any = {key: tuple(value) if isinstance(value, list) else value for key, value in ask.items()}
    asked = load(Inputs(**given))
    before = released(asked, asked.mesh.clusters[0], seen)
    monkeypatch.chdir("/")
    assert encode(again(before, seen)) == encode(before)


MESHES = {
    **{name: catalogue.topology(name) for name in catalogue.topologies()},
    **{each.stem: each.read_text("utf-8") for each in sorted((PLACES / "meshes").glob("*.yaml"))},
}


@pytest.mark.parametrize("name", MESHES)
def test_each_cluster_of_a_mesh_keeps_its_place_in_the_topology(name: str) -> None:
    for mesh in load_all(Inputs(files=("-",)), stdin=MESHES[name]):
        for cluster in mesh.mesh.clusters:
            before = released(mesh, cluster)
            assert encode(again(before)) == encode(before)
            renamed = again(before, revision="next")
            assert renamed.revision == "next"
            assert again(renamed, revision=before.revision).manifest == before.manifest


def plain(*sets: str, **given: Any) -> Release:
    """A release of the minimal profile with some settings."""
    asked = load(Inputs(profile="minimal", sets=("components.base.enabled=false", *sets), **given))
    return released(asked, asked.mesh.clusters[0])


def settled(asked: Loaded) -> Values:
    return resolve(asked, asked.mesh.clusters[0])


def test_another_version_is_that_version_with_the_same_settings() -> None:
    before = plain("values.pilot.traceSampling=7", "meshConfig.accessLogFile=/dev/stdout", version="1.31.4")
    values = settled(recorded(before, version="1.32"))
    assert values.version.full == "1.32.0"
    assert values.at("global.tag") == "1.32.0"
    assert (values.at("pilot.traceSampling"), values.at("meshConfig.accessLogFile")) == (7, "/dev/stdout")
    assert values.profile == "minimal"


def test_a_patch_stays_what_it_is() -> None:
    assert settled(recorded(plain(version="1.31.4"))).at("global.tag") == "1.31.4"


def test_settings_on_top_win_and_are_part_of_the_next_record() -> None:
    before = plain("values.pilot.traceSampling=7", "values.pilot.autoscaleMin=2")
    once = again(before, sets=("values.pilot.traceSampling=9",))
    values = settled(recorded(once, sets=("values.pilot.autoscaleMin=3",)))
    assert (values.at("pilot.traceSampling"), values.at("pilot.autoscaleMin")) == (9, 3)


def test_an_index_counts_in_the_list_of_the_release() -> None:
    before = plain("values.revisionTags[0]=one", revision="r1")
    values = settled(recorded(before, sets=("values.revisionTags[1]=two",)))
    assert values.at("revisionTags") == ["one", "two"]


def test_null_and_free_values_come_through(tmp_path: Path) -> None:
    files = []
    for name, text in {
        "a": "{apiVersion: install.istio.io/v1alpha1, kind: IstioOperator, "
        "spec: {unvalidatedValues: {pilot: {traceSampling: 1}}}}",
        "b": "pilot: {resources: null, env: {A: b}}",
        "c": "pilot: {resources: {requests: {cpu: 1}}}",
    }.items():
        files.append(tmp_path / f"{name}.yaml")
        files[-1].write_text(text)
    asked = load(Inputs(files=tuple(map(str, files)), sets=("values.pilot.traceSampling=2",)))
    before = released(asked, asked.mesh.clusters[0])
    assert encode(again(before)) == encode(before)
    assert settled(recorded(before)).at("pilot.resources") == {"requests": {"cpu": 1}}


@pytest.mark.parametrize("setting", ["tag", "values.global.tag", "components.pilot.tag", "values.pilot.tag"])
def test_a_tag_that_is_a_version_goes_with_the_version(setting: str) -> None:
    before = plain(f"{setting}=1.31.0-distroless")
    path = setting.removeprefix("values.") if setting != "tag" else "global.tag"
    assert settled(recorded(before, version="1.32")).at(path) == "1.32.0-distroless"
    assert settled(recorded(before)).at(path) == "1.31.0-distroless"


@pytest.mark.parametrize("setting", ["tag", "values.global.tag", "components.pilot.tag"])
def test_a_tag_of_ones_own_must_be_said_again_for_another_version(setting: str) -> None:
    before = plain(f"{setting}=my-build-5")
    with pytest.raises(ConfigError, match="'my-build-5', which is no image of Istio 1") as refused:
        recorded(before, version="1.32")
    assert str(refused.value.where).startswith("release 3")
    assert settled(recorded(before)).version.minor == "1.31"
    recorded(before, version="1.32", sets=(f"{setting}=my-build-6",))


def test_what_is_wrong_names_the_release() -> None:
    with pytest.raises(UnsupportedError) as unknown:
        recorded(replace(plain(), version="1.12.0"))
    assert str(unknown.value.where) == "release 3"
    with pytest.raises(ConfigError) as gone:
        recorded(replace(plain(), profile="production"))
    assert str(gone.value.where) == "release 3"
    with pytest.raises(ConfigError) as too_new:
        recorded(plain("values.pilot.terminationMessagePolicy=File"), version="1.30")
    assert str(too_new.value.where) == "release 3  values.pilot.terminationMessagePolicy"
    with pytest.raises(ConfigError) as unreadable:
        recorded(plain(), sets=("values.pilot.nothing=1",))
    assert str(unreadable.value.where).startswith("--set")


def test_a_record_from_before_settings_were_kept_is_read_from_its_values() -> None:
    before = plain("values.pilot.traceSampling=7")
    values = settled(recorded(replace(before, asked=None), version="1.32"))
    assert (values.at("pilot.traceSampling"), values.version.minor) == (7, "1.32")


def test_a_revision_may_be_left_and_given_by_hand() -> None:
    asked = load(Inputs(profile="minimal", revision="old"))
    assert settled(named(asked, "new")).revision == "new"
    assert settled(named(asked, "")).at("revision", "absent") in ("", "absent")
