"""The secured debug stream to one istiod."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from meshctl import pki
from meshctl.adapters import xds
from meshctl.errors import AccessError, FailedError, MeshctlError, UnreachableError
from meshctl.model.proxy import Sync
from tests.istiods import SENT, TOKEN, AskedCluster, FakeIstiod, client_config, istiod_pod, root_config_map

SERVER = xds.Server("istiod-1", "istio-system", "default", "Kubernetes")


def a_cluster(istiod: FakeIstiod | None = None, *objects: dict[str, Any]) -> AskedCluster:
    ports = {"istiod-1": istiod.port} if istiod else {}
    return AskedCluster(root_config_map(), istiod_pod(), *objects, ports=ports)


def ask(cluster: AskedCluster, server: xds.Server = SERVER, seconds: float = 5.0) -> xds.Answer:
    return xds.ask(cluster, server, xds.caller(cluster, "istio-system"), xds.SYNCZ, seconds=seconds)


def refusal(istiod: FakeIstiod, server: xds.Server = SERVER, **given: Any) -> MeshctlError:
    with istiod, pytest.raises(MeshctlError) as caught:
        ask(a_cluster(istiod), server, **given)
    return caught.value


def test_istiod_tells_of_its_proxies_and_its_version() -> None:
    told = client_config("web-1", CDS="SYNCED", LDS="STALE")
    with FakeIstiod(told, client_config("api-1", CDS="ERROR", LDS="NOT_SENT", error="no filter")) as istiod:
        answer = ask(a_cluster(istiod))
    web, api = xds.proxies(SERVER, answer)
    assert answer.version == "1.31.1"
    assert (web.name, web.namespace, web.cluster, web.istiod, web.version) == (
        "web-1", "shop", "Kubernetes", "istiod-1", "1.31.0",
    )  # fmt: skip
    assert {short: sync.state for short, sync in web.states.items()} == {
        "CDS": Sync.SYNCED,
        "LDS": Sync.STALE,
    }
    assert web.states["CDS"].sent == SENT
    assert (api.states["CDS"].error, api.worst) == ("no filter", Sync.ERROR)
    assert api.states["LDS"].sent is None


def test_the_question_says_who_asks_and_that_it_is_no_proxy() -> None:
    with FakeIstiod() as istiod:
        ask(a_cluster(istiod))
    ((type_url, names, metadata),) = istiod.asked
    assert (type_url, names) == (xds.SYNCZ, ())
    assert metadata == {"GENERATOR": "event", "NAMESPACE": "istio-system", "SERVICE_ACCOUNT": "default"}


def test_other_debug_questions_carry_their_names() -> None:
    with FakeIstiod() as istiod:
        cluster = a_cluster(istiod)
        who = xds.caller(cluster, "istio-system")
        xds.ask(cluster, SERVER, who, xds.DEBUG, ("configz",), seconds=5)
    assert [asked[:2] for asked in istiod.asked] == [("istio.io/debug", ("configz",))]


def test_a_silent_istiod_is_given_up_in_time() -> None:
    error = refusal(FakeIstiod(mood="silent"), seconds=0.3)
    assert isinstance(error, UnreachableError)
    assert error.message == "istiod istio-system/istiod-1 did not answer within 0.3 s"


def test_an_istiod_that_hangs_up_is_told_from_one_without_proxies() -> None:
    assert refusal(FakeIstiod(mood="hangs-up")).code == "istiod-hung-up"


def test_a_certificate_of_another_root_gets_no_token() -> None:
    other = pki.new_authority(pki.Subject(common_name="other"), datetime.now(UTC))
    istiod = FakeIstiod(ca=other)
    error = refusal(istiod)
    assert isinstance(error, FailedError)
    assert error.code == "istiod-untrusted"
    assert istiod.asked == []


def test_a_certificate_of_another_name_gets_no_token() -> None:
    istiod = FakeIstiod(host="web.shop.svc")
    assert refusal(istiod).code == "istiod-untrusted"
    assert istiod.asked == []


def test_a_revision_is_verified_by_its_own_name() -> None:
    with FakeIstiod(host="istiod-blue.istio-system.svc") as istiod:
        answer = ask(a_cluster(istiod), replace(SERVER, revision="blue"))
    assert answer.resources == ()


def test_a_refused_token_is_an_error_of_access_that_does_not_show_it() -> None:
    with FakeIstiod() as istiod, pytest.raises(AccessError) as caught:
        cluster = a_cluster(istiod)
        who = replace(xds.caller(cluster, "istio-system"), token="secret-of-ours")
        xds.ask(cluster, SERVER, who, xds.SYNCZ, seconds=5)
    assert caught.value.code == "istiod-refuses"
    assert "secret-of-ours" not in f"{caught.value} {caught.value.details} {caught.value.__cause__!r}"


def test_nobody_listening_is_told_as_that() -> None:
    with FakeIstiod() as istiod:
        pass
    with pytest.raises(UnreachableError) as caught:
        ask(a_cluster(istiod))
    assert caught.value.code == "istiod-unreachable"


def test_without_the_mesh_root_no_token_is_asked_for() -> None:
    cluster = AskedCluster(istiod_pod())
    with pytest.raises(FailedError) as caught:
        xds.caller(cluster, "istio-system")
    assert caught.value.code == "mesh-root-missing"
    assert "token" not in cluster.reads


def test_what_is_held_to_ask_shows_no_secret() -> None:
    assert TOKEN not in repr(xds.caller(a_cluster(), "istio-system"))


def test_only_running_istiods_of_the_revision_are_asked() -> None:
    cluster = AskedCluster(
        istiod_pod("istiod-2"),
        istiod_pod("istiod-1"),
        istiod_pod("istiod-3", phase="Pending"),
        istiod_pod("istiod-blue-1", revision="blue"),
    )
    found = xds.servers(cluster, "istio-system")
    assert [server.pod for server in found] == ["istiod-1", "istiod-2", "istiod-blue-1"]
    (blue,) = xds.servers(cluster, "istio-system", "blue")
    assert blue.host == "istiod-blue.istio-system.svc"
