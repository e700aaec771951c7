"""A plan as a file: what was shown is what is sent, or nothing is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from meshctl.actions import plan_file
from meshctl.actions.doing import do
from meshctl.actions.install import install
from meshctl.adapters.releases import ClusterReleases
from meshctl.errors import ConfigError, ConflictError
from meshctl.model.mesh import Inputs
from meshctl.model.objects import Ref
from meshctl.model.plan import Apply, Delete, Plan
from meshctl.ports import World
from meshctl.stages.planning.plan_data import plan_data
from meshctl.stages.settings.load import Loaded, load
from tests.fakes import FakeClock, FakeCluster, FakeFiles

CONFIG = Ref("v1", "ConfigMap", "istio-system", "istio")
ISTIOD = Ref("apps/v1", "Deployment", "istio-system", "istiod")
VALIDATOR = Ref(
    "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "", "istio-validator-istio-system"
)
NO_BASE = "components.base.enabled=false"  # definitions are large, and nothing is asked of them here
LOGGED = "meshConfig.accessLogFile=/dev/stdout"
TOKEN = "meshConfig.defaultConfig.tracing.lightstep.accessToken=hush-hush"


class Ground:
    """One cluster in memory, and plans for it."""

    def __init__(self) -> None:
        self.cluster = FakeCluster("here")
        self.clock = FakeClock()
        self.releases = ClusterReleases(self.cluster, self.clock)
        self.world = World({"here": self.cluster}, {"here": self.releases}, self.clock, FakeFiles())

    def asked(self, *sets: str, profile: str = "minimal") -> Loaded:
        return load(Inputs(profile=profile, sets=(NO_BASE, *sets), cluster="here"))

    def plan(self, *sets: str, **more: Any) -> Plan:
        (wave,) = install(self.world, self.asked(*sets, **more))
        return wave.plan

    def file(self, *sets: str, **more: Any) -> str:
        return json.dumps(plan_file.sealed(self.world, self.plan(*sets, **more)))

    def opened(self, text: str, *sets: str) -> Plan:
        asked = self.asked(*sets) if sets else None
        return plan_file.opened(self.world, text, "plan.json", asked).plan

    def apply(self, steps: Plan) -> list[str]:
        self.cluster.writes.clear()
        list(do(self.world, steps))
        return [each for each in self.cluster.writes if "kube-system/meshctl" not in each]


@pytest.fixture
def ground() -> Ground:
    return Ground()


def sent(steps: Plan) -> list[str]:
    names = [("apply" if isinstance(each, Apply) else "delete", each) for each in steps.steps]
    return sorted(f"{word} {each.ref}" for word, each in names if isinstance(each, Apply | Delete))


def test_a_plan_that_is_applied_later_writes_exactly_what_it_shows(ground: Ground) -> None:
    first = ground.file(profile="default")
    ground.clock.sleep(3600)
    steps = ground.opened(first)
    assert plan_data(steps)["phases"] == json.loads(first)["phases"]
    assert sorted(ground.apply(steps)) == sent(steps)
    assert ground.plan(profile="default").is_empty

    second = ground.file(LOGGED)  # changes some, removes the gateway
    steps = ground.opened(second)
    assert sorted(ground.apply(steps)) == sent(steps)
    assert {each.split()[0] for each in sent(steps)} == {"apply", "delete"}
    assert ground.plan(LOGGED).is_empty


def test_the_same_plan_is_the_same_file_at_any_time(ground: Ground) -> None:
    first = ground.file()
    ground.clock.sleep(3600)
    assert ground.file() == first


def test_the_file_holds_every_object_whole(ground: Ground) -> None:
    parts = json.loads(ground.file())["file"]["release"]["parts"]
    objects = {each["metadata"]["name"]: each for part in parts for each in part["objects"]}
    assert objects["istiod"]["metadata"]["labels"]["meshctl.dev/mesh"] == "mesh"
    assert "mesh" in objects["istio"]["data"]


def test_what_stands_there_when_it_is_applied_is_what_stood_there_before(ground: Ground) -> None:
    file = ground.file()
    late = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late", "namespace": "default"}}
    ground.cluster.seed(late)
    ground.apply(ground.opened(file))
    (record,) = ground.releases.of("mesh")
    assert Ref("v1", "ConfigMap", "default", "late") in record.inventory


@pytest.mark.parametrize(
    "form",
    [
        lambda text: yaml.safe_dump(json.loads(text), sort_keys=False),
        lambda text: json.dumps(json.loads(text), indent=4, sort_keys=True),
        lambda text: text.replace("300.0", "300"),
    ],
)
def test_the_form_of_the_file_does_not_matter(ground: Ground, form: Callable[[str], str]) -> None:
    assert not ground.opened(form(ground.file())).is_empty


def test_an_empty_plan_has_nothing_to_do(ground: Ground) -> None:
    ground.apply(ground.plan())
    assert ground.opened(ground.file()).is_empty


def test_what_istiod_changes_all_the_time_does_not_outdate_a_plan(ground: Ground) -> None:
    ground.apply(ground.plan())
    file = ground.file(LOGGED)
    entries = ground.cluster.get(VALIDATOR).at("webhooks")
    entries = [{**each, "failurePolicy": "Fail"} for each in entries]
    ground.cluster.edit(VALIDATOR, {"webhooks": entries}, manager="pilot-discovery")
    ground.cluster.edit(ISTIOD, {"status": {"replicas": 3}})
    written = sorted(ground.apply(ground.opened(file)))
    assert written == ["apply ConfigMap istio-system/istio", "apply ConfigMap istio-system/values"]


def test_a_cluster_that_has_moved_on_is_told_object_by_object_and_by_whom(ground: Ground) -> None:
    ground.apply(ground.plan())
    file = ground.file(LOGGED)
    ground.cluster.edit(ISTIOD, {"spec": {"minReadySeconds": 3}}, manager="kubectl-edit")
    assert not ground.opened(file).is_empty  # not a field of ours
    ground.cluster.edit(CONFIG, {"data": {"mesh": "mine"}}, manager="kubectl-edit")
    ground.cluster.delete(VALIDATOR)
    with pytest.raises(ConflictError) as told:
        ground.opened(file)
    config, validator = told.value.details
    assert config.startswith("ConfigMap istio-system/istio: now data.mesh is") and "kubectl-edit" in config
    assert (
        validator == "ValidatingWebhookConfiguration istio-validator-istio-system: it is not there any more"
    )


def test_a_release_in_between_outdates_a_plan(ground: Ground) -> None:
    ground.apply(ground.plan())
    file = ground.file(LOGGED)
    ground.apply(ground.plan("meshConfig.enableTracing=true"))
    with pytest.raises(ConflictError) as told:
        ground.opened(file)
    assert "it would make generation 3, and was to make 2" in told.value.details


def test_an_object_that_came_in_between_is_told(ground: Ground) -> None:
    file = ground.file()
    ground.cluster.seed({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}})
    with pytest.raises(ConflictError) as told:
        ground.opened(file)
    assert any(each.startswith("Namespace istio-system: now") for each in told.value.details)


def test_a_plan_for_another_cluster_is_refused(ground: Ground) -> None:
    other = Ground()
    other.cluster.seed(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "default"}}
    )
    other.cluster.delete(Ref("v1", "Namespace", "", "kube-system"))
    other.cluster.seed({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system"}})
    with pytest.raises(ConflictError, match="another"):
        other.opened(ground.file())


def test_a_run_that_was_cut_short_is_continued_by_the_same_file(ground: Ground) -> None:
    file = ground.file()
    events = do(ground.world, ground.opened(file))
    for _ in range(40):
        next(events)
    events.close()
    rest = ground.opened(file)
    assert 0 < len(sent(rest)) < len(sent(ground.opened(file))) + 1
    ground.apply(rest)
    assert ground.plan().is_empty


def test_a_file_that_was_applied_has_nothing_more_to_do(ground: Ground) -> None:
    file = ground.file()
    ground.apply(ground.opened(file))
    assert ground.opened(file).is_empty


def test_tokens_never_enter_the_file_and_are_taken_from_the_inputs_again(ground: Ground) -> None:
    file = ground.file(TOKEN)
    assert "hush" not in file
    with pytest.raises(ConfigError) as told:
        ground.opened(file)
    assert told.value.code == "plan-needs-inputs"
    assert "ConfigMap istio-system/istio: data.mesh" in told.value.details
    ground.apply(ground.opened(file, TOKEN))
    assert "hush-hush" in ground.cluster.get(CONFIG).at("data.mesh")
    assert ground.plan(TOKEN).is_empty


@pytest.mark.parametrize(
    "sets", [(TOKEN.replace("hush-hush", "hush-psst"),), (TOKEN, LOGGED), (LOGGED,)], ids=repr
)
def test_other_inputs_than_those_of_the_plan_are_refused(ground: Ground, sets: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as told:
        ground.opened(ground.file(TOKEN), *sets)
    assert told.value.code == "plan-inputs-differ"
    assert "hush" not in repr(told.value.details)


def test_inputs_have_no_say_beside_a_plan_that_needs_none(ground: Ground) -> None:
    with pytest.raises(ConfigError, match="have no say"):
        ground.opened(ground.file(), LOGGED)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "no-plan-file"),
        ("{}", "no-plan-file"),
        ("[1, 2", "bad-plan-file"),
        ('{"a": }', "bad-plan-file"),
        ("a: [", "bad-plan-file"),
        ("- a\n- b", "no-plan-file"),
        ('{"phases": [], "file": {"format": 7}}', "plan-format"),
        ('{"phases": [], "file": {}}', "plan-format"),
        ('{"phases": [], "file": {"format": 1}}', "plan-edited"),
    ],
)
def test_what_is_no_plan_is_refused_with_its_place(ground: Ground, text: str, code: str) -> None:
    with pytest.raises(ConfigError) as told:
        ground.opened(text)
    assert told.value.code == code
    assert told.value.where is not None and told.value.where.file == "plan.json"


def test_a_plan_that_was_edited_is_refused(ground: Ground) -> None:
    data = json.loads(ground.file())
    data["phases"][0]["title"] = "harmless"
    with pytest.raises(ConfigError) as told:
        ground.opened(json.dumps(data))
    assert told.value.code == "plan-edited"


def test_a_webhook_of_somebody_else_that_the_plan_would_leave_unanswered_is_seen(ground: Ground) -> None:
    tagged = "values.revisionTags[0]=prod"
    ground.apply(ground.plan(tagged))
    file = ground.file()
    hook = {
        "name": "theirs.example.com",
        "failurePolicy": "Fail",
        "clientConfig": {"service": {"namespace": "istio-system", "name": "istiod-revision-tag-prod"}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["pods"]}],
    }
    kind = {"apiVersion": VALIDATOR.api_version, "kind": VALIDATOR.kind}
    ground.cluster.seed({**kind, "metadata": {"name": "theirs"}, "webhooks": [hook]})
    with pytest.raises(ConflictError) as caught:
        ground.opened(file)
    assert caught.value.code == "webhook-left-behind"
