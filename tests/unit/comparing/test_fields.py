"""A difference is what a cluster would tell apart, and nothing else."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshctl.model.objects import Object
from meshctl.stages.comparing.fields import differences
from tests.building import obj

NS = "istio-system"


def leaves(left: Object, right: Object) -> dict[str, tuple[Any, Any]]:
    return {leaf.path: (leaf.left, leaf.right) for leaf in differences(left, right)}


def deployment(*containers: dict[str, Any], **spec: Any) -> Object:
    return obj("Deployment", "istiod", NS, spec={"template": {"spec": {"containers": [*containers]}}, **spec})


A = {"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]}
B = {"name": "b", "image": "b:1", "ports": [{"containerPort": 80, "name": "http"}]}
CONTAINERS = "spec.template.spec.containers"


def test_the_order_of_containers_variables_and_ports_says_nothing() -> None:
    turned = copy.deepcopy(A)
    turned["env"].reverse()  # type: ignore[attr-defined]
    assert leaves(deployment(A, B), deployment(B, turned)) == {}


def test_an_element_of_a_keyed_list_is_called_by_its_key() -> None:
    newer = {**A, "image": "a:2", "env": [{"name": "X", "value": "3"}]}
    assert leaves(deployment(A, B), deployment(newer)) == {
        f"{CONTAINERS}[a].image": ("a:1", "a:2"),
        f"{CONTAINERS}[a].env[X].value": ("1", "3"),
        f"{CONTAINERS}[a].env[Y]": ({"name": "Y", "value": "2"}, None),
        f"{CONTAINERS}[b]": (B, None),
    }


def test_a_named_port_that_moves_is_one_change() -> None:
    def service(port: int) -> Object:
        return obj("Service", "web", "shop", spec={"ports": [{"name": "http", "port": port}]})

    assert leaves(service(80), service(8080)) == {"spec.ports[http].port": (80, 8080)}


def test_ports_without_names_are_told_apart_by_number_and_protocol() -> None:
    left = obj("Service", "dns", "shop", spec={"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}]})
    right = obj("Service", "dns", "shop", spec={"ports": [{"port": 53, "protocol": "TCP"}]})
    assert leaves(left, right) == {"spec.ports[53/UDP]": ({"port": 53, "protocol": "UDP"}, None)}


def test_the_order_of_init_containers_counts() -> None:
    def pod(*names: str) -> Object:
        return obj("Pod", "p", "shop", spec={"initContainers": [{"name": name} for name in names]})

    assert leaves(pod("a", "b"), pod("b", "a")) == {"spec.initContainers[order]": (["a", "b"], ["b", "a"])}


def test_the_order_of_routes_counts_though_they_have_names() -> None:
    def routes(*names: str) -> Object:
        content = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService"}
        http = [{"name": name} for name in names]
        return Object({**content, "metadata": {"name": "v"}, "spec": {"http": http}})

    assert leaves(routes("a", "b"), routes("b", "a")) == {"spec.http[order]": (["a", "b"], ["b", "a"])}
    assert leaves(routes("a", "b"), routes("b")) == {"spec.http[a]": ({"name": "a"}, None)}


def test_an_argument_put_in_between_is_one_change() -> None:
    left, right = ({**A, "args": args} for args in (["one", "three"], ["one", "two", "three"]))
    assert leaves(deployment(left), deployment(right)) == {f"{CONTAINERS}[a].args[1]": (None, "two")}


def test_the_order_of_rules_and_of_what_they_list_says_nothing() -> None:
    rules = [
        {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]},
    ]
    turned = [{key: value[::-1] for key, value in rule.items()} for rule in rules[::-1]]
    left, right = (obj("ClusterRole", "r", rules=each) for each in (rules, turned))
    assert leaves(left, right) == {}
    more = obj("ClusterRole", "r", rules=[*turned[:1], {**rules[0], "verbs": ["get", "watch"]}])
    assert leaves(left, more) == {"rules[0].verbs[1]": ("list", "watch")}


@pytest.mark.parametrize(("one", "other"), [("1", "1000m"), ("1Gi", "1024Mi"), (0.5, "500m")])
def test_figures_are_compared_by_what_they_say(one: Any, other: Any) -> None:
    left, right = ({**A, "resources": {"limits": {"cpu": value}}} for value in (one, other))
    assert leaves(deployment(left), deployment(right)) == {}


def test_what_the_server_writes_and_what_is_empty_is_no_difference() -> None:
    plain = obj("ConfigMap", "c", NS, data={"a": "b"})
    content = copy.deepcopy(dict(plain.content))
    content["metadata"] |= {"uid": "1", "resourceVersion": "7", "managedFields": [{}], "labels": {}}
    content["status"], content["immutable"] = {"a": 1}, None
    assert leaves(plain, Object(content)) == {}


def test_an_empty_map_that_says_something_is_a_difference() -> None:
    left = obj("NetworkPolicy", "n", NS, spec={})
    right = obj("NetworkPolicy", "n", NS, spec={"podSelector": {}})
    assert leaves(left, right) == {"spec.podSelector": (None, {})}


def test_true_and_one_are_not_the_same() -> None:
    left, right = (obj("ConfigMap", "c", NS, immutable=value) for value in (True, 1))
    assert leaves(left, right) == {"immutable": (True, 1)}


def test_yaml_and_json_within_a_config_map_are_compared_by_what_they_say() -> None:
    mesh = {"defaultConfig": {"image": {"imageType": "debug"}}, "rootNamespace": "x"}
    values = {"pilot": {"traceSampling": 1}}
    left = obj("ConfigMap", "istio", NS, data={"mesh": yaml.safe_dump(mesh), "values": json.dumps(values)})
    laid_out = yaml.safe_dump(mesh, default_flow_style=True)
    same = obj("ConfigMap", "istio", NS, data={"mesh": laid_out, "values": json.dumps(values, indent=2)})
    assert leaves(left, same) == {}
    mesh["rootNamespace"], values["pilot"]["traceSampling"] = "y", 5
    other = obj("ConfigMap", "istio", NS, data={"mesh": yaml.safe_dump(mesh), "values": json.dumps(values)})
    assert leaves(left, other) == {
        "data.mesh:rootNamespace": ("x", "y"),
        "data.values:pilot.traceSampling": (1, 5),
    }


def test_another_api_version_is_a_difference_of_the_same_object() -> None:
    left = Object({**obj("HorizontalPodAutoscaler", "h", NS).content, "apiVersion": "autoscaling/v1"})
    assert leaves(left, obj("HorizontalPodAutoscaler", "h", NS)) == {
        "apiVersion": ("autoscaling/v1", "autoscaling/v2")
    }


PLANTED = "planted-4b1d"
HIDING = {
    "a secret's data": obj("Secret", "s", NS, data={"x": PLANTED}),
    "a secret's text": obj("Secret", "s", NS, stringData={"x": PLANTED}),
    "a token by its name": obj("ConfigMap", "c", NS, data={"apiToken": PLANTED}),
    "a variable by its name": deployment({"name": "a", "env": [{"name": "DB_PASSWORD", "value": PLANTED}]}),
    "a flag": deployment({"name": "a", "args": [f"--password={PLANTED}"]}),
    "a key in a text": obj(
        "ConfigMap", "c", NS, data={"x": f"-----BEGIN RSA PRIVATE KEY-----\n{PLANTED}\n-----END"}
    ),
    "a token in the mesh configuration": obj(
        "ConfigMap", "c", NS, data={"mesh": f"tracing:\n  lightstep: {{accessToken: {PLANTED}}}\n"}
    ),
}


@pytest.mark.parametrize("what", HIDING)
def test_no_difference_shows_a_secret(what: str) -> None:
    hiding = HIDING[what]
    changed = Object(json.loads(json.dumps(hiding.content).replace(PLANTED, "another")))
    empty = obj(hiding.ref.kind, hiding.ref.name, NS)
    for left, right in ((hiding, changed), (changed, hiding), (hiding, empty), (empty, hiding)):
        found = differences(left, right)
        assert found
        assert PLANTED not in str(found)


def test_two_secrets_that_differ_do_not_read_the_same() -> None:
    left, right = (obj("Secret", "s", NS, data={"x": value}) for value in ("YQ==", "Yg=="))
    assert leaves(left, right) == {"data.x": ("(secret)", "(another secret)")}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "a", "b: c", "{", "1Gi"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "ports", "env", "a.b", "rules"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(JSON, JSON)
def test_any_two_things_can_be_compared_and_a_thing_equals_itself(one: Any, other: Any) -> None:
    left, right = (obj("ConfigMap", "c", NS, data=each) for each in (one, other))
    assert differences(left, left) == ()
    there, back = differences(left, right), differences(right, left)
    assert bool(there) == bool(back)
