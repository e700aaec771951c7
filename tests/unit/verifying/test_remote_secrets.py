"""Remote secrets are judged as istiod would, and their tokens by the clusters they are for."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
import yaml

from meshctl.errors import AccessError
from meshctl.model.objects import Object
from meshctl.model.verification import SecretSeen
from meshctl.stages.verifying.remote_secrets import remote_secrets
from tests.building import obj
from tests.fake_clock import NOON
from tests.fakes import FakeCluster


class Reviewing(FakeCluster):
    """A cluster that takes the tokens of `known`."""

    def __init__(self, name: str, *objects: Object, known: tuple[str, ...] = ()) -> None:
        super().__init__(name, *(each.content for each in (obj("Namespace", "istio-system"), *objects)))
        self.known = known
        self.shown: list[str] = []
        self.mute = False

    def create(self, obj: Object, *, manager: str = "meshctl", dry_run: bool = False) -> Object:
        assert obj.ref.kind == "TokenReview"
        if self.mute:
            raise AccessError("forbidden", "may not review tokens")
        token = obj.at("spec.token")
        self.shown.append(token)
        error = {} if token in self.known else {"error": "token has expired"}
        return Object({**obj.content, "status": {"authenticated": token in self.known, **error}})


def token(cluster: FakeCluster, seconds: int = 3600) -> str:
    cluster.seed(obj("ServiceAccount", "reader", "istio-system").content)
    return cluster.token("istio-system", "reader", seconds=seconds)


def kubeconfig(token: str, **user: Any) -> str:
    return yaml.safe_dump(
        {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": "https://east:6443"}}],
            "users": [{"name": "u", "user": user or {"token": token}}],
        }
    )


def secret(text: str, key: str = "east", name: str = "istio-remote-secret-east") -> Object:
    data = {key: base64.b64encode(text.encode()).decode()}
    return obj("Secret", name, "istio-system", labels={"istio/multiCluster": "true"}, data=data)


def found(text: str, east: Reviewing) -> SecretSeen:
    [only] = remote_secrets({"west": Reviewing("west", secret(text)), "east": east}, "west", "istio-system")
    return only


def test_a_token_that_its_cluster_takes_is_well_and_no_other_cluster_is_shown_it() -> None:
    east = Reviewing("east")
    east.known = (token(east),)
    west = Reviewing("west", secret(kubeconfig(east.known[0])))
    [only] = remote_secrets({"west": west, "east": east}, "west", "istio-system")
    assert (only.cluster, only.server, only.fault, only.refused) == ("east", "https://east:6443", "", "")
    assert only.ends == NOON + timedelta(hours=1)
    assert (east.shown, west.shown) == ([east.known[0]], [])


def test_a_token_that_is_not_taken_is_told_without_the_token() -> None:
    east = Reviewing("east")
    secret = token(east)
    only = found(kubeconfig(secret), east)
    assert only.refused == "token has expired"
    assert secret not in repr(only)


def test_where_tokens_may_not_be_reviewed_nothing_is_claimed() -> None:
    east = Reviewing("east")
    east.mute = True
    assert found(kubeconfig(token(east)), east).refused == ""


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[1, 2]", "current-context: c", kubeconfig("t").replace("name: u", "name: v")]
)
def test_what_is_no_kubeconfig_is_told(text: str) -> None:
    assert found(text, Reviewing("east")).fault == "it holds no whole kubeconfig"


def test_a_kubeconfig_that_istiod_does_not_take_is_told() -> None:
    text = kubeconfig("", exec={"command": "aws"})
    assert "asks for a program or a file" in found(text, Reviewing("east")).fault


def test_a_secret_of_a_cluster_outside_the_fleet_is_seen_and_asked_nowhere() -> None:
    west = Reviewing("west", secret(kubeconfig("opaque"), key="far"))
    [only] = remote_secrets({"west": west}, "west", "istio-system")
    assert (only.cluster, only.ends, only.refused) == ("far", None, "")


def test_an_external_istiod_has_one_for_its_configuration() -> None:
    east = Reviewing("east", known=("opaque",))
    own = obj(
        "Secret",
        "istio-kubeconfig",
        "istio-system",
        data={"config": base64.b64encode(kubeconfig("opaque").encode()).decode()},
    )
    [only] = remote_secrets({"hub": Reviewing("hub", own), "east": east}, "hub", "istio-system", "east")
    assert (only.cluster, only.fault, only.refused) == ("east", "", "")
