"""What the adapter makes of servers that are away, busy, forgetful or unwilling."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshctl.adapters.kube import KubeCluster, connect
from meshctl.errors import AccessError, ConflictError, FailedError, UnreachableError
from meshctl.model.objects import Object, Ref
from tests.fakes import FakeClock
from tests.unit.kube.api import CORE, NO_GROUPS, Answer, ScriptedApi, kubeconfig, serving

MAPS = "/api/v1/namespaces/n/configmaps"
REF = Ref("v1", "ConfigMap", "n", "a")


def item(name: str, version: str) -> dict[str, object]:
    meta = {"name": name, "namespace": "n", "resourceVersion": version}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}


@pytest.fixture
def api() -> ScriptedApi:
    api = ScriptedApi()
    api.on("/api", Answer(CORE))
    api.on("/apis", Answer(NO_GROUPS))
    return api


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def cluster(api: ScriptedApi, clock: FakeClock, tmp_path: Path) -> Iterator[KubeCluster]:
    with serving(api) as address:
        found = connect(kubeconfig(tmp_path, address), clock=clock)
        yield found
        found.close()


def test_a_server_that_was_never_there_is_given_up_soon(clock: FakeClock, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(UnreachableError) as caught:
        connect(kubeconfig(tmp_path, f"http://127.0.0.1:{port}"), clock=clock).version()
    assert f"http://127.0.0.1:{port} does not answer" in str(caught.value)
    assert sum(clock.slept) <= 2


def test_a_busy_server_is_asked_again_when_it_says(
    api: ScriptedApi, clock: FakeClock, cluster: KubeCluster
) -> None:
    api.on("/version", Answer({}, 429, {"Retry-After": "1"}), Answer({"gitVersion": "v1.34.4"}))
    assert cluster.version() == "v1.34.4"
    assert clock.slept == [1.0]


def test_a_server_that_stays_busy_is_given_up(
    api: ScriptedApi, clock: FakeClock, cluster: KubeCluster
) -> None:
    api.on("/version", Answer({"message": "shutting down"}, 503))
    with pytest.raises(UnreachableError) as caught:
        cluster.version()
    assert caught.value.details == ("shutting down",)
    assert 1 < len(clock.slept) < 50


def test_a_creation_is_not_sent_twice(api: ScriptedApi, cluster: KubeCluster) -> None:
    api.on(MAPS, Answer({"message": "timeout"}, 504))
    with pytest.raises(UnreachableError):
        cluster.create(Object(item("a", "1")))
    assert len([each for each in api.asked if each.method == "POST"]) == 1


def test_refused_credentials_name_user_and_context(api: ScriptedApi, cluster: KubeCluster) -> None:
    api.on("/version", Answer({"kind": "Status", "message": "Unauthorized"}, 401))
    with pytest.raises(AccessError, match=r"credentials of user 'someone' of context 'here'"):
        cluster.version()


def test_missing_rights_name_verb_resource_and_place(api: ScriptedApi, cluster: KubeCluster) -> None:
    message = 'no: User "x" cannot list resource "configmaps" in API group "" in the namespace "n"'
    api.on(MAPS, Answer({"kind": "Status", "message": message}, 403))
    with pytest.raises(AccessError) as caught:
        cluster.list("v1", "ConfigMap", namespace="n")
    assert caught.value.message == "user 'x' may not list configmaps in namespace 'n'"


def test_a_token_goes_along(api: ScriptedApi, tmp_path: Path) -> None:
    api.on("/version", Answer({"gitVersion": "v1.34.4"}))
    with serving(api) as address:
        connect(kubeconfig(tmp_path, address, user={"token": "abc"}), clock=FakeClock()).version()
    assert {key.lower(): value for key, value in api.asked[0].headers.items()}[
        "authorization"
    ] == "Bearer abc"


def test_lists_are_read_page_by_page(api: ScriptedApi, cluster: KubeCluster) -> None:
    first = {"metadata": {"continue": "x"}, "items": [item("a", "1")]}
    api.on(MAPS, Answer(first), Answer({"metadata": {}, "items": [item("b", "2")]}))
    assert [each.ref.name for each in cluster.list("v1", "ConfigMap", namespace="n")] == ["a", "b"]


def test_a_list_that_grew_too_old_is_begun_again(api: ScriptedApi, cluster: KubeCluster) -> None:
    first = {"metadata": {"continue": "x"}, "items": [item("a", "1")]}
    again = {"metadata": {}, "items": [item("b", "2")]}
    api.on(MAPS, Answer(first), Answer({"reason": "Expired"}, 410), Answer(again))
    assert [each.ref.name for each in cluster.list("v1", "ConfigMap", namespace="n")] == ["b"]


def test_older_servers_are_asked_group_by_group(api: ScriptedApi, cluster: KubeCluster) -> None:
    maps = {"name": "configmaps", "kind": "ConfigMap", "namespaced": True, "verbs": ["list"]}
    jobs = {"name": "jobs", "kind": "Job", "namespaced": True, "verbs": ["list"]}
    status = {**jobs, "name": "jobs/status"}
    group = {
        "name": "batch",
        "versions": [{"groupVersion": "batch/v1beta1"}, {"groupVersion": "batch/v1"}],
        "preferredVersion": {"groupVersion": "batch/v1"},
    }
    api.on("/api", Answer({"kind": "APIVersions", "versions": ["v1"]}))
    api.on("/api/v1", Answer({"resources": [maps]}))
    api.on("/apis", Answer({"kind": "APIGroupList", "groups": [group]}))
    api.on("/apis/batch/v1", Answer({"resources": [jobs, status]}))
    api.on("/apis/batch/v1beta1", Answer({"message": "its server is away"}, 503))
    assert [(each.api_version, each.plural) for each in cluster.kinds()] == [
        ("batch/v1", "jobs"),
        ("v1", "configmaps"),
    ]


def test_a_watch_lists_again_when_the_server_forgot_and_tells_what_went(
    api: ScriptedApi, cluster: KubeCluster
) -> None:
    first = {"metadata": {"resourceVersion": "10"}, "items": [item("a", "1"), item("b", "2")]}
    later = {"metadata": {"resourceVersion": "20"}, "items": [item("b", "15"), item("c", "16")]}
    api.on(MAPS, Answer(first), Answer(later))
    changed = {"type": "MODIFIED", "object": item("a", "11")}
    mark = {"type": "BOOKMARK", "object": {"kind": "ConfigMap", "metadata": {"resourceVersion": "12"}}}
    forgot = {"type": "ERROR", "object": {"kind": "Status", "code": 410}}
    api.on(MAPS, Answer([changed, mark]), Answer([forgot]), Answer([]), watch=True)
    watch = cluster.watch("v1", "ConfigMap", namespace="n")
    news = iter(watch)
    seen = [next(news) for _ in range(6)]
    watch.close()
    assert [(change, obj.ref.name) for change, obj in seen] == [
        ("ADDED", "a"),
        ("ADDED", "b"),
        ("MODIFIED", "a"),
        ("DELETED", "a"),
        ("MODIFIED", "b"),
        ("ADDED", "c"),
    ]
    follows = [each.query["resourceVersion"] for each in api.asked if "watch" in each.query]
    assert follows[:2] == ["10", "12"]


def test_a_watch_without_rights_says_so(api: ScriptedApi, cluster: KubeCluster) -> None:
    api.on(MAPS, Answer({"metadata": {"resourceVersion": "1"}, "items": []}))
    message = 'configmaps is forbidden: User "x" cannot watch resource "configmaps" in API group ""'
    api.on(MAPS, Answer({"kind": "Status", "message": message}, 403), watch=True)
    with pytest.raises(AccessError, match="user 'x' may not watch configmaps in the whole cluster"):
        list(cluster.watch("v1", "ConfigMap", namespace="n"))


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        (
            500,
            'Internal error occurred: failed calling webhook "v.istio.io": no endpoints',
            "webhook-unavailable",
        ),
        (403, 'pods "a" is forbidden: exceeded quota: q, requested: pods=1', "quota-exceeded"),
        (403, 'admission webhook "p.example" denied the request: no', "admission-denied"),
        (400, "json: unknown field", "request-refused"),
        (404, 'namespaces "n" not found', "not-found"),
    ],
)
def test_refusals_are_told_apart(
    api: ScriptedApi, cluster: KubeCluster, code: int, message: str, expected: str
) -> None:
    api.on(f"{MAPS}/a", Answer({"kind": "Status", "message": message}, code))
    with pytest.raises(FailedError) as caught:
        cluster.apply(Object(item("a", "1")))
    assert caught.value.code == expected
    assert caught.value.details == (message,)


def test_a_namespace_that_is_going_is_told_as_such(api: ScriptedApi, cluster: KubeCluster) -> None:
    body = {"message": "being terminated", "details": {"causes": [{"reason": "NamespaceTerminating"}]}}
    api.on(f"{MAPS}/a", Answer(body, 403))
    with pytest.raises(FailedError) as caught:
        cluster.apply(Object(item("a", "1")))
    assert caught.value.code == "namespace-terminating"


def test_an_invalid_object_lists_each_field(api: ScriptedApi, cluster: KubeCluster) -> None:
    causes = [{"field": "data.a", "message": "too long"}, {"field": "data.b", "message": "required"}]
    api.on(f"{MAPS}/a", Answer({"message": "invalid", "details": {"causes": causes}}, 422))
    with pytest.raises(FailedError) as caught:
        cluster.apply(Object(item("a", "1")))
    assert caught.value.details == ("data.a: too long", "data.b: required")


def test_the_log_of_an_earlier_run_is_told_when_this_one_wrote_nothing(
    api: ScriptedApi, cluster: KubeCluster
) -> None:
    api.on("/api/v1/namespaces/n/pods/p/log", Answer(None), Answer("last words"))
    assert cluster.logs("n", "p", "c") == "last words"


RACE = {"kind": "Status", "reason": "Conflict", "message": "the object has been modified"}
FAULT = {"kind": "Status", "reason": "InternalError", "message": "etcd is away"}


@pytest.mark.parametrize("answer", [Answer(RACE, 409), Answer(FAULT, 500), Answer({}, 503)])
def test_a_write_that_failed_for_no_fault_of_ours_is_sent_again(
    api: ScriptedApi, cluster: KubeCluster, answer: Answer
) -> None:
    api.on(f"{MAPS}/a", answer, Answer(item("a", "2")))
    assert cluster.apply(Object(item("a", ""))).at("metadata.resourceVersion") == "2"


def test_a_change_of_what_was_read_before_is_not_sent_again_on_a_conflict(
    api: ScriptedApi, cluster: KubeCluster
) -> None:
    api.on(f"{MAPS}/a", Answer(RACE, 409))
    with pytest.raises(ConflictError):
        cluster.replace(Object(item("a", "1")))
    assert len([each for each in api.asked if each.method == "PUT"]) == 1


def test_a_server_that_goes_on_failing_is_no_refusal(
    api: ScriptedApi, clock: FakeClock, cluster: KubeCluster
) -> None:
    api.on(f"{MAPS}/a", Answer(FAULT, 500))
    with pytest.raises(UnreachableError, match="failed to apply ConfigMap n/a"):
        cluster.apply(Object(item("a", "")))
    assert 1 < sum(clock.slept) <= 10


@pytest.mark.parametrize(
    "message",
    [
        "failed to create typed patch object (n/a; /v1, Kind=Service): duplicate entries for key [port=53]",
        "failed to convert new object (n/s; /v1, Kind=Secret) to proper version: illegal base64 data",
    ],
)
def test_an_object_that_does_not_fit_its_kind_is_refused_at_once(
    api: ScriptedApi, clock: FakeClock, cluster: KubeCluster, message: str
) -> None:
    api.on(f"{MAPS}/a", Answer({"kind": "Status", "message": message}, 500))
    with pytest.raises(FailedError) as caught:
        cluster.apply(Object(item("a", "")))
    assert caught.value.details == (message,)
    assert clock.slept == []


def test_a_watch_that_the_server_is_too_busy_for_begins_again(api: ScriptedApi, cluster: KubeCluster) -> None:
    listed = {"metadata": {"resourceVersion": "1"}, "items": []}
    api.on(MAPS, Answer(listed))
    added = {"type": "ADDED", "object": item("a", "2")}
    api.on(MAPS, Answer({}, 429), Answer({}, 500), Answer([added]), watch=True)
    watch = cluster.watch("v1", "ConfigMap", namespace="n")
    assert next(iter(watch))[1].ref == REF
    watch.close()
