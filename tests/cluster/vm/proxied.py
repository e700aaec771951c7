"""A real Envoy behind the agent's ADS and SDS, on this machine, against a real istiod."""

from __future__ import annotations

import asyncio
import json
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from envoy.config.core.v3 import base_pb2
from google.protobuf import json_format

from meshctl.adapters.kube import KubeCluster
from meshctl.agent.ads.proxy import Ads
from meshctl.agent.ads.settings import AdsSettings
from meshctl.agent.http import Unix, fetch
from meshctl.agent.identity.apart import Apart
from meshctl.agent.identity.authority import Istiod
from meshctl.agent.identity.credentials import Credentials
from meshctl.agent.identity.settings import IdentitySettings
from meshctl.agent.latest import Latest
from meshctl.agent.sds import Sds
from meshctl.model.objects import Ref
from meshctl.sandbox import wheels

ISTIOD_NAME = "istiod.istio-system.svc"
_EVERY = 0.1


@dataclass(frozen=True)
class Proxied:
    """An Envoy that runs.

    Attributes:
        ads: what it is configured by.
        admin: its socket.
        log: what it has written.
        identity: as whom the agent asks.
    """

    ads: Ads
    admin: Path
    log: Path
    identity: Latest[Credentials | None]

    async def ask(self, path: str) -> Any:
        """What Envoy's administration answers, which is JSON."""
        return json.loads((await fetch(Unix(self.admin), "GET", path, timeout=10.0)).body)

    async def config(self) -> Mapping[str, Any]:
        """All that Envoy is configured with, by section."""
        dump = await self.ask("/config_dump?include_eds")
        return {each["@type"].rpartition(".")[2]: each for each in dump["configs"]}

    async def until(self, wanted: Any, seconds: float = 30.0) -> None:
        """Wait until `wanted(state)` is true of the ADS."""
        for _ in range(int(seconds / _EVERY)):
            if wanted(self.ads.state):
                return
            await asyncio.sleep(_EVERY)
        raise AssertionError(f"not within {seconds} s: {self.ads.state}\n{self.log.read_text()[-4000:]}")


async def credentials(
    cluster: KubeCluster, server: str, namespace: str, account: str = "default"
) -> Credentials:
    """Those of a service account, signed by istiod."""
    roots = cluster.get(Ref("v1", "ConfigMap", namespace, "istio-ca-root-cert"))
    assert roots is not None
    trusted = roots.at("data.root-cert\\.pem").encode()
    token = cluster.token(namespace, account, audiences=("istio-ca",), seconds=3600)
    settings = IdentitySettings(
        authorities=(server,), server_name=ISTIOD_NAME, namespace=namespace, service_account=account,
        cluster="Kubernetes", trust_domain="cluster.local",
    )  # fmt: skip
    keys = Apart()
    key = await keys.new_key("ecdsa-p256")
    request = await keys.signing_request(key, settings.spiffe)
    answer = await Istiod(settings).sign(request, trusted, token, 10.0)
    found = await keys.checked(key, "".join(each.decode() for each in answer).encode(), trusted)
    keys.end()
    return found


@cache
def extensions() -> tuple[Any, ...]:
    """What the upstream Envoy says it has."""
    with tempfile.TemporaryDirectory(prefix="vm") as folder:
        admin = Path(folder, "admin.sock")
        config = json.dumps({"admin": {"address": _pipe(admin)}})
        argv = [wheels.envoy(), "--config-yaml", config, "--disable-hot-restart", "-l", "off"]
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                while not admin.exists():
                    time.sleep(0.05)
                info = asyncio.run(fetch(Unix(admin), "GET", "/server_info", timeout=10.0)).body
            finally:
                process.kill()
    found = json.loads(info)["node"]["extensions"]
    return tuple(json_format.ParseDict(each, base_pb2.Extension()) for each in found)


@asynccontextmanager
async def proxied(
    folder: Path,
    identity: Credentials,
    *servers: str,
    delta: bool = True,
    namespace: str = "default",
    address: str = "127.0.0.1",
    metadata: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> AsyncIterator[Proxied]:
    """An Envoy that is configured by `servers`, with files in `folder`."""
    latest: Latest[Credentials | None] = Latest(identity)
    terms = {"server_name": ISTIOD_NAME, "cluster": "Kubernetes", **(settings or {})}
    ads = Ads(AdsSettings(servers=servers, **terms), latest, socket=folder / "xds.sock")
    keys = Apart()
    sds = Sds(latest, keys, folder / "sds.sock")
    parts = [asyncio.ensure_future(part) for part in (ads.run(), sds.run())]
    start = folder / "envoy.json"
    start.write_text(json.dumps(_bootstrap(folder, f"{address}~vm.{namespace}", metadata or {}, delta=delta)))
    with (folder / "envoy.log").open("w") as log:
        process = subprocess.Popen(
            [wheels.envoy(), "-c", start, "--disable-hot-restart", "--concurrency", "1", "-l", "info"],
            stdout=log,
            stderr=log,
        )
        try:
            yield Proxied(ads, folder / "admin.sock", folder / "envoy.log", latest)
        finally:
            process.kill()
            process.wait()
            for part in parts:
                part.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*parts)
            keys.end()


def _bootstrap(folder: Path, name: str, metadata: Mapping[str, Any], *, delta: bool) -> dict[str, Any]:
    namespace = name.rpartition(".")[2]
    ads = {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}
    return {
        "node": {
            "id": f"sidecar~{name}~{namespace}.svc.cluster.local",
            "cluster": f"vm.{namespace}",
            "metadata": {
                "CLUSTER_ID": "Kubernetes",
                "DNS_CAPTURE": "true",
                "INSTANCE_IPS": "127.0.0.1",
                "ISTIO_VERSION": "1.31.0",
                "NAMESPACE": namespace,
                "SERVICE_ACCOUNT": "default",
                "LABELS": {"app": "vm"},
                "PROXY_CONFIG": {"discoveryAddress": f"{ISTIOD_NAME}:15012"},
                **metadata,
            },
        },
        "admin": {"address": _pipe(folder / "admin.sock")},
        "dynamic_resources": {
            "lds_config": ads,
            "cds_config": ads,
            "ads_config": {
                "api_type": "DELTA_GRPC" if delta else "GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "xds-grpc"}}],
            },
        },
        "static_resources": {
            "clusters": [
                _cluster("xds-grpc", folder / "xds.sock"),
                _cluster("sds-grpc", folder / "sds.sock"),
                _cluster("agent", folder / "none.sock"),
                _cluster("prometheus_stats", folder / "admin.sock"),
            ]
        },
    }


def _pipe(path: Path) -> dict[str, Any]:
    return {"pipe": {"path": str(path)}}


def _cluster(name: str, path: Path) -> dict[str, Any]:
    options = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    endpoint = {"lb_endpoints": [{"endpoint": {"address": _pipe(path)}}]}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [endpoint]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options
        },
    }
