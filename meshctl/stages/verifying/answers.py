"""Reads what clients are told: who was called by whom, and why a call or a connection failed."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from meshctl.errors import listed
from meshctl.stages.verifying.envoys import CLIENT_HEADER, FLAGS_HEADER, PORT, SERVER_HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.model.verification import Call

_ELEMENT: Final = re.compile(r'(?P<key>[A-Za-z]+)=(?P<value>"(?:\\.|[^"\\])*"|[^;,]*)(?P<end>[;,]|$)')
_FAILED_CONNECTION: Final = "UF"
_UNHEALTHY: Final = "UH"
_WORDS: Final = 160


def answered(
    call: Call, status: int, headers: Mapping[str, str], body: str, path: tuple[str, ...] = ()
) -> Call:
    """A call with what came of it.

    Args:
        call: who calls whom.
        status: HTTP's.
        headers: of the answer, names in lower case.
        body: of the answer.
        path: addresses at which the caller's proxy would reach the server.
    """
    by = headers.get(SERVER_HEADER, "")
    if status == 200 and by:
        called, caller = identities(headers.get(CLIENT_HEADER, ""))
        return replace(call, caller=caller, called=called, answered_by=by, fault="", path=path)
    return replace(call, fault=_fault(status, headers, body, path), answered_by="", path=path)


def identities(header: str) -> tuple[str, str]:
    """`(whom the call was for, who made it)` in an `x-forwarded-client-cert`; its last hop is what counts.

    Source: envoyproxy.io, HTTP connection manager, "x-forwarded-client-cert".
    """
    called = caller = ""
    for found in _ELEMENT.finditer(header):
        value = found["value"].strip('"')
        key = found["key"].lower()
        if key == "by":
            called = value
        elif key == "uri":
            caller = value
        if found["end"] == ",":
            called = caller = ""
    return called, caller


def door_fault(status: int, headers: Mapping[str, str], body: str) -> str:
    """Why a connection to a gateway was not opened; empty when it was.

    What speaks TLS ends a connection on which plain HTTP is sent: then it is there.
    """
    flags = headers.get(FLAGS_HEADER, "").split(",")
    if _UNHEALTHY in flags:
        return "its name is not resolved"
    if _FAILED_CONNECTION not in flags:
        return ""
    return "no answer" if "timeout" in body else "it refuses connections"


def endpoints(clusters: str, service: str) -> tuple[str, ...]:
    """Addresses at which a proxy reaches a Service, as its admin interface tells them, sorted.

    Args:
        clusters: JSON that `/clusters?format=json` gives.
        service: its name and namespace, `server.shop`.
    """
    begins = f"outbound|{PORT}||{service}."
    found = set()
    try:
        for each in json.loads(clusters).get("cluster_statuses", ()):
            if not each.get("name", "").startswith(begins):
                continue
            for host in each.get("host_statuses", ()):
                place = host.get("address", {}).get("socket_address", {})
                if place:
                    found.add(f"{place['address']}:{place.get('port_value', '')}")
    except (ValueError, AttributeError, KeyError, TypeError):
        return ()
    return tuple(sorted(found))


def _fault(status: int, headers: Mapping[str, str], body: str, path: tuple[str, ...]) -> str:
    """Why a call has no answer, in a few words."""
    via = f" at {listed(path)}" if path else ""
    if "CERTIFICATE_VERIFY_FAILED" in body:
        return f"its certificate{via} is not trusted: another root, or not the identity that is expected"
    if "ALERT" in body:
        return f"it does not trust the caller's certificate{via}: {_short(body)}"
    if "TLS" in body or "SSL" in body:
        return f"no TLS with it{via}: {_short(body)}"
    if status == 403:
        return f"it is denied: {_short(body)}; see AuthorizationPolicies"
    if headers.get(FLAGS_HEADER) == _UNHEALTHY:
        return "its name is not resolved: the DNS of the caller's cluster has no answer"
    if "no healthy upstream" in body:
        return f"no endpoint of it answers{via}" if path else "the caller's proxy knows no endpoint of it"
    if status == 504 or "timeout" in body:
        return f"no answer in time{via}"
    if status == 503:
        return f"no connection{via}: {_short(body)}"
    return f"HTTP {status}{via}: {_short(body)}".rstrip(": ")


def _short(body: str) -> str:
    """What a proxy says, without the words that each of its answers begins with."""
    plain = " ".join(body.split()).rpartition("reset reason: ")[2]
    return plain if len(plain) <= _WORDS else f"{plain[:_WORDS]}…"
