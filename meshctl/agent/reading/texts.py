"""Forms of single values: durations, addresses, host names."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

_DURATION: Final = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,9}))?s")
_GO_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_GO_DURATION: Final = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{1,9})?(?:ns|us|µs|ms|s|m|h))+")
_GO_PART: Final = re.compile(r"([0-9.]+)(ns|us|µs|ms|s|m|h)")
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
HOST_IP: Final = "$(HOST_IP)"
"""Stands for the variable HOST_IP, as host of a tracer's address."""


def is_duration(text: str) -> bool:
    """Whether a text is a duration of protobuf's JSON, such as `1.5s`, 0 or more."""
    return _DURATION.fullmatch(text) is not None


def seconds(text: str) -> float:
    """The seconds of a text that is a duration."""
    return float(text[:-1])


def go_seconds(text: str) -> float | None:
    """The seconds of a duration as Go writes it, such as `1h30m`; None when it is none."""
    if text == "0":
        return 0.0
    if not _GO_DURATION.fullmatch(text):
        return None
    return sum(float(count) * _GO_UNITS[unit] for count, unit in _GO_PART.findall(text))


def is_ip(text: str) -> bool:
    """Whether a text is an IPv4 or IPv6 address, without a zone."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def is_host(text: str) -> bool:
    """Whether a text is an IP address or a DNS name."""
    if is_ip(text):
        return True
    name = text[:-1] if text.endswith(".") else text
    return len(name) <= 253 and all(_LABEL.fullmatch(label) for label in name.split("."))


def is_host_port(text: str) -> bool:
    """Whether a text is `host:port`, an IPv6 address being in square brackets."""
    try:
        host, _ = host_port(text)
    except ValueError:
        return False
    return host == HOST_IP or is_host(host)


def host_port(text: str) -> tuple[str, int]:
    """The parts of `host:port`.

    Raises:
        ValueError: it is none.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if not is_ip(host) or ":" not in host:
            raise ValueError(f"{host!r} is no IPv6 address")
    elif ":" in host:
        raise ValueError("an IPv6 address has to be in square brackets")
    if not colon or not host or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not host:port")
    return host, int(port)
