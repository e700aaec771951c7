"""HTTP/1.1 over TCP and Unix sockets, as much of it as the agent needs: a client and a server.

    fetch(to, method, path, …)       one call, the whole answer in memory
    exchange(to, method, path, …)    one call, the answer's body piece by piece
    connect(to)                      a connection, and nothing said yet
    Server(handle)                   listens, and gives each Request to a coroutine that gives an Answer

Every length and every wait has a limit. What is not HTTP is an `HttpError`, what cannot be reached an
`OSError`, what takes too long a `TimeoutError`; nothing else comes out of here. Source: RFC 9110, RFC 9112.
"""

from meshctl.agent.http.client import Reply, Response, Tcp, Unix, connect, exchange, fetch, linked
from meshctl.agent.http.server import Answer, Request, Server
from meshctl.agent.http.wire import PIECE, Headers, HttpError, Limits, value, within

__all__ = [
    "PIECE",
    "Answer",
    "Headers",
    "HttpError",
    "Limits",
    "Reply",
    "Request",
    "Response",
    "Server",
    "Tcp",
    "Unix",
    "connect",
    "exchange",
    "fetch",
    "linked",
    "value",
    "within",
]
