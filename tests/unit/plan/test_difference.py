"""Differences: what counts as one, as real API servers were seen to behave."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.model.objects import Object
from meshctl.stages.planning.difference import adjusted, changes, conflicts, words
from tests.building import held, obj

NS = "istio-system"


def deployment(**container: object) -> Object:
    spec = {"template": {"spec": {"containers": [{"name": "proxy", "image": "a", **container}]}}}
    return obj("Deployment", "web", NS, spec=spec)


def kept(desired: Object, fields: dict, **content: object) -> Object:
    """`desired` as the server keeps it, with `content` over it and `fields` held by us."""
    value = Object({**desired.content, **content})
    meta = {
        **value.content["metadata"],
        "managedFields": [{"manager": "meshctl", "operation": "Apply", "fieldsV1": fields}],
    }
    return Object({**value.content, "metadata": meta})


def paths(found: tuple) -> list[str]:
    return [each.path for each in found]


def test_defaults_of_the_server_are_no_difference() -> None:
    desired = deployment(ports=[{"containerPort": 80}])
    live = deployment(
        ports=[{"containerPort": 80, "protocol": "TCP"}], imagePullPolicy="Always", resources={}
    )
    assert changes(desired, live) == ()


@pytest.mark.parametrize(
    ("wanted", "seen"),
    [("1000m", "1"), ("2048Mi", "2Gi"), (1, "1"), (0.5, "500m"), ("1e3", "1k"), ("1048576", "1Mi")],
)
def test_quantities_are_compared_as_numbers(wanted: object, seen: str) -> None:
    desired = deployment(resources={"requests": {"cpu": wanted}})
    assert changes(desired, deployment(resources={"requests": {"cpu": seen}})) == ()


def test_figures_that_are_no_quantities_are_compared_as_text() -> None:
    config = obj("ConfigMap", "c", data={"mesh": "1000m"})
    assert paths(changes(config, obj("ConfigMap", "c", data={"mesh": "1"}))) == ["data.mesh"]


def test_elements_of_merged_lists_are_matched_by_their_keys() -> None:
    desired = deployment(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}])
    live = deployment(
        env=[{"name": "X", "value": "9"}, {"name": "B", "value": "3"}, {"name": "A", "value": "1"}]
    )
    assert paths(changes(desired, live)) == ["spec.template.spec.containers[proxy].env[B].value"]


def test_service_ports_are_told_apart_by_port_and_protocol() -> None:
    desired = obj("Service", "dns", spec={"ports": [{"port": 53, "protocol": "UDP", "name": "b"}]})
    live = obj("Service", "dns", spec={"ports": [{"port": 53, "protocol": "TCP", "name": "a"}]})
    assert paths(changes(desired, live)) == ["spec.ports[53/UDP]"]


def test_lists_that_are_replaced_whole_differ_when_one_has_more() -> None:
    desired = obj("ClusterRole", "r", rules=[{"verbs": ["get"]}])
    live = obj("ClusterRole", "r", rules=[{"verbs": ["get"]}, {"verbs": ["list"]}])
    assert paths(changes(desired, live)) == ["rules"]


def test_a_field_dropped_inside_such_a_list_is_known_from_the_former_release() -> None:
    rule = {"verbs": ["get"], "resourceNames": ["one"]}
    former = obj("ClusterRole", "r", rules=[rule])
    desired = obj("ClusterRole", "r", rules=[{"verbs": ["get"]}])
    assert paths(changes(desired, held(former), former=(former,))) == ["rules[0].resourceNames"]
    assert changes(desired, held(former)) == ()


def test_an_added_key_in_a_selector_is_a_difference() -> None:
    desired = obj("Service", "s", spec={"selector": {"app": "a"}})
    live = obj("Service", "s", spec={"selector": {"app": "a", "version": "b"}})
    assert paths(changes(desired, live)) == ["spec.selector.version"]


def test_false_that_the_server_dropped_counts_as_sent_only_when_we_hold_it() -> None:
    desired = obj("ServiceAccount", "a", automountServiceAccountToken=False)
    bare = obj("ServiceAccount", "a")
    ours = kept(bare, {"f:automountServiceAccountToken": {}})
    theirs = kept(bare, {"f:metadata": {"f:labels": {}}})
    assert changes(desired, ours) == ()
    assert paths(changes(desired, theirs)) == ["automountServiceAccountToken"]


def test_a_field_we_sent_and_want_no_longer_is_to_go() -> None:
    former = obj("ConfigMap", "c", data={"a": "1", "b": "2"})
    (change,) = changes(obj("ConfigMap", "c", data={"a": "1"}), held(former))
    assert (change.path, change.seen, change.wanted) == ("data.b", "2", None)


def test_a_container_we_sent_and_want_no_longer_is_to_go() -> None:
    live = Object({**deployment().content, "spec": {"template": {"spec": {"containers": [{"name": "old"}]}}}})
    fields = {
        "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"old"}': {".": {}, "f:name": {}}}}}}
    }
    found = changes(deployment(), kept(live, fields))
    assert paths(found) == ["spec.template.spec.containers[proxy]", "spec.template.spec.containers[old]"]


def test_a_label_that_somebody_added_is_left_alone() -> None:
    live = obj("ConfigMap", "c", labels={"ours": "1", "theirs": "2"})
    assert changes(obj("ConfigMap", "c", labels={"ours": "1"}), live) == ()


def test_the_owner_of_a_field_that_differs_is_named() -> None:
    live = held(obj("ConfigMap", "c", data={"a": "2"}), manager="kubectl-edit", operation="Update")
    (change,) = changes(obj("ConfigMap", "c", data={"a": "1"}), live)
    assert change.owner == "kubectl-edit"


def test_many_fields_of_others_are_told_in_one_line() -> None:
    data = {f"k{number}": "1" for number in range(5)}
    live = held(obj("ConfigMap", "c", data=dict.fromkeys(data, "2" * 90)), manager="helm")
    told = words(conflicts(obj("ConfigMap", "c", data=data), live))
    assert told.startswith("data.k0 is '2222")
    assert "…, wanted '1'; data.k1" in told
    assert told.endswith("; and 2 more fields; owned by helm")


def test_values_of_secrets_are_never_shown() -> None:
    desired = obj("Secret", "s", stringData={"key": "new", "same": "one"})
    live = obj("Secret", "s", data={"key": "b2xk", "same": "b25l"})
    (change,) = changes(desired, live)
    assert (change.path, change.seen, change.wanted) == ("data.key", "(secret)", "(secret)")


YIELDS = (("ValidatingWebhookConfiguration", "webhooks[*].failurePolicy"), ("Deployment", "spec.replicas"))


def webhook(policy: str, **meta: object) -> Object:
    return obj(
        "ValidatingWebhookConfiguration",
        "istio-validator",
        webhooks=[{"name": "a.istio.io", "failurePolicy": policy}],
        **meta,
    )


def test_a_failure_policy_that_istiod_has_flipped_is_left_alone() -> None:
    fields = {"f:webhooks": {'k:{"name":"a.istio.io"}': {"f:failurePolicy": {}}}}
    flipped = webhook(
        "Fail", managedFields=[{"manager": "pilot-discovery", "operation": "Update", "fieldsV1": fields}]
    )
    assert changes(webhook("Ignore"), flipped, YIELDS) == ()
    assert adjusted(webhook("Ignore"), flipped, YIELDS).at("webhooks[0]") == {"name": "a.istio.io"}
    assert paths(changes(webhook("Ignore"), flipped)) == ["webhooks[a.istio.io].failurePolicy"]


def test_a_yielding_field_that_nobody_has_taken_is_still_ours() -> None:
    fields = {"f:webhooks": {'k:{"name":"a.istio.io"}': {"f:failurePolicy": {}}}}
    ours = webhook("Fail", managedFields=[{"manager": "meshctl", "operation": "Apply", "fieldsV1": fields}])
    assert paths(changes(webhook("Ignore"), ours, YIELDS)) == ["webhooks[a.istio.io].failurePolicy"]


def test_replicas_set_by_an_autoscaler_are_left_alone() -> None:
    entry = {
        "manager": "kube-controller-manager",
        "operation": "Update",
        "subresource": "scale",
        "fieldsV1": {"f:spec": {"f:replicas": {}}},
    }
    live = obj("Deployment", "web", NS, spec={"replicas": 3}, managedFields=[entry])
    desired = obj("Deployment", "web", NS, spec={"replicas": 1})
    assert changes(desired, live, YIELDS) == ()
    assert adjusted(desired, live, YIELDS).at("spec") == {}


def test_custom_resources_have_no_merged_lists() -> None:
    desired = obj("PeerAuthentication", "p", spec={"env": [{"name": "a"}]})
    live = obj("PeerAuthentication", "p", spec={"env": [{"name": "b"}, {"name": "a"}]})
    assert paths(changes(desired, live)) == ["spec.env"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab0m.", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc.", min_size=1, max_size=2), inner)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["spec", "data", "rules", "webhooks"]), JSON))
def test_an_object_never_differs_from_itself(content: dict) -> None:
    desired = obj("Thing", "t", **content)
    assert changes(desired, desired) == ()
    assert changes(desired, held(desired)) == ()


@given(
    st.dictionaries(st.sampled_from(["spec", "data"]), JSON),
    st.dictionaries(st.sampled_from(["x", "y"]), JSON),
)
def test_what_others_add_beside_our_fields_is_no_difference(content: dict, extra: dict) -> None:
    desired = obj("Thing", "t", **content)
    assert changes(desired, obj("Thing", "t", **content, **extra)) == ()
