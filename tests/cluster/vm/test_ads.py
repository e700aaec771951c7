"""A stock Envoy takes everything that a stock istiod sends it, by way of the agent."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from meshctl.adapters.kube import KubeCluster
from meshctl.agent.identity.credentials import Credentials
from meshctl.agent.messages import NameTable
from meshctl.model.objects import Object, Ref
from tests.cluster.command import Command
from tests.cluster.vm.proxied import Proxied, credentials, proxied

pytestmark = pytest.mark.cluster

ADDRESS = "10.77.0.5"
"""Of the host, as the mesh knows it; nothing is sent there."""
AS_ISTIO_HAS_IT = """
values:
  telemetry: {enabled: true}
  pilot: {env: {PILOT_ENABLE_ALPN_FILTER: "true", PILOT_ENABLE_METADATA_EXCHANGE: "true"}}
meshConfig:
  accessLogFile: /dev/stdout
  defaultProviders: {metrics: [prometheus]}
  extensionProviders:
  - name: zipkin
    zipkin: {service: zipkin.istio-system.svc.cluster.local, port: 9411}
  - name: judge
    envoyExtAuthzGrpc: {service: store.NAMESPACE.svc.cluster.local, port: 9000}
"""
"""What the sandbox leaves out for proxies in pods, as upstream's Envoy has no agent there that would."""
PATIENCE = 30.0


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="vm"))  # pytest's own paths are too long for a socket
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def namespace(cluster: KubeCluster, kubeconfig: str, folder: Path) -> Iterator[str]:
    """A mesh with all of Istio's extensions, and in a namespace of it something of everything."""
    name = f"ads-{time.time_ns() % 10**8}"
    terms = "spec:\n" + indent(AS_ISTIO_HAS_IT.replace("NAMESPACE", name), "  ")
    operator = f"apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\n{terms}"
    command = Command(kubeconfig, folder)
    command.run("install", "--profile", "minimal", "--yes", "-f", "-", stdin=operator)
    for each in everything(name):
        cluster.create(each)
    yield name
    cluster.delete(Ref("v1", "Namespace", "", name))


@pytest.fixture
def istiod(cluster: KubeCluster, namespace: str) -> Iterator[str]:
    """`host:port` of istiod, by way of a forwarded port."""
    pods = cluster.list("v1", "Pod", namespace="istio-system", labels="app=istiod")
    running = next(each for each in pods if not each.at("metadata.deletionTimestamp"))
    with cluster.forward("istio-system", running.ref.name, 15012) as (host, port):
        yield f"{host}:{port}"


def everything(namespace: str) -> list[Object]:
    """HTTP and TCP, strict mutual TLS, telemetry, policies, tokens, faults, plug-ins."""
    made = [_core("Namespace", "", namespace, {})]
    ports = [
        {"name": "http", "port": 80}, {"name": "tcp", "port": 9000}, {"name": "grpc", "port": 7070},
        {"name": "any", "port": 8123},
    ]  # fmt: skip
    made += [
        _core("Service", namespace, "vm", {"spec": {"ports": ports, "selector": {"app": "vm"}}}),
        _core("Service", namespace, "store", {"spec": {"ports": ports, "selector": {"app": "store"}}}),
    ]
    networking, security = "networking.istio.io/v1", "security.istio.io/v1"
    labels = {"app": "vm"}
    workload = {"address": ADDRESS, "labels": labels, "serviceAccount": "default"}
    rules = [{"to": [{"operation": {"paths": ["/admin"], "methods": ["POST"]}}]}]
    faults = {"abort": {"percentage": {"value": 1}, "httpStatus": 503}, "delay": {"fixedDelay": "1s"}}
    route = [{"destination": {"host": "store", "subset": each}, "weight": 50} for each in ("v1", "v2")]
    http = {"fault": faults, "route": route, "retries": {"attempts": 2}, "timeout": "3s"}
    subsets = [{"name": each, "labels": {"version": each}} for each in ("v1", "v2")]
    made += [
        _made(networking, "WorkloadEntry", namespace, "vm", workload),
        _made(networking, "WorkloadEntry", namespace, "store", {**workload, "address": "10.77.0.6",
              "labels": {"app": "store", "version": "v1", "security.istio.io/tlsMode": "istio"}}),
        _made(security, "PeerAuthentication", namespace, "strict", {"mtls": {"mode": "STRICT"}}),
        _made(security, "AuthorizationPolicy", namespace, "deny", {"action": "DENY", "rules": rules}),
        _made(security, "AuthorizationPolicy", namespace, "who", {"rules": [
            {"from": [{"source": {"principals": ["cluster.local/ns/x/sa/y"]}}]}]}),
        _made(security, "AuthorizationPolicy", namespace, "judge", {
            "action": "CUSTOM", "provider": {"name": "judge"}, "rules": rules}),
        _made(security, "RequestAuthentication", namespace, "jwt", {
            "jwtRules": [{"issuer": "me", "jwks": _keys()}]}),
        _made("telemetry.istio.io/v1", "Telemetry", namespace, "all", {
            "metrics": [{"providers": [{"name": "prometheus"}]}],
            "tracing": [{"providers": [{"name": "zipkin"}], "randomSamplingPercentage": 1}],
            "accessLogging": [{"providers": [{"name": "envoy"}]}]}),
        _made(networking, "DestinationRule", namespace, "store", {"host": "store", "subsets": subsets,
              "trafficPolicy": {"outlierDetection": {"consecutive5xxErrors": 3}}}),
        _made(networking, "VirtualService", namespace, "store", {"hosts": ["store"], "http": [http]}),
        _made(networking, "ServiceEntry", namespace, "outside", {
            "hosts": ["example.com"], "resolution": "STATIC", "endpoints": [{"address": "10.77.0.7"}],
            "ports": [{"number": 443, "name": "https", "protocol": "TLS"}]}),
        _made("extensions.istio.io/v1alpha1", "WasmPlugin", namespace, "open", {
            "url": "oci://registry.example/open:1", "failStrategy": "FAIL_OPEN"}),
        _made("extensions.istio.io/v1alpha1", "WasmPlugin", namespace, "closed", {
            "url": "https://registry.example/closed.wasm", "match": [{"mode": "CLIENT"}]}),
    ]  # fmt: skip
    return made


def _keys() -> str:
    """A key of an issuer of tokens, as a JSON Web Key Set."""
    point = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
    x, y = (
        base64.urlsafe_b64encode(each.to_bytes(32, "big")).decode().rstrip("=") for each in (point.x, point.y)
    )
    return json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "kid": "1", "x": x, "y": y}]})


def _core(kind: str, namespace: str, name: str, content: Mapping[str, Any]) -> Object:
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return Object({"apiVersion": "v1", "kind": kind, "metadata": meta, **content})


def _made(version: str, kind: str, namespace: str, name: str, spec: Mapping[str, Any]) -> Object:
    meta = {"name": name, "namespace": namespace}
    return Object({"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec})


@pytest.fixture
def play(
    cluster: KubeCluster, namespace: str, istiod: str, folder: Path, request: pytest.FixtureRequest
) -> Callable[..., None]:
    """Plays a scenario with an Envoy that runs."""
    place = folder / str(abs(hash(request.node.name)) % 10**6)
    place.mkdir()

    def play(scenario: Callable[[Proxied], Coroutine[Any, Any, None]], *, delta: bool = True) -> None:
        async def whole() -> None:
            known = await _credentials(cluster, istiod, namespace)
            about = {"INSTANCE_IPS": ADDRESS}
            async with proxied(
                place, known, istiod, delta=delta, namespace=namespace, metadata=about, address=ADDRESS
            ) as host:
                await scenario(host)

        asyncio.run(whole())

    return play


async def _credentials(cluster: KubeCluster, istiod: str, namespace: str) -> Credentials:
    """As soon as the namespace has an account and roots."""
    wanted = (
        Ref("v1", "ServiceAccount", namespace, "default"),
        Ref("v1", "ConfigMap", namespace, "istio-ca-root-cert"),
    )
    deadline = time.monotonic() + PATIENCE
    while not all(cluster.get(each) for each in wanted) and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    return await credentials(cluster, istiod, namespace)


async def _settled(host: Proxied) -> None:
    """Wait until Envoy has taken what it was sent."""
    wanted = {"CDS", "EDS", "LDS", "RDS", "ECDS", "NDS"}
    await host.until(lambda state: all(name in state.types for name in wanted), PATIENCE)
    await host.until(
        lambda state: all(each.accepted + each.rejected == each.pushes for each in state.types.values()),
        PATIENCE,
    )


@pytest.mark.parametrize("delta", [True, False], ids=["delta", "sotw"])
def test_envoy_takes_all_that_istiod_sends(play: Callable[..., None], namespace: str, delta: bool) -> None:
    async def scenario(host: Proxied) -> None:
        await _settled(host)
        state = host.ads.state
        assert {name: each.error for name, each in state.types.items() if each.rejected} == {}
        assert set(state.removed) >= {
            "envoy.tcp.metadataexchange.config.MetadataExchange",
            "io.istio.http.peer_metadata.Config",
            "stats.PluginConfig",
        }
        stats = await host.ask("/stats?format=json&filter=update_rejected")
        rejected = {each["name"]: each["value"] for each in stats["stats"] if each.get("value")}
        assert rejected == {}
        config = await host.config()
        clusters = [each["cluster"] for each in config["ClustersConfigDump"]["dynamic_active_clusters"]]
        named = {each["name"] for each in clusters}
        assert f"outbound|80|v1|store.{namespace}.svc.cluster.local" in named
        assert "inbound|80||" in named
        assert "warming_state" not in str(config["ListenersConfigDump"]), "a listener never came up"
        assert '"istio-peer-exchange"' not in _offers(config)

    play(scenario, delta=delta)


def _offers(config: Mapping[str, Any]) -> str:
    """All protocols that TLS agrees on, as one text."""
    whole = str(config).replace("'", '"')
    return "".join(re.findall(r'"alpn_protocols": \[[^]]*]', whole))


def test_policies_are_in_force(play: Callable[..., None]) -> None:
    async def scenario(host: Proxied) -> None:
        await _settled(host)
        config = str(await host.config())
        for wanted in (
            "envoy.extensions.filters.http.rbac.v3.RBAC",
            "envoy.extensions.filters.network.rbac.v3.RBAC",
            "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            "wasm-default-allow",
            "wasm-default-deny",
            "envoy.network.application_protocols",
            "'require_client_certificate': True",
            "http_status",
        ):
            assert wanted in config, wanted

    play(scenario)


def test_the_table_of_names_is_the_meshs(play: Callable[..., None], namespace: str) -> None:
    async def scenario(host: Proxied) -> None:
        await _settled(host)
        raw = host.ads.names.value
        assert raw is not None
        table = NameTable.FromString(raw).table
        assert f"store.{namespace}.svc.cluster.local" in table

    play(scenario)


def test_a_change_in_the_cluster_reaches_envoy(
    play: Callable[..., None], cluster: KubeCluster, namespace: str
) -> None:
    async def scenario(host: Proxied) -> None:
        await _settled(host)
        before = host.ads.state.types["CDS"].accepted
        spec = {"spec": {"ports": [{"name": "http", "port": 80}], "selector": {"app": "late"}}}
        cluster.create(_core("Service", namespace, "late", spec))
        await host.until(lambda state: state.types["CDS"].accepted > before)
        config = await host.config()
        assert f"outbound|80||late.{namespace}.svc.cluster.local" in str(config["ClustersConfigDump"])

    play(scenario)


class Road:
    """The road to istiod, which can be closed: open connections are cut, new ones refused."""

    def __init__(self, istiod: str) -> None:
        self.port = 0
        self._to = istiod.rsplit(":", 1)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for each in self._open:
            each.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._to[0], int(self._to[1]))
        self._open |= {writer, back}
        await asyncio.gather(_pour(reader, back), _pour(there, writer))
        self._open -= {writer, back}


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while piece := await source.read(65536):
            target.write(piece)
            await target.drain()
    target.close()


@pytest.mark.parametrize("delta", [True, False], ids=["delta", "sotw"])
def test_envoy_keeps_what_it_has_while_istiod_is_away_and_learns_what_it_has_missed(
    cluster: KubeCluster, namespace: str, istiod: str, folder: Path, delta: bool
) -> None:
    async def scenario() -> None:
        road = Road(istiod)
        await road.open()
        known = await _credentials(cluster, istiod, namespace)
        place = folder / f"road-{delta}"
        place.mkdir()
        near = f"127.0.0.1:{road.port}"
        async with proxied(place, known, near, delta=delta, namespace=namespace, address=ADDRESS) as host:
            await _settled(host)
            before = await _clusters(host)
            await road.close()
            await host.until(lambda state: not state.server)
            assert await _clusters(host) == before
            spec = {"spec": {"ports": [{"name": "http", "port": 80}], "selector": {"app": "missed"}}}
            name = f"missed-{'delta' if delta else 'sotw'}"
            cluster.create(_core("Service", namespace, name, spec))
            await asyncio.sleep(1)
            await road.open()
            expected = before | {f"outbound|80||{name}.{namespace}.svc.cluster.local"}
            deadline = time.monotonic() + PATIENCE
            while (seen := await _clusters(host)) != expected:
                assert time.monotonic() < deadline, seen ^ expected
                await asyncio.sleep(0.1)
            assert [each.error for each in host.ads.state.types.values() if each.rejected] == []
            await road.close()

    asyncio.run(scenario())


async def _clusters(host: Proxied) -> set[str]:
    config = await host.config()
    return {each["cluster"]["name"] for each in config["ClustersConfigDump"]["dynamic_active_clusters"]}


def test_health_is_seen_in_the_workload_that_istiod_has_registered(
    cluster: KubeCluster, namespace: str, istiod: str, folder: Path
) -> None:
    template = {"serviceAccount": "default", "ports": {"http": 8080}}
    probe = {"httpGet": {"port": 8080}}
    group = {"metadata": {"labels": {"app": "auto"}}, "template": template, "probe": probe}
    cluster.create(_made("networking.istio.io/v1", "WorkloadGroup", namespace, "auto", group))
    entry = Ref("networking.istio.io/v1", "WorkloadEntry", namespace, "auto-10.77.0.8")

    def healthy() -> str:
        found = cluster.get(entry)
        conditions = (found.at("status.conditions") or []) if found else []
        return next((each["status"] for each in conditions if each["type"] == "Healthy"), "")

    async def until(wanted: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while healthy() != wanted:
            assert time.monotonic() < deadline, cluster.get(entry)
            await asyncio.sleep(0.1)

    async def scenario() -> None:
        known = await _credentials(cluster, istiod, namespace)
        place = folder / "health"
        place.mkdir()
        about = {"AUTO_REGISTER_GROUP": "auto", "INSTANCE_IPS": "10.77.0.8", "WORKLOAD_NAME": "auto"}
        async with proxied(
            place, known, istiod, namespace=namespace, address="10.77.0.8", metadata=about
        ) as host:
            await host.ads.report_health(True)
            await until("True")
            await host.ads.report_health(False, "connection refused")
            await until("False")
            await host.ads.report_health(True)
            await until("True")

    asyncio.run(scenario())
