"""What istiod refuses of an object on its own, though the definitions allow it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from meshctl.crds.admission import CODE, refusals
from meshctl.crds.validation import reviewed

TO = "[{destination: {host: a}}]"
PORT = "{number: 80, name: http, protocol: HTTP}"
BAD = {
    "no routes": ("VirtualService", "hosts: [a]", "spec", "has no http, tcp or tls routes"),
    "delegate with gateways": (
        "VirtualService",
        f"{{gateways: [g], http: [{{route: {TO}}}]}}",
        "spec.gateways",
        "with hosts",
    ),
    "host twice": (
        "VirtualService",
        f"{{hosts: [a, b, a], http: [{{route: {TO}}}]}}",
        "spec.hosts.2",
        "said twice",
    ),
    "route that does nothing": (
        "VirtualService",
        "{hosts: [a], http: [{timeout: 5s}]}",
        "spec.http.0",
        "does nothing",
    ),
    "route and redirect": (
        "VirtualService",
        f"{{hosts: [a], http: [{{route: {TO}, redirect: {{uri: /}}}}]}}",
        "spec.http.0",
        "route and redirect, which exclude",
    ),
    "no weights": (
        "VirtualService",
        "{hosts: [a], http: [{route: [{destination: {host: a}}, {destination: {host: b}}]}]}",
        "spec.http.0.route",
        "has a weight",
    ),
    "tcp without route": ("VirtualService", "{hosts: [a], tcp: [{}]}", "spec.tcp.0", "no route"),
    "tls without match": (
        "VirtualService",
        f"{{hosts: [a], tls: [{{route: {TO}}}]}}",
        "spec.tls.0",
        "no match",
    ),
    "no servers": ("Gateway", "selector: {istio: ingress}", "spec", "has no servers"),
    "server without hosts": ("Gateway", f"servers: [{{port: {PORT}}}]", "spec.servers.0", "no hosts"),
    "port without a name": (
        "Gateway",
        "servers: [{hosts: ['*'], port: {number: 80, protocol: HTTP}}]",
        "spec.servers.0.port",
        "no name",
    ),
    "port name twice": (
        "Gateway",
        f"servers: [{{hosts: [a.b], port: {PORT}}}, {{hosts: [c.d], port: {PORT}}}]",
        "spec.servers.1.port.name",
        "used by an earlier server",
    ),
    "protocol nobody speaks": (
        "Gateway",
        "servers: [{hosts: ['*'], port: {number: 80, name: a, protocol: HTPT}}]",
        "spec.servers.0.port.protocol",
        "did you mean 'HTTP'?",
    ),
    "HTTPS without tls": (
        "Gateway",
        "servers: [{hosts: ['*'], port: {number: 443, name: a, protocol: HTTPS}}]",
        "spec.servers.0.port.protocol",
        "has no tls",
    ),
    "subset twice": (
        "DestinationRule",
        "{host: a, subsets: [{name: v1}, {name: v1}]}",
        "spec.subsets.1",
        "'v1' is said twice",
    ),
    "export twice": ("DestinationRule", "{host: a, exportTo: [., .]}", "spec.exportTo.1", "said twice"),
    "Sidecar that says nothing": ("Sidecar", "{}", "spec", "says nothing"),
    "DENY without rules": ("AuthorizationPolicy", "action: DENY", "spec", "never applies"),
    "CUSTOM without a provider": (
        "AuthorizationPolicy",
        "{action: CUSTOM, rules: [{}]}",
        "spec",
        "no provider",
    ),
    "provider without CUSTOM": (
        "AuthorizationPolicy",
        "{provider: {name: a}, rules: [{}]}",
        "spec.provider",
        "action CUSTOM",
    ),
    "empty source": (
        "AuthorizationPolicy",
        "rules: [{from: [{source: {}}]}]",
        "spec.rules.0.from.0",
        "no source",
    ),
    "no operation": ("AuthorizationPolicy", "rules: [{to: [{}]}]", "spec.rules.0.to.0", "no operation"),
}
GOOD = {
    "delegate": ("VirtualService", f"http: [{{route: {TO}}}]"),
    "one destination without a weight": ("VirtualService", f"{{hosts: [a], http: [{{route: {TO}}}]}}"),
    "one weight of two": (
        "VirtualService",
        "{hosts: [a], http: [{route: [{destination: {host: a}, weight: 1}, {destination: {host: b}}]}]}",
    ),
    "redirect": ("VirtualService", "{hosts: [a], http: [{redirect: {uri: /}}]}"),
    "server": ("Gateway", f"servers: [{{hosts: ['*'], port: {PORT}}}]"),
    "protocol in small letters": (
        "Gateway",
        "servers: [{hosts: ['*'], port: {number: 1, name: a, protocol: http}}]",
    ),
    "policy of nothing": ("Sidecar", "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"),
    "ALLOW without rules": ("AuthorizationPolicy", "{}"),
    "DENY everything": ("AuthorizationPolicy", "{action: DENY, rules: [{}]}"),
    "CUSTOM": ("AuthorizationPolicy", "{action: CUSTOM, provider: {name: a}, rules: [{}]}"),
    "kind without such rules": ("PeerAuthentication", "{}"),
}


def told(kind: str, spec: str) -> list[tuple[str, str]]:
    found = refusals({"kind": kind, "spec": yaml.safe_load(spec)})
    return [
        (".".join(map(str, each.path)), each.message) for each in found if each.code == CODE and each.hint
    ]


@pytest.mark.parametrize("case", BAD)
def test_what_istiod_refuses_is_told_at_its_place(case: str) -> None:
    kind, spec, path, message = BAD[case]
    ((place, said),) = told(kind, spec)
    assert place == path
    assert message in said


@pytest.mark.parametrize("case", GOOD)
def test_what_istiod_takes_is_taken(case: str) -> None:
    assert told(*GOOD[case]) == []


@pytest.mark.parametrize(
    "kind", ["VirtualService", "Gateway", "DestinationRule", "Sidecar", "AuthorizationPolicy"]
)
@pytest.mark.parametrize("junk", ["text", 5, [], [None, 1, []], {"a": None}, None])
def test_wrong_types_are_for_the_schema_to_tell(kind: str, junk: Any) -> None:
    names = ("http", "tcp", "tls", "hosts", "servers", "subsets", "rules", "provider", "exportTo", "egress")
    assert all(each.code == CODE for each in refusals({"kind": kind, "spec": dict.fromkeys(names, junk)}))
    assert all(each.code == CODE for each in refusals({"kind": kind, "spec": junk}))
    for name in names:
        nested = {"port": junk, "from": junk, "to": [junk], "route": junk, "name": junk}
        assert all(each.code == CODE for each in refusals({"kind": kind, "spec": {name: [nested]}}))


def test_it_is_told_beside_what_the_schema_says() -> None:
    head = {"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": {"name": "a"}}
    codes = [each.code for each in reviewed({**head, "spec": {"server": []}}, "1.32").problems]
    assert codes == ["unknown-field", CODE]
