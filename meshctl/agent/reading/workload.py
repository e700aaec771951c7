"""Who this host is in the mesh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent.reading.texts import is_ip
from meshctl.agent.reading.typed import Typed
from meshctl.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.agent.host import Host
    from meshctl.agent.reading.problems import Problems
    from meshctl.agent.reading.proxyconfig import ProxyConfig
    from meshctl.agent.reading.variables import Variables

META: Final = "ISTIO_META_"
"""Begins variables, and entries of a ProxyConfig's proxyMetadata, which are metadata of the node."""
META_JSON: Final = "ISTIO_METAJSON_"
"""Begins variables whose members are metadata of the node."""
DOMAIN: Final = "svc.cluster.local"
"""Under which a cluster's services lie."""
_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME: Final = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?"


@dataclass(frozen=True)
class Workload:
    """Who this host is in the mesh.

    Attributes:
        name: of this instance: POD_NAME, or else the host's.
        namespace: its own.
        service_account: that it runs as.
        trust_domain: of its SPIFFE name; empty where cluster.env leaves it open.
        cluster: id of the cluster that it belongs to.
        addresses: of this host; the first is the one that others reach it by.
        labels: of the workload.
        metadata: what cluster.env and the ProxyConfig say of this node, as istiod knows it, by name.
    """

    name: str
    namespace: str
    service_account: str
    trust_domain: str
    cluster: str
    addresses: tuple[str, ...]
    labels: Mapping[str, str]
    metadata: Mapping[str, Any]

    @property
    def only_ipv6(self) -> bool:
        """Whether it has no IPv4 address."""
        return all(":" in address for address in self.addresses)


def workload(said: Variables, proxy: ProxyConfig, host: Host, problems: Problems) -> Workload:
    """Who this host is.

    Raises:
        UnreachableError: it has no address yet.
    """
    typed = Typed(said, problems)
    namespace = typed.text("ISTIO_NAMESPACE", _LABEL, "the name of a namespace")
    namespace = namespace or typed.text("POD_NAMESPACE", _LABEL, "the name of a namespace")
    if not namespace and not problems:
        problems.add(
            "nothing says the namespace of this workload", said.where("POD_NAMESPACE"), code="no-namespace"
        )
    metadata = _metadata(typed, proxy)
    return Workload(
        name=typed.text("POD_NAME", _NAME, "a name of letters, digits, '.', '_' and '-'")
        or host.name
        or "localhost",
        namespace=namespace or "default",
        service_account=typed.text("SERVICE_ACCOUNT", _NAME.lower(), "the name of a service account")
        or "default",
        trust_domain=typed.text("TRUST_DOMAIN", r"[A-Za-z0-9._-]{1,255}", "a trust domain") or "",
        cluster=str(metadata.get("CLUSTER_ID", "")),
        addresses=_addresses(typed, host),
        labels=_labels(typed),
        metadata=metadata,
    )


def _metadata(typed: Typed, proxy: ProxyConfig) -> dict[str, Any]:
    """Source: Istio's pkg/bootstrap; what comes later prevails."""
    found: dict[str, Any] = {
        name[len(META) :]: value for name, value in proxy.metadata.items() if name.startswith(META)
    }
    found.update(typed.variables.starting(META))
    for rest in typed.variables.starting(META_JSON):
        found.update(typed.json_object(META_JSON + rest) or {})
    if address := typed.variables.get("DNS_PROXY_ADDR"):
        found["DNS_PROXY_ADDR"] = address
    return found


def _labels(typed: Typed) -> dict[str, str]:
    name = f"{META_JSON}LABELS"
    found = typed.json_object(name) or {}
    wrong = [label for label, value in found.items() if not isinstance(value, str)]
    if wrong:
        typed.problems.add(
            f"the label {wrong[0]!r} is no string", typed.variables.where(name), code="wrong-type"
        )
    return {label: value for label, value in found.items() if isinstance(value, str)}


def _addresses(typed: Typed, host: Host) -> tuple[str, ...]:
    first: list[str] = []
    for name in ("INSTANCE_IP", "ISTIO_SVC_IP"):
        address = typed.variables.get(name)
        if address and not is_ip(address):
            typed.problems.add(
                f"{address[:64]!r} is no IP address", typed.variables.where(name), code="wrong-type"
            )
        elif address and not first:
            first.append(address)
    found = dict.fromkeys([*first, *host.addresses(typed.texts("ISTIO_EXCLUDE_INTERFACES") or ())])
    if not found:
        raise UnreachableError(
            "no-address",
            "this host has no address that others could reach it by",
            hint="bring its network up, or set ISTIO_SVC_IP in cluster.env",
        )
    return tuple(found)
