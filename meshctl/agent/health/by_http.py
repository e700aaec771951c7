"""Health by the status of an answer to a GET."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

from meshctl.agent.health.settings import SOURCES, HttpGet
from meshctl.agent.http import Headers, HttpError, Tcp, exchange, value

if TYPE_CHECKING:
    from meshctl.agent.http import Reply

USER_AGENT: Final = "istio-probe/1.0"
"""As applications know Istio's probes."""

_MOST_CALLS: Final = 10
"""Of one probe that is sent from one place to the next."""
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_SECRET: Final = ("authorization", "cookie", "cookie2", "www-authenticate")
"""Headers that are not for another host."""
_ODD: Final = re.compile(r"[^\x21-\x7e]")
_PORTS: Final = {"http": 80, "https": 443}


async def failure(check: HttpGet, host: str, timeout: float) -> str:
    """Why it is not healthy; empty when it is.

    Raises:
        OSError, TimeoutError, HttpError: there is no answer.
    """
    to = Tcp(check.host or host, check.port, tls=check.tls, sources=SOURCES)
    named = any(name.lower() == "user-agent" for name, _ in check.headers)
    headers = check.headers if named else (*check.headers, ("User-Agent", USER_AGENT))
    status, _ = await get(to, check.path, headers, timeout=timeout, elsewhere=True)
    return "" if 200 <= status < 400 else f"the status is {status}, not one from 200 to 399"


async def get(
    to: Tcp, path: str, headers: Headers, *, timeout: float, elsewhere: bool, most: int = 0
) -> tuple[int, bytes]:
    """Status and body of what answers in the end, after redirects.

    Args:
        to: whom to ask first.
        path: what to ask, with its query; characters that URLs do not have are escaped.
        headers: sent to each.
        timeout: seconds for all of it.
        elsewhere: follow redirects to other hosts, too; else such a redirect is the answer.
        most: bytes of the body that are wanted.

    Raises:
        OSError, TimeoutError: as a call does.
        HttpError: as a call does; and there are too many redirects, or one leads nowhere.
    """
    ends = time.monotonic() + timeout
    path = target(path)
    for _ in range(_MOST_CALLS):
        async with exchange(to, "GET", path, timeout=ends - time.monotonic(), headers=headers) as reply:
            further = onward(reply.status, reply.headers, to, path)
            if further is None or (further[0].host != to.host and not elsewhere):
                return reply.status, await _beginning(reply, most)
        headers = _carried(headers, to, further[0], value(reply.headers, "location"))
        to, path = further
    raise HttpError(f"stopped after {_MOST_CALLS} redirects")


def target(path: str) -> str:
    """What a request asks for, of a path and query as people write them."""
    path = path.partition("#")[0]
    path = path if path.startswith("/") else f"/{path}"
    return _ODD.sub(lambda odd: "".join(f"%{byte:02X}" for byte in odd[0].encode(errors="replace")), path)


def onward(status: int, headers: Headers, to: Tcp, path: str) -> tuple[Tcp, str] | None:
    """Where an answer sends its client, or None when it is not sent on.

    Raises:
        HttpError: to what is no HTTP server.
    """
    location = value(headers, "location")
    if status not in _REDIRECTS or not location:
        return None
    scheme = "https" if to.tls else "http"
    try:
        url = urlsplit(urljoin(f"{scheme}://{to}{path}", location))
        host, port = url.hostname, url.port
    except ValueError as odd:
        raise HttpError("a redirect to what is no URL") from odd
    if url.scheme not in _PORTS or not host or port == 0:
        raise HttpError("a redirect to what is no HTTP server")
    further = Tcp(host, port or _PORTS[url.scheme], tls=url.scheme == "https", sources=to.sources)
    return further, target(url.path + (f"?{url.query}" if url.query else ""))


def _carried(headers: Headers, before: Tcp, after: Tcp, location: str) -> Headers:
    """Headers for the next call: none that are for the one before only."""
    left_out = set() if location.startswith(("/", "?")) and not location.startswith("//") else {"host"}
    if after.host != before.host and not after.host.endswith(f".{before.host}"):
        left_out.update(_SECRET)
    return tuple((name, said) for name, said in headers if name.lower() not in left_out)


async def _beginning(reply: Reply, most: int) -> bytes:
    body = b""
    if most:
        async for piece in reply.pieces():
            body += piece
            if len(body) >= most:
                break
    return body[:most]
