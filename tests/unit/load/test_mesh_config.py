"""MeshConfig is held against its declaration at every depth, wherever it stands, and told at its line."""

# ruff: noqa: E501 - tables read best with a case a line

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from meshctl.errors import ConfigError, ProblemsError
from meshctl.model.mesh import Inputs
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve

if TYPE_CHECKING:
    from meshctl.model.values import Values

IOP = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n"


def settled(text: str, *sets: str, version: str | None = None) -> Values:
    asked = load(Inputs(files=("-",), sets=sets, version=version), stdin=text)
    return resolve(asked, asked.mesh.clusters[0])


def refused(text: str, *sets: str, version: str | None = None) -> list[str]:
    """Each problem as `line: message`."""
    with pytest.raises(ConfigError) as refusal:
        settled(text, *sets, version=version)
    found = refusal.value.problems if isinstance(refusal.value, ProblemsError) else (refusal.value,)
    return [f"{each.where.line}: {each.message}" if each.where else each.message for each in found]


GOOD = [
    "accessLogFile: /dev/stdout",
    "access_log_file: /dev/stdout",  # as protobuf spells it
    "defaultConfig: {concurrency: 2, holdApplicationUntilProxyStarts: true}",
    'defaultConfig: {concurrency: "2", drain_duration: 45s}',
    "defaultConfig: {tracing: {zipkin: {address: zipkin.istio-system:9411}, sampling: 10}}",
    "defaultConfig: {tracing: {datadog: {address: '$(HOST_IP):8126'}}}",
    "defaultConfig: {proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}, gatewayTopology: {numTrustedProxies: 2}}",
    "extensionProviders: [{name: a, envoyExtAuthzGrpc: {service: ns/authz.ns.svc, port: 9000}}, {name: b, prometheus: {}}]",
    "extensionProviders: [{name: j, envoyFileAccessLog: {path: /x, logFormat: {labels: {any: [thing, {at: all}]}}}}]",
    "discoverySelectors: [{matchLabels: {istio: enabled}}, {matchExpressions: [{key: a, operator: Exists}]}]",
    "outboundTrafficPolicy: {mode: ALLOW_ANY}\ninboundTrafficPolicy: {mode: LOCALHOST}",
    "connectTimeout: 10s\nprotocolDetectionTimeout: 0s\ntrustDomainAliases: [a.b, c]",
    "serviceSettings: [{settings: {clusterLocal: true}, hosts: ['*.x.svc.cluster.local']}]",
    "localityLbSetting: {distribute: [{from: a/b/*, to: {a/b/*: 80, c: 20}}]}",
    "defaultHttpRetryPolicy: {attempts: 0}\nenableAutoMtls: null\ndefaultConfig:",
    "caCertificates: [{pem: x}, {spiffeBundleUrl: https://x}]",
]  # fmt: skip


@pytest.mark.parametrize("said", GOOD)
@pytest.mark.parametrize("where", ["values", "spec"])
def test_what_istiod_takes_is_taken(said: str, where: str) -> None:
    inside = "\n".join(f"    {line}" for line in said.splitlines())
    settled(f"meshConfig:\n{inside}\n" if where == "values" else f"{IOP}  meshConfig:\n{inside}\n")


BAD = {
    "accesLogFile: x": "unknown field 'accesLogFile'; did you mean 'accessLogFile'?",
    "defaultConfig: {tracing: {zipkn: {}}}": "unknown field 'zipkn'; did you mean 'zipkin'?",
    "concurrency: 2": "unknown field 'concurrency'",
    "thriftConfig: {}": "unknown field 'thriftConfig'",
    "accessLogEncoding: json": "accessLogEncoding cannot be 'json'; did you mean 'JSON'?",
    'enableTracing: "true"': "enableTracing is true or false, not 'true'",
    "defaultConfig: {proxyMetadata: {A: true}}": "A is text, not the boolean true",
    "connectTimeout: 10": "connectTimeout is text, not the number 10",
    "connectTimeout: 10 seconds": "connectTimeout is no duration: '10 seconds'",
    "connectTimeout: 2h": "connectTimeout cannot be 2h",
    "defaultConfig: {drainDuration: 500ms}": "drainDuration cannot be 500ms",
    "defaultConfig: {statusPort: 70000}": "statusPort cannot be 70000",
    "defaultConfig: {discoveryAddress: istiod}": "discoveryAddress is no host:port: 'istiod'",
    "defaultConfig: {tracing: {zipkin: {address: 'z:0'}}}": "address has no port: 'z:0'",
    "defaultConfig: {tracing: {zipkin: {}, datadog: {}}}": "tracing has zipkin and datadog, which exclude each other",
    "defaultConfig: {proxyStatsMatcher: {inclusionRegexps: ['(']}}": "inclusionRegexps[0] is no regular expression: ",
    "trustDomain: a_b": "trustDomain is no trust domain: 'a_b'",
    "extensionProviders: [{zipkin: {service: a, port: 1}}]": "extensionProviders[0] has no 'name'",
    "extensionProviders: [{name: a}]": "extensionProviders[0] says nothing but a name",
    "extensionProviders: [{name: a, zipkin: {service: 'a:1', port: 1}}]": "service is no host: 'a:1'",
    "extensionProviders: [{name: a, zipkin: {service: a}}]": "zipkin has no port",
    "extensionProviders: [{name: a, prometheus: {}}, {name: a, prometheus: {}}]": "extensionProviders[1] has the name 'a' again, after extensionProviders[0]",
    "extensionProviders: [{name: a, prometheus: {}, sds: {}}]": "extensionProviders[0] has prometheus and sds, which exclude each other",
    "discoverySelectors: [{matchExpressions: [{key: a, operator: In}]}]": "matchExpressions[0] has no values",
    "localityLbSetting: {distribute: [{from: a, to: {b: 50}}]}": "to does not make 100",
    "localityLbSetting: {distribute: [{from: a, to: {b: 100}}], failover: [{from: a, to: b}]}": "localityLbSetting has distribute and failover",
    "meshMTLS: {ecdhCurves: [P-256]}": "ecdhCurves cannot be set here",
    "accessLogFile: a\naccess_log_file: b": "unknown field 'access_log_file'",
}  # fmt: skip


@pytest.mark.parametrize(("said", "told"), BAD.items())
def test_what_istiod_would_swallow_is_refused_at_its_line(said: str, told: str) -> None:
    inside = "\n".join(f"  {line}" for line in said.splitlines())
    (problem,) = refused(f"meshConfig:\n{inside}\n")
    line, _, message = problem.partition(": ")
    assert message.removeprefix("meshConfig ").startswith(told)
    assert int(line) == len(said.splitlines()) + 1


def test_a_field_that_stands_elsewhere_is_pointed_to() -> None:
    with pytest.raises(ConfigError) as refusal:
        settled("meshConfig: {concurrency: 2}\n")
    assert refusal.value.hint == "there is defaultConfig.concurrency"


def test_a_field_of_a_newer_minor_is_refused_for_an_older_one() -> None:
    text = "meshConfig:\n  defaultConfig:\n    connectionSettings: {profile: EDGE}\n"
    settled(text, version="1.31")
    assert refused(text, version="1.30") == [
        "3: Istio 1.30.3 has no meshConfig.defaultConfig.connectionSettings"
    ]


def test_members_of_a_oneof_in_two_files_are_found_together() -> None:
    tracing = "values.meshConfig.defaultConfig.tracing"
    text = "meshConfig: {defaultConfig: {tracing: {zipkin: {address: 'z:1'}}}}\n"
    (problem,) = refused(text, f"{tracing}.datadog.address=d:1")
    assert problem.endswith("has zipkin and datadog, which exclude each other")


def test_a_setting_of_the_command_line_is_read_as_its_field_wants_it() -> None:
    mesh = "meshConfig."
    values = settled(
        "", f"{mesh}ingressService=8", f"{mesh}defaultConfig.concurrency=2",
        f"{mesh}defaultConfig.proxyMetadata.A=true", f"{mesh}enableTracing=true",
        mesh + 'extensionProviders=[{"name": "a", "prometheus": {}}]',
    )  # fmt: skip
    assert values.at("meshConfig.ingressService") == "8"
    assert values.at("meshConfig.defaultConfig") == {"concurrency": 2, "proxyMetadata": {"A": "true"}}
    assert values.at("meshConfig.enableTracing") is True
    assert values.at("meshConfig.extensionProviders[0].name") == "a"


def test_no_message_shows_a_token() -> None:
    (problem,) = refused("meshConfig: {defaultConfig: {tracing: {lightstep: {accessToken: 123456}}}}\n")
    assert "123456" not in problem


@pytest.mark.parametrize(
    ("networks", "told"),
    [
        ("{n: {endpoints: [{fromRegistry: c1}], gateways: [{address: 1.2.3.4, port: 15443}]}}", ""),
        ("{n: {gateways: [{registry_service_name: gw.ns.svc, port: 15443}]}}", ""),
        ("{n: {endpoints: [{fromCidr: 10.0.0.0/33}]}}", "fromCidr is no range of addresses: '10.0.0.0/33'"),
        ("{n: {gateways: [{address: 1.2.3.4}]}}", "gateways[0] has no port"),
        ("{n: {endpoint: []}}", "unknown field 'endpoint'; did you mean 'endpoints'?"),
        ("{n: {endpoints: [{fromCidr: 10.0.0.0/8, fromRegistry: a}]}}",
         "endpoints[0] has fromCidr and fromRegistry, which exclude each other"),
    ],
)  # fmt: skip
def test_networks_are_checked_too(networks: str, told: str) -> None:
    text = f"global:\n  meshNetworks: {networks}\n"
    if told:
        assert refused(text) == [f"2: {told}"]
    else:
        settled(text)


def test_flags_may_each_say_one_field_of_an_item_and_are_judged_together() -> None:
    flags = ("[0].name=z", "[0].zipkin.service=zipkin.tracing", "[0].zipkin.port=9411")
    sets = [f"meshConfig.extensionProviders{each}" for each in flags]
    given = settled("{}", *sets).at("values.meshConfig.extensionProviders")
    assert given == [{"name": "z", "zipkin": {"service": "zipkin.tracing", "port": 9411}}]
    with pytest.raises(ConfigError, match="zipkin has no port"):
        settled("{}", *sets[:2])
