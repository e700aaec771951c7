"""Workloads as people may write them, for property tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

PORT = st.sampled_from([8080, 15020, 0, "http", "unknown"])
ACTIONS = st.one_of(
    st.builds(
        lambda port, path, scheme: {"httpGet": {"port": port, **path, **scheme}},
        PORT,
        st.sampled_from([{}, {"path": "/a<b"}]),
        st.sampled_from([{}, {"scheme": "HTTPS"}]),
    ),
    st.builds(lambda port: {"tcpSocket": {"port": port}}, PORT),
    st.sampled_from(
        [{"exec": {"command": ["true"]}}, {"grpc": {"port": 9000}}, {"grpc": {"port": 9000, "service": ""}}]
    ),
)
NOTES: dict[str, st.SearchStrategy[str]] = {
    "prometheus.io/scrape": st.sampled_from(["true", "false", "1"]),
    "prometheus.io/port": st.sampled_from(["9102", "15020"]),
    "prometheus.io/path": st.just("/m"),
    "prometheus/io/port": st.just("77"),
    "prometheus.istio.io/scrape-targets": st.sampled_from(["80:/x,81", "80"]),
    "prometheus.istio.io/merge-metrics": st.sampled_from(["true", "false"]),
    "kubectl.kubernetes.io/default-container": st.sampled_from(["c0", "elsewhere"]),
    "sidecar.istio.io/interceptionMode": st.sampled_from(["REDIRECT", "TPROXY", "NONE"]),
    "sidecar.istio.io/rewriteAppHTTPProbers": st.sampled_from(["true", "false"]),
    "sidecar.istio.io/nativeSidecar": st.sampled_from(["true", "false"]),
    "traffic.sidecar.istio.io/includeOutboundIPRanges": st.sampled_from(["*", "10.0.0.0/8"]),
    "traffic.sidecar.istio.io/excludeInboundPorts": st.sampled_from(["", "80", "15020", "80,15020"]),
    "traffic.sidecar.istio.io/includeInboundPorts": st.sampled_from(["*", ""]),
    "inject.istio.io/templates": st.sampled_from(["sidecar", "gateway", "grpc-agent", "grpc-simple"]),
    "istio.io/rev": st.sampled_from(["default", "other"]),
    "proxy.istio.io/config": st.sampled_from(
        ["holdApplicationUntilProxyStarts: true", "interceptionMode: TPROXY"]
    ),
    "note": st.text(max_size=5),
}  # fmt: skip
LABELS = {
    "app": st.just("web"),
    "version": st.just("v1"),
    "security.istio.io/tlsMode": st.sampled_from(["istio", "disabled"]),
    "service.istio.io/canonical-name": st.sampled_from(["web", "own"]),
    "service.istio.io/canonical-revision": st.sampled_from(["v1", "latest"]),
    "topology.istio.io/network": st.just("west"),
}


def some(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Maps with some of these keys."""
    return st.fixed_dictionaries({}, optional=fields)


def containers(names: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {"name": names, "image": st.sampled_from(["a:1", "auto"])},
        optional={
            "ports": st.just(
                [{"name": "http", "containerPort": 8080}, {"containerPort": 53, "protocol": "UDP"}]
            ),
            "livenessProbe": ACTIONS,
            "readinessProbe": ACTIONS,
            "lifecycle": st.sampled_from(
                [{}, {"preStop": {"httpGet": {"port": 80}}}, {"preStop": {"sleep": {"seconds": 1}}}]
            ),
            "resources": st.sampled_from([{}, {"limits": {"cpu": 0.5, "memory": "1024Mi"}}]),
            "env": st.sampled_from([[], [{"name": "A", "value": ""}]]),
            "x-unknown": st.just(1),
        },
    )


PODS = some(
    {
        "metadata": some(
            {"annotations": some(NOTES), "labels": some(LABELS), "creationTimestamp": st.none()}
        ),
        "status": st.just({}),
    }
).flatmap(
    lambda head: st.fixed_dictionaries(
        {
            **{key: st.just(value) for key, value in head.items()},
            "spec": st.fixed_dictionaries(
                {
                    "containers": st.lists(
                        containers(st.sampled_from(["c0", "c1", "istio-proxy"])),
                        min_size=1,
                        max_size=3,
                        unique_by=lambda each: each["name"],
                    )
                },
                optional={
                    "initContainers": st.lists(
                        containers(st.sampled_from(["i0", "istio-init"])),
                        max_size=2,
                        unique_by=lambda each: each["name"],
                    ),
                    "volumes": st.sampled_from(
                        [[], [{"name": "mine", "emptyDir": {}}], [{"name": "istio-data", "emptyDir": None}]]
                    ),
                    "imagePullSecrets": st.just([{"name": "mine"}]),
                    "securityContext": st.sampled_from(
                        [{}, {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]}]
                    ),
                },
            ),
        }
    )
)


def _workload(kind: tuple[str, str], meta: dict[str, Any], pod: dict[str, Any]) -> dict[str, Any]:
    api_version, name = kind
    content: dict[str, Any] = {"apiVersion": api_version, "kind": name, "metadata": {"name": "web", **meta}}
    if name == "Pod":
        return {**pod, **content, "metadata": {**(pod.get("metadata") or {}), **content["metadata"]}}
    if name == "CronJob":
        return {**content, "spec": {"jobTemplate": {"spec": {"template": pod}}}}
    return {**content, "spec": {"replicas": 0, "template": pod}}


WORKLOADS = st.builds(
    _workload,
    st.sampled_from([("apps/v1", "Deployment"), ("batch/v1", "CronJob"), ("batch/v1", "Job"), ("v1", "Pod")]),
    some({"annotations": st.sampled_from([{}, {"x": "y"}]), "namespace": st.just("shop")}),
    PODS,
)
