"""What a host is told: never more than it may know, always something that its agent can read."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshctl.agent.places import Places
from meshctl.agent.settings import load
from meshctl.errors import ConfigError
from meshctl.model.enrolment import ControlPlane, HostTerms
from meshctl.model.objects import Object, Ref
from meshctl.stages.enrolling.control_plane import addresses, control_plane
from meshctl.stages.enrolling.enrol import enrol
from meshctl.stages.enrolling.files import files, shell
from tests.enrolments import CASES, ISTIO, SPACE, Case, group, objects, told

PLANE = ControlPlane(ISTIO, "", {"trustDomain": "cluster.local"}, "east", "roots")
BARE = CASES["bare"]


def live(case: Case) -> dict[Ref, Object]:
    return {each.ref: each for each in map(Object, objects(case).values())}


def changed(case: Case, ref: Ref, data: dict[str, str]) -> dict[Ref, Object]:
    found = live(case)
    return {**found, ref: Object({**found[ref].content, "data": data})}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_agent_reads_whatever_it_is_told(case: Case, tmp_path: Path) -> None:
    places = Places(tmp_path)
    places.settings.mkdir(parents=True)
    for name, text in files(told(case)).items():
        (places.settings / name).write_text(text)
    found = load(places)
    assert found.identity.namespace == SPACE
    assert found.identity.cluster == "east"


def test_the_same_host_is_told_the_same_bytes() -> None:
    for case in CASES.values():
        backwards = replace(case, spec=dict(reversed([*case.spec.items()])))
        assert files(told(case)) == files(told(backwards))


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_][A-Z0-9_]{0,9}", fullmatch=True),
        st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30),
        max_size=5,
    )
)
def test_a_shell_reads_every_value_as_it_was_and_runs_none(values: dict[str, str]) -> None:
    named = {f"X_{name}": value for name, value in values.items()}
    script = "set -a; . /dev/stdin; exec env -0"
    argv = ["env", "-i", "/bin/sh", "-c", script]
    done = subprocess.run(argv, input=shell(named).encode(), capture_output=True, check=True)
    pairs = dict(each.partition("=")[::2] for each in done.stdout.decode().split("\0") if each)
    assert {name: value for name, value in pairs.items() if name.startswith("X_")} == named


@pytest.mark.parametrize("value", ["a\nB='x'", "a\rb", "a\0b", "a\u2028b", "a\x85b"])
def test_a_value_that_would_end_its_line_is_refused(value: str) -> None:
    mesh = {"defaultConfig": {"proxyMetadata": {"OWN": value}}}
    with pytest.raises(ConfigError) as caught:
        enrol(Object(group(BARE)), replace(PLANE, mesh=mesh), HostTerms())
    assert caught.value.code == "bad-variable"
    assert "OWN" in caught.value.message


@pytest.mark.parametrize("name", ["A B", "A;rm", "", "1A", "A\nB", "$(A)", "Ä"])
def test_a_name_that_is_no_variables_is_refused(name: str) -> None:
    mesh = {"defaultConfig": {"proxyMetadata": {name: "x"}}}
    with pytest.raises(ConfigError) as caught:
        enrol(Object(group(BARE)), replace(PLANE, mesh=mesh), HostTerms())
    assert caught.value.code == "bad-variable"


@pytest.mark.parametrize("address", ["vm1", "10.0.0.256", "10.0.0.1 evil", "fe80::1%eth0", "10.0.0.1\nx"])
def test_what_is_no_address_is_refused(address: str) -> None:
    for terms in (HostTerms(address=address), HostTerms(gateways=(address,))):
        with pytest.raises(ConfigError) as caught:
            enrol(Object(group(BARE)), PLANE, terms)
        assert caught.value.code == "no-address"


def test_several_gateways_are_all_named() -> None:
    found = enrol(Object(group(BARE)), PLANE, HostTerms(gateways=("192.0.2.1", "2001:db8::1")))
    host = "istiod.istio-system.svc"
    assert found.names == (f"192.0.2.1 {host}", f"2001:db8::1 {host}")


def test_a_load_balancer_with_only_a_name_has_no_address() -> None:
    ingress: list[dict[str, Any]] = [{"hostname": "lb.example.com"}, {"ip": "192.0.2.1"}, {"ip": "192.0.2.2"}]
    content = {"apiVersion": "v1", "kind": "Service", "status": {"loadBalancer": {"ingress": ingress}}}
    assert addresses(Object(content)) == ("192.0.2.1", "192.0.2.2")
    assert addresses(None) == ()


def test_the_agents_own_settings_stand_beside_the_proxys() -> None:
    found = enrol(Object(group(BARE)), PLANE, HostTerms(agent={"dns": {"port": 15054}}))
    assert json.loads(files(found)["proxy.json"])["agent"] == {"dns": {"port": 15054}}
    assert "agent" not in json.loads(files(told(BARE))["proxy.json"])


INJECTOR = Ref("v1", "ConfigMap", ISTIO, "istio-sidecar-injector")
MESH = Ref("v1", "ConfigMap", ISTIO, "istio")
ROOTS = Ref("v1", "ConfigMap", SPACE, "istio-ca-root-cert")


def test_a_cluster_without_a_name_is_called_what_istiod_calls_it() -> None:
    found = control_plane(ISTIO, "", SPACE, changed(BARE, INJECTOR, {"values": "{}"}))
    assert (found.cluster, found.audience) == ("Kubernetes", "istio-ca")
    assert control_plane(ISTIO, "", SPACE, live(BARE), cluster="mine").cluster == "mine"


def test_tokens_are_for_the_audience_that_the_mesh_has_set() -> None:
    values = json.dumps({"global": {"sds": {"token": {"aud": "mine"}}}})
    assert control_plane(ISTIO, "", SPACE, changed(BARE, INJECTOR, {"values": values})).audience == "mine"


@pytest.mark.parametrize("ref", [INJECTOR, MESH, ROOTS], ids=lambda ref: ref.name)
def test_what_is_missing_of_a_control_plane_is_named(ref: Ref) -> None:
    there = live(BARE)
    del there[ref]
    with pytest.raises(ConfigError) as caught:
        control_plane(ISTIO, "", SPACE, there)
    assert caught.value.code == "no-control-plane"
    assert str(ref) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("ref", "data"),
    [
        (MESH, {"mesh": "a: [b"}),
        (MESH, {"mesh": "[]"}),
        (MESH, {}),
        (INJECTOR, {"values": "{"}),
        (ROOTS, {"root-cert.pem": ""}),
    ],
)
def test_what_cannot_be_read_of_a_control_plane_is_named(ref: Ref, data: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as caught:
        control_plane(ISTIO, "", SPACE, changed(BARE, ref, data))
    assert caught.value.code == "no-control-plane"


@pytest.mark.parametrize(
    ("case", "place"),
    [
        (replace(BARE, notes={"proxy.istio.io/config": "concurrency: many"}), "metadata.annotations"),
        (replace(BARE, notes={"proxy.istio.io/config": "a: [b"}), "metadata.annotations"),
        (replace(BARE, notes={"proxy.istio.io/config": "just text"}), "metadata.annotations"),
        (replace(BARE, spec={"template": {}, "probe": {"httpGet": {"port": "http"}}}), "spec.probe"),
        (replace(BARE, mesh="defaultConfig: {concurrency: many}"), "MeshConfig"),
    ],
)
def test_a_proxy_configuration_that_cannot_be_is_refused_with_its_place(case: Case, place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        told(case)
    assert caught.value.code == "bad-proxy-config"
    assert place in str(caught.value.where)
