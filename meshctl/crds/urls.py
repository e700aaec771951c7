"""Addresses as Kubernetes' CEL functions read them: what Go takes as the URI of a request."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_USER = re.compile(r"[A-Za-z0-9\-._:~!$&'()*+,;=%@]*")
_HOST = re.compile(r"(\[[^\]@/]*\]|[^\x00-\x20\"#%<>/?@\[\\\]^`{|}:]*)(:\d*)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def is_url(text: str) -> bool:
    """Whether a text is an absolute address, or a path that begins with a slash."""
    try:
        scheme(text)
    except ValueError:
        return False
    return True


def scheme(text: str) -> str:
    """The scheme in lower case; empty for a path.

    Raises:
        ValueError: the text is no address.
    """
    if not text or _CONTROL.search(text) or text.startswith(":"):
        raise ValueError(f"{text!r} is no address")
    if text == "*":
        return ""
    found = _SCHEME.fullmatch(text)
    name, rest = (found[1].lower(), found[2]) if found else ("", text)
    rest = rest.partition("?")[0]
    if not rest.startswith("/"):
        if name:
            return name  # `mailto:me`: what follows is nobody's business
        raise ValueError(f"{text!r} is no absolute address")
    path = rest
    if rest.startswith("//") and (name or not rest.startswith("///")):
        authority, slash, below = rest[2:].partition("/")
        user, _, host = authority.rpartition("@")
        if not (_USER.fullmatch(user) and _HOST.fullmatch(host)):
            raise ValueError(f"{authority!r} is no host")
        path = slash + below
    if _BAD_ESCAPE.search(path):
        raise ValueError(f"{path!r} has a % that escapes nothing")
    return name
