"""Installs beside tags: none is moved, none is pruned, and none is left without anybody who answers."""

from __future__ import annotations

import pytest

from meshctl.actions.tags import retag, set_tag
from meshctl.actions.uninstall import uninstall
from meshctl.errors import ConflictError
from meshctl.model.objects import Ref
from meshctl.model.removal import Scope
from tests.two_planes import DEFAULT_TAG, DEFAULT_VALIDATOR, HOME, TwoPlanes, injector

PROD = injector("istio-revision-tag-prod")


def put(ground: TwoPlanes, name: str, revision: str) -> None:
    for turn in set_tag(ground.world, name, revision, overwrite=True):
        list(retag(ground.world, turn))


def test_a_second_control_plane_does_not_take_the_default() -> None:
    ground = TwoPlanes("", "b")
    assert ground.leads(DEFAULT_TAG) == ground.leads(DEFAULT_VALIDATOR) == {"istiod"}


def test_a_second_control_plane_does_not_take_a_tag_of_its_settings() -> None:
    ground = TwoPlanes("", settings=("values.revisionTags[0]=prod",))
    ground.install("b", "values.revisionTags[0]=prod", "values.revisionTags[1]=new")
    assert ground.leads(PROD) == {"istiod"}
    assert ground.leads(injector("istio-revision-tag-new")) == {"istiod-b"}
    assert ground.plan("b", "values.revisionTags[0]=prod", "values.revisionTags[1]=new").is_empty


@pytest.mark.parametrize("revision", ["", "b"])
def test_an_install_leaves_tags_alone_that_a_command_has_set_or_moved(revision: str) -> None:
    ground = TwoPlanes("", "b")
    put(ground, "stable", "b")
    put(ground, "default", "b")
    assert ground.plan(revision).is_empty
    ground.install(revision, "meshConfig.accessLogFile=/dev/stdout")
    assert ground.leads(DEFAULT_TAG) == {"istiod-b"}
    assert ground.leads(injector("istio-revision-tag-stable")) == {"istiod-b"}


def test_a_tag_that_settings_name_no_more_goes_unless_it_was_given_away() -> None:
    ground = TwoPlanes("", settings=("values.revisionTags={prod,other}",))
    ground.install("b")
    ground.answer("b")
    put(ground, "prod", "b")
    ground.install("")
    assert ground.leads(PROD) == {"istiod-b"}
    assert ground.cluster.get(injector("istio-revision-tag-other")) is None


def test_an_install_that_leaves_a_tag_without_istiod_is_refused() -> None:
    ground = TwoPlanes("b")
    put(ground, "stable", "b")
    with pytest.raises(ConflictError) as caught:
        ground.plan("b", "components.pilot.enabled=false")
    assert caught.value.code == "webhook-left-behind"
    assert any("istio-revision-tag-stable" in each for each in caught.value.details)
    assert ground.cluster.get(Ref("apps/v1", "Deployment", HOME, "istiod-b")) is not None


def test_the_default_tag_among_the_settings_of_an_install_is_one_tag() -> None:
    ground = TwoPlanes("", settings=("values.revisionTags[0]=default",))
    assert ground.leads(DEFAULT_TAG) == {"istiod"}
    assert ground.leads(DEFAULT_VALIDATOR) == {"istiod"}
    own = ground.live(injector("istio-sidecar-injector"))
    assert all("matchLabels" in each["namespaceSelector"] for each in own.at("webhooks"))  # it rests


@pytest.mark.parametrize("revision", [None, "b"])
def test_tags_go_with_the_control_plane_they_lead_to(revision: str | None) -> None:
    ground = TwoPlanes("", "b")
    put(ground, "stable", "b")
    (leave,) = uninstall(ground.world, Scope("mesh", revision=revision, force=True))
    ground.do(leave.plan)
    assert ground.cluster.get(injector("istio-revision-tag-stable")) is None
    assert ground.cluster.get(Ref("v1", "Service", HOME, "istiod-revision-tag-stable")) is None
    assert (ground.cluster.get(DEFAULT_TAG) is None) == (revision is None)
