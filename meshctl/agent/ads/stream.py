"""One stream of Envoy's, and the stream of istiod's that answers it.

Nothing that Envoy says may ever have to wait for istiod to listen: istiod listens only when it has got rid
of what it has to say, and that goes to Envoy. So requests are always taken, and queue here; responses are
read one at a time, as Envoy takes them, so that gRPC holds istiod back.

An istiod that comes in place of another knows nothing of what was said before, and the numbers that Envoy
answers to mean nothing to it. Envoy itself knows best how to begin anew: its stream ends with istiod's, and
with the next one it says what it has and what it wants. It keeps serving with what it has meanwhile. Its
new stream stays open while no istiod is there; what it has said is said again to each istiod that has not
answered yet.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import grpc.aio
from google.protobuf.message import DecodeError

from meshctl.agent import messages
from meshctl.agent.ads.extensions import Extensions
from meshctl.agent.ads.filtering import Filtering
from meshctl.agent.ads.state import HEALTH, LISTENERS, short

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from meshctl.agent.ads.journal import Journal
    from meshctl.agent.ads.upstream import Link, Upstream
    from meshctl.agent.ads.variants import Variant
    from meshctl.agent.identity.credentials import Credentials
    from meshctl.agent.latest import Latest

_log = logging.getLogger(__name__)

LONGEST_QUEUE: Final = 64 * 1024 * 1024
"""Bytes of requests that may wait: Envoy says little, so that an istiod that takes none of it is broken."""
PATIENCE: Final = 60.0
"""Seconds that istiod may take for its first response."""
MOST_UNANSWERED: Final = 256
"""Responses whose acceptance is awaited; of older ones nobody keeps count."""
_BREATH: Final = 256
"""Resources after which other tasks have their turn."""
_LONGEST_REASON: Final = 2000


class Stream:
    """Serves Envoy until it goes, or until istiod does."""

    def __init__(
        self,
        variant: Variant,
        upstream: Upstream,
        journal: Journal,
        identity: Latest[Credentials | None],
        *,
        own: Mapping[str, Callable[[bytes], None]],
        removable: frozenset[str],
        health: Callable[[], str | None],
    ) -> None:
        """Begin with nothing said.

        Args:
            variant: how Envoy speaks.
            upstream: makes streams to istiods.
            journal: where to say what happens.
            identity: as whom streams to istiods are made.
            own: types of resources that are the agent's, and what takes each; it raises ValueError or
                DecodeError if it cannot.
            removable: extensions that may be left out.
            health: of the application: empty when it is well, what ails it, or None when nobody knows.
        """
        self._variant = variant
        self._upstream = upstream
        self._journal = journal
        self._identity = identity
        self._own = own
        self._removable = removable
        self._health = health
        self._filtering: Filtering | None = None
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._more = asyncio.Event()
        self._said: list[bytes] = []
        self._answered = False
        self._introduced = False
        self._wanted: set[str] = set()
        self._pushed: dict[tuple[str, str], str] = {}
        self._lacking: dict[str, tuple[str, str]] = {}
        self._reported: set[str] = set()
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def serve(self, envoy: Any) -> str:
        """Go between Envoy and istiods; why it has ended, in a line.

        Args:
            envoy: with `read()` and `write(bytes)`, as of a gRPC context.
        """
        return await _first(self._hear(envoy), self._exchange(envoy), self._ending())

    def end(self, why: str) -> None:
        """Have `serve` come to its end."""
        if not self._over.done():
            self._over.set_result(why)

    def report_health(self) -> None:
        """Tell istiod how the application is, if it is the moment to."""
        error = self._health()
        if self._introduced and error is not None:
            self._send(self._variant.asking(HEALTH, error))

    async def _ending(self) -> str:
        return await asyncio.shield(self._over)

    async def _hear(self, envoy: Any) -> str:
        """Take whatever Envoy says."""
        while True:
            raw = await envoy.read()
            if raw is grpc.aio.EOF:
                return "Envoy has ended it"
            try:
                self._take(raw)
            except DecodeError:
                return "Envoy sends what is no request"
            if self._waiting_bytes > LONGEST_QUEUE:
                return f"istiod takes no requests: {self._waiting_bytes} bytes wait"

    def _take(self, raw: bytes) -> None:
        """Note what Envoy says, and have it sent.

        Raises:
            DecodeError: it is no request.
        """
        request = self._variant.request.FromString(raw)
        if request.node:
            self._filtering = Filtering(Extensions.of(request.node), self._removable)
        type_url = request.type_url
        self._wanted.add(type_url)
        if request.HasField("error_detail"):
            raw = self._refused(request)
        elif request.response_nonce:
            self._taken(type_url, request.response_nonce)
        self._send(raw)
        if type_url == LISTENERS and not self._introduced:
            self._introduced = True
            for each in self._own:
                self._send(self._variant.asking(each))
            self.report_health()

    def _taken(self, type_url: str, nonce: str) -> None:
        version = self._pushed.pop((type_url, nonce), None)
        if version is not None:  # else it wishes for something else, with an answer that was given before
            self._journal.accepted(type_url, version)

    def _refused(self, request: Any) -> bytes:
        """Note a refusal; what to send of it, with what is known about the reason."""
        type_url, detail = request.type_url, request.error_detail
        self._pushed.pop((type_url, request.response_nonce), None)
        nonce, lacking = self._lacking.get(type_url, ("", ""))
        if lacking and nonce == request.response_nonce:
            detail.message = f"{detail.message[:_LONGEST_REASON]}; meshctl-agent: {lacking}"
        self._journal.rejected(type_url, detail.message[:_LONGEST_REASON])
        _log.warning("Envoy refuses %s: %s", short(type_url), detail.message[:_LONGEST_REASON])
        return request.SerializeToString()  # type: ignore[no-any-return]

    def _send(self, raw: bytes) -> None:
        self._waiting.append(raw)
        self._waiting_bytes += len(raw)
        self._more.set()

    async def _exchange(self, envoy: Any) -> str:
        """Speak with one istiod after another until one has answered and is gone."""
        while True:
            link = await self._upstream.connect(self._variant.path)
            self._waiting.extendleft(reversed(self._said))
            self._waiting_bytes += sum(map(len, self._said))
            self._said.clear()
            self._more.set()
            try:
                why = await _first(self._tell(link), self._pass_on(link, envoy), self._renewed(link))
            finally:
                self._journal.lost()
                await link.close()
            self._upstream.ended(link, why, answered=self._answered)
            if self._answered:
                return f"istiod {link.server}: {why}"

    async def _tell(self, link: Link) -> str:
        """Say to istiod what waits to be said."""
        while True:
            while self._waiting:
                raw = self._waiting.popleft()
                self._waiting_bytes -= len(raw)
                if not self._answered:
                    self._said.append(raw)
                if not await link.write(raw):
                    return await link.why() or "it takes no requests any more"
            self._more.clear()
            await self._more.wait()

    async def _pass_on(self, link: Link, envoy: Any) -> str:
        """Give to Envoy what is Envoy's, and keep what is the agent's."""
        while True:
            raw = await self._next(link)
            if raw is None:
                return await link.why() or f"no answer within {PATIENCE:g} s"
            try:
                head = messages.ResponseHead.FromString(raw)
            except DecodeError:
                return "it sends what is no response"
            if not self._answered:
                self._answered = True
                self._said.clear()
                self._journal.answered(link.server)
                _log.info(
                    "istiod %s answers", link.server, extra={"fields": {"protocol": self._variant.name}}
                )
            if head.type_url in self._own:
                self._journal.pushed(head.type_url)
                self._keep(head, raw)
            elif head.type_url in self._wanted:
                self._journal.pushed(head.type_url)
                self._pushed[head.type_url, head.nonce] = head.version
                if len(self._pushed) > MOST_UNANSWERED:
                    del self._pushed[next(iter(self._pushed))]
                await envoy.write(await self._fitted(head, raw))
            else:
                _log.debug("istiod sends %s, which nobody wants", head.type_url)

    async def _next(self, link: Link) -> bytes | None:
        if self._answered:
            return await link.read()
        reading = asyncio.ensure_future(link.read())
        try:
            done, _ = await asyncio.wait([reading], timeout=PATIENCE)
            return reading.result() if done else None
        finally:
            reading.cancel()

    def _keep(self, head: Any, raw: bytes) -> None:
        """Take a response that is the agent's, and say so."""
        error = ""
        try:
            resources = self._variant.response.FromString(raw).resources
            if resources:
                self._own[head.type_url](self._variant.resource(resources[0]).value)
        except (DecodeError, ValueError) as refusal:
            error = f"{type(refusal).__name__}: {refusal}"[:_LONGEST_REASON]
            self._journal.rejected(head.type_url, error)
            _log.warning("cannot use %s of istiod: %s", short(head.type_url), error)
        else:
            self._journal.accepted(head.type_url, head.version)
        self._send(self._variant.answer(head.type_url, head.version, head.nonce, error))

    async def _fitted(self, head: Any, raw: bytes) -> bytes:
        """A response without what Envoy lacks and can do without; the same bytes if that is nothing."""
        filtering = self._filtering
        if filtering is None or not filtering.concerns(head.type_url):
            return raw
        try:
            response = self._variant.response.FromString(raw)
        except DecodeError:
            return raw
        filtering.begin()
        is_changed = False
        for at in range(len(response.resources) - 1, -1, -1):
            resource = self._variant.resource(response.resources[at])
            value = resource.value
            fitted = filtering.fitted(resource.type_url, value)
            if fitted is None:
                del response.resources[at]
            elif fitted is not value:
                resource.value = fitted
            is_changed |= fitted is not value
            if at % _BREATH == 0:
                await asyncio.sleep(0)
        self._note(head, filtering)
        return response.SerializeToString() if is_changed else raw

    def _note(self, head: Any, filtering: Filtering) -> None:
        """Say what was left out, once for each, and keep what was not for when Envoy refuses it."""
        self._journal.removed.update(filtering.removed)
        for name in sorted(filtering.removed.keys() - self._reported):
            self._reported.add(name)
            _log.info("Envoy lacks %s: left out of its configuration", name)
        names = ", ".join(sorted(filter(None, filtering.lacking)))
        reason = f"this Envoy lacks {names}, which is not left out as it may guard traffic" if names else ""
        self._lacking[head.type_url] = (head.nonce, reason)

    async def _renewed(self, link: Link) -> str:
        """Wait until the certificate of the connection nears its end and there is another one."""
        await self._identity.until(lambda new: new is not None and new.ends > link.credentials.ends)
        while (left := link.expires_in(time.time())) > 0:
            await asyncio.sleep(min(left, 60.0))  # in short parts, as the clock may jump
        return "the certificate was renewed"


async def _first(*parts: Coroutine[Any, Any, str]) -> str:
    """What the first part that ends gives; the others are cancelled."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    ended = [task for task in tasks if task in done]
    for task in ended[1:]:
        task.exception()  # lest asyncio complains that nobody looked at it
    return ended[0].result()
