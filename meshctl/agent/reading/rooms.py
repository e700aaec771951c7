"""What cluster.env and the ProxyConfig say of each room's settings, by the names of their fields."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from meshctl.agent.capture.settings import from_variables
from meshctl.agent.places import USER
from meshctl.agent.reading.texts import host_port
from meshctl.agent.reading.workload import DOMAIN
from meshctl.agent.server.settings import annotated_applications, container_probes
from meshctl.errors import ConfigError, ProblemsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshctl.agent.places import Places
    from meshctl.agent.reading.proxyconfig import ProxyConfig
    from meshctl.agent.reading.typed import Typed
    from meshctl.agent.reading.workload import Workload
    from meshctl.errors import Where

_DOWNSTREAM = "GLOBAL_DOWNSTREAM_MAX_CONNECTIONS"


@dataclass(frozen=True)
class Said:
    """The sources of a room's settings; each method leaves out what none of them says."""

    typed: Typed
    proxy: ProxyConfig
    who: Workload
    places: Places

    def identity(self) -> dict[str, Any]:
        """Of `IdentitySettings`."""
        grace = self.typed.part("SECRET_GRACE_PERIOD_RATIO")
        return _set(
            authorities=(self.typed.address("CA_ADDR") or self.proxy.discovery_address,),
            server_name=self.typed.text("ISTIOD_SAN"),
            trust_domain=self.who.trust_domain,
            namespace=self.who.namespace,
            service_account=self.who.service_account,
            cluster=self.who.cluster,
            headers=self._headers("CA_HEADER_"),
            signer=self.typed.text("ISTIO_META_CERT_SIGNER"),
            key=self._key(),
            lifetime=self.typed.duration("SECRET_TTL"),
            ratio=None if grace is None else 1 - grace,
            jitter=self.typed.part("SECRET_GRACE_PERIOD_RATIO_JITTER"),
        )

    def ads(self) -> dict[str, Any]:
        """Of `AdsSettings`."""
        return _set(
            servers=(self.proxy.discovery_address,),
            server_name=self.typed.text("ISTIOD_SAN"),
            cluster=self.who.cluster,
            headers=self._headers("XDS_HEADER_"),
            names=self._dns_capture(),
        )

    def dns(self) -> dict[str, Any]:
        """Of `DnsSettings`."""
        return _set(
            enabled=self._dns_capture(),
            namespace=self.who.namespace,
            domain=f"{self.who.namespace}.{DOMAIN}",
            port=self._dns_port(),
            all_captured=self.typed.flag("CAPTURE_ALL_DNS"),
            timeout=self.typed.duration("DNS_FORWARD_TIMEOUT"),
            parallel=self.typed.flag("DNS_FORWARD_PARALLEL"),
        )

    def capture(self) -> dict[str, Any]:
        """Of `CaptureSettings`."""
        mode = self.proxy.data.get("interceptionMode")
        found: dict[str, Any] = _set(
            mode=mode.lower() if mode else None,
            address=self.who.addresses[0],
            user=USER,
            dns_port=self._dns_port(),
        )
        try:
            found |= from_variables(self.typed.variables.values, self.typed.variables.where)
        except ProblemsError as error:
            for each in error.problems:
                self.typed.problems.adopt(each)
        return found

    def envoy(self) -> dict[str, Any]:
        """Of `EnvoySettings`."""
        data = self.proxy.data
        exposed = self.typed.flag("METRICS_LOCALHOST_ACCESS_ONLY") is False
        return _set(
            path=str(self.places.programs / "current" / "envoy"),
            concurrency=data["concurrency"] if "concurrency" in data else self.typed.count("ISTIO_CPU_LIMIT"),
            connections=self._connections(),
            prometheus_address="*" if exposed else "::1" if self.who.only_ipv6 else None,
            prometheus_port=self.typed.count("ENVOY_PROMETHEUS_PORT"),
            ready_port=self.typed.count("ENVOY_STATUS_PORT"),
            secure_metrics_port=self.typed.count("ENVOY_SECURE_METRICS_PORT"),
            secure_merged_metrics_port=self.typed.count("ENVOY_SECURE_MERGED_METRICS_PORT"),
            delta=self.typed.flag("ISTIO_DELTA_XDS"),
            dual_stack=self.typed.flag("ISTIO_DUAL_STACK"),
            drain_time=self.proxy.seconds("drainDuration"),
            termination=self.proxy.seconds("terminationDrainDuration"),
            wait_for_connections=self.typed.flag("EXIT_ON_ZERO_ACTIVE_CONNECTIONS"),
            minimum_drain=self.typed.duration("MINIMUM_DRAIN_DURATION"),
            flush_interval=self.proxy.seconds("fileFlushInterval") if data.get("fileFlushInterval") else None,
            flush_size=data.get("fileFlushMinSizeKb"),
            skip_deprecated_logs=self.typed.flag("ENVOY_SKIP_DEPRECATED_LOGS"),
            core_dumps=self.typed.flag("ISTIO_ENVOY_ENABLE_CORE_DUMP"),
        )

    def server(self) -> dict[str, Any]:
        """Of `ServerSettings`."""
        return {
            "port": self.proxy.status_port,
            **self._json("applications", "ISTIO_PROMETHEUS_ANNOTATIONS", annotated_applications),
            **self._json("probes", "ISTIO_KUBE_APP_PROBERS", partial(container_probes, self.probe_host())),
        }

    def probe_host(self) -> str:
        """Where an application is probed that names no host. Source: Istio's pkg/istio-agent/health."""
        legacy = self.typed.flag("REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION")
        return "localhost" if legacy else self.who.addresses[0]

    def _headers(self, prefix: str) -> tuple[tuple[str, str], ...]:
        """Metadata of calls, in gRPC's lower case."""
        found = {}
        for name, value in self.typed.variables.starting(prefix).items():
            if value.isascii() and value.isprintable():
                found[name.lower()] = value
            else:  # what it is stays unsaid: it may be a secret
                where = self.typed.variables.where(prefix + name)
                self.typed.problems.add("a header has to be printable ASCII", where, code="wrong-type")
        return tuple(sorted(found.items()))

    def _json(self, field: str, name: str, read: Callable[[str, Where], Any]) -> dict[str, Any]:
        """A field that a variable says in JSON, as `read` reads it; nothing where it is not set, or wrong."""
        value = self.typed.variables.get(name)
        if not value:
            return {}
        try:
            return {field: read(value, self.typed.variables.where(name))}
        except ConfigError as error:
            self.typed.problems.adopt(error)
            return {}

    def _dns_capture(self) -> bool:
        return bool(self.typed.flag("ISTIO_META_DNS_CAPTURE"))

    def _dns_port(self) -> int | None:
        address = self.typed.address("DNS_PROXY_ADDR")
        return host_port(address)[1] if address else None

    def _key(self) -> str | None:
        size = self.typed.text("WORKLOAD_RSA_KEY_SIZE", "2048|3072|4096", "2048, 3072 or 4096")
        if self.typed.text("ECC_SIGNATURE_ALGORITHM", "ECDSA", "ECDSA"):
            curve = self.typed.text("ECC_CURVE", "P256|P384", "P256 or P384") or "P256"
            return f"ecdsa-p{curve[1:]}"
        return f"rsa-{size}" if size else None

    def _connections(self) -> int | None:
        """The most that clients may have; a mesh may still say it as a runtime value."""
        name = f"ISTIO_META_{_DOWNSTREAM}"
        said = self.proxy.metadata.get(name) or self.typed.variables.get(name)
        said = said or self.proxy.data.get("runtimeValues", {}).get(
            "overload.global_downstream_max_connections"
        )
        return int(said) if said and said.isascii() and said.isdigit() and len(said) < 11 else None


def _set(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
