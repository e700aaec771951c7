"""Batches are the same whenever they are made of the same workloads, and no namespace is forgotten."""

from __future__ import annotations

import pytest

from meshctl.errors import ConfigError
from meshctl.stages.moving.batches import batches
from tests.unit.moving.mesh import OLD, Mesh, injector


@pytest.fixture
def mesh(mesh: Mesh) -> Mesh:
    for namespace, names in (("shop", "cab"), ("bank", "d"), ("edge", "")):
        mesh.namespace(namespace)
        for name in names:
            mesh.workload("Deployment", namespace, name)
    mesh.workload("Deployment", "edge", "ingress", role="router")
    mesh.workload("Deployment", "edge", "egress", role="router")
    return mesh


def told(mesh: Mesh, size: str) -> list[tuple[str, tuple[str, ...], list[str]]]:
    return [
        (each.name, each.namespaces, [mover.ref.name for mover in each.workloads])
        for each in batches(mesh.riders(), size)
    ]


GATEWAYS = [
    ("gateway edge/egress", ("edge",), ["egress"]),
    ("gateway edge/ingress", ("edge",), ["ingress"]),
]


def test_without_a_size_a_namespace_is_a_batch_and_each_gateway_one_of_its_own_at_the_end(
    mesh: Mesh,
) -> None:
    assert told(mesh, "") == [
        ("batch 1 of 2", ("bank",), ["d"]),
        ("batch 2 of 2", ("shop",), ["a", "b", "c"]),
        *GATEWAYS,
    ]


@pytest.mark.parametrize("size", ["2", "50%", "30%"])
def test_a_number_or_a_share_rounded_up_is_how_many_workloads_a_batch_has(mesh: Mesh, size: str) -> None:
    assert told(mesh, size) == [
        ("batch 1 of 2", ("bank", "shop"), ["d", "a"]),
        ("batch 2 of 2", ("shop",), ["b", "c"]),
        *GATEWAYS,
    ]


def test_a_batch_may_hold_everything(mesh: Mesh) -> None:
    assert len(told(mesh, "100%")) == len(told(mesh, "99")) == 1 + len(GATEWAYS)


@pytest.mark.parametrize("size", ["0", "-1", "101%", "0%", "1.5", "ten", "%", "5 %"])
def test_another_size_is_refused(mesh: Mesh, size: str) -> None:
    with pytest.raises(ConfigError) as caught:
        told(mesh, size)
    assert repr(size) in caught.value.message


def test_a_namespace_that_names_the_revision_is_led_elsewhere_though_nothing_is_in_it(mesh: Mesh) -> None:
    mesh.namespace("later", OLD)
    mesh.namespace("tagged", {"istio.io/rev": "prod"})  # the tag will lead it
    assert told(mesh, "")[1] == ("batch 2 of 2", ("later", "shop"), ["a", "b", "c"])


def test_such_a_namespace_alone_is_a_batch() -> None:
    mesh = Mesh(injector("old"))
    mesh.namespace("later", OLD)
    assert told(mesh, "") == [("batch 1 of 1", ("later",), [])]


def test_nothing_gives_no_batches() -> None:
    assert told(Mesh(injector("old")), "10%") == []
