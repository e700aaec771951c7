"""When a workload is healthy, as its WorkloadGroup says it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from meshctl.errors import ConfigError, Where, listed, nearest

SOURCES: Final = ("127.0.0.6", "::6")
"""Where probes come from, as far as the host has it: traffic capture lets that pass, and nothing else of the
agent's user, to this host's own addresses. Source: Istio's rules for inbound passthrough."""
LARGEST: Final = 2**31 - 1
"""The largest number of seconds, or of times, that Istio's API has."""

_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HIDDEN: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")
_HOST: Final = re.compile(r"[\x21-\x7e]{0,253}")

Place = tuple["str | int", ...]
"""The way to a value: keys and indices."""


@dataclass(frozen=True)
class HttpGet:
    """Healthy is who answers a GET with a status from 200 to 399, after redirects.

    Attributes:
        port: where it is asked.
        path: with its query.
        host: empty is the workload's own.
        tls: whether it is asked by HTTPS; the certificate is not checked.
        headers: sent as well; `Host` in place of the address.
    """

    port: int
    path: str = "/"
    host: str = ""
    tls: bool = False
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class TcpSocket:
    """Healthy is who takes a connection; an empty host is the workload's own."""

    port: int
    host: str = ""


@dataclass(frozen=True)
class Exec:
    """Healthy is a host where a command ends with 0."""

    command: tuple[str, ...]


@dataclass(frozen=True)
class Grpc:
    """Healthy is who answers `grpc.health.v1.Health/Check` with SERVING."""

    port: int
    service: str = ""


Check = HttpGet | TcpSocket | Exec | Grpc


@dataclass(frozen=True)
class HealthSettings:
    """What is probed, and how often.

    Attributes:
        check: what is asked; none, and nothing is reported.
        host: that is asked where the check names none; `localhost` is both loopbacks.
        delay: seconds from the start to the first probe.
        timeout: seconds until a probe has failed.
        period: seconds from one probe to the next.
        successes: how many in a row make an unhealthy workload healthy.
        failures: how many in a row make a healthy workload unhealthy.
    """

    check: Check | None = None
    host: str = "localhost"
    delay: float = 0.0
    timeout: float = 1.0
    period: float = 10.0
    successes: int = 1
    failures: int = 1


def in_proxy_config(*path: str | int) -> Where:
    """The place of a part of the probe, where nothing better is known."""
    return Where("proxy.json", path=".".join(["proxyConfig", "readinessProbe", *map(str, path)]))


def health_settings(
    probe: Any, *, host: str = "localhost", where: Callable[..., Where] = in_proxy_config
) -> HealthSettings:
    """Settings from a `readinessProbe` of a ProxyConfig, which is the probe of a WorkloadGroup.

    Args:
        probe: as JSON has it; None when there is none.
        host: that is asked where the probe names none.
        where: the place of a part of the probe, by keys and indices.

    Raises:
        ConfigError: it is no such probe.

    Source:
        Istio's networking/v1alpha3 ReadinessProbe; a number that is 0 is one that is not set.
    """
    if probe is None:
        return HealthSettings(host=host)
    read = _Reader(where)
    fields = read.fields(probe, (), (*_TIMINGS, *_CHECKS))
    asked = [name for name in _CHECKS if name in fields]
    if len(asked) != 1:
        raise read.error((), f"a probe has one of {listed(_CHECKS)}, not {' and '.join(asked) or 'none'}")
    return HealthSettings(
        check=_CHECKS[asked[0]](read, fields[asked[0]], (asked[0],)),
        host=host,
        delay=float(read.number(fields, "initialDelaySeconds", ())),
        timeout=float(read.number(fields, "timeoutSeconds", ()) or 1),
        period=float(read.number(fields, "periodSeconds", ()) or 10),
        successes=read.number(fields, "successThreshold", ()) or 1,
        failures=read.number(fields, "failureThreshold", ()) or 1,
    )


_TIMINGS: Final = (
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
)


class _Reader:
    """Values of a probe; what is wrong is said with its place."""

    def __init__(self, where: Callable[..., Where]) -> None:
        self._where = where

    def error(self, place: Place, message: str, hint: str = "") -> ConfigError:
        return ConfigError("probe-invalid", message, where=self._where(*place), hint=hint)

    def fields(self, said: Any, place: Place, known: tuple[str, ...]) -> dict[str, Any]:
        """An object's fields by their names in camelCase; those that are null are left out."""
        if not isinstance(said, Mapping):
            raise self.error(place, "there has to be an object")
        fields: dict[str, Any] = {}
        for name, part in said.items():
            head, *rest = str(name).split("_")  # protobuf's JSON has names both ways
            camel = head + "".join(word.title() for word in rest)
            if camel not in known:
                near = nearest(camel, known)
                hint = f"did you mean {near!r}?" if near else f"known are {listed(known)}"
                raise self.error((*place, name), f"there is no field {name!r}", hint)
            if part is not None:
                fields[camel] = part
        return fields

    def number(self, fields: Mapping[str, Any], name: str, place: Place) -> int:
        """A whole number, 0 when it is not set; protobuf's JSON may have it as a string."""
        said = fields.get(name, 0)
        if isinstance(said, str) and said.isascii() and said.isdigit() and len(said) < 20:
            said = int(said)
        if isinstance(said, float) and said.is_integer():
            said = int(said)
        if isinstance(said, bool) or not isinstance(said, int) or not 0 <= said <= LARGEST:
            raise self.error((*place, name), f"there has to be a whole number from 0 to {LARGEST}")
        return said

    def port(self, fields: Mapping[str, Any], place: Place) -> int:
        port = self.number(fields, "port", place)
        if not 1 <= port <= 65535:
            raise self.error((*place, "port"), f"{port} is no port", "ports are from 1 to 65535")
        return port

    def text(self, fields: Mapping[str, Any], name: str, place: Place) -> str:
        said = fields.get(name, "")
        if not isinstance(said, str) or "\0" in said:
            raise self.error((*place, name), "there has to be a string")
        return said

    def host(self, fields: Mapping[str, Any], place: Place) -> str:
        host = self.text(fields, "host", place).removeprefix("[").removesuffix("]")
        if not _HOST.fullmatch(host):
            raise self.error((*place, "host"), "this is no name or address of a host")
        return host

    def items(self, fields: Mapping[str, Any], name: str, place: Place) -> list[Any]:
        said = fields.get(name, [])
        if not isinstance(said, list):
            raise self.error((*place, name), "there has to be an array")
        return said


def _http_get(read: _Reader, said: Any, place: Place) -> Check:
    fields = read.fields(said, place, ("path", "port", "host", "scheme", "httpHeaders"))
    scheme = read.text(fields, "scheme", place).lower()
    if scheme not in ("", "http", "https"):
        raise read.error((*place, "scheme"), "the scheme is neither HTTP nor HTTPS")
    headers = read.items(fields, "httpHeaders", place)
    return HttpGet(
        port=read.port(fields, place),
        path=read.text(fields, "path", place) or "/",
        host=read.host(fields, place),
        tls=scheme == "https",
        headers=tuple(_header(read, each, (*place, "httpHeaders", at)) for at, each in enumerate(headers)),
    )


def _header(read: _Reader, said: Any, place: Place) -> tuple[str, str]:
    fields = read.fields(said, place, ("name", "value"))
    name, text = read.text(fields, "name", place), read.text(fields, "value", place)
    if not _HEADER.fullmatch(name):
        raise read.error((*place, "name"), f"{name!r} is no name of a header")
    if _HIDDEN.search(text):
        raise read.error((*place, "value"), "a header cannot have all of these characters")
    return name, text


def _tcp_socket(read: _Reader, said: Any, place: Place) -> Check:
    fields = read.fields(said, place, ("host", "port"))
    return TcpSocket(port=read.port(fields, place), host=read.host(fields, place))


def _exec(read: _Reader, said: Any, place: Place) -> Check:
    command = read.items(read.fields(said, place, ("command",)), "command", place)
    if not all(isinstance(word, str) and "\0" not in word for word in command) or not (
        command and command[0]
    ):
        raise read.error((*place, "command"), "a command is an array of strings, its program first")
    return Exec(tuple(command))


def _grpc(read: _Reader, said: Any, place: Place) -> Check:
    fields = read.fields(said, place, ("port", "service"))
    return Grpc(port=read.port(fields, place), service=read.text(fields, "service", place))


_CHECKS: Final[dict[str, Callable[[_Reader, Any, Place], Check]]] = {
    "httpGet": _http_get,
    "tcpSocket": _tcp_socket,
    "exec": _exec,
    "grpc": _grpc,
}
