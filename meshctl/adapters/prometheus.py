"""Instant queries to a server that speaks Prometheus' HTTP API."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from meshctl.errors import AccessError, ConfigError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Mapping

AUTHORIZATION: Final = "MESHCTL_PROMETHEUS_AUTHORIZATION"
"""Environment variable with the value of the `Authorization` header, such as `Bearer …`; a flag would show
it to everybody on the machine, and the record of an upgrade to everybody who reads it."""


def require_address(server: str) -> None:
    """Refuse what is no address of a server.

    Raises:
        ConfigError: it is not `http://…` or `https://…`, or it holds credentials.
    """
    try:
        parts = urlsplit(server)
        credentials, host = parts.username is not None, parts.hostname
    except ValueError:
        credentials, host = False, None
    if credentials:
        raise ConfigError(
            "credentials-in-address",
            "the address of Prometheus holds credentials, which would be recorded with the upgrade",
            hint=f"put the value of an Authorization header into {AUTHORIZATION}",
        )
    if not host or parts.scheme not in ("http", "https"):
        raise ConfigError(
            "bad-address",
            f"{server!r} is not the address of a server",
            hint="write it as http://prometheus.example:9090",
        )


def ask(server: str, query: str, *, seconds: float = 10.0) -> tuple[float, ...]:
    """The values that an instant query gives, in the order of the answer; none where there is no data.

    Args:
        server: its address, with a path where it has one.
        query: in PromQL.
        seconds: how long the answer may take.

    Raises:
        ConfigError: the address is none, the server does not take the query, or it gives no numbers.
        AccessError: the server wants other credentials.
        UnreachableError: no answer, or none that can be used at the moment.
    """
    from urllib3 import PoolManager, Timeout
    from urllib3.exceptions import HTTPError

    require_address(server)
    token = os.environ.get(AUTHORIZATION, "")  # noqa: TID251 - see AUTHORIZATION
    headers = {"Authorization": token} if token else {}
    with PoolManager(headers=headers, retries=False, timeout=Timeout(seconds)) as pool:
        try:
            answer = pool.request_encode_body(
                "POST",
                f"{server.rstrip('/')}/api/v1/query",
                fields={"query": query},
                headers=headers,
                encode_multipart=False,
            )
        except HTTPError as fault:
            raise UnreachableError(
                "prometheus-silent", f"Prometheus at {server} does not answer", details=(str(fault),)
            ) from fault
    return _values(server, answer.status, _parsed(answer.data))


def _values(server: str, status: int, body: Mapping[str, Any]) -> tuple[float, ...]:
    words = (str(body["error"]),) if body.get("error") else ()
    if status in (401, 403):
        hint = f"put the value of an Authorization header into {AUTHORIZATION}"
        raise AccessError(
            "prometheus-refuses", f"Prometheus at {server} does not let us ask", hint=hint, details=words
        )
    if status in (400, 422):
        raise ConfigError("query-refused", f"Prometheus at {server} does not take the query", details=words)
    if status != 200 or body.get("status") != "success":
        raise UnreachableError(
            "prometheus-failed", f"Prometheus at {server} answered {status}", details=words
        )
    data = body.get("data") or {}
    match data.get("resultType"):
        case "vector":
            return tuple(float(each["value"][1]) for each in data.get("result", ()) if "value" in each)
        case "scalar":
            return (float(data["result"][1]),)
        case other:
            raise ConfigError(
                "query-without-numbers", f"the query gives a {other}, and no numbers of one moment"
            )


def _parsed(data: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(data)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
