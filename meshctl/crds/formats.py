"""Formats of text and numbers that schemas name, as the API server understands them."""

from __future__ import annotations

import re
from datetime import date
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTHS = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1), "uint32": (0, 2**32 - 1)}
"""Smallest and largest number of an integer format.

The API server does not hold numbers to `int32`; istiod does, whose types have 32 bits.
"""

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})")
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(z|[+-]\d{2}:\d{2})", re.ASCII)
_DURATION = re.compile(r"[+-]?(0|((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)", re.ASCII)
_HOST = re.compile(
    r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*", re.I | re.ASCII
)
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.I)


def fits(text: str, format: str) -> bool:
    """Whether a text has a format; it has every format that the API server does not know."""
    known = _FORMATS.get(format)
    return known is None or known(text)


def example(format: str) -> str:
    """A text of this format, for hints; empty for a format we do not check."""
    return _EXAMPLES.get(format, "")


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == len("2006-01-02")


def _is_date_time(text: str) -> bool:
    day, _, time = text.lower().partition("t")
    return _is_date(day) and bool(_TIME.fullmatch(time))


def _parses(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _is_ip(text: str, version: int) -> bool:
    return _parses(ip_address, text) and ip_address(text).version == version


_FORMATS: dict[str, Callable[[str], bool]] = {
    "byte": lambda text: bool(_BASE64.fullmatch(text)),
    "cidr": lambda text: "/" in text and _parses(lambda range: ip_network(range, strict=False), text),
    "date": _is_date,
    "date-time": _is_date_time,
    "duration": lambda text: bool(_DURATION.fullmatch(text)),
    "hostname": lambda text: len(text) <= 255 and bool(_HOST.fullmatch(text)),
    "ipv4": lambda text: _is_ip(text, 4),
    "ipv6": lambda text: _is_ip(text, 6),
    "uuid": lambda text: bool(_UUID.fullmatch(text)),
}
_EXAMPLES = {
    "byte": "aXN0aW8=",
    "cidr": "10.0.0.0/8",
    "date": "2006-01-02",
    "date-time": "2006-01-02T15:04:05Z",
    "duration": "1h30m",
    "hostname": "www.example.com",
    "ipv4": "10.0.0.1",
    "ipv6": "2001:db8::1",
    "uuid": "123e4567-e89b-12d3-a456-426614174000",
}
