"""Hosts of all kinds: what there is in their cluster, what is said of them, and what they are told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from meshctl.model.enrolment import Enrolment, HostTerms
from meshctl.model.objects import Object, Ref
from meshctl.stages.enrolling.control_plane import addresses, control_plane
from meshctl.stages.enrolling.enrol import enrol

ISTIO, SPACE = "istio-system", "vms"
ROOTS = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@dataclass(frozen=True)
class Case:
    """A WorkloadGroup, a mesh, and what is said of the host.

    Attributes:
        spec: of the group.
        mesh: mesh configuration, as its ConfigMap has it.
        revision: of the control plane.
        notes: annotations of the group itself.
        terms: what is said of the host.
        flags: the same, as istioctl is told.
        gateway: status of the Service before istiod; None: there is none.
    """

    spec: Mapping[str, Any]
    mesh: str = (
        "defaultConfig: {discoveryAddress: 'istiod.istio-system.svc:15012'}\ntrustDomain: cluster.local\n"
    )
    revision: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)
    terms: HostTerms = field(default_factory=HostTerms)
    flags: tuple[str, ...] = ("--autoregister",)
    gateway: Mapping[str, Any] | None = None


PROBE = {
    "initialDelaySeconds": 5,
    "timeoutSeconds": 3,
    "periodSeconds": 4,
    "failureThreshold": 3,
    "httpGet": {
        "path": "/ready",
        "host": "127.0.0.1",
        "port": 8080,
        "httpHeaders": [{"name": "a", "value": "b"}],
    },
}
RICH = """
accessLogFile: /dev/stdout
trustDomain: example.org
defaultConfig:
  concurrency: 0
  meshId: mesh1
  drainDuration: 1m30s
  terminationDrainDuration: 5.5s
  statusPort: 15021
  discoveryAddress: istiod.istio-system.svc:15012
  tracing: {zipkin: {address: 'zipkin.istio-system:9411'}, sampling: 1.5}
  proxyStatsMatcher: {inclusionRegexps: ['.*circuit.*']}
  proxyMetadata: {ISTIO_META_REQUESTED_NETWORK_VIEW: net-a, OWN: "it's 5 o'clock", EMPTY: ""}
  gatewayTopology: {numTrustedProxies: 2}
  image: {imageType: distroless}
  holdApplicationUntilProxyStarts: true
  proxyHeaders: {server: {value: mine}, attemptCount: {disabled: true}}
  readinessProbe: {tcpSocket: {port: 99}}
  noSuchField: 5
"""
OWN = """
concurrency: 4
drain_duration: 20s
proxyMetadata: {OWN: "2", ISTIO_META_X: z}
tracing: {datadog: {address: 'dd:8126'}}
proxyHeaders: {requestId: {disabled: true}}
"""
NOTE = "proxy.istio.io/config"

CASES = {
    "bare": Case({"template": {}}),
    "account and labels": Case(
        {"metadata": {"labels": {"app": "web", "version": "v2"}}, "template": {"serviceAccount": "web"}}
    ),
    "labels of kubernetes, and of the template": Case(
        {
            "metadata": {"labels": {"app": "web", "app.kubernetes.io/name": "shop", "x": "1"}},
            "template": {"labels": {"app.kubernetes.io/version": "3", "x": "2"}},
        }
    ),
    "canonical labels": Case(
        {
            "metadata": {
                "labels": {
                    "app": "web",
                    "service.istio.io/canonical-name": "shop",
                    "service.istio.io/canonical-revision": "r1",
                }
            },
            "template": {},
        }
    ),
    "ports and a network": Case(
        {"template": {"ports": {"http": 8080, "tcp-echo": 9000, "again": 8080}, "network": "net-1"}}
    ),
    "a probe": Case({"template": {}, "probe": PROBE}),
    "a grpc probe over the mesh's": Case(
        {"template": {}, "probe": {"grpc": {"port": 7000, "service": "x"}}}, mesh=RICH
    ),
    "an exec probe": Case({"template": {}, "probe": {"exec": {"command": ["cat", "/tmp/it's"]}}}),
    "a rich mesh": Case({"template": {}}, mesh=RICH),
    "the group's own settings": Case({"template": {}}, mesh=RICH, notes={NOTE: OWN}),
    "the workloads' own settings": Case(
        {"metadata": {"annotations": {NOTE: OWN}}, "template": {}},
        mesh=RICH,
        notes={NOTE: "concurrency: 7\n"},
    ),
    "a revision": Case({"template": {}}, revision="canary"),
    "a revision without an address": Case(
        {"template": {}}, revision="1-32-0", mesh="defaultConfig: {statusPort: 15999}"
    ),
    "the default revision": Case({"template": {}}, revision="default"),
    "an empty mesh configuration": Case({"template": {}}, mesh="{}"),
    "no registration and no dns": Case(
        {"template": {}},
        terms=HostTerms(registers=False, captures_dns=False),
        flags=("--capture-dns=false",),
    ),
    "an internal address": Case(
        {"template": {}},
        terms=HostTerms(address="10.0.0.7"),
        flags=("--autoregister", "--internalIP=10.0.0.7"),
    ),
    "an external address": Case(
        {"template": {}},
        terms=HostTerms(address="2001:db8::7", is_external=True),
        flags=("--autoregister", "--externalIP=2001:db8::7"),
    ),
    "a gateway of a load balancer": Case(
        {"template": {}}, gateway={"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.4"}]}}}
    ),
    "a gateway with an address of its own": Case(
        {"template": {}}, gateway={"spec": {"externalIPs": ["192.0.2.5"]}}
    ),
    "a gateway that has only a name": Case(
        {"template": {}}, gateway={"status": {"loadBalancer": {"ingress": [{"hostname": "lb.example.com"}]}}}
    ),
}


def objects(case: Case) -> dict[str, Any]:
    """What the API server has, by path."""
    suffix = f"-{case.revision}" if case.revision not in ("", "default") else ""
    values = {"global": {"multiCluster": {"clusterName": "east"}}}
    maps = {
        (ISTIO, f"istio{suffix}"): {"mesh": case.mesh},
        (ISTIO, f"istio-sidecar-injector{suffix}"): {"values": json.dumps(values), "config": "{}"},
        (SPACE, "istio-ca-root-cert"): {"root-cert.pem": ROOTS},
    }
    found = {
        f"/api/v1/namespaces/{space}/configmaps/{name}": {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"namespace": space, "name": name},
            "data": data,
        }
        for (space, name), data in maps.items()
    }
    if case.gateway is not None:
        meta = {"namespace": ISTIO, "name": "istio-eastwestgateway"}
        found[f"/api/v1/namespaces/{ISTIO}/services/istio-eastwestgateway"] = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            **case.gateway,
        }
    return found


def group(case: Case) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadGroup",
        "metadata": {"name": "shop", "namespace": SPACE, "annotations": dict(case.notes)},
        "spec": {"metadata": {}, **case.spec},
    }


def told(case: Case) -> Enrolment:
    """What a host is told."""
    live = {each.ref: each for each in map(Object, objects(case).values())}
    plane = control_plane(ISTIO, case.revision, SPACE, live)
    gateway = live.get(Ref("v1", "Service", ISTIO, "istio-eastwestgateway"))
    terms = HostTerms(**{**case.terms.__dict__, "gateways": addresses(gateway)})
    return enrol(Object(group(case)), plane, terms)
