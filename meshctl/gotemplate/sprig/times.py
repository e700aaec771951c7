"""sprig's durations, and its functions that need a clock, chance or the machine they run on."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from meshctl.gotemplate.errors import CallError
from meshctl.gotemplate.values import Int64

_UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_DAY = 24 * _UNITS["h"]
_ROUND = (
    ("y", 365 * _DAY),
    ("mo", 30 * _DAY),
    ("d", _DAY),
    ("h", _UNITS["h"]),
    ("m", _UNITS["m"]),
    ("s", _UNITS["s"]),
)
_ABSENT = {
    "reads the clock": (
        "ago date dateInZone dateModify date_in_zone date_modify htmlDate htmlDateInZone mustDateModify"
        " mustToDate must_date_modify now toDate unixEpoch"
    ),
    "gives another result each time": (
        "bcrypt buildCustomCert encryptAES genCA genCAWithKey genPrivateKey genSelfSignedCert"
        " genSelfSignedCertWithKey genSignedCert genSignedCertWithKey htpasswd randAlpha randAlphaNum"
        " randAscii randBytes randInt randNumeric shuffle uuidv4"
    ),
    "reads istiod's environment": "env expandenv getHostByName",
    "handles secrets": "decryptAES derivePassword",
}


def format_duration(nanoseconds: int) -> str:
    """A duration as Go prints it: `1h30m0s`, `1.5s`, `250ms`."""
    sign, left = ("-" if nanoseconds < 0 else ""), abs(nanoseconds)
    if left == 0:
        return "0s"
    if left < _UNITS["s"]:
        unit = next(name for name in ("ms", "µs", "ns") if left >= _UNITS[name])
        return f"{sign}{_decimal(left, _UNITS[unit])}{unit}"
    minutes, rest = divmod(left, _UNITS["m"])
    hours, minutes = divmod(minutes, 60)
    front = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{front}{_decimal(rest, _UNITS['s'])}s"


def _decimal(amount: int, unit: int) -> str:
    whole, rest = divmod(amount, unit)
    digits = str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


def parse_duration(text: str) -> int | None:
    """Go's notation of a duration, such as `-1h1.5s`, in nanoseconds; None if it is none."""
    body = text[1:] if text[:1] in ("-", "+") else text
    total = 0
    position = 0
    for part in _PART.finditer(body):
        if part.start() != position:
            return None
        whole, _, fraction = part[1].partition(".")
        unit = _UNITS[part[2]]
        total += int(whole or 0) * unit + int(fraction or 0) * unit // 10 ** len(fraction)
        position = part.end()
    if position != len(body) or (not body) or total >= 1 << 63:
        return 0 if body == "0" else None
    return -total if text.startswith("-") else total


def _duration(seconds: object) -> str:
    """Of a string or an int64; sprig takes any other number for 0."""
    is_number = isinstance(seconds, str) and re.fullmatch(r"[-+]?\d+", seconds, re.ASCII)
    number = int(str(seconds)) if is_number or isinstance(seconds, Int64) else 0
    return format_duration(number * _UNITS["s"])


def _duration_round(value: object) -> str:
    """The largest unit, cut off."""
    nanoseconds = 0
    if isinstance(value, str):
        nanoseconds = parse_duration(value) or 0
    elif isinstance(value, Int64):
        nanoseconds = int(value)
    size = abs(nanoseconds)
    return next((f"{size // unit}{name}" for name, unit in _ROUND if size > unit), "0s")


def _absent(name: str, why: str) -> Callable[..., object]:
    def refuse(*arguments: object) -> object:
        raise CallError(
            f"{name} {why}, so it cannot be evaluated outside istiod",
            "let istiod inject, or write the value into the template",
        )

    return refuse


FUNCTIONS: Final[dict[str, Callable[..., object]]] = {
    "duration": _duration,
    "durationRound": _duration_round,
    **{name: _absent(name, why) for why, names in _ABSENT.items() for name in names.split()},
}
