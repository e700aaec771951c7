from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from meshctl.agent.envoy.bootstrap import bootstrap, write
from meshctl.agent.envoy.command import arguments, environment
from meshctl.agent.envoy.settings import log_levels
from meshctl.agent.places import Places
from meshctl.errors import ConfigError
from tests.unit.agent.envoy.files import made, settings


def named(things: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = [each for each in things if each["name"] == name]
    return found


def endpoint(made: dict[str, Any], cluster: str) -> Any:
    found = named(made["static_resources"]["clusters"], cluster)
    (place,) = found["load_assignment"]["endpoints"]
    return place["lb_endpoints"][0]["endpoint"]["address"]


def listening(made: dict[str, Any]) -> dict[int, list[str]]:
    found = {}
    for each in made["static_resources"]["listeners"]:
        places = [each["address"], *(more["address"] for more in each.get("additional_addresses", ()))]
        addresses = [place["socket_address"]["address"] for place in places]
        found[places[0]["socket_address"]["port_value"]] = addresses
    return found


def test_configuration_secrets_and_administration_go_through_the_agents_sockets(tmp_path: Path) -> None:
    found = made(tmp_path)
    run = tmp_path / "run/meshctl-agent"
    assert endpoint(found, "xds-grpc") == {"pipe": {"path": str(run / "xds.sock")}}
    assert endpoint(found, "sds-grpc") == {"pipe": {"path": str(run / "sds.sock")}}
    assert endpoint(found, "prometheus_stats") == {"pipe": {"path": str(run / "admin.sock")}}
    assert found["admin"]["address"] == {"pipe": {"path": str(run / "admin.sock"), "mode": 0o600}}
    assert found["dynamic_resources"]["ads_config"]["api_type"] == "DELTA_GRPC"


def test_metrics_are_for_this_host_and_readiness_for_load_balancers(tmp_path: Path) -> None:
    assert listening(made(tmp_path)) == {15090: ["127.0.0.1"], 15021: ["0.0.0.0"]}
    wide = made(tmp_path, prometheusAddress="*", readyAddress="127.0.0.1")
    assert listening(wide) == {15090: ["0.0.0.0"], 15021: ["127.0.0.1"]}


def test_a_host_of_one_family_or_two_listens_on_what_it_has(tmp_path: Path) -> None:
    only = made(tmp_path, addresses=("fd00::5",))
    assert listening(only) == {15090: ["::1"], 15021: ["::"]}
    both = made(tmp_path, addresses=("10.0.0.5", "fd00::5"), prometheusAddress="*", dualStack=True)
    assert listening(both) == {15090: ["0.0.0.0", "::"], 15021: ["0.0.0.0", "::"]}


def test_the_node_says_to_istiod_who_this_is(tmp_path: Path) -> None:
    node = made(
        tmp_path,
        "ISTIO_META_CLUSTER_ID=Kubernetes\nISTIO_META_DNS_CAPTURE=1\nISTIO_META_WORKLOAD_NAME=db\n"
        'ISTIO_METAJSON_LABELS=\'{"app":"db","istio-locality":"eu.eu-1"}\'\n',
    )["node"]
    assert node["id"] == "sidecar~10.0.0.5~db-1.shop~shop.svc.cluster.local"
    assert node["cluster"] == "db.shop"
    assert node["locality"] == {"region": "eu", "zone": "eu-1"}
    metadata = node["metadata"]
    assert metadata["DNS_CAPTURE"] == "true"
    assert metadata["LABELS"] == {"app": "db", "istio-locality": "eu/eu-1"}
    assert (metadata["NAMESPACE"], metadata["SERVICE_ACCOUNT"]) == ("shop", "db")
    assert metadata["PROXY_CONFIG"]["discoveryAddress"] == "istiod.istio-system.svc:15012"


def test_a_host_without_capture_tells_istiod_so(tmp_path: Path) -> None:
    node = made(tmp_path, "ISTIO_INBOUND_INTERCEPTION_MODE=NONE\n")["node"]
    assert node["metadata"]["INTERCEPTION_MODE"] == "NONE"
    own_rules = made(tmp_path, "ISTIO_CUSTOM_IP_TABLES=true\n")["node"]
    assert "INTERCEPTION_MODE" not in own_rules["metadata"]


@pytest.mark.parametrize("name", ["DNS_CAPTURE", "POD_PORTS", "ANNOTATIONS", "LOAD_STATS_CONFIG_JSON"])
def test_metadata_that_istiod_cannot_read_is_refused_with_its_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}|true or false") as caught:
        made(tmp_path, f"ISTIO_META_{name}='{{'\n")
    assert caught.value.where and caught.value.where.line == 3


def test_no_secret_gets_to_envoy(tmp_path: Path) -> None:
    said = settings(
        tmp_path,
        "CA_HEADER_AUTHORIZATION=hush-ca\nXDS_HEADER_X=hush-xds\nMY_TOKEN=hush-own\nPOD_NAME=db\n",
        proxy={"tracing": {"lightstep": {"address": "l:1", "accessToken": "hush-lightstep"}}},
    )
    places = Places(tmp_path)
    found = json.dumps(bootstrap(said, places)) + str(environment(said.variables.values))
    found += str(arguments(said.envoy, places.bootstrap, levels=log_levels("info"), only_ipv6=False))
    assert "hush" not in found
    assert environment(said.variables.values) == {
        "POD_NAME": "db",
        "POD_NAMESPACE": "shop",
        "SERVICE_ACCOUNT": "db",
    }


def test_a_limit_of_memory_has_envoy_refuse_work_before_it_is_reached(tmp_path: Path) -> None:
    manager = made(tmp_path, memory=128)["overload_manager"]
    heap = named(manager["resource_monitors"], "envoy.resource_monitors.fixed_heap")
    assert heap["typed_config"]["max_heap_size_bytes"] == 128 * 1024 * 1024
    actions = [each["name"].rpartition(".")[2] for each in manager["actions"]]
    assert actions == [
        "shrink_heap",
        "disable_http_keepalive",
        "stop_accepting_requests",
        "stop_accepting_connections",
    ]


def test_a_statsd_that_is_not_found_is_left_out(tmp_path: Path) -> None:
    assert "stats_sinks" not in made(tmp_path, proxy={"statsdUdpAddress": "no.such.host.invalid:8125"})


def test_the_same_settings_give_the_same_bytes_for_the_agents_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "envoy.json"
    assert write(path, made(tmp_path))
    first = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert not write(path, made(tmp_path))
    assert path.read_bytes() == first
    assert write(path, made(tmp_path, delta=False))
    assert list(tmp_path.glob("*.part")) == []


def test_levels_of_single_components_are_handed_over_as_envoy_has_them(tmp_path: Path) -> None:
    said = settings(tmp_path).envoy
    found = arguments(said, tmp_path, levels=log_levels("warn,upstream:debug,misc:error"), only_ipv6=False)
    assert found[found.index("-l") + 1] == "warning"
    assert found[found.index("--component-log-level") + 1] == "misc:error,upstream:debug"
    only = arguments(said, tmp_path, levels=log_levels("misc:error"), only_ipv6=True)
    assert only[only.index("-l") + 1] == "warning"
    assert only[only.index("--local-address-ip-version") + 1] == "v6"
