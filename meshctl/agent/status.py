"""How the agent is: what it says at its socket, orders that it takes there, and how a person reads it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent.http import Answer, HttpError, Request, Server, Unix, fetch
from meshctl.errors import AccessError, ConfigError, FailedError, MeshctlError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping
    from pathlib import Path

    Order = Callable[[Mapping[str, str]], Awaitable[str]]
    """Takes what is ordered, by name, and says what was done."""

_PATIENCE: Final = 10.0


class Door:
    """The socket where those may ask, and give orders, who may open it."""

    def __init__(
        self, socket: Path, document: Callable[[], Awaitable[dict[str, Any]]], orders: Mapping[str, Order]
    ) -> None:
        """Make it, closed.

        Args:
            socket: where it is.
            document: what `GET /status` answers.
            orders: by name; `POST /<name>` gives one, with a JSON object of texts.
        """
        self._socket = socket
        self._document = document
        self._orders = orders

    async def run(self) -> None:
        """Keep it open until this is cancelled."""
        server = Server(self._answer)
        await server.listen_unix(self._socket, 0o660)
        try:
            await asyncio.Event().wait()
        finally:
            await server.close()

    async def _answer(self, request: Request) -> Answer:
        name = request.path.removeprefix("/")
        if request.method == "GET" and name == "status":
            body = json.dumps(await self._document())
            return Answer(body=body.encode(), content_type="application/json")
        if request.method != "POST" or name not in self._orders:
            return Answer(404, b"there is no such order\n")
        try:
            said = await self._orders[name](_what(request.body))
        except MeshctlError as error:
            hint = f"; {error.hint}" if error.hint else ""
            return Answer(400, f"{error.message}{hint}".encode())
        return Answer(body=said.encode())


def _what(body: bytes) -> dict[str, str]:
    try:
        said = json.loads(body or b"{}")
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        said = None
    if not isinstance(said, dict) or not all(isinstance(value, str) for value in said.values()):
        raise ConfigError("no-order", "an order comes with a JSON object of texts")
    return said


async def ask(socket: Path) -> dict[str, Any]:
    """What a running agent says of itself.

    Raises:
        UnreachableError: there is none.
        AccessError: its socket is not for this user.
    """
    found: dict[str, Any] = json.loads(await _call(socket, "GET", "/status"))
    return found


async def order(socket: Path, name: str, what: Mapping[str, str]) -> str:
    """Give a running agent an order; what it says that it did.

    Raises:
        FailedError: it refuses.
        UnreachableError: there is none.
        AccessError: its socket is not for this user.
    """
    return await _call(socket, "POST", f"/{name}", json.dumps(what).encode())


async def _call(socket: Path, method: str, path: str, body: bytes = b"") -> str:
    try:
        answer = await fetch(Unix(socket), method, path, body=body, timeout=_PATIENCE)
    except PermissionError as error:
        hint = "run it as root, or as a member of the group meshctl-agent"
        raise AccessError("not-allowed", f"{socket} is not for this user", hint=hint) from error
    except (OSError, HttpError) as error:
        hint = "systemctl status meshctl-agent; journalctl -u meshctl-agent"
        raise UnreachableError("no-agent", f"no agent answers at {socket}: {error}", hint=hint) from error
    said = answer.body.decode(errors="replace")
    if answer.status != 200:
        raise FailedError("order-refused", said.strip() or f"the agent answered {answer.status}")
    return said


def shown(document: Mapping[str, Any], now: float) -> str:
    """A status as a person reads it, one line a part; times are from `now` in seconds since 1970."""
    head = "ready" if document["ready"] else f"not ready: {document['cause']}"
    lines = [f"{name:<13}{text}" for name, text in _lines(document, now)]
    return "\n".join([head, *(f"  {line}" for line in lines)])


def _lines(document: Mapping[str, Any], now: float) -> Iterator[tuple[str, str]]:
    workload, versions = document["workload"], document["versions"]
    yield "workload", f"{workload['name']}.{workload['namespace']} at {', '.join(workload['addresses'])}"
    yield "versions", ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    yield "running", f"for {_span(now - document['since'])}"
    yield "certificate", _certificate(document["identity"], now)
    yield from _configuration(document["configuration"], now)
    for name in ("envoy", "dns", "health"):
        if found := document.get(name):
            yield name, ", ".join(f"{key} {_plain(value)}" for key, value in found.items() if value != "")
    for part in document["parts"]:
        if part["failures"]:
            yield part["name"], f"{part['state']}, {part['failures']} failures, the last: {part['error']}"


def _certificate(identity: Mapping[str, Any], now: float) -> str:
    trouble = f"; {identity['error']}" if identity["error"] else ""
    if not identity["ends"]:
        return f"none yet{trouble}"
    left = identity["ends"] - now
    life = f"for another {_span(left)}" if left > 0 else f"expired {_span(-left)} ago"
    names = ", ".join(identity["names"])
    return f"{names}, {life}, renewed {identity['renewals']} times{trouble}"


def _configuration(state: Mapping[str, Any], now: float) -> Iterator[tuple[str, str]]:
    trouble = f"; {state['error']}" if state["error"] else ""
    if state["server"]:
        yield "istiod", f"{state['server']} for {_span(now - state['since'])}, {state['protocol']}{trouble}"
    else:
        yield "istiod", f"not connected{trouble}"
    for name, kind in state["types"].items():
        rejected = f", {kind['rejected']} REJECTED: {kind['error']}" if kind["rejected"] else ""
        yield name, f"{kind['pushes']} pushes, {kind['accepted']} accepted{rejected}"
    for name, count in state["removed"].items():
        yield "left out", f"{name}, {count} times: Envoy does not have it"


def _plain(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | list) else str(value)


def _span(seconds: float) -> str:
    """A length of time as people say it: `45 s`, `12 min`, `7 h`, `3 days`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172800 else f"{seconds / 86400:.0f} days"
