"""Tokens of remote secrets are told before they end, whoever made the Secret."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest

from meshctl.actions.checks import after_install
from meshctl.checks.remote_secrets import remote_secrets
from meshctl.checks.site import Site
from meshctl.ports import World
from tests.fakes import NOON, FakeClock, FakeCluster, FakeFiles, FakeReleases

DAY = 24 * 3600
HOME = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}}


def secret(token: str, name: str = "istio-remote-secret-east", key: str = "east") -> dict[str, object]:
    text = f"users:\n- name: east\n  user:\n    token: {token}\n"
    labels = {"istio/multiCluster": "true"} if key != "config" else {}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "istio-system", "labels": labels},
        "data": {key: base64.b64encode(text.encode()).decode(), "other": "!"},
    }


def token(days: int) -> str:
    cluster = FakeCluster(clock=FakeClock())
    meta = {"name": "a", "namespace": "default"}
    cluster.seed({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
    return cluster.token("default", "a", seconds=days * DAY)


def told(after: int, *secrets: dict[str, object]) -> list[str]:
    cluster = FakeCluster("west", HOME, *secrets)
    site = Site(cluster, now=NOON + timedelta(days=after))
    return [f"{each.rule.code} {each.subject}: {each.message}" for each in remote_secrets.look(site)]


@pytest.mark.parametrize(
    ("after", "finding"),
    [
        (0, []),
        (59, []),
        (81, ["remote-secrets-lasting", "ends at 2026-04-01 12:00 UTC, 10% of its life is left"]),
        (90, ["remote-secrets-valid", "ended at 2026-04-01 12:00 UTC"]),
    ],
)
def test_a_token_is_told_when_it_is_due_and_when_it_has_ended(after: int, finding: list[str]) -> None:
    found = told(after, secret(token(90)))
    where = "Secret istio-system/istio-remote-secret-east: the token for 'east'"
    assert found == ([f"{finding[0]} {where} {finding[1]}"] if finding else [])


def test_the_kubeconfig_of_an_external_istiod_counts_and_what_does_not_end_is_never_told() -> None:
    config = secret(token(10), name="istio-kubeconfig", key="config")
    assert len(told(9, config, secret("no-token-that-tells"))) == 1


def test_an_installed_mesh_is_asked_about_its_tokens_now() -> None:
    clock = FakeClock(NOON + timedelta(days=91))
    cluster = FakeCluster("west", HOME, secret(token(90)), clock=clock)
    world = World({"west": cluster}, {"west": FakeReleases()}, clock, FakeFiles())
    (outcome,) = (each for each in after_install(world, "istio-system") if each.check == "remote_secrets")
    assert not outcome.passed
