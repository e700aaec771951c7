"""Which injector is asked, and what its answers mean."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from meshctl.errors import FailedError
from meshctl.model.objects import Object
from meshctl.stages.injecting.configuration import native_by_nodes, path_variables
from meshctl.stages.injecting.inject import Injected, LeftAlone
from meshctl.stages.injecting.injector import Job
from meshctl.stages.injecting.webhooks import answered, chosen, review
from meshctl.stages.injecting.workloads import Owner, Workload

POD = {"spec": {"containers": [{"name": "web", "image": "web:1"}]}}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {"template": POD},
}
JOB = Job(POD, Owner("apps/v1", "Deployment", "web"), "shop")


def configuration(
    name: str, revision: str, tag: str = "", namespaces: dict[str, Any] | None = None
) -> Object:
    labels = {"istio.io/rev": revision, **({"istio.io/tag": tag} if tag else {})}
    hook = {
        "name": "rev.namespace.sidecar-injector.istio.io",
        "clientConfig": {"url": f"https://{name}"},
        "namespaceSelector": namespaces or {"matchLabels": {"istio.io/rev": tag or revision}},
    }
    other = {"name": "something.else.io"}
    return Object(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": name, "labels": labels},
            "webhooks": [other, hook],
        }
    )


STABLE, CANARY = configuration("a-stable", "1-31"), configuration("b-canary", "1-32")
TAG = configuration("c-prod", "1-31", "prod")
DEFAULT = configuration("d-default", "1-31", "default", {"matchLabels": {"istio-injection": "enabled"}})
ALL = [STABLE, CANARY, TAG, DEFAULT]


@pytest.mark.parametrize(
    ("known", "revision", "namespace", "name"),
    [
        (ALL, "1-32", {}, "b-canary"),
        (ALL, "prod", {}, "c-prod"),
        (ALL, "", {"istio.io/rev": "1-32"}, "b-canary"),
        (ALL, "", {"istio.io/rev": "prod"}, "c-prod"),
        (ALL, "", {}, "d-default"),
        ([CANARY], "", {}, "b-canary"),
    ],
)
def test_the_injector_is_the_one_that_the_api_server_would_ask(
    known: list[Object], revision: str, namespace: dict[str, str], name: str
) -> None:
    assert chosen(known, revision, namespace, {}).configuration == name


@pytest.mark.parametrize(
    ("known", "revision", "says", "hint"),
    [
        ([], "", "the cluster has no webhook that injects", "--offline"),
        (ALL, "1-33", "no injector of revision or tag '1-33'", "1-3"),
        ([STABLE, CANARY], "", "several revisions, and none is the default: 1-31, 1-32", "--revision"),
    ],
)
def test_without_one_injector_it_is_told_which_there_are(
    known: list[Object], revision: str, says: str, hint: str
) -> None:
    with pytest.raises(FailedError) as caught:
        chosen(known, revision, {}, {})
    assert says in caught.value.message
    assert hint in caught.value.hint


def test_a_pod_is_sent_as_its_controller_would_make_it() -> None:
    told, sent = review(JOB, Workload(DEPLOYMENT, (), ("spec", "template")))
    assert told["request"]["object"] == sent
    assert told["request"]["namespace"] == "shop"
    assert sent["metadata"]["generateName"] == "web-"
    (owner,) = sent["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("Deployment", "web", True)


def reply(**response: Any) -> dict[str, Any]:
    return {"response": {"uid": "meshctl", **response}}


def test_the_patch_of_the_answer_is_applied_and_what_we_added_is_gone() -> None:
    sent = review(JOB, Workload(DEPLOYMENT, (), ("spec", "template")))[1]
    patch = [{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]
    text = base64.b64encode(json.dumps(patch).encode()).decode()
    told = answered(JOB, sent, reply(allowed=True, patch=text))
    assert told == Injected({"metadata": {"labels": {"a": "b"}}, **POD})


def test_an_answer_without_a_patch_leaves_the_pod_alone() -> None:
    told = answered(JOB, {}, reply(allowed=True))
    assert told == LeftAlone("the injector's policy and selectors leave it out")


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (reply(allowed=False, status={"message": "no such template"}), "injector-refuses"),
        (reply(), "injector-refuses"),
        ({"kind": "Status"}, "bad-answer"),
        ("not found", "bad-answer"),
    ],
)
def test_any_other_answer_is_an_error(answer: Any, code: str) -> None:
    with pytest.raises(FailedError) as caught:
        answered(JOB, {}, answer)
    assert caught.value.code == code


def test_the_webhook_s_path_names_cluster_and_network() -> None:
    assert path_variables("/inject") == {}
    assert path_variables("/inject/cluster/east/net/a--slash--b/odd") == {
        "ISTIO_META_CLUSTER_ID": "east",
        "ISTIO_META_NETWORK": "a/b",
    }


@pytest.mark.parametrize(
    ("env", "kubelets", "native"),
    [
        ({}, ["v1.33.1", "v1.34.0"], True),
        ({}, ["v1.32.9", "v1.34.0"], False),
        ({}, ["kwok-0.8.0"], False),
        ({"ENABLE_NATIVE_SIDECARS": "true"}, ["v1.20.0"], True),
        ({"ENABLE_NATIVE_SIDECARS": "false"}, ["v1.34.0"], False),
    ],
)
def test_sidecars_are_native_where_istiod_makes_them_so(
    env: dict[str, str], kubelets: list[str], native: bool
) -> None:
    assert native_by_nodes(env, kubelets) is native
