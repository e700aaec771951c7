"""Gives Envoy its keys, certificates and roots, and new ones as soon as there are.

    default              the workload's key and certificates
    ROOTCA               the roots that others' certificates must lead to
    file-cert:CHAIN~KEY  a pair of files on this host, named by the mesh's configuration
    file-root:ROOTS      a file of roots; `file-root:system` is the host's own

Envoy asks by StreamSecrets, on a Unix socket. A secret that is not there yet is answered when it is; Envoy
waits, and has what it was given before. Source: Envoy's API, service.secret.v3.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

import grpc
from google.protobuf.message import DecodeError

from meshctl.agent import sockets
from meshctl.agent.identity.files import Files, Pair, is_file
from meshctl.agent.messages import DiscoveryRequest, DiscoveryResponse, Secret

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from meshctl.agent.identity.apart import Keys
    from meshctl.agent.identity.credentials import Credentials
    from meshctl.agent.latest import Latest

_log = logging.getLogger(__name__)

WORKLOAD: Final = "default"
ROOTS: Final = "ROOTCA"
TYPE: Final = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"

_METHOD: Final = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets"
_MOST: Final = 1000
"""Names that one stream may ask for."""
_LONGEST: Final = 500
"""Characters of Envoy's complaints that are kept."""


class _Subscriber:
    """One stream of Envoy's.

    Attributes:
        names: of the secrets that it asks for.
        sent: by name, what it was given last.
        last: names in the last answer.
        news: set when there may be something to give.
        ended: whether Envoy asks no more.
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.sent: dict[str, bytes] = {}
        self.last: tuple[str, ...] = ()
        self.version = 0
        self.news = asyncio.Event()
        self.ended = False


class Sds:
    """The secrets, on a socket of their own.

    Attributes:
        rejected: by name of a secret, what Envoy has against the last one it was given.
        pushes: answers that were given.
    """

    def __init__(
        self, credentials: Latest[Credentials | None], keys: Keys, socket: Path, *, look: float = 2.0
    ) -> None:
        """Put it together; nothing listens before `run`.

        Args:
            credentials: the workload's.
            keys: to check what files hold.
            socket: where Envoy asks.
            look: seconds between two looks at files.
        """
        self.rejected: dict[str, str] = {}
        self.pushes = 0
        self._credentials = credentials
        self._files = Files(keys)
        self._socket = socket
        self._look = look
        self._secrets: dict[str, bytes] = {}
        self._subscribers: set[_Subscriber] = set()
        self._asked = asyncio.Event()

    async def run(self) -> None:
        """Answer until this is cancelled."""
        server = await sockets.served(self._socket, [self.handlers()])
        tasks = [asyncio.ensure_future(each) for each in (self._follow(), self._watch())]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await server.stop(None)

    def handlers(self) -> grpc.GenericRpcHandler:
        """What gRPC needs to answer."""
        return _Handlers(grpc.stream_stream_rpc_method_handler(self._stream))

    def data(self) -> dict[str, Any]:
        """As plain data, for `status`."""
        asked = {name for each in self._subscribers for name in each.names}
        return {
            "streams": len(self._subscribers),
            "pushes": self.pushes,
            "secrets": sorted(asked & self._secrets.keys()),
            "missing": {name: self._why_not(name) for name in sorted(asked - self._secrets.keys())},
            "rejected": dict(sorted(self.rejected.items())),
            "stale": {name: why for name, why in sorted(self._files.errors.items()) if name in self._secrets},
        }

    def _why_not(self, name: str) -> str:
        if name in (WORKLOAD, ROOTS):
            return "there is no certificate yet"
        return self._files.errors.get(name) or ("it was not read yet" if is_file(name) else "no such secret")

    # What there is

    async def _follow(self) -> None:
        async for credentials in self._credentials.changes():
            if credentials:
                self._put(WORKLOAD, Pair(credentials.key, credentials.chain))
                self._put(ROOTS, credentials.roots)

    async def _watch(self) -> None:
        """Look at the files that are asked for: at once when they are new, and then from time to time."""
        while True:
            self._asked.clear()
            wanted = {name for each in self._subscribers for name in each.names if is_file(name)}
            self._files.forget(wanted)
            for name in [name for name in self._secrets if is_file(name) and name not in wanted]:
                del self._secrets[name]
            for name in sorted(wanted):
                known = self._files.errors.get(name)
                if await self._files.look(name):
                    self._put(name, self._files.held[name])
                elif (error := self._files.errors.get(name)) and error != known:
                    _log.warning("secret %s: %s", name, error)
            timer = asyncio.get_running_loop().call_later(self._look, self._asked.set) if wanted else None
            try:
                await self._asked.wait()
            finally:
                if timer:
                    timer.cancel()

    def _put(self, name: str, held: Pair | bytes) -> None:
        secret = Secret(name=name)
        if isinstance(held, Pair):
            secret.tls_certificate.certificate_chain.inline_bytes = held.chain
            secret.tls_certificate.private_key.inline_bytes = held.key
        else:
            secret.validation_context.trusted_ca.inline_bytes = held
        serialized = secret.SerializeToString()
        if serialized == self._secrets.get(name):
            return
        self._secrets[name] = serialized
        for subscriber in self._subscribers:
            if name in subscriber.names:
                subscriber.news.set()

    # One stream

    async def _stream(self, requests: AsyncIterator[bytes], context: Any) -> None:
        subscriber = _Subscriber()
        self._subscribers.add(subscriber)
        reading = asyncio.ensure_future(self._read(requests, subscriber))
        try:
            while not subscriber.ended:
                subscriber.news.clear()
                if answer := self._answer(subscriber):
                    await context.write(answer)
                await subscriber.news.wait()
            await reading
        except DecodeError:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "this is no DiscoveryRequest")
        finally:
            reading.cancel()
            self._subscribers.discard(subscriber)
            self._asked.set()

    async def _read(self, requests: AsyncIterator[bytes], subscriber: _Subscriber) -> None:
        try:
            async for raw in requests:
                self._hear(subscriber, DiscoveryRequest.FromString(raw))
        finally:
            subscriber.ended = True
            subscriber.news.set()

    def _hear(self, subscriber: _Subscriber, request: Any) -> None:
        """Take over what a request asks for, and what it says of the last answer."""
        names = tuple(dict.fromkeys(request.resource_names[:_MOST]))
        if request.response_nonce and request.response_nonce == str(subscriber.version):
            self._judged(subscriber.last, request.error_detail.message[:_LONGEST])
        if names == subscriber.names:
            return
        for name in set(subscriber.names) - set(names):
            subscriber.sent.pop(name, None)
        for name in set(names) - set(subscriber.names):
            if name not in (WORKLOAD, ROOTS) and not is_file(name):
                _log.warning("Envoy asks for a secret that nobody knows: %.200s", name)
        subscriber.names = names
        subscriber.news.set()
        self._asked.set()

    def _judged(self, names: tuple[str, ...], complaint: str) -> None:
        for name in names:
            if complaint:
                self.rejected[name] = complaint
                _log.error("Envoy rejects secret %s: %s", name, complaint)
            else:
                self.rejected.pop(name, None)

    def _answer(self, subscriber: _Subscriber) -> bytes:
        """What it asks for and does not have yet; empty when there is nothing."""
        due = [
            (name, secret)
            for name in subscriber.names
            if (secret := self._secrets.get(name)) and secret != subscriber.sent.get(name)
        ]
        if not due:
            return b""
        subscriber.version += 1
        subscriber.last = tuple(name for name, _ in due)
        subscriber.sent.update(due)
        self.pushes += 1
        number = str(subscriber.version)
        response = DiscoveryResponse(version_info=number, nonce=number, type_url=TYPE)
        for _, secret in due:
            response.resources.add(type_url=TYPE, value=secret)
        return bytes(response.SerializeToString())


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc] # gRPC has no types
    """Knows one method; gRPC answers all others with UNIMPLEMENTED."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def service(self, details: Any) -> Any:
        """The method's handler; None for one that is not ours."""
        return self._stream if details.method == _METHOD else None
