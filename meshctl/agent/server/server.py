"""The agent's server for probes, metrics and orders."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent.health import by_http
from meshctl.agent.health.probes import failure
from meshctl.agent.health.settings import SOURCES, HealthSettings, HttpGet
from meshctl.agent.http import Answer, HttpError, Limits, Request, Server, Tcp, value
from meshctl.agent.messages import NameTable
from meshctl.agent.server.families import CONTENT_TYPE
from meshctl.errors import FailedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from meshctl.agent.http import Headers
    from meshctl.agent.latest import Latest
    from meshctl.agent.server.metrics import Metrics
    from meshctl.agent.server.ready import Ready
    from meshctl.agent.server.settings import ServerSettings

_LOG: Final = logging.getLogger(__name__)
_FROM_ELSEWHERE: Final = frozenset({"origin", "forwarded", "x-forwarded-for", "x-forwarded-proto"})
"""Headers of what a browser or a proxy passes on: it comes by the loopback, and is not of this host's own."""
_NOT_FORWARDED: Final = frozenset({"accept-encoding", "expect", "proxy-connection", "te", "trailer"})
_LIMITS: Final = Limits(line=8 * 1024, headers=64, body=64 * 1024)
_MOST_OF_A_PROBE: Final = 10 * 1024
"""Bytes of an application's answer to a probe that are passed on."""


class StatusServer:
    """Answers on the status port, 15020."""

    def __init__(
        self,
        settings: ServerSettings,
        *,
        ready: Ready,
        metrics: Metrics,
        names: Latest[bytes | None],
        drain: Callable[[], None],
        end: Callable[[], None],
        relay: Path,
    ) -> None:
        """Make it; it listens nowhere yet.

        Args:
            settings: where it listens.
            ready: whether the proxy is.
            metrics: of this host.
            names: istiod's NameTable, for debugging.
            drain: has the proxy drain.
            end: has the agent end, without draining.
            relay: path that names of Unix sockets may begin with, for probes by gRPC.
        """
        self._settings = settings
        self._ready = ready
        self._metrics = metrics
        self._names = names
        self._relay = relay
        self._probes = dict(settings.probes)
        self._was_ready: bool | None = None
        self._pages: dict[str, Callable[[Request], Awaitable[Answer]]] = {
            "/healthz/ready": self._readiness,
            "/metrics": self._all_metrics,
            "/stats/prometheus": self._all_metrics,
            "/debug/ndsz": self._name_table,
        }
        self._orders: dict[str, Callable[[], None]] = {"/drain": drain, "/quitquitquit": end}

    async def run(self) -> None:
        """Answer until cancelled.

        Raises:
            FailedError: the port is taken, or the address is not this host's.
        """
        server = Server(self.answer, limits=_LIMITS)
        try:
            await server.listen(self._settings.address, self._settings.port)
        except OSError as error:
            place = Tcp(self._settings.address, self._settings.port)
            raise FailedError("port-taken", f"{place} cannot be listened on: {error.strerror}") from error
        try:
            await asyncio.Event().wait()
        finally:
            await server.close()

    async def answer(self, request: Request) -> Answer:
        """The answer to one request."""
        if request.path in self._orders:
            return self._ordered(request)
        if request.path.startswith(("/app-health/", "/app-lifecycle/")):
            return await self._probed(request)
        page = self._pages.get(request.path)
        if page is None:
            return Answer(404, b"there is no such page\n")
        if request.method not in ("GET", "HEAD"):
            return Answer(405, b"ask with GET\n", headers=(("Allow", "GET, HEAD"),))
        return await page(request)

    async def _readiness(self, _: Request) -> Answer:
        reason = await self._ready.why_not()
        if self._was_ready is not (not reason):
            self._was_ready = not reason
            _LOG.info(
                "the proxy is ready" if not reason else "the proxy is not ready: %s", *filter(None, [reason])
            )
        return Answer(503, f"{reason}\n".encode()) if reason else Answer()

    async def _all_metrics(self, request: Request) -> Answer:
        return Answer(body=self._metrics.pieces(request), content_type=CONTENT_TYPE)

    async def _name_table(self, request: Request) -> Answer:
        if not request.local:
            return _FORBIDDEN
        names = self._names.value
        if names is None:
            return Answer(404, b"{}", content_type="application/json")
        table = NameTable.FromString(names).table
        body = json.dumps({"table": {host: _name_info(table[host]) for host in sorted(table)}})
        return Answer(body=body.encode(), content_type="application/json")

    def _ordered(self, request: Request) -> Answer:
        if not request.local or any(name.lower() in _FROM_ELSEWHERE for name, _ in request.headers):
            return _FORBIDDEN
        if request.method != "POST":
            return Answer(405, b"order with POST\n", headers=(("Allow", "POST"),))
        _LOG.info("%s is ordered", request.path)
        asyncio.get_running_loop().call_soon(self._orders[request.path])  # once this is answered
        return Answer(body=b"OK")

    async def _probed(self, request: Request) -> Answer:
        """Probe an application as the kubelet has asked for it, who cannot reach it past the proxy."""
        probe = self._probes.get(request.path)
        if probe is None or probe.check is None:
            return Answer(400, b"there is no such probe\n")
        if isinstance(probe.check, HttpGet):
            return await self._probed_by_http(request, probe, probe.check)
        reason = await failure(probe.check, probe.host, probe.timeout, self._relay)
        return Answer(500, f"{reason}\n".encode()) if reason else Answer()

    async def _probed_by_http(self, request: Request, probe: HealthSettings, check: HttpGet) -> Answer:
        to = Tcp(probe.host, check.port, tls=check.tls, sources=SOURCES)
        headers = _as_asked(request.headers, self._settings.port, check.port)
        try:
            status, body = await by_http.get(
                to, check.path, headers, timeout=probe.timeout, elsewhere=False, most=_MOST_OF_A_PROBE
            )
        except (OSError, HttpError) as error:
            return Answer(500, f"{error}\n".encode())
        return Answer() if 300 <= status < 400 else Answer(status, body)


_FORBIDDEN: Final = Answer(403, b"only this host itself may ask for it\n")


def _as_asked(headers: Headers, own: int, port: int) -> Headers:
    """The headers for an application, of a request to us; a Host of our port gets the application's."""
    host = value(headers, "host")
    if host.endswith(f":{own}"):
        host = f"{host.removesuffix(str(own))}{port}"
    kept = tuple((name, said) for name, said in headers if name.lower() not in _NOT_FORWARDED)
    return (("Host", host), *((name, said) for name, said in kept if name.lower() != "host"))


def _name_info(info: Any) -> dict[str, Any]:
    """As protobuf's JSON has it: without what is not set."""
    said = {
        "ips": list(info.ips),
        "registry": info.registry,
        "shortname": info.shortname,
        "namespace": info.namespace,
        "altHosts": list(info.alt_hosts),
    }
    return {name: each for name, each in said.items() if each}
