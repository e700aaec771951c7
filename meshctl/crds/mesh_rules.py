"""What istiod asks of the mesh configuration beyond its fields, as far as it can be told offline.

Source: istio.io/istio pkg/config/validation/agent.
"""

from __future__ import annotations

import re
from decimal import Decimal
from ipaddress import ip_address, ip_interface
from typing import TYPE_CHECKING, Any

from meshctl.crds.kubernetes_rules import RULES as KUBERNETES_RULES
from meshctl.crds.patterns import compiled
from meshctl.crds.rules import wrong

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.crds.rules import Rule
    from meshctl.crds.structural import Path, Problem

_LABEL = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?")
_WILDCARD = re.compile(r"\*|(\*|\*-)?[a-zA-Z0-9]([-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?")
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {
    "h": "3600",
    "m": "60",
    "s": "1",
    "ms": "1e-3",
    "us": "1e-6",
    "µs": "1e-6",
    "μs": "1e-6",
    "ns": "1e-9",
}
_MILLISECOND = Decimal("0.001")
_HOUR = Decimal(3600)
_LONGEST = Decimal(2**63 - 1).scaleb(-9)
_HTTP_STATUS = frozenset(
    {
        100, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305, 307, 308, 400,
        401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 423,
        424, 426, 428, 429, 431, 500, 501, 502, 503, 504, 505, 506, 507, 508, 510, 511,
    }
)  # fmt: skip
_PLACES = ("region", "zone", "subzone")
_PLACE_LABELS = frozenset(f"topology.{whose}/{place}" for whose, place in (
    ("kubernetes.io", "region"), ("kubernetes.io", "zone"), ("istio.io", "subzone")))  # fmt: skip


def seconds(text: str) -> Decimal:
    """A duration such as `1h30m`, in seconds."""
    total = sum((Decimal(size) * Decimal(_UNITS[unit]) for size, unit in _PART.findall(text)), Decimal(0))
    return -total if text.startswith("-") else total


def span(value: str, path: Path) -> Iterator[Problem]:
    """Not a negative time, and none that Go cannot count in nanoseconds."""
    if not 0 <= seconds(value) <= _LONGEST:
        yield wrong(path, f"cannot be {value}", "a time is 0s to 290 years")


def connect_timeout(value: str, path: Path) -> Iterator[Problem]:
    """A millisecond to an hour, in whole milliseconds."""
    if not _MILLISECOND <= seconds(value) <= _HOUR or seconds(value) % _MILLISECOND:
        yield wrong(path, f"cannot be {value}", "it is 1ms to 1h, in whole milliseconds")


def whole_seconds(value: str, path: Path) -> Iterator[Problem]:
    """A second or more, in whole ones."""
    if not 1 <= seconds(value) <= _LONGEST or seconds(value) != seconds(value).to_integral_value():
        yield wrong(path, f"cannot be {value}", "it is 1s or more, in whole seconds")


def is_host(text: str) -> bool:
    """Whether a text is a domain name; the last label is not a number, and may be empty."""
    labels = text.split(".")
    body = labels[:-1] if len(labels) > 1 and not labels[-1] else labels
    return len(text) <= 255 and not labels[-1].isdigit() and all(_LABEL.fullmatch(each) for each in body)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def address(value: str, path: Path) -> Iterator[Problem]:
    """`host:port`, where `$(HOST_IP)` is a host too."""
    if not value:
        return
    host, _, port = value.replace("$(HOST_IP)", "127.0.0.1", 1).rpartition(":")
    inside = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    good = _is_address(inside) if ":" in inside else is_host(inside) or _is_address(inside)
    if ":" in inside and inside == host:
        good = False
    if not (host and good):
        yield wrong(path, f"is no host:port: {value!r}", "write it as in zipkin.istio-system:9411")
    elif not (port.isdecimal() and 1 <= int(port) <= 65535):
        yield wrong(path, f"has no port: {value!r}", "a port is 1 to 65535")


def service(value: str, path: Path) -> Iterator[Problem]:
    """A host, or `namespace/host`."""
    if not value:
        return
    namespace, slash, host = value.rpartition("/")
    first, _, rest = host.partition(".")
    if slash:
        good = namespace in ("*", ".") or bool(_LABEL.fullmatch(namespace))
        good = good and bool(_WILDCARD.fullmatch(first)) and (not rest or is_host(rest))
    else:
        good = is_host(value) or _is_address(value)
    if not good:
        hint = "write a host such as zipkin.istio-system.svc.cluster.local, or namespace/host; no port"
        yield wrong(path, f"is no host: {value!r}", hint)


def host(value: str, path: Path) -> Iterator[Problem]:
    """A domain name."""
    if not is_host(value):
        yield wrong(path, f"is no host: {value!r}", "such as gateway.istio-system.svc.cluster.local")


def wildcard_host(value: str, path: Path) -> Iterator[Problem]:
    """A domain name whose first label may be a wildcard."""
    first, _, rest = value.partition(".")
    if not _WILDCARD.fullmatch(first) or (rest and not is_host(rest)):
        yield wrong(path, f"is no host: {value!r}", "such as *.example.svc.cluster.local")


def trust_domain(value: str, path: Path) -> Iterator[Problem]:
    """Labels of a domain name."""
    labels = value.split(".")
    body = labels[:-1] if len(labels) > 1 and not labels[-1] else labels
    if not all(_LABEL.fullmatch(each) for each in body):
        yield wrong(
            path, f"is no trust domain: {value!r}", "write it as a domain name, such as cluster.local"
        )


def regex(value: str, path: Path) -> Iterator[Problem]:
    """An expression that RE2 can read, as far as Python can tell."""
    if re.search(r"\\[pPC]|\(\?[a-zA-Z]*U", value):
        return  # RE2's own
    try:
        compiled(value)
    except ValueError as fault:
        yield wrong(path, f"is no regular expression: {fault.__cause__ or fault}", "mend it")


def http_status(value: str, path: Path) -> Iterator[Problem]:
    """A status that Envoy can send."""
    if value and not (value.isdecimal() and int(value) in _HTTP_STATUS):
        yield wrong(path, f"is no HTTP status: {value!r}", 'such as "403"')


def dns_label(value: str, path: Path) -> Iterator[Problem]:
    """One label of a domain name."""
    if not _LABEL.fullmatch(value):
        yield wrong(
            path, f"is no name of a cluster: {value!r}", "letters, digits and inner dashes, 63 at most"
        )


def address_range(value: str, path: Path) -> Iterator[Problem]:
    """A range of addresses, or one address."""
    try:
        ip_interface(value)
    except ValueError:
        yield wrong(path, f"is no range of addresses: {value!r}", "such as 10.0.0.0/8")


def network_gateway(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """A gateway has a port."""
    if not value.get("port"):
        yield wrong(path, "has no port", "such as 15443")


def accelerator(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Hardware gathers requests for some time."""
    if not seconds(value.get("pollDelay", "0s")):
        yield wrong((*path, "pollDelay"), "is not set", "such as 10ms")


def mesh_tls(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """The mesh's own TLS has no choice of curves."""
    if value.get("ecdhCurves"):
        yield wrong((*path, "ecdhCurves"), "cannot be set here", "tlsDefaults has them")


def provider(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """A provider that is a service has a host and a port."""
    for name in ("service", "port"):
        if not value.get(name):
            yield wrong(path, f"has no {name}", f"set {name}")
    if "http" in value and "grpc" in value:
        yield wrong(path, "has http and grpc, which exclude each other", "keep one of them")


def extension_provider(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """A provider is something."""
    if len(value) < 2:
        yield wrong(path, "says nothing but a name", "say what it is, such as zipkin or envoyExtAuthzGrpc")


def extension_providers(value: list[Any], path: Path) -> Iterator[Problem]:
    """Providers differ in their names."""
    first: dict[str, int] = {}
    for index, each in enumerate(value):
        name = each.get("name", "")
        if name in first:
            what = f"has the name {name!r} again, after extensionProviders[{first[name]}]"
            yield wrong((*path, index), what, "give each a name of its own")
        first.setdefault(name, index)


def localities(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Shares that make up a whole, or an order of regions, not both."""
    shares, failover = value.get("distribute") or [], value.get("failover") or []
    if shares and failover:
        yield wrong(path, "has distribute and failover, which exclude each other", "keep one of them")
    for label in value.get("failoverPriority") or () if failover else ():
        if label in _PLACE_LABELS:
            yield wrong((*path, "failoverPriority"), f"names {label}", "failover orders places already")
    for index, each in enumerate(shares):
        weights = (each.get("to") or {}).values()
        if sum(weights) != 100 or not all(1 <= weight <= 100 for weight in weights):
            where = (*path, "distribute", index, "to")
            yield wrong(where, "does not make 100", "weights are 1 to 100, and 100 together")
        for place in (each.get("from", ""), *(each.get("to") or {})):
            yield from _place(place, (*path, "distribute", index))
    yield from _regions(failover, (*path, "failover"))


def zones(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """An order of regions; within them Envoy finds its way."""
    for label in value.get("failoverPriority") or ():
        if label in _PLACE_LABELS:
            yield wrong((*path, "failoverPriority"), f"names {label}", "Envoy knows places already")
    yield from _regions(value.get("failover") or [], (*path, "failover"))


def _place(text: str, path: Path) -> Iterator[Problem]:
    if not all(text.split("/", len(_PLACES) - 1)) or "*" in text[:-1]:
        yield wrong(path, f"names no place: {text!r}", "write region/zone/subzone, with * at the end only")


def _regions(failover: list[Any], path: Path) -> Iterator[Problem]:
    for index, each in enumerate(failover):
        ends = (each.get("from", ""), each.get("to", ""))
        if ends[0] == ends[1]:
            yield wrong((*path, index), "leads to where it comes from", "name two regions")
        elif any("/" in end or "*" in end for end in ends):
            yield wrong((*path, index), "names more than regions", "name two regions, without zone or *")


def default_traffic_policy(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Shares are 0 to 100, and what is counted apart is told apart."""
    outliers = value.get("outlierDetection") or {}
    for name in ("maxEjectionPercent", "minHealthPercent"):
        if not 0 <= outliers.get(name, 0) <= 100:
            yield wrong((*path, "outlierDetection", name), f"cannot be {outliers[name]}", "it is 0 to 100")


RULES: dict[str, Rule] = {
    **KUBERNETES_RULES,
    "span": span,
    "connectTimeout": connect_timeout,
    "wholeSeconds": whole_seconds,
    "address": address,
    "service": service,
    "host": host,
    "wildcardHost": wildcard_host,
    "trustDomain": trust_domain,
    "regex": regex,
    "httpStatus": http_status,
    "dnsLabel": dns_label,
    "anyRange": address_range,
    "networkGateway": network_gateway,
    "accelerator": accelerator,
    "meshTLS": mesh_tls,
    "provider": provider,
    "extensionProvider": extension_provider,
    "extensionProviders": extension_providers,
    "localities": localities,
    "zones": zones,
    "defaultTrafficPolicy": default_traffic_policy,
}
"""By type name: those of the mesh configuration, and of Kubernetes' types within it."""
