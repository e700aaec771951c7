from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshctl.agent.host import Host, Interface
from meshctl.agent.places import Places
from meshctl.agent.reading.problems import Problems
from meshctl.agent.reading.variables import variables
from meshctl.agent.settings import Settings, load
from meshctl.errors import ConfigError, MeshctlError, ProblemsError, UnreachableError

HOST = Host(
    "db-1",
    (
        Interface("lo", used=False, addresses=("127.0.0.1", "::1")),
        Interface("eth0", used=True, addresses=("10.0.0.5", "fd00::5", "fe80::5")),
        Interface("docker0", used=True, addresses=("172.17.0.1",)),
        Interface("eth1", used=False, addresses=("10.9.9.9",)),
    ),
)
LEAST = "POD_NAMESPACE='shop'\nSERVICE_ACCOUNT='db'\n"


def written(root: Path, environment: str | bytes = LEAST, proxy: Any = None) -> Places:
    places = Places(root)
    places.settings.mkdir(parents=True, exist_ok=True)
    raw = environment.encode() if isinstance(environment, str) else environment
    places.environment.write_bytes(raw)
    if proxy is not None:
        text = proxy if isinstance(proxy, str) else json.dumps(proxy, indent=1)
        places.proxy.write_text(text)
    return places


def loaded(root: Path, environment: str = LEAST, proxy: Any = None) -> Settings:
    return load(written(root, environment, proxy), HOST)


def problems(root: Path, environment: str = LEAST, proxy: Any = None) -> list[str]:
    """What is wrong, each as `file:line  path: message`, without the folder."""
    with pytest.raises(ConfigError) as caught:
        loaded(root, environment, proxy)
    found = caught.value.problems if isinstance(caught.value, ProblemsError) else (caught.value,)
    return [f"{each.where}: {each.message}".replace(f"{root}/etc/meshctl-agent/", "") for each in found]


def test_what_istioctl_writes_says_who_the_workload_is(tmp_path: Path) -> None:
    said = loaded(
        tmp_path,
        """CANONICAL_SERVICE='db'
ISTIO_METAJSON_LABELS='{"app":"db","team":"it'"'"'s"}'
ISTIO_META_CLUSTER_ID='Kubernetes'
ISTIO_META_DNS_CAPTURE='true'
ISTIO_NAMESPACE='shop'
ISTIO_SERVICE='db.shop'
POD_NAMESPACE='shop'
SERVICE_ACCOUNT='db'
TRUST_DOMAIN=''
""",
    )
    assert (said.workload.name, said.workload.namespace, said.workload.service_account) == (
        "db-1",
        "shop",
        "db",
    )
    assert said.workload.labels == {"app": "db", "team": "it's"}
    assert said.workload.addresses == ("10.0.0.5", "fd00::5", "172.17.0.1")
    assert said.identity.spiffe == "spiffe://cluster.local/ns/shop/sa/db"
    assert said.identity.authorities == said.ads.servers == ("istiod.istio-system.svc:15012",)
    assert (said.identity.cluster, said.ads.cluster) == ("Kubernetes", "Kubernetes")
    assert said.dns.enabled
    assert said.proxy.data["serviceCluster"] == "db.shop"
    assert said.warnings == ()


def test_the_address_that_cluster_env_names_comes_first(tmp_path: Path) -> None:
    said = loaded(tmp_path, f"{LEAST}ISTIO_SVC_IP='203.0.113.7'\nISTIO_EXCLUDE_INTERFACES=docker0\n")
    assert said.workload.addresses == ("203.0.113.7", "10.0.0.5", "fd00::5")


def test_a_host_without_addresses_is_told_apart_from_wrong_settings(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError) as caught:
        load(written(tmp_path), Host("db-1"))
    assert "ISTIO_SVC_IP" in caught.value.hint


def test_all_problems_of_both_files_are_told_with_their_lines(tmp_path: Path) -> None:
    environment = "# who\nPOD_NAMESPACE='Shop'\n\nISTIO_META_DNS_CAPTURE=perhaps\nSECRET_TTL='1 day'\n"
    proxy = """{
  "agent": {
    "envoy": {"memory": "big", "logLevl": "info"},
    "dns": {
      "servers": [1]
    }
  }
}"""
    assert problems(tmp_path, environment, proxy) == [
        "cluster.env:2  POD_NAMESPACE: there has to be the name of a namespace, not 'Shop'",
        "cluster.env:4  ISTIO_META_DNS_CAPTURE: there has to be true or false, not 'perhaps'",
        "cluster.env:5  SECRET_TTL: there has to be a duration such as '1h30m', not '1 day'",
        "proxy.json:3  agent.envoy.logLevl: there is no setting 'logLevl'",
        "proxy.json:3  agent.envoy.memory: there has to be a whole number, 0 or more, not 'big'",
        "proxy.json:5  agent.dns.servers: there has to be an array of strings, not an array",
    ]


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("export A=$(reboot)", "A: the value is not plain text"),
        ("A=`id`", "A: the value is not plain text"),
        ('A="$HOME"', "A: the value is not plain text"),
        ("A='open", "A: the value is not plain text"),
        ("A=1; B=2", "A: the value is not plain text"),
        ("A=1 reboot", "A: the value is not plain text"),
        ("A=~root", "A: the value is not plain text"),
        ("reboot", "'reboot' sets no variable"),
        ("A = 1", "'A = 1' sets no variable"),
        ("1A=1", "'1A=1' sets no variable"),
    ],
)
def test_nothing_that_a_shell_would_do_is_taken_for_a_value(tmp_path: Path, line: str, wrong: str) -> None:
    (found,) = problems(tmp_path, f"{LEAST}{line}\n")
    assert found.startswith("cluster.env:3") and wrong in found


def test_a_variable_that_is_set_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    assert problems(tmp_path, f"{LEAST}SERVICE_ACCOUNT=other\n") == [
        "cluster.env:3  SERVICE_ACCOUNT: the variable is set twice, first in line 2"
    ]


def test_a_missing_cluster_env_says_what_writes_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not there") as caught:
        load(Places(tmp_path), HOST)
    assert "istioctl" in caught.value.hint


def test_files_that_are_no_text_are_refused_with_the_line(tmp_path: Path) -> None:
    for raw, line in ((LEAST.encode() + b"A='\xff'", 3), (b"A=1\n\0", 2)):
        with pytest.raises(ConfigError) as caught:
            load(written(tmp_path, raw), HOST)
        assert caught.value.where and caught.value.where.line == line


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="bytes"):
        load(written(tmp_path, b"A=" + b"x" * (1 << 21)), HOST)


def test_a_folder_or_a_pipe_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    places = written(tmp_path)
    places.proxy.mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        load(places, HOST)
    places.proxy.rmdir()
    os.mkfifo(places.proxy)
    with pytest.raises(ConfigError, match="no regular file"):
        load(places, HOST)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('{\n"agent": {,}}', "proxy.json:2: this is not JSON"),
        ("[]", "proxy.json:1: there has to be a JSON object, not an array"),
        ('{"agent": {"log": {"level": "info"}},\n "agent": {}}', "proxy.json:2: 'agent' is there twice"),
        ('{"a": NaN}', "proxy.json: this is not JSON"),
        ("[" * 100000, "proxy.json: the JSON is nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "proxy.json: this is not JSON"),
        ('{"agent": []}', "proxy.json:1  agent: there has to be an object"),
        ('{"agent": {"dns": 1}}', "proxy.json:1  agent.dns: there has to be an object, not a number"),
        ('{"proxyConfig": 1}', "proxy.json:1  proxyConfig: there has to be an object, not a number"),
        ('{"agnt": {}}', "proxy.json:1  agnt: there is no setting 'agnt'"),
        ('{"agent": {"log": {"level": "loud"}}}', "proxy.json:1  agent.log: level is 'loud'"),
        ('{"agent": {"envoy": {"logLevel": "loud"}}}', "proxy.json:1  agent.envoy: 'loud' is no log level"),
        ('{"agent": {"envoy": {"path": "envoy"}}}', "proxy.json:1  agent.envoy: path is 'envoy'"),
        ('{"agent": {"envoy": {"readyPort": 15090}}}', "agent.envoy: readyPort is 15090"),
        ('{"agent": {"dns": {"port": 70000}}}', "agent.dns.port: there has to be a port"),
        ('{"agent": {"ads": {"firstWait": -1}}}', "agent.ads.firstWait: there has to be a number, 0 or more"),
        ('{"agent": {"identity": {"namespace": "other"}}}', "'namespace' is set by cluster.env alone"),
        ('{"proxyConfig": {"statusPort": 0}}', "statusPort: there has to be a port"),
        (
            '{"proxyConfig": {"drainDuration": "1m"}}',
            "drainDuration: there has to be a duration such as '45s'",
        ),
        ('{"proxyConfig": {"discoveryAddress": "istiod"}}', "discoveryAddress: there has to be an address"),
        ('{"proxyConfig": {"tracing": {"zipkin": 1}}}', "tracing.zipkin: there has to be an object"),
        (
            '{"proxyConfig": {"proxyMetadata": {"A": 1}}}',
            "proxyMetadata: there has to be an object of strings",
        ),
        ('{"proxyConfig": {"interceptionMode": "TPROXI"}}', "there has to be one of REDIRECT, TPROXY, NONE"),
        ('{"proxyConfig": {"readinessProbe": {"httpGet": {"prt": 1}}}}', "readinessProbe.httpGet.prt"),
        ('{"proxyConfig": {"meshId": "a", "mesh_id": "b"}}', "mesh_id: 'meshId' is there twice"),
    ],
)
def test_what_is_wrong_in_proxy_json_is_told_with_its_place(tmp_path: Path, text: str, wrong: str) -> None:
    found = problems(tmp_path, proxy=text)
    assert any(wrong in each for each in found), found


def test_a_mistyped_setting_gets_the_nearest_one_as_hint(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, proxy={"agent": {"ads": {"firstWeit": 1}}})
    assert caught.value.hint == "did you mean 'firstWait'?"


def test_fields_of_a_newer_istio_are_passed_on_with_a_warning(tmp_path: Path) -> None:
    said = loaded(tmp_path, proxy={"proxyConfig": {"concurrancy": 2, "newThing": {"a": [1]}}})
    assert said.proxy.data["newThing"] == {"a": [1]}
    assert [each.split("proxy.json")[1] for each in said.warnings] == [
        ":3  proxyConfig.concurrancy: the agent knows no field 'concurrancy', nearest is 'concurrency'; "
        "only istiod is told of it",
        ":4  proxyConfig.newThing: the agent knows no field 'newThing'; only istiod is told of it",
    ]


def test_fields_are_read_in_both_of_protobufs_spellings(tmp_path: Path) -> None:
    said = loaded(
        tmp_path, proxy={"proxyConfig": {"status_port": "15099", "drain_duration": "3s", "image": None}}
    )
    assert said.proxy.data["statusPort"] == 15099
    assert said.envoy.drain_time == 3
    assert said.server.port == 15099
    assert "image" not in said.proxy.data


def test_variables_of_upstreams_agent_have_their_meaning(tmp_path: Path) -> None:
    said = loaded(
        tmp_path,
        LEAST
        + """CA_ADDR=ca.example:15012
ISTIOD_SAN=istiod.example
SECRET_TTL=1h30m
SECRET_GRACE_PERIOD_RATIO=0.3
WORKLOAD_RSA_KEY_SIZE=4096
CA_HEADER_Tenant='one two'
XDS_HEADER_X=y
DNS_PROXY_ADDR=127.0.0.1:25053
DNS_FORWARD_TIMEOUT=500ms
DNS_FORWARD_PARALLEL=1
ENVOY_STATUS_PORT=25021
METRICS_LOCALHOST_ACCESS_ONLY=false
EXIT_ON_ZERO_ACTIVE_CONNECTIONS=true
MINIMUM_DRAIN_DURATION=2s
ISTIO_INBOUND_PORTS='8080,9090'
ISTIO_INBOUND_INTERCEPTION_MODE=NONE
FORCE_IPTABLES_BINARY=legacy
REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION=true
""",
    )
    identity, envoy = said.identity, said.envoy
    assert (identity.authorities, identity.server_name) == (("ca.example:15012",), "istiod.example")
    assert (identity.lifetime, identity.ratio, identity.key) == (5400.0, 0.7, "rsa-4096")
    assert (identity.headers, said.ads.headers) == ((("tenant", "one two"),), (("x", "y"),))
    assert (said.dns.port, said.dns.timeout, said.dns.parallel) == (25053, 0.5, True)
    assert (envoy.ready_port, envoy.prometheus_address) == (25021, "*")
    assert (envoy.wait_for_connections, envoy.minimum_drain) == (True, 2.0)
    assert (said.capture.inbound_ports, said.capture.mode) == (("8080", "9090"), "none")
    assert (said.capture.flavour, said.capture.dns_port) == ("iptables-legacy", 25053)
    assert said.health.host == "localhost"


def test_proxy_json_prevails_over_variables(tmp_path: Path) -> None:
    said = loaded(
        tmp_path,
        f"{LEAST}CA_ADDR=a:1\nENVOY_STATUS_PORT=1\n",
        {"agent": {"identity": {"authorities": ["b:2", "c:3"]}, "envoy": {"readyPort": 2}}},
    )
    assert said.identity.authorities == ("b:2", "c:3")
    assert said.envoy.ready_port == 2


@pytest.mark.parametrize("name", ["readinessProbe", "readiness_probe"])
def test_a_probe_of_the_workload_group_is_read_whole(tmp_path: Path, name: str) -> None:
    probe = {"httpGet": {"port": 8080, "path": "/ok"}, "periodSeconds": 3}
    said = loaded(tmp_path, proxy={"proxyConfig": {name: probe}})
    assert said.health.period == 3
    assert said.health.host == "10.0.0.5"


def test_what_only_upstreams_agent_reads_is_told(tmp_path: Path) -> None:
    said = loaded(
        tmp_path, f"{LEAST}PROXY_CONFIG='x: y'\n", {"proxyConfig": {"custom_config_file": "/e.json"}}
    )
    assert [each.partition("meshctl-agent/")[2] for each in said.warnings] == [
        "proxy.json:3  proxyConfig.custom_config_file: custom_config_file is not used: "
        "Envoy starts with the agent's own bootstrap",
        "cluster.env:3  PROXY_CONFIG: this is a setting of Istio's own agent, which has no meaning here",
    ]


def test_no_message_repeats_what_may_be_a_secret(tmp_path: Path) -> None:
    for line in (
        "CA_HEADER_AUTHORIZATION='hush\x01'",
        'CA_HEADER_AUTHORIZATION="hush$x"',
        "XDS_HEADER_A='hush",
    ):
        assert "hush" not in str(problems(tmp_path, f"{LEAST}{line}\n"))


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,12}", fullmatch=True)
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
KNOWN = st.sampled_from(
    [
        "tracing", "zipkin", "address", "tlsSettings", "concurrency", "proxyMetadata", "statusPort",
        "httpGet", "readinessProbe", "port", "drainDuration", "extraStatTags", "envoyMetricsService",
        "tcpKeepalive",
        "runtimeValues", "identity", "ads", "dns", "capture", "envoy", "server", "log", "servers", "headers",
        "level", "key", "path",
    ]
)  # fmt: skip
LIKELY = st.recursive(
    JSON | st.sampled_from(["a:1", "1s", "info", "", "1", 0, 1, 15012]),
    lambda inner: st.dictionaries(KNOWN, inner, max_size=5) | st.lists(inner, max_size=3),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_values_quoted_for_a_shell_are_read_as_they_were(values: dict[str, str]) -> None:
    text = "".join("{}='{}'\n".format(name, value.replace("'", "'\"'\"'")) for name, value in values.items())
    found = Problems()
    assert variables("f", text, found).values == values
    assert not found


@settings(max_examples=40, deadline=None)
@given(st.text(st.sampled_from("ab=\"'\\$` #\n\tA;~é{}*"), max_size=24))
def test_what_is_accepted_is_what_a_shell_makes_of_it(tmp_path_factory: Any, rest: str) -> None:
    found = Problems()
    said = variables("f", f"V={rest}", found)
    if found or set(said.values) != {"V"}:
        return
    path = tmp_path_factory.mktemp("sh") / "f"
    path.write_text(f"V={rest}", newline="")
    script = f'. "{path}"; printf "%s." "$V"'
    shown = subprocess.run(["/bin/sh", "-c", script], env={"PATH": ""}, capture_output=True, check=False)
    assert shown.stdout.decode() == said.values["V"] + "."


@settings(max_examples=100, deadline=None)
@given(raw=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode(errors="replace")))
def test_no_bytes_in_either_file_do_more_than_be_refused(tmp_path_factory: Any, raw: bytes) -> None:
    places = written(tmp_path_factory.mktemp("fuzz"), raw)
    _tried(places)
    places = written(tmp_path_factory.mktemp("fuzz"))
    places.proxy.write_bytes(raw)
    _tried(places)


@settings(max_examples=100, deadline=None)
@given(proxy=LIKELY, agent=LIKELY)
def test_no_json_does_more_than_be_refused(tmp_path_factory: Any, proxy: Any, agent: Any) -> None:
    _tried(written(tmp_path_factory.mktemp("fuzz"), proxy={"proxyConfig": proxy, "agent": agent}))


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            [
                "ISTIO_METAJSON_LABELS", "ISTIO_METAJSON_X", "ISTIO_META_POD_PORTS", "ISTIO_META_DNS_CAPTURE",
                "SECRET_TTL", "DNS_PROXY_ADDR", "ISTIO_SVC_IP", "ENVOY_STATUS_PORT", "ISTIO_INBOUND_PORTS",
                "ISTIO_META_PROXY_CONFIG", "ISTIO_META_LOAD_STATS_CONFIG_JSON", "CA_HEADER_X", "POD_NAME",
            ]
        ),
        VALUES | JSON.map(json.dumps),
        max_size=4,
    )
)  # fmt: skip
def test_no_variable_does_more_than_be_refused(tmp_path_factory: Any, values: dict[str, str]) -> None:
    text = "".join("{}='{}'\n".format(name, value.replace("'", "'\"'\"'")) for name, value in values.items())
    _tried(written(tmp_path_factory.mktemp("fuzz"), LEAST + text))


def _tried(places: Places) -> None:
    """Everything that is made of settings is made, or they are refused."""
    from meshctl.agent.envoy.bootstrap import bootstrap

    try:
        made = bootstrap(load(places, HOST), places)
    except MeshctlError as error:
        assert error.message
    else:
        json.dumps(made, allow_nan=False)
