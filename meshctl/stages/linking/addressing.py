"""Where istiods elsewhere reach the API server of a cluster."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from meshctl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshctl.errors import Where
    from meshctl.model.objects import Object

_SIMULATED = "kwok.x-k8s.io/node"


def url(text: str, where: Where) -> str:
    """The address of an API server as a kubeconfig has it; a bare host is reached by HTTPS.

    Raises:
        ConfigError: it is no address of one.
    """
    told = text if "://" in text else f"https://{text}"
    try:
        parts = urlsplit(told)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0 or parts.query:
        raise ConfigError(
            "wrong-server",
            f"{text!r} is no address of an API server",
            where=where,
            hint="write it as https://HOST:PORT",
        )
    return told.rstrip("/")


def is_loopback(address: str) -> bool:
    """Whether an address leads whoever uses it to itself."""
    host = urlsplit(address).hostname or ""
    try:
        found = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return found.is_loopback or found.is_unspecified


def are_processes(nodes: Sequence[Object]) -> bool:
    """Whether the pods of these nodes are processes of this machine, as in a light sandbox."""
    return bool(nodes) and all(_SIMULATED in each.annotations for each in nodes)


def refusal(cluster: str, address: str, slices: Sequence[Object], where: Where) -> ConfigError:
    """The error for an API server that nobody else reaches by its address.

    Args:
        cluster: whose.
        address: what the kubeconfig says.
        slices: EndpointSlices of its Service `kubernetes`: what it calls itself.
        where: where the cluster is declared.
    """
    own = sorted(
        f"https://{f'[{ip}]' if ':' in ip else ip}:{port['port']}"
        for each in slices
        for endpoint in each.at("endpoints", ())
        for ip in endpoint.get("addresses", ())
        for port in each.at("ports", ())
        if port.get("port")
    )
    guess = f"; it calls itself {own[0]}" if own else ""
    return ConfigError(
        "server-is-loopback",
        f"istiods elsewhere cannot reach the API server of {cluster!r} at {address}",
        where=where,
        hint=f"write the address that other clusters reach as its `server`{guess}",
    )
