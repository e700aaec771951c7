"""Setting, moving and removing revision tags, over fakes that keep the real things' promises."""

from __future__ import annotations

import pytest

from meshctl.actions.tags import Retag, led, list_tags, remove_tag, retag, set_plan, set_tag
from meshctl.errors import ConfigError, ConflictError, FailedError, MeshctlError
from meshctl.model.mesh import Inputs
from meshctl.model.objects import Ref
from meshctl.model.plan import Delete
from meshctl.model.tag import Moved
from meshctl.model.upgrade import Upgrade
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve
from tests.two_planes import DEFAULT_TAG, DEFAULT_VALIDATOR, HOME, TwoPlanes, injector

STABLE = injector("istio-revision-tag-stable")
STABLE_SERVICE = Ref("v1", "Service", HOME, "istiod-revision-tag-stable")


@pytest.fixture
def ground() -> TwoPlanes:
    return TwoPlanes("", "b")


def planned(ground: TwoPlanes, name: str, revision: str, *, overwrite: bool = False) -> Retag:
    (turn,) = set_tag(ground.world, name, revision, overwrite=overwrite)
    return turn


def put(ground: TwoPlanes, name: str, revision: str, *, overwrite: bool = False) -> Retag:
    turn = planned(ground, name, revision, overwrite=overwrite)
    list(retag(ground.world, turn))
    return turn


def refused(ground: TwoPlanes, name: str, revision: str) -> MeshctlError:
    ground.cluster.writes.clear()
    with pytest.raises(MeshctlError) as caught:
        planned(ground, name, revision)
    assert ground.cluster.writes == []
    return caught.value


def test_a_tag_that_is_set_leads_to_the_revision_and_belongs_to_the_mesh(ground: TwoPlanes) -> None:
    put(ground, "stable", "b")
    assert ground.leads(STABLE) == {"istiod-b"}
    assert ground.live(STABLE).labels["istio.io/rev"] == "b"
    assert ground.live(STABLE).labels["meshctl.dev/mesh"] == "mesh"
    assert ground.live(STABLE_SERVICE).at("spec.selector") == {"app": "istiod", "istio.io/rev": "b"}


def test_the_same_tag_again_changes_nothing(ground: TwoPlanes) -> None:
    put(ground, "stable", "b")
    assert planned(ground, "stable", "b").plan.is_empty


def test_a_tag_is_moved_in_place_and_never_removed(ground: TwoPlanes) -> None:
    put(ground, "stable", "b")
    uid = ground.live(STABLE).uid
    turn = put(ground, "stable", "default", overwrite=True)
    assert not [step for step in turn.plan.steps if isinstance(step, Delete)]
    assert ground.live(STABLE).uid == uid
    assert ground.leads(STABLE) == {"istiod"}
    assert (turn.source, turn.revision) == ("b", "")


def test_namespaces_whose_injector_changes_are_told_from_and_to(ground: TwoPlanes) -> None:
    ground.namespace("shop", rev="stable")
    ground.namespace("other", rev="b")
    ground.namespace("plain")
    assert planned(ground, "stable", "b").moved == (Moved("shop", "", "", "b"),)
    put(ground, "stable", "b")
    assert planned(ground, "stable", "default", overwrite=True).moved == (Moved("shop", "", "b", "default"),)


def test_pods_that_choose_for_themselves_are_told_too(ground: TwoPlanes) -> None:
    ground.namespace("plain")
    ground.pod("plain", "web", istio_io__rev="stable")
    ground.pod("plain", "db")
    assert planned(ground, "stable", "b").moved == (Moved("plain", "web", "", "b"),)


def test_the_default_tag_takes_the_validator_and_the_enabled_namespaces_along(ground: TwoPlanes) -> None:
    ground.namespace("shop", istio_injection="enabled")
    turn = put(ground, "default", "b", overwrite=True)
    assert ground.leads(DEFAULT_TAG) == {"istiod-b"}
    assert ground.leads(DEFAULT_VALIDATOR) == {"istiod-b"}
    assert turn.moved == (Moved("shop", "", "default", "b"),)
    assert any("istio-injection=enabled" in each for each in turn.plan.warnings)


def test_a_moved_validator_goes_on_failing_closed_with_the_bundle_it_has(ground: TwoPlanes) -> None:
    hook = dict(ground.live(DEFAULT_VALIDATOR).at("webhooks")[0])
    hook |= {"failurePolicy": "Fail", "clientConfig": {**hook["clientConfig"], "caBundle": "QQ=="}}
    ground.cluster.edit(DEFAULT_VALIDATOR, {"webhooks": [hook]}, manager="pilot-discovery")
    put(ground, "default", "b", overwrite=True)
    moved = ground.live(DEFAULT_VALIDATOR).at("webhooks")[0]
    assert (moved["failurePolicy"], moved["clientConfig"]["caBundle"]) == ("Fail", "QQ==")


@pytest.mark.parametrize(
    ("name", "revision", "code", "says"),
    [
        ("b", "default", "tag-is-a-revision", "'b'"),
        ("default", "b", "tag-exists", "'default'"),
        ("stable", "c", "no-such-revision", "'c'"),
        ("Stable", "b", "bad-tag-name", "'Stable'"),
        ("a" * 44, "b", "bad-tag-name", "a" * 44),
        ("", "b", "bad-tag-name", "''"),
    ],
)
def test_what_cannot_be_set_is_refused_before_anything_is_sent(
    ground: TwoPlanes, name: str, revision: str, code: str, says: str
) -> None:
    error = refused(ground, name, revision)
    assert error.code == code
    assert says in error.message
    assert error.hint


def test_a_wrong_revision_is_answered_with_what_was_probably_meant() -> None:
    ground = TwoPlanes("canary")
    assert "'canary'" in refused(ground, "stable", "canarry").hint


def test_a_tag_as_revision_is_told_to_be_a_tag(ground: TwoPlanes) -> None:
    put(ground, "stable", "b")
    assert "is a tag" in refused(ground, "other", "stable").hint


def test_a_revision_that_does_not_answer_gets_no_tag(ground: TwoPlanes) -> None:
    ground.answer("b", ready=False)
    error = refused(ground, "stable", "b")
    assert error.code == "revision-not-ready"
    assert "istio-system/istiod-b" in error.message


def test_nothing_is_set_while_an_upgrade_is_under_way(ground: TwoPlanes) -> None:
    first, second = ground.releases.of("mesh")
    turn = planned(ground, "stable", "b")
    ground.releases.write_upgrade(Upgrade("2026-01-01T00:00:00+00:00", first, second))
    assert refused(ground, "other", "b").code == "upgrade-under-way"
    with pytest.raises(ConflictError, match="is under way"):  # one that began after the plan was made
        list(retag(ground.world, turn))
    assert ground.cluster.get(STABLE) is None


def test_a_tag_is_not_set_when_its_control_plane_went_silent_since_it_was_planned(ground: TwoPlanes) -> None:
    turn = planned(ground, "stable", "b")
    ground.kill("b")
    with pytest.raises(ConflictError) as caught:
        list(retag(ground.world, turn))
    assert caught.value.code == "plan-outdated"
    assert "nobody answers for revision 'b'" in caught.value.details[0]
    assert ground.cluster.get(STABLE) is None


def test_a_tag_is_not_set_when_somebody_else_has_set_it_since_it_was_planned(ground: TwoPlanes) -> None:
    turn = planned(ground, "stable", "b")
    put(ground, "stable", "default")
    with pytest.raises(ConflictError) as caught:
        list(retag(ground.world, turn))
    assert caught.value.code == "plan-outdated"
    assert ground.leads(STABLE) == {"istiod"}


def test_a_tag_is_not_removed_when_somebody_uses_it_since_that_was_planned(ground: TwoPlanes) -> None:
    put(ground, "stable", "b")
    (turn,) = remove_tag(ground.world, "stable")
    ground.namespace("shop", rev="stable")
    with pytest.raises(ConflictError) as caught:
        list(retag(ground.world, turn))
    assert caught.value.code == "plan-outdated"
    assert caught.value.details[-1] == "shop"
    assert ground.leads(STABLE) == {"istiod-b"}


def test_two_webhooks_for_the_same_pods_are_refused_with_their_names(ground: TwoPlanes) -> None:
    foreign = {
        "apiVersion": STABLE.api_version,
        "kind": STABLE.kind,
        "metadata": {"name": "somebodys-stable", "labels": {"istio.io/rev": "x", "istio.io/tag": "y"}},
        "webhooks": [
            {
                "name": "rev.namespace.sidecar-injector.istio.io",
                "clientConfig": {"url": "https://there.example/inject"},
                "namespaceSelector": {
                    "matchExpressions": [{"key": "istio.io/rev", "operator": "In", "values": ["stable"]}]
                },
            }
        ],
    }
    ground.cluster.seed(foreign)
    assert planned(ground, "stable", "b").moved == ()  # nobody uses it, so nobody is injected twice
    ground.namespace("shop", rev="stable")
    error = refused(ground, "stable", "b")
    assert error.code == "injected-twice"
    assert error.details == ("shop: istio-revision-tag-stable, somebodys-stable",)


def test_an_injector_that_helm_left_active_rests_once_the_tag_has_its_namespaces(ground: TwoPlanes) -> None:
    own = injector("istio-sidecar-injector")
    ground.cluster.delete(own)
    ground.cluster.delete(DEFAULT_TAG)
    enabled = {"matchExpressions": [{"key": "istio-injection", "operator": "In", "values": ["enabled"]}]}
    service = {"name": "istiod", "namespace": HOME, "path": "/inject"}
    hook = {
        "name": "namespace.sidecar-injector.istio.io",
        "clientConfig": {"service": service},
        "namespaceSelector": enabled,
    }
    meta = {"name": own.name, "labels": {"istio.io/rev": "default", "app": "sidecar-injector"}}
    ground.cluster.seed(
        {"apiVersion": own.api_version, "kind": own.kind, "metadata": meta, "webhooks": [hook]},
        manager="helm",
    )
    ground.namespace("shop", istio_injection="enabled")
    turn = put(ground, "default", "b", overwrite=True)
    assert turn.moved == (Moved("shop", "", "default", "b"),)
    assert ground.live(own).at("webhooks[0].namespaceSelector.matchLabels")
    assert ground.live(own).at("webhooks[0].clientConfig.service.name") == "istiod"
    assert turn.plan.phases[-1].title == "Let the former default injector rest"


def test_tags_of_istioctl_are_listed_with_who_made_them_and_need_overwrite(ground: TwoPlanes) -> None:
    labels = {**ground.live(injector("istio-sidecar-injector-b")).labels, "istio.io/tag": "theirs"}
    theirs = injector("istio-revision-tag-theirs")
    meta = {"name": theirs.name, "labels": labels}
    ground.cluster.seed(
        {"apiVersion": theirs.api_version, "kind": theirs.kind, "metadata": meta, "webhooks": []}
    )
    found = {each.tag.name: each.tag for each in list_tags(ground.world)}
    assert (found["theirs"].by, found["theirs"].revision) == ("istioctl", "b")
    assert (found["default"].by, found["default"].revision) == ("meshctl", "")
    assert "istioctl made it" in refused(ground, "theirs", "b").message


def test_the_tags_that_lead_to_a_revision_are_known(ground: TwoPlanes) -> None:
    put(ground, "stable", "b")
    assert [each.name for each in led(ground.cluster, "")] == ["default"]
    assert [each.name for each in led(ground.cluster, "b")] == ["stable"]
    assert led(ground.cluster, "c") == ()


def test_several_tags_move_in_one_plan_whose_records_stay_as_they_are(ground: TwoPlanes) -> None:
    put(ground, "stable", "default")
    asked = load(Inputs(profile="minimal", revision="b", cluster="here"))
    values = resolve(asked, asked.mesh.clusters[0])
    before = ground.releases.of("mesh")
    ground.do(set_plan(ground.cluster, values, ["default", "stable"], owner="mesh"))
    assert ground.leads(DEFAULT_TAG) == ground.leads(STABLE) == {"istiod-b"}
    assert [each.name for each in led(ground.cluster, "b")] == ["default", "stable"]
    assert ground.releases.of("mesh") == before


def test_a_tag_in_use_stays_unless_it_is_forced(ground: TwoPlanes) -> None:
    put(ground, "stable", "b")
    ground.namespace("shop", rev="stable")
    with pytest.raises(ConflictError) as caught:
        list(remove_tag(ground.world, "stable"))
    assert caught.value.details == ("shop",)
    (turn,) = remove_tag(ground.world, "stable", force=True)
    assert turn.moved == (Moved("shop", "", "b", ""),)
    list(retag(ground.world, turn))
    assert ground.cluster.get(STABLE) is None
    assert ground.cluster.get(STABLE_SERVICE) is None


def test_webhooks_of_a_tag_go_before_its_service(ground: TwoPlanes) -> None:
    put(ground, "stable", "b")
    (turn,) = remove_tag(ground.world, "stable")
    assert [step.ref for step in turn.plan.steps if isinstance(step, Delete)] == [STABLE, STABLE_SERVICE]
    assert len(turn.plan.phases) == 2


def test_removing_a_tag_that_an_install_makes_again_says_so(ground: TwoPlanes) -> None:
    (turn,) = remove_tag(ground.world, "default")
    assert any("makes it again" in each for each in turn.plan.warnings)
    assert any("istio-injection=enabled" in each for each in turn.plan.warnings)


def test_a_tag_that_is_not_there_is_told_with_the_nearest(ground: TwoPlanes) -> None:
    put(ground, "stable", "b")
    with pytest.raises(FailedError) as caught:
        list(remove_tag(ground.world, "stble"))
    assert caught.value.code == "no-such-tag"
    assert "'stable'" in caught.value.hint


def test_a_control_plane_is_no_tag_to_remove(ground: TwoPlanes) -> None:
    with pytest.raises(FailedError) as caught:
        list(remove_tag(ground.world, "b"))
    assert "uninstall --revision b" in caught.value.hint


def test_a_name_that_is_wrong_is_wrong_input(ground: TwoPlanes) -> None:
    with pytest.raises(ConfigError) as caught:
        planned(ground, "a/b", "b")
    assert str(caught.value.where) == "NAME"
