"""Envoy's configuration, from istiod by way of the agent."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

import grpc

from meshctl.agent import messages, sockets
from meshctl.agent.ads.extensions import removable
from meshctl.agent.ads.journal import Journal
from meshctl.agent.ads.state import NAMES, PROXY_CONFIG
from meshctl.agent.ads.stream import Stream
from meshctl.agent.ads.upstream import Upstream
from meshctl.agent.ads.variants import SERVICE, VARIANTS
from meshctl.agent.latest import Latest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from meshctl.agent.ads.settings import AdsSettings
    from meshctl.agent.ads.state import AdsState
    from meshctl.agent.ads.variants import Variant
    from meshctl.agent.identity.credentials import Credentials

_log = logging.getLogger(__name__)

_OPTIONS: Final = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


class Ads:
    """Serves Envoy's discovery from istiod's, and takes out of it what is the agent's.

    Attributes:
        names: the mesh's table of names, a serialized `NameTable`; kept while no istiod is there.
        proxy_config: a serialized `ProxyConfig`, in which istiod sends the mesh's roots.
    """

    def __init__(
        self,
        settings: AdsSettings,
        identity: Latest[Credentials | None],
        *,
        socket: Path,
        trust: Callable[[Sequence[bytes]], object] = lambda _: None,
    ) -> None:
        """Begin with nothing.

        Args:
            settings: which istiods to ask, and how.
            identity: as whom.
            socket: where `run` awaits Envoy.
            trust: is told the roots, PEM, that istiod says the mesh trusts.

        Raises:
            ConfigError: the settings allow to leave out what guards traffic.
        """
        self.names: Latest[bytes | None] = Latest(None)
        self.proxy_config: Latest[bytes | None] = Latest(None)
        self._identity = identity
        self._socket = socket
        self._trust = trust
        self._removable = removable(settings.removable)
        self._journal = Journal()
        self._upstream = Upstream(settings, identity)
        self._own: dict[str, Callable[[bytes], None]] = {}
        if settings.names:
            self._own[NAMES] = self._take_names
        if settings.trust:
            self._own[PROXY_CONFIG] = self._take_proxy_config
        self._health: str | None = None
        self._stream: Stream | None = None

    @property
    def state(self) -> AdsState:
        """How it stands at this moment."""
        waits = "" if self._identity.value else "no certificate yet"
        return self._journal.state(waits or self._upstream.error)

    @property
    def connected(self) -> Latest[bool]:
        """Whether an istiod answers."""
        return self._journal.connected

    async def run(self) -> None:
        """Serve Envoy at the socket until cancelled.

        Raises:
            FailedError: the socket cannot be made.
        """
        server = await sockets.served(self._socket, self.handlers(), _OPTIONS)
        try:
            await server.wait_for_termination()
        finally:
            self._end_stream("the agent ends")
            await server.stop(None)

    def handlers(self) -> tuple[Any, ...]:
        """What a gRPC server needs to serve this."""
        methods = {each.method: self._method(each) for each in VARIANTS}
        return (grpc.method_handlers_generic_handler(SERVICE, methods),)

    async def report_health(self, healthy: bool, message: str = "") -> None:
        """Tell istiod how the application is: now, and each time it comes back.

        Args:
            healthy: whether it can serve.
            message: why it cannot.
        """
        self._health = "" if healthy else message or "unhealthy"
        if self._stream:
            self._stream.report_health()

    def _method(self, variant: Variant) -> Any:
        async def serve(_: Any, context: Any) -> None:
            await self._serve(variant, context)

        return grpc.stream_stream_rpc_method_handler(serve)

    async def _serve(self, variant: Variant, context: Any) -> None:
        """One stream of Envoy's; a newer one ends it, as Envoy needs one only."""
        self._end_stream("Envoy has begun another")
        stream = self._stream = Stream(
            variant,
            self._upstream,
            self._journal,
            self._identity,
            own=self._own,
            removable=self._removable,
            health=lambda: self._health,
        )
        self._journal.envoy(variant.name)
        why = "the agent failed"
        try:
            why = await stream.serve(context)
        except asyncio.CancelledError:
            why = "Envoy has gone"
            raise
        except Exception:  # noqa: BLE001 - Envoy begins another, and the agent goes on
            _log.exception("a stream of Envoy's failed")
        finally:
            if self._stream is stream:
                self._stream = None
                self._journal.envoy("")
            _log.info("Envoy's stream has ended: %s", why)
        context.set_code(grpc.StatusCode.UNAVAILABLE)
        context.set_details(why)

    def _end_stream(self, why: str) -> None:
        if self._stream:
            self._stream.end(why)

    def _take_names(self, raw: bytes) -> None:
        messages.NameTable.FromString(raw)  # lest a table that nobody can read takes the place of a good one
        self.names.set(raw)

    def _take_proxy_config(self, raw: bytes) -> None:
        roots = messages.ProxyConfig.FromString(raw).ca_certificates_pem
        self._trust([each.encode() for each in roots])
        self.proxy_config.set(raw)
