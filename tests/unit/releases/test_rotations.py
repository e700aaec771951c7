"""The record of the rotation under way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from meshctl.adapters.releases import ClusterReleases
from meshctl.adapters.rotation_codec import ROTATION
from meshctl.errors import UnsupportedError
from meshctl.model.objects import Ref
from meshctl.model.rotation import Renewal, Root, Rotation, Scope, Seat, Stage
from tests.contracts.releases_contract import RotationContract
from tests.fakes import FakeClock, FakeCluster, FakeReleases

SECRET = Ref("v1", "Secret", "kube-system", "meshctl.m.rotation")


def a_rotation() -> Rotation:
    return Rotation(
        created="2026-01-02T03:04:05+00:00",
        scope=Scope.ROOT,
        signer="b" * 64,
        leaving=("a" * 64,),
        roots=(
            Root("a" * 64, "-----BEGIN CERTIFICATE-----\n"),
            Root("b" * 64, "-----BEGIN CERTIFICATE-----\n"),
        ),
        seats=(Seat("west", "m", "istio-system", ("west", "far"), "c" * 64, ("a" * 64,), is_ours=True),),
        stage=Stage.RENEW,
        renewal=Renewal.WAIT,
        is_back=True,
        lenient=True,
        rounds=1,
        reason="1 of 2 proxies are still to renew",
    )


class TestInACluster(RotationContract):
    @pytest.fixture
    def releases(self) -> ClusterReleases:
        return ClusterReleases(FakeCluster(), FakeClock())

    @pytest.fixture
    def rotation(self) -> Rotation:
        return a_rotation()

    def test_it_lies_outside_the_mesh_and_is_labelled_as_part_of_it(self, rotation: Rotation) -> None:
        cluster = FakeCluster()
        ClusterReleases(cluster, FakeClock()).write_rotation("m", rotation)
        secret = cluster.get(SECRET)
        assert secret is not None
        assert secret.labels == {"meshctl.dev/mesh": "m"}
        assert secret.at("type") == "meshctl.dev/rotation"


class TestInMemory(RotationContract):
    @pytest.fixture
    def releases(self) -> FakeReleases:
        return FakeReleases()

    @pytest.fixture
    def rotation(self) -> Rotation:
        return a_rotation()


def test_the_same_rotation_gives_the_same_bytes_and_comes_back_whole() -> None:
    assert ROTATION.encode(a_rotation()) == ROTATION.encode(a_rotation())
    assert ROTATION.decode(ROTATION.encode(a_rotation()), "r") == a_rotation()


def test_one_that_is_damaged_is_named_with_what_to_do() -> None:
    with pytest.raises(UnsupportedError, match="rotation record 'r' cannot be read") as refused:
        ROTATION.decode(ROTATION.encode(a_rotation())[:-9], "r")
    assert "the other clusters" in refused.value.hint


def test_one_of_an_unknown_stage_is_damaged() -> None:
    odd = replace(a_rotation(), stage="elsewhere")  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="cannot be read"):
        ROTATION.decode(ROTATION.encode(odd), "r")
