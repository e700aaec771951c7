"""A remote secret for others to put in place."""

from __future__ import annotations

from datetime import timedelta

import pytest
import yaml

from meshctl.actions.doing import do
from meshctl.actions.links.access import access_secret
from meshctl.actions.links.remote_secret import Choices, named, remote_secret
from meshctl.adapters.releases import ClusterReleases
from meshctl.errors import ConfigError, FailedError
from meshctl.model.link import LinkKind, life_of
from meshctl.model.mesh import Inputs, Tokens
from meshctl.model.objects import Object, Ref
from meshctl.ports import World
from meshctl.stages.settings.load import load
from tests.fakes import NOON, FakeClock, FakeCluster, FakeFiles
from tests.unit.linking.ground import ACCOUNT, MULTI_PRIMARY, NAMESPACE, Ground, kubeconfig

ALONE = load(Inputs(cluster="here"))


def made(cluster: FakeCluster, choices: Choices) -> Object:
    clock = FakeClock()
    world = World({"here": cluster}, {"here": ClusterReleases(cluster, clock)}, clock, FakeFiles())
    world = named(world, choices, ALONE)
    plan, recipe = remote_secret(world, ALONE, choices)
    for _ in do(world, plan):
        pass
    return access_secret(world, recipe)


def token_of(secret: Object, key: str) -> str:
    return str(yaml.safe_load(kubeconfig(secret, key))["users"][0]["user"]["token"])


def test_it_reads_the_cluster_by_an_account_that_is_made_and_ends_when_asked() -> None:
    cluster = FakeCluster("here")
    secret = made(cluster, Choices(name="west", tokens=Tokens(days=30)))
    assert secret.ref == Ref("v1", "Secret", NAMESPACE, "istio-remote-secret-west")
    assert cluster.get(ACCOUNT) is not None
    life = life_of(token_of(secret, "west"))
    assert life is not None
    assert life.ends == NOON + timedelta(days=30)


def test_without_a_name_the_cluster_goes_by_its_uid() -> None:
    cluster = FakeCluster("here")
    system = cluster.get(Ref("v1", "Namespace", "", "kube-system"))
    assert system is not None
    assert made(cluster, Choices()).ref.name == f"istio-remote-secret-{system.uid}"


def test_made_again_it_hangs_on_the_same_secret() -> None:
    cluster = FakeCluster("here")
    made(cluster, Choices(name="west"))
    before = len(cluster.all())
    made(cluster, Choices(name="west"))
    assert len(cluster.all()) == before


def test_an_external_istiod_gets_the_account_of_an_istiod() -> None:
    cluster = FakeCluster("here")
    secret = made(cluster, Choices(name="west", kind=LinkKind.CONFIG))
    assert secret.ref.name == "istio-kubeconfig"
    assert token_of(secret, "config")
    assert cluster.get(Ref("v1", "ServiceAccount", NAMESPACE, "istiod")) is not None


def test_an_account_of_the_users_is_taken_and_never_made() -> None:
    cluster = FakeCluster("here")
    with pytest.raises(FailedError, match="there is no ServiceAccount istio-system/mine"):
        made(cluster, Choices(name="west", account="mine"))
    cluster.seed({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    meta = {"name": "mine", "namespace": NAMESPACE}
    cluster.seed({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
    assert token_of(made(cluster, Choices(name="west", account="mine")), "west")
    assert cluster.get(ACCOUNT) is None


def test_without_leave_to_make_an_account_a_missing_one_is_told() -> None:
    cluster = FakeCluster("here")
    with pytest.raises(FailedError, match="there is no ServiceAccount"):
        made(cluster, Choices(name="west", creates=False))
    assert not cluster.writes


def test_the_address_is_that_of_the_option_and_loopback_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeCluster("here")
    monkeypatch.setattr(FakeCluster, "server", property(lambda _: "https://127.0.0.1:6443"))
    with pytest.raises(ConfigError, match="cannot reach the API server") as told:
        made(cluster, Choices(name="west"))
    assert str(told.value.where) == "--server"
    secret = made(cluster, Choices(name="west", server="10.0.0.5:6443", tls_name="kubernetes"))
    told = yaml.safe_load(kubeconfig(secret, "west"))["clusters"][0]["cluster"]
    assert (told["server"], told["tls-server-name"]) == ("https://10.0.0.5:6443", "kubernetes")


def test_put_in_place_from_a_mesh_file_it_is_the_link_that_is_wanted() -> None:
    ground = Ground()
    asked = load(Inputs(files=("-",), only="east"), stdin=MULTI_PRIMARY)
    east = World(
        {"east": ground.clusters["east"]},
        {"east": ground.world.releases["east"]},
        ground.clock,
        FakeFiles(),
    )
    plan, recipe = remote_secret(east, asked, Choices(reader="west"))
    for _ in do(east, plan):
        pass
    ground.clusters["west"].seed({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    ground.clusters["west"].seed(access_secret(east, recipe).content)
    access, link = ground.plans("west", "east")
    assert access.is_empty
    assert link.is_empty
