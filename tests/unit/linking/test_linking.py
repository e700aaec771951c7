"""A link is made, found right, renewed and mended, over clusters in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import yaml

from meshctl.actions.install import install
from meshctl.actions.links.linking import links, settle
from meshctl.errors import ConfigError, FailedError
from meshctl.model.event import Event, Waiting
from meshctl.model.labels import MESH
from meshctl.model.objects import Ref
from meshctl.model.plan import Await, Provide, Restart
from meshctl.stages.permitting.steps import needs
from meshctl.stages.planning.plan_data import plan_data
from tests.unit.linking.ground import (
    ACCOUNT,
    EXTERNAL,
    IN_SYNC,
    MULTI_PRIMARY,
    NAMESPACE,
    Ground,
    istiods_say,
    kubeconfig,
)

FIRST, SECOND = "meshctl-reader.prod.west.1", "meshctl-reader.prod.west.2"


@pytest.fixture
def ground() -> Ground:
    return Ground()


def settled(ground: Ground) -> list[Event]:
    return list(settle(ground.world, ground.ends("west", "east")))


def test_a_link_is_a_kubeconfig_that_istiod_finds_by_its_label(ground: Ground) -> None:
    ground.link()
    secret = ground.secret()
    assert secret.labels["istio/multiCluster"] == "true"
    assert secret.annotations["networking.istio.io/cluster"] == "east"
    told = yaml.safe_load(kubeconfig(secret, "east"))
    assert told["current-context"] == "east"
    assert told["clusters"][0]["cluster"]["server"] == "https://east.example:6443"
    assert told["users"][0]["user"].keys() == {"token"}


def test_the_account_is_made_with_its_role_and_nothing_more_of_the_mesh(ground: Ground) -> None:
    ground.link()
    east = ground.clusters["east"]
    assert east.get(ACCOUNT) is not None
    kinds = {each.ref.kind for each in east.all() if MESH in each.labels}
    assert kinds == {"Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Secret"}
    assert {each.ref.kind for each in ground.clusters["west"].all() if MESH in each.labels} == {
        "Namespace",
        "Secret",
    }


def test_linking_again_has_nothing_to_do(ground: Ground) -> None:
    ground.link()
    assert all(each.is_empty for each in ground.plans())
    assert settled(ground) == []


def test_a_plan_shows_neither_token_nor_key_and_tells_why(ground: Ground) -> None:
    _, linking = ground.plans()
    assert "there is none" in str(plan_data(linking))
    ground.link()
    token = yaml.safe_load(kubeconfig(ground.secret(), "east"))["users"][0]["user"]["token"]
    ground.clock.advance(timedelta(days=80).total_seconds())
    assert token not in repr(ground.plans()) + str([plan_data(each) for each in ground.plans()])


def test_what_is_planned_before_anything_is_there_is_what_is_done(ground: Ground) -> None:
    access, linking = ground.plans()
    step = next(each for each in linking.steps if isinstance(each, Provide))
    ground.do(access)
    assert ground.holders() == [step.recipe.bound.name] == [FIRST]  # type: ignore[union-attr]  # an Access


def test_an_account_that_another_tool_made_is_left_as_it_is(ground: Ground) -> None:
    east = ground.clusters["east"]
    east.seed({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    theirs = east.seed(
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": ACCOUNT.name, "namespace": NAMESPACE},
        }
    )
    ground.link()
    assert east.get(ACCOUNT) == theirs


def test_an_install_after_the_link_finds_what_the_link_made_and_counts_it_as_the_meshs(
    ground: Ground,
) -> None:
    ground.link()
    (asked,) = ground.asked
    wave = next(each for each in install(ground.world, asked) if each.cluster == "east")
    ground.do(wave.plan)
    (record,) = ground.world.releases["east"].of("prod")
    assert ACCOUNT not in record.inventory
    assert not [ref for ref in record.inventory if ref.name in (NAMESPACE, FIRST)]
    assert f"apply {ACCOUNT}" not in ground.clusters["east"].writes[-20:]


# Renewal.


def test_a_token_is_renewed_with_overlap_when_its_life_comes_to_an_end(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    istiods_say(monkeypatch, {"east": "syncing"}, IN_SYNC)
    ground.link()
    ground.clock.advance(timedelta(days=61).total_seconds())
    former = kubeconfig(ground.secret(), "east")
    ground.link()
    assert ground.holders() == [FIRST, SECOND], "the former token is valid until istiod has the new one"
    assert kubeconfig(ground.secret(), "east") != former
    told = settled(ground)
    assert [each.cause for each in told if isinstance(each, Waiting)] == ["istiod-1: syncing"]
    assert ground.holders() == [SECOND]
    assert all(each.is_empty for each in ground.plans())


def test_the_former_token_stays_valid_where_istiod_does_not_come_in_sync(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    istiods_say(monkeypatch, {"east": "timeout"})
    ground.link()
    ground.link(renew=True)
    with pytest.raises(FailedError, match="does not come in sync"):
        settled(ground)
    assert ground.holders() == [FIRST, SECOND]


def test_where_no_istiod_runs_nobody_reads_by_the_former_token(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    istiods_say(monkeypatch, None)
    ground.link()
    ground.link(renew=True)
    settled(ground)
    assert ground.holders() == [SECOND]


def test_a_renewal_that_was_cut_short_goes_on_with_what_it_made(ground: Ground) -> None:
    ground.link()
    ends = ground.ends("west", "east")
    from meshctl.actions.links import linking

    ground.do(linking.access_plan(ground.world, ends, renew=True))
    ground.link(renew=True)
    assert ground.holders() == [FIRST, SECOND]


def test_a_token_that_was_revoked_is_replaced(ground: Ground) -> None:
    ground.link()
    ground.clusters["east"].delete(Ref("v1", "Secret", NAMESPACE, FIRST))
    _, linking = ground.plans()
    assert "its token was revoked" in str(plan_data(linking))
    ground.link()
    assert all(each.is_empty for each in ground.plans())


def test_a_token_of_an_account_that_was_made_anew_is_replaced(ground: Ground) -> None:
    ground.link()
    ground.clusters["east"].delete(ACCOUNT)
    ground.link()
    assert all(each.is_empty for each in ground.plans())


def test_a_remote_secret_of_another_tool_is_replaced_and_says_so(ground: Ground) -> None:
    west = ground.clusters["west"]
    west.seed({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    name = "istio-remote-secret-east"
    west.seed(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "data": {"east": ""},
        }
    )
    _, linking = ground.plans()
    assert "another tool made the one that is there" in str(plan_data(linking))
    ground.link()
    assert all(each.is_empty for each in ground.plans())


def test_another_address_or_authority_of_the_api_server_is_another_kubeconfig(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.link()
    monkeypatch.setattr(type(ground.clusters["east"]), "authority", property(lambda _: b"renewed"))
    _, linking = ground.plans()
    assert "another authority" in str(plan_data(linking))
    monkeypatch.undo()
    moved = Ground(MULTI_PRIMARY.replace("context: e}", "context: e, server: 'east.lan:6443'}"))
    moved.clusters.update(ground.clusters)
    _, linking = moved.plans()
    assert "https://east.lan:6443" in str(plan_data(linking))


def test_tokens_that_do_not_end_come_from_the_controller_that_makes_them(ground: Ground) -> None:
    long = Ground(MULTI_PRIMARY.replace("spec:", "spec:\n  remoteSecrets: {longLived: true}"))
    with pytest.raises(FailedError, match="no controller of 'east' puts a token"):
        long.link()
    east = long.clusters["east"]
    east.edit(Ref("v1", "Secret", NAMESPACE, FIRST), {"data": {"token": "dGhlLXRva2Vu"}})
    long.link()
    assert "token: the-token" in kubeconfig(long.secret(), "east")
    long.clock.advance(timedelta(days=4000).total_seconds())
    assert all(each.is_empty for each in long.plans())


def test_a_mesh_that_wants_shorter_lives_replaces_longer_tokens(ground: Ground) -> None:
    ground.link()
    short = Ground(MULTI_PRIMARY.replace("spec:", "spec:\n  remoteSecrets: {days: 7}"))
    short.clusters.update(ground.clusters)
    _, linking = short.plans()
    assert "live for 7 days" in str(plan_data(linking))


# Addresses.


def test_an_api_server_on_loopback_is_refused_with_the_address_it_calls_itself(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    east = ground.clusters["east"]
    monkeypatch.setattr(type(east), "server", property(lambda _: "https://127.0.0.1:41231"))
    east.seed(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "kubernetes",
                "namespace": "default",
                "labels": {"kubernetes.io/service-name": "kubernetes"},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["172.18.0.3"]}],
            "ports": [{"port": 6443}],
        }
    )
    with pytest.raises(ConfigError, match="cannot reach the API server of 'east'") as told:
        ground.plans()
    assert "https://172.18.0.3:6443" in told.value.hint
    assert str(told.value.where) == "<stdin>:8  spec.clusters[1]"


def test_loopback_is_as_good_as_any_where_pods_are_processes(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(ground.clusters["east"]), "server", property(lambda _: "https://localhost:1"))
    meta = {"name": "n1", "annotations": {"kwok.x-k8s.io/node": "fake"}}
    ground.clusters["west"].seed({"apiVersion": "v1", "kind": "Node", "metadata": meta})
    ground.link()


@pytest.mark.parametrize("said", ["ftp://east", "https://", "https://east:99999", "https://east:0"])
def test_what_is_no_address_of_an_api_server_is_refused_with_its_place(said: str) -> None:
    ground = Ground(MULTI_PRIMARY.replace("context: e}", f"context: e, server: '{said}'}}"))
    with pytest.raises(ConfigError, match="is no address of an API server") as told:
        ground.plans()
    assert "spec.clusters[1]" in str(told.value.where)


def test_a_cluster_that_nobody_may_read_is_refused(ground: Ground) -> None:
    text = MULTI_PRIMARY.replace("e}", "e, values: {global: {enableReaderRBAC: false}}}")
    with pytest.raises(ConfigError, match="nothing lets istiods elsewhere read 'east'"):
        Ground(text).plans()


# External control planes.


def test_an_external_istiod_gets_its_configuration_by_the_account_of_an_istiod() -> None:
    ground = Ground(EXTERNAL)
    ground.link("control", "west")
    ground.link("control", "east")
    west = ground.clusters["west"]
    assert west.get(Ref("v1", "ServiceAccount", "outside", "istiod")) is not None
    assert west.get(Ref("rbac.authorization.k8s.io/v1", "Role", "outside", "istiod")) is not None
    config = ground.secret("control", "istio-kubeconfig")
    assert "config" in config.content["data"]
    assert "istio/multiCluster" not in config.labels, "istiod would read that cluster twice"
    assert "east" in ground.secret("control", "istio-remote-secret-east").content["data"]


def test_links_need_no_address_of_an_istiod() -> None:
    found = links(Ground(EXTERNAL).asked)
    assert [str(each.link) for each in found] == ["control → west", "control → east"]


def test_an_external_istiod_starts_again_when_its_configuration_is_read_by_another_token() -> None:
    ground = Ground(EXTERNAL)
    ground.link("control", "west")
    control = ground.clusters["control"]
    meta = {"name": "istiod", "namespace": "outside", "labels": {"app": "istiod"}}
    control.seed({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"replicas": 1}})
    assert ground.plans("control", "west")[1].is_empty
    ground.clock.advance(timedelta(days=70).total_seconds())
    access, linking = ground.plans("control", "west")
    assert [each.ref.name for each in linking.steps if isinstance(each, Restart)] == ["istiod"]
    ground.do(access)
    ground.do(replace(linking, phases=linking.phases[:1]))
    _, again = ground.plans("control", "west")
    assert [type(each) for each in again.steps] == [Restart, Await], "it was stopped before istiod had it"


def test_the_right_to_ask_for_tokens_is_asked_for_before_anything_is_sent(ground: Ground) -> None:
    access, _ = ground.plans()
    wanted = [each for each in needs(access.steps).rights if each.resource == "serviceaccounts/token"]
    assert [(each.verb, each.namespace, each.name) for each in wanted] == [
        ("create", NAMESPACE, ACCOUNT.name)
    ]
