"""Whether a revision's webhooks answer, asked by dry runs."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from meshctl.errors import AccessError, FailedError, MeshctlError
from meshctl.model.objects import Object, Ref
from meshctl.stages.gating.probe import webhook_answers
from tests.building import obj
from tests.fakes import KINDS, FakeCluster, kind_of

VALIDATOR = obj(
    "ValidatingWebhookConfiguration",
    "istio-validator-new",
    labels={"app": "istiod", "istio.io/rev": "new"},
    webhooks=[{"name": "rev.validation.istio.io"}],
)
POD = Ref("v1", "Pod", "istio-system", "meshctl-probe")
DENIED = FailedError("request-refused", "no", details=("admission webhook denied the request: wildcard",))
SILENT = FailedError("webhook-unavailable", "no", details=("failed calling webhook: connection refused",))


class Admitting(FakeCluster):
    """An API server with an injector of one revision, and a validator that knows what is wrong.

    Args:
        injects: the revision whose proxy pods get; empty: none.
        refuses: what creating something raises, by the name of the namespace or the VirtualService's host.
    """

    def __init__(self, *objects: Object, injects: str = "new", **refuses: MeshctlError) -> None:
        kinds = (*KINDS, kind_of("networking.istio.io/v1", "VirtualService"))
        super().__init__("east", *(each.content for each in objects), kinds=kinds, settles=False)
        if self.get(Ref("v1", "Namespace", "", "istio-system")) is None:
            self.seed(obj("Namespace", "istio-system").content)
        self._injects = injects
        self.refuses = {"*": DENIED, **{name.replace("_", "-"): error for name, error in refuses.items()}}
        self.tried: list[str] = []

    def create(self, made: Object, *, dry_run: bool = False) -> Object:
        assert dry_run
        self.tried.append(made.ref.namespace)
        key = made.at("spec.hosts[0]") or made.ref.namespace
        if key in self.refuses:
            raise self.refuses[key]
        content = copy.deepcopy(dict(super().create(made, dry_run=True).content))
        if made.ref.kind == "Pod" and made.labels["istio.io/rev"] == self._injects:
            content["spec"]["containers"].append({"name": "istio-proxy", "image": "proxy"})
            content["metadata"]["annotations"] = {
                "sidecar.istio.io/status": json.dumps({"revision": self._injects})
            }
        return Object(content)


def answer(cluster: FakeCluster, revision: str = "new", **more: Any) -> str:
    said = webhook_answers(cluster, revision=revision, **more)
    assert cluster.writes == []
    assert cluster.get(POD) is None
    return said


def test_webhooks_that_do_their_work_answer() -> None:
    assert answer(Admitting(VALIDATOR)) == ""
    assert answer(Admitting()) == ""  # validation may be off
    assert answer(Admitting(injects="default"), "") == ""


def test_an_injector_that_does_not_answer_is_told_in_the_api_servers_words() -> None:
    words = answer(Admitting(istio_system=SILENT))
    assert words == "the injector does not answer: failed calling webhook: connection refused"


def test_a_pod_without_a_proxy_is_no_answer() -> None:
    assert answer(Admitting(injects="")) == (
        "no injector gives a proxy to a pod with the label istio.io/rev=new"
    )


def test_the_injector_of_another_revision_is_told() -> None:
    class Other(Admitting):
        def create(self, made: Object, *, dry_run: bool = False) -> Object:
            content = copy.deepcopy(dict(super().create(made, dry_run=dry_run).content))
            content["metadata"]["annotations"] = {"sidecar.istio.io/status": '{"revision": "old"}'}
            return Object(content)

    assert answer(Other()) == "the injector of revision 'old' answers for revision 'new'"


@pytest.mark.parametrize("labels", [{"istio-injection": "disabled"}, {"istio.io/rev": "old"}])
def test_a_namespace_that_chooses_for_its_pods_is_not_tried(labels: dict[str, str]) -> None:
    cluster = Admitting(
        obj("Namespace", "istio-system", labels=labels), obj("Namespace", "shop", labels=labels)
    )
    assert answer(cluster, namespace="shop") == ""
    assert cluster.tried == ["default"]
    cluster.edit(Ref("v1", "Namespace", "", "default"), {"metadata": {"labels": labels}})
    assert answer(cluster) == ""  # nobody can be asked, which is no fault of the webhook's
    assert cluster.tried == ["default"]


@pytest.mark.parametrize(
    ("revision", "labels"),
    [("new", {"istio.io/rev": "new"}), ("default", {"istio-injection": "enabled"}), ("new", {})],
)
def test_any_namespace_that_the_revision_serves_will_do(revision: str, labels: dict[str, str]) -> None:
    taken = {"istio-injection": "disabled"}
    homes = [obj("Namespace", "istio-system", labels=taken), obj("Namespace", "shop", labels=labels)]
    cluster = Admitting(*homes, injects=revision, shop=SILENT)
    cluster.edit(Ref("v1", "Namespace", "", "default"), {"metadata": {"labels": taken}})
    assert answer(cluster, revision).startswith("the injector does not answer")
    assert cluster.tried == ["shop"]


def test_where_a_policy_refuses_the_pod_another_namespace_is_tried() -> None:
    quota = FailedError("quota-exceeded", "no", details=("exceeded quota",))
    cluster = Admitting(istio_system=quota)
    assert answer(cluster) == ""
    assert cluster.tried == ["istio-system", "default"]
    assert answer(Admitting(istio_system=quota, default=quota)) == (
        "a pod in namespace 'default' could not be tried: exceeded quota"
    )


def test_a_policy_that_refuses_what_was_injected_proves_that_the_injector_answered() -> None:
    words = ('violates PodSecurity: container "istio-init" must not include "NET_ADMIN"',)
    assert answer(Admitting(istio_system=FailedError("admission-denied", "no", details=words))) == ""


def test_a_validator_that_lets_wrong_things_pass_is_told() -> None:
    cluster = Admitting(VALIDATOR)
    del cluster.refuses["*"]
    assert answer(cluster) == "the validator lets a resource pass that is wrong"


def test_a_validator_that_refuses_right_things_is_told() -> None:
    cluster = Admitting(VALIDATOR)
    cluster.refuses["probe.invalid"] = SILENT
    assert answer(cluster).startswith(
        "the validator refuses a resource that is right: failed calling webhook"
    )


def test_who_may_not_ask_is_told_so() -> None:
    with pytest.raises(AccessError):
        answer(Admitting(istio_system=AccessError("not-allowed", "you may not")))
