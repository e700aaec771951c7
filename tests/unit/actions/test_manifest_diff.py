"""`manifest diff` and `profile diff/dump` as users meet them."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshctl.actions.diff import against_cluster
from meshctl.actions.doing import do
from meshctl.actions.install import install
from meshctl.adapters.releases import ClusterReleases
from meshctl.errors import FailedError
from meshctl.model.mesh import Inputs
from meshctl.model.objects import Ref
from meshctl.ports import World
from meshctl.stages.comparing.picking import Picked
from meshctl.stages.settings import catalogue, versions
from meshctl.stages.settings.load import Loaded, load
from tests.fakes import FakeClock, FakeCluster, FakeFiles

Say = Callable[..., Any]
ISTIOD = Ref("apps/v1", "Deployment", "istio-system", "istiod")


def objects(say: Say, *words: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(say("manifest", "generate", *words).out))


@pytest.fixture
def rendered(meshctl: Say, tmp_path: Path) -> Path:
    file = tmp_path / "default.yaml"
    file.write_text(meshctl("manifest", "generate").out)
    return file


def test_what_was_rendered_equals_what_is_rendered(meshctl: Say, rendered: Path) -> None:
    said = meshctl("manifest", "diff", "--against", str(rendered))
    assert said.code == 0
    assert said.out.splitlines()[-1].startswith("no difference in ")


def test_a_difference_is_told_by_object_and_field_with_code_3(meshctl: Say, rendered: Path) -> None:
    said = meshctl("manifest", "diff", "--against", str(rendered), "--set", "pilot.traceSampling=7")
    assert said.code == 3
    lines = said.out.splitlines()
    assert lines[0] == f"--- {rendered}"
    assert lines[1].startswith("+++ profile default, Istio 1.")
    assert "~ Deployment istio-system/istiod" in lines
    place = "spec.template.spec.containers[discovery].env[PILOT_TRACE_SAMPLING].value"
    assert f"    {place}: 1 → 7" in lines
    assert "\x1b" not in said.out


def test_the_order_of_objects_files_and_lists_says_nothing(meshctl: Say, tmp_path: Path) -> None:
    found = objects(meshctl)
    folder = tmp_path / "split"
    folder.mkdir()
    (folder / "a.yaml").write_text(yaml.safe_dump_all(found[10:][::-1]))
    listed = {"apiVersion": "v1", "kind": "List", "items": found[:10]}
    (folder / "b.json").write_text(json.dumps(listed))
    said = meshctl("manifest", "diff", "--against", str(folder))
    assert said.code == 0, said.out[-2000:]


def test_two_files_are_compared_with_each_other(meshctl: Say, rendered: Path, tmp_path: Path) -> None:
    other = tmp_path / "demo.yaml"
    other.write_text(meshctl("manifest", "generate", "--profile", "demo").out)
    told = json.loads(meshctl("manifest", "diff", str(rendered), str(other), "-o", "json").out)
    assert (told["left"], told["right"], told["equal"]) == (str(rendered), str(other), False)
    egress = {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "istio-system"}
    assert {**egress, "name": "istio-egressgateway"} in told["onlyRight"]
    assert "HorizontalPodAutoscaler" in {each["kind"] for each in told["onlyLeft"]}
    istiod = next(
        each for each in told["changed"] if (each["kind"], each["name"]) == ("Deployment", "istiod")
    )
    assert {"path": "spec.replicas", "left": None, "right": 1} in istiod["fields"]
    assert istiod["was"] is None


def test_another_profile_stands_on_the_left(meshctl: Say) -> None:
    said = meshctl(
        "manifest", "diff", "--profile", "demo", "--against-profile", "default", "--select", "Deployment"
    )
    assert said.code == 3
    assert said.out.startswith("--- profile default")
    assert "+ Deployment istio-system/istio-egressgateway" in said.out
    assert "ConfigMap" not in said.out


def test_one_namespace_is_compared(meshctl: Say) -> None:
    words = ("manifest", "diff", "--profile", "demo", "--against-profile", "default")
    assert meshctl(*words, "-n", "elsewhere").out.splitlines()[-1] == "no difference in 0 objects"
    assert meshctl(*words, "-n", "istio-system", "--select", "Deployment").code == 3


def test_another_version_is_told_by_fields_of_definitions_not_by_texts(meshctl: Say) -> None:
    old, new = versions.versions()[0], versions.versions()[-1]
    said = meshctl(
        "manifest", "diff", "--istio-version", new, "--against-version", old, "--select", "Custom*"
    )
    assert said.code == 3
    fields = [line for line in said.out.splitlines() if line.startswith("    v1")]
    assert "    v1, v1alpha3, v1beta1 spec.servers[].tls.insecureSkipVerify: + boolean" in fields
    assert all(len(line) < 200 for line in said.out.splitlines())


def test_standard_input_is_compared(meshctl: Say, rendered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(rendered.read_text()))
    assert meshctl("manifest", "diff", "--against", "-").code == 0


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((), "unclear-sides"),
        (("a.yaml",), "unclear-sides"),
        (("a.yaml", "b.yaml", "--profile", "demo"), "unclear-sides"),
        (("--live", "--against", "a.yaml"), "unclear-sides"),
        (("--against", "-", "-f", "-"), "stdin-twice"),
        (("--against", "nowhere.yaml"), "no-such-file"),
        (("--against", "empty.yaml"), "nothing-to-read"),
        (("--against", "broken.yaml"), "bad-yaml"),
        (("--against", "words.yaml"), "not-an-object"),
        (("--against-profile", "dem"), "unknown-profile"),
        (("--against-profile", "demo", "--select", "a:b:c:d"), "pattern-invalid"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_a_hint(
    meshctl: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    Path("empty.yaml").write_text("# nothing\n---\n")
    Path("broken.yaml").write_text("a: [1\n")
    Path("words.yaml").write_text("just: words\n")
    said = meshctl("manifest", "diff", *words)
    assert said.code == 2
    assert said.err.startswith(f"error: {code}")
    assert "hint:" in said.err


def test_control_characters_of_a_file_do_not_reach_the_terminal(meshctl: Say, tmp_path: Path) -> None:
    for name, value in (("a", "x\x1b[31m"), ("b", "y")):
        content = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"k": value}}
        (tmp_path / name).write_text(json.dumps(content))
    said = meshctl("manifest", "diff", str(tmp_path / "a"), str(tmp_path / "b"))
    assert "\x1b" not in said.out
    assert r"data.k: x\x1b[31m → y" in said.out


class Ground:
    """A cluster in memory with a mesh in it."""

    def __init__(self) -> None:
        self.cluster = FakeCluster("here")
        clock = FakeClock()
        records = ClusterReleases(self.cluster, clock)
        self.world = World({"here": self.cluster}, {"here": records}, clock, FakeFiles())
        for wave in install(self.world, self.asked()):
            list(do(self.world, wave.plan))
        self.cluster.writes.clear()

    def asked(self, *sets: str, profile: str = "default") -> Loaded:
        return load(Inputs(profile=profile, sets=sets, cluster="here"))

    def paths(self, *sets: str, profile: str = "default") -> list[str]:
        found = against_cluster(self.world, self.asked(*sets, profile=profile), Picked())
        assert self.cluster.writes == []
        return [f"{each.right.name} {leaf.path}" for each in found.changed for leaf in each.leaves] + [
            f"- {ref}" for ref in found.only_left
        ]


def test_a_cluster_that_is_as_asked_has_no_difference_though_controllers_wrote_into_it() -> None:
    ground = Ground()
    hook = Ref(
        "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "", "istio-sidecar-injector"
    )
    live = ground.cluster.get(hook)
    assert live is not None
    webhooks = [
        {**each, "clientConfig": {**each["clientConfig"], "caBundle": "Q0E="}} for each in live.at("webhooks")
    ]
    ground.cluster.edit(hook, {"webhooks": webhooks}, manager="pilot-discovery")
    gateway = Ref("apps/v1", "Deployment", "istio-system", "istio-ingressgateway")
    ground.cluster.edit(gateway, {"spec": {"replicas": 4}, "status": {"readyReplicas": 4}}, manager="hpa")
    assert ground.paths() == []


def test_what_somebody_changed_in_the_cluster_is_a_difference() -> None:
    ground = Ground()
    ground.cluster.edit(
        ISTIOD, {"spec": {"template": {"metadata": {"labels": {"app": "mine"}}}}}, manager="me"
    )
    assert ground.paths() == ["istiod spec.template.metadata.labels.app"]


def test_what_an_install_would_prune_is_only_in_the_cluster() -> None:
    ground = Ground()
    told = ground.paths(profile="minimal")
    assert "- Deployment istio-system/istio-ingressgateway" in told
    assert [each for each in told if each.startswith("istiod ")] == []


def test_what_the_api_server_would_refuse_is_told_beside_the_difference() -> None:
    ground = Ground()
    ground.cluster.fail(
        "apply", str(ISTIOD), FailedError("object-invalid", "no", details=("it is immutable",))
    )
    found = against_cluster(ground.world, ground.asked("pilot.traceSampling=9"), Picked())
    assert found.notes == (f"the API server would refuse {ISTIOD}: no; it is immutable",)
    assert "istiod" in {each.right.name for each in found.changed}


def test_a_profile_is_dumped_with_what_it_stands_on(meshctl: Say) -> None:
    said = meshctl("profile", "dump", "demo")
    assert said.out.startswith("# demo: ")
    assert "\n# default: " in said.out
    told = yaml.safe_load(said.out)
    assert (told["kind"], told["spec"]["profile"]) == ("IstioOperator", "demo")
    assert told["spec"]["values"]["pilot"]["traceSampling"] == 100


def test_a_part_of_a_profile_is_dumped(meshctl: Say) -> None:
    assert meshctl("profile", "dump", "demo", "--path", "pilot.traceSampling").out.strip() == "100"
    told = json.loads(meshctl("profile", "dump", "demo", "--path", "values.pilot", "-o", "json").out)
    assert told["settings"]["traceSampling"] == 100
    said = meshctl("profile", "dump", "demo", "--path", "values.pilto")
    assert (said.code, said.err.splitlines()[0]) == (2, "error: no-such-setting")


def test_a_setting_is_dumped_with_its_line(meshctl: Say) -> None:
    told = json.loads(
        meshctl("profile", "dump", "demo", "--path", "values.pilot", "--origins", "-o", "json").out
    )
    (found,) = [each for each in told if each["path"] == "values.pilot.traceSampling"]
    assert (found["value"], found["file"]) == (100, "profiles/demo.yaml")
    assert found["line"] > 1


@pytest.mark.parametrize("name", catalogue.profiles())
def test_every_profile_can_be_dumped(meshctl: Say, name: str) -> None:
    told = yaml.safe_load(meshctl("profile", "dump", name).out)
    assert told["spec"]["profile"] == name


def test_a_dump_asks_for_the_same_objects(meshctl: Say, tmp_path: Path) -> None:
    file = tmp_path / "operator.yaml"
    file.write_text(meshctl("profile", "dump", "demo").out)
    said = meshctl("manifest", "diff", "-f", str(file), "--against-profile", "demo", "-o", "json")
    told = json.loads(said.out)
    assert told["onlyLeft"] == told["onlyRight"] == []


def test_two_profiles_differ_setting_by_setting_with_their_lines(meshctl: Say) -> None:
    said = meshctl("profile", "diff", "default", "demo")
    assert said.code == 3
    lines = said.out.splitlines()
    place = lines.index("values.pilot.traceSampling: 1 → 100")
    assert lines[place + 1].startswith("    - templates/istiod/component.yaml:")
    assert lines[place + 2].startswith("    + profiles/demo.yaml:")
    assert meshctl("profile", "diff", "demo", "demo").code == 0
    assert meshctl("profile", "diff", "demo", "dmo").err.startswith("error: unknown-profile")


def test_roles_are_printed_for_kubectl(meshctl: Say) -> None:
    said = meshctl("rbac", "print", "--for", "debug", "--subject", "group:on-call")
    told = list(yaml.safe_load_all(said.out))
    assert {each["kind"] for each in told} == {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
    assert (
        json.loads(meshctl("rbac", "print", "--for", "debug", "--subject", "group:on-call", "-o", "json").out)
        == told
    )
    assert meshctl("rbac", "print").code == 2
    assert meshctl("rbac", "print", "--for", "install", "--profile", "dem").err.startswith(
        "error: unknown-profile"
    )
