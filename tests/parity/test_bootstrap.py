"""What Envoy starts with on a host, beside what upstream's agent starts it with from the same files."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import shlex
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from meshctl.agent.envoy.bootstrap import bootstrap
from meshctl.agent.envoy.command import arguments
from meshctl.agent.envoy.settings import log_levels
from meshctl.agent.places import Places
from meshctl.agent.settings import load
from tests.parity.pilot_agent import started

pytestmark = pytest.mark.parity

CLUSTER_ENV = {
    "CANONICAL_REVISION": "latest",
    "CANONICAL_SERVICE": "ratings",
    "ISTIO_INBOUND_PORTS": "*",
    "ISTIO_LOCAL_EXCLUDE_PORTS": "22,15090,15021,15020",
    "ISTIO_METAJSON_LABELS": '{"app":"ratings","service.istio.io/canonical-name":"ratings",'
    '"service.istio.io/canonical-revision":"latest"}',
    "ISTIO_META_AUTO_REGISTER_GROUP": "ratings",
    "ISTIO_META_CLUSTER_ID": "Kubernetes",
    "ISTIO_META_MESH_ID": "",
    "ISTIO_META_NETWORK": "",
    "ISTIO_META_WORKLOAD_NAME": "ratings",
    "ISTIO_NAMESPACE": "bookinfo",
    "ISTIO_SERVICE": "ratings.bookinfo",
    "ISTIO_SERVICE_CIDR": "*",
    "POD_NAMESPACE": "bookinfo",
    "SERVICE_ACCOUNT": "bookinfo-ratings",
    "TRUST_DOMAIN": "",
    "ISTIO_SVC_IP": "10.0.0.9",
}
"""As `istioctl experimental workload entry configure` writes it."""

DIFFERENT = {
    "admin.address.*": "Envoy's administration is at a Unix socket, where other users of the host cannot be",
    "admin.profilePath": "the agent's user has a folder of its own",
    "applicationLogConfig.*": "a log format on the command line, which the agent reads into its own log",
    "staticResources.clusters[prometheus_stats].loadAssignment.*": "Envoy's administration, again",
    "staticResources.clusters[sds-grpc].loadAssignment.*": "the sockets lie in the agent's folder",
    "staticResources.clusters[xds-grpc].loadAssignment.*": "the sockets lie in the agent's folder",
    "staticResources.listeners[15090].name": "Envoy's metrics are for this host alone unless it is said",
    "staticResources.listeners[15090].address.*": "Envoy's metrics are for this host alone unless it is said",
    "staticResources.listeners[15090].additionalAddresses*": "Envoy's metrics are for this host alone",
    "*.sdsConfig.initialFetchTimeout": "the workload's own secrets are waited for without end everywhere, "
    "upstream only where istiod's configuration names them",
    "bootstrapExtensions[metadata_discovery]*": "upstream's Envoy has no such extension",
    "statsConfig.statsMatcher.inclusionList.patterns[prefix: workload_discovery]*": "that extension's",
    "staticResources.clusters[agent].loadAssignment.*": "where the agent's server listens is set by itself",
    "node.metadata.PROXY_CONFIG.concurrency": "istiod is told what the mesh has set, not what came of it",
    "node.metadata.METADATA_DISCOVERY": "as the extension is not there, nobody asks for its metadata",
    "node.metadata.WORKLOAD_IDENTITY_SOCKET_FILE": "names a file in a folder that there is not",
    "node.metadata.PROXY_CONFIG.tracing.lightstep.*": "a secret, in a file; and no Envoy has that tracer",
    "tracing.http.name": "no Envoy has that tracer any more",
    "staticResources.clusters[lightstep]*": "no Envoy has that tracer any more",
}
"""Parts of a bootstrap that are not as upstream's agent writes them, and why."""

OTHER_ARGUMENTS = {
    "--log-format": "the agent reads Envoy's log, line by line",
    "-c": "the file has another place",
}
"""Arguments of Envoy's that are not as upstream's agent gives them, and why."""


UNKNOWN = ("istio.workload.BootstrapExtension", "LightstepConfig")
"""Types of upstream's template that are not in Envoy's API."""
RAN: list[set[str]] = []
"""The differences that each case has shown so far."""


@dataclass(frozen=True)
class Case:
    """Variables beside those of `CLUSTER_ENV`, a ProxyConfig, whether upstream's script sets more of it."""

    variables: Mapping[str, str] = field(default_factory=dict)
    proxy: Mapping[str, Any] = field(default_factory=dict)
    script: bool = True


TLS = {"mode": "MUTUAL", "clientCertificate": "/c.pem", "privateKey": "/k.pem", "caCertificates": "/r.pem"}
ANNOTATIONS = {
    "sidecar.istio.io/statsInclusionPrefixes": "http.{pod_ip}_,cluster.outbound",
    "sidecar.istio.io/statsInclusionSuffixes": "upstream_rq_total",
    "sidecar.istio.io/extraStatTags": "one,two",
    "sidecar.istio.io/statsHistogramBuckets": '{"istiocustom":[1,5,10],"a":[0.5]}',
    "sidecar.istio.io/statsFlushInterval": "10s",
    "sidecar.istio.io/statsEvictionInterval": "30s",
    "other": "x",
}
CASES = {
    "as istioctl writes it": Case(),
    "names, ports and DNS": Case(
        variables={
            "ISTIO_META_DNS_CAPTURE": "true",
            "ISTIO_META_POD_PORTS": '[{"name":"http","containerPort":9080},{"containerPort":1}]',
            "ISTIO_META_NETWORK": "vms",
            "ISTIO_META_MESH_ID": "mesh1",
            "ISTIO_META_MINE": "a 'quoted' \"value\" $x",
        },
    ),
    "a locality": Case(variables={"ISTIO_METAJSON_LABELS": '{"istio-locality":"r.z.s","version":"v2"}'}),
    "a locality with slashes": Case(
        variables={"ISTIO_METAJSON_LABELS": '{"topology.istio.io/locality":"r/z"}'}
    ),
    "no labels": Case(variables={"ISTIO_METAJSON_LABELS": "{}", "ISTIO_SERVICE": "istio-proxy"}),
    "metrics for this host alone": Case(
        proxy={"proxyMetadata": {"METRICS_LOCALHOST_ACCESS_ONLY": "true"}},
    ),
    "zipkin by mesh TLS": Case(
        proxy={
            "tracing": {
                "zipkin": {"address": "zipkin.istio-system:9411"},
                "tlsSettings": {"mode": "ISTIO_MUTUAL"},
            }
        },
    ),
    "datadog": Case(
        variables={"HOST_IP": "10.1.1.1"},
        proxy={"tracing": {"datadog": {"address": "$(HOST_IP):8126"}, "sampling": 10.5}},
    ),
    "lightstep": Case(proxy={"tracing": {"lightstep": {"address": "l:9", "accessToken": "a"}}}),
    "collectors": Case(
        proxy={
            "statsdUdpAddress": "10.1.1.1:9125",
            "envoyMetricsService": {
                "address": "metrics:1500",
                "tlsSettings": {**TLS, "subjectAltNames": ["a", "b"], "sni": "x"},
                "tcpKeepalive": {"probes": 3, "time": "10s", "interval": "5s"},
            },
            "envoyAccessLogService": {
                "address": "logs:1501",
                "tlsSettings": {"mode": "SIMPLE", "caCertificates": "/r.pem"},
            },
        },
    ),
    "statistics": Case(
        proxy={
            "extraStatTags": ["tag1", "", "tag1", "tag2"],
            "proxyStatsMatcher": {
                "inclusionPrefixes": ["p1", "http.{pod_ip}_"],
                "inclusionSuffixes": ["s1"],
                "inclusionRegexps": [".*\\.x", 'a"b'],
            },
            "statsCompression": False,
        },
    ),
    "annotations": Case(variables={"ISTIO_METAJSON_A": json.dumps({"ANNOTATIONS": ANNOTATIONS})}),
    "run time": Case(
        proxy={
            "concurrency": 3,
            "drainDuration": "7s",
            "terminationDrainDuration": "2s",
            "fileFlushInterval": "0.5s",
            "fileFlushMinSizeKb": 12,
            "runtimeValues": {"a.b": "true", "c.d": "12", "re2.max_program_size.error_level": ""},
        },
    ),
    "limits": Case(proxy={"proxyMetadata": {"ISTIO_META_GLOBAL_DOWNSTREAM_MAX_CONNECTIONS": "77"}}),
    "limits of old": Case(proxy={"runtimeValues": {"overload.global_downstream_max_connections": "78"}}),
    "no CPU but some": Case(variables={"ISTIO_CPU_LIMIT": "2"}, proxy={"concurrency": 0}),
    "all CPUs that may be": Case(variables={"ISTIO_CPU_LIMIT": "2"}),
    "secure metrics": Case(
        variables={"ENVOY_SECURE_METRICS_PORT": "15091", "ENVOY_SECURE_MERGED_METRICS_PORT": "15092"},
    ),
    "waits for connections": Case(
        variables={"EXIT_ON_ZERO_ACTIVE_CONNECTIONS": "true", "ENVOY_SKIP_DEPRECATED_LOGS": "false"},
    ),
    "everything each time": Case(variables={"ISTIO_DELTA_XDS": "false"}),
    "tunnels": Case(variables={"ISTIO_META_ENABLE_HBONE": "true"}),
    "knows itself": Case(variables={"ISTIO_META_ENABLE_SELF_DISCOVERY": "true"}),
    "load reports": Case(
        variables={"ISTIO_META_LOAD_STATS_CONFIG_JSON": '{"api_type":"GRPC","transport_api_version":"V3"}'},
    ),
    "both families": Case(variables={"ISTIO_DUAL_STACK": "true", "ISTIO_SVC_IP": "fd00::9"}),
    "by canonical name": Case(proxy={"tracingServiceName": "CANONICAL_NAME_ONLY"}, script=False),
    "by canonical name and namespace": Case(
        proxy={"tracingServiceName": "CANONICAL_NAME_AND_NAMESPACE"}, script=False
    ),
    "by label": Case(proxy={"tracingServiceName": "APP_LABEL_AND_NAMESPACE"}, script=False),
    "revisioned": Case(proxy={"discoveryAddress": "istiod-canary.istio-system.svc:15012", "meshId": "m"}),
    "istiod's own matters": Case(
        proxy={
            "gatewayTopology": {"numTrustedProxies": 2},
            "proxyHeaders": {"server": {"disabled": True}},
            "holdApplicationUntilProxyStarts": True,
            "readinessProbe": {"httpGet": {"port": 8080, "path": "/"}, "periodSeconds": 5},
            "caCertificatesPem": ["x"],
            "image": {"imageType": "distroless"},
        },
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_envoy_starts_as_upstreams_agent_starts_it_but_for_what_is_listed(case: Case, tmp_path: Path) -> None:
    proxy = {**case.proxy, "statusPort": _free_port()}
    variables = {**CLUSTER_ENV, **case.variables, "DNS_PROXY_ADDR": f"localhost:{_free_port()}"}
    theirs = started(tmp_path / "theirs", _as_the_script_does(variables, script=case.script), proxy)
    proxy["binaryPath"] = str(tmp_path / "theirs" / "bin" / "envoy")
    if not case.script:
        del variables["ISTIO_SERVICE"]
    places = _written(tmp_path / "ours", variables, proxy)
    settings = load(places)

    ours = leaves(bootstrap(settings, places))
    wanted = leaves(theirs.bootstrap)
    different = {path for path in ours.keys() | wanted.keys() if ours.get(path) != wanted.get(path)}
    RAN.append(different)
    unlisted = {
        path for path in different if not any(fnmatchcase(path, _escaped(each)) for each in DIFFERENT)
    }
    assert {path: (ours.get(path), wanted.get(path)) for path in unlisted} == {}

    made = arguments(
        settings.envoy, places.bootstrap, levels=log_levels("warning"), only_ipv6=settings.workload.only_ipv6
    )
    assert _by_name(made) == _by_name(theirs.arguments)


def test_each_listed_difference_is_there_in_some_case() -> None:
    if len(RAN) < len(CASES):
        pytest.skip("not all cases ran in this process")
    paths = set().union(*RAN)
    assert [each for each in DIFFERENT if not any(fnmatchcase(path, _escaped(each)) for path in paths)] == []


def leaves(made: Mapping[str, Any]) -> dict[str, Any]:
    """A bootstrap as Envoy understands it: values by their path, defaults left out, things by their names."""
    from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
    from google.protobuf.json_format import MessageToDict, ParseDict

    plain = _without_wrappers(made)
    for name in _types(plain):
        _import_type(name)
    message = ParseDict(plain, Bootstrap())
    return dict(_leaves(MessageToDict(message), ""))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _leaves(each, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list) and value:
        for at, each in enumerate(value):
            yield from _leaves(each, f"{path}[{_name(each, at)}]")
    elif isinstance(value, str) and path.endswith("POD_PORTS"):
        yield path, json.loads(value)
    elif isinstance(value, str) and re.fullmatch(r"[0-9.]+s", value):
        yield path, float(value[:-1])
    else:
        yield path, value


def _name(value: Any, at: int) -> str:
    if not isinstance(value, dict):
        return str(at)
    if port := value.get("address", {}).get("socketAddress", {}).get("portValue"):
        return str(port)
    for key in ("prefix", "suffix", "safeRegex"):
        if value.keys() == {key}:
            return f"{key}: {value[key]}"
    return str(value.get("name") or value.get("tagName") or at)


def _without_wrappers(value: Any) -> Any:
    """The same with each TypedStruct as the message that it stands for; Envoy takes one for the other.

    Upstream writes the numbers of a keepalive as objects, which Envoy does not read at all.
    """
    if isinstance(value, list):
        return [_without_wrappers(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"value"}:
        return value["value"]
    if str(value.get("@type", "")).endswith("TypedStruct"):
        value = {"@type": value["type_url"], **value.get("value", {})}
    if str(value.get("@type", "")).endswith(UNKNOWN):
        return None
    return {key: each for key, part in value.items() if (each := _without_wrappers(part)) is not None}


def _types(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "@type" in value:
            yield str(value["@type"]).rpartition("/")[2]
        for each in value.values():
            yield from _types(each)
    elif isinstance(value, list):
        for each in value:
            yield from _types(each)


def _import_type(name: str) -> None:
    package = importlib.import_module(name.rpartition(".")[0])
    for module in pkgutil.iter_modules(package.__path__):
        if module.name.endswith("_pb2"):
            importlib.import_module(f"{package.__name__}.{module.name}")


def _escaped(pattern: str) -> str:
    """The pattern with its brackets as they are, not as a choice of characters."""
    return pattern.replace("[", "[[]")


def _by_name(command: list[str]) -> dict[str, str]:
    found = {}
    for at, each in enumerate(command):
        if each.startswith("-"):
            after = command[at + 1] if at + 1 < len(command) else ""
            found[each] = "" if after.startswith("-") else after
    return {name: value for name, value in found.items() if name not in OTHER_ARGUMENTS}


def _as_the_script_does(variables: Mapping[str, str], *, script: bool) -> dict[str, str]:
    """The environment that the package's start script makes. Source: Istio's tools/packaging."""
    made = {
        **variables,
        "INSTANCE_IP": variables["ISTIO_SVC_IP"],
        "POD_NAME": socket.gethostname().partition(".")[0],
    }
    if script:
        service = variables["ISTIO_SERVICE"]
        made["PROXY_CONFIG"] = f"serviceCluster: {service}\ncontrolPlaneAuthPolicy: MUTUAL_TLS\n"
    return made


def _written(root: Path, variables: Mapping[str, str], proxy: Mapping[str, Any]) -> Places:
    places = Places(root)
    places.settings.mkdir(parents=True)
    places.environment.write_text("".join(f"{name}={_quoted(value)}\n" for name, value in variables.items()))
    places.proxy.write_text(json.dumps({"proxyConfig": proxy}))
    return places


def _quoted(value: str) -> str:
    """As istioctl quotes values."""
    return shlex.quote(value)


def _free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])
