"""sprig's functions on paths and URLs."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from meshctl.gotemplate import values
from meshctl.gotemplate.errors import CallError

_PARTS = ("scheme", "host", "path", "query", "opaque", "fragment", "userinfo")
_BAD_ESCAPE = re.compile("%(?![0-9a-fA-F]{2})")
_NOT_IN_HOST = set(" \\^`{|}")
_IN_PATH = "/$&+,:;=@!'()*~"


def _clean(path: str) -> str:
    """The shortest path that means the same; Go knows no root of two slashes."""
    cleaned = posixpath.normpath(path)
    return cleaned[1:] if cleaned.startswith("//") else cleaned


def _base(path: str) -> str:
    if not path:
        return "."
    return path.rstrip("/").rpartition("/")[2] or "/"


def _dir(path: str) -> str:
    return _clean(path[: path.rfind("/") + 1])


def _ext(path: str) -> str:
    name = path.rpartition("/")[2]
    return name[name.rindex(".") :] if "." in name else ""


def _is_abs(path: str) -> bool:
    return path.startswith("/")


def _url_parse(url: str) -> dict[str, object]:
    if any(ord(each) < 32 or ord(each) == 127 for each in url):
        raise CallError("a URL has no control characters")
    if _NOT_IN_HOST & set(urlsplit(url).netloc):
        raise CallError(f"the URL {url!r} has a host with a character that no host has")
    try:
        parts = urlsplit(url)
        hostname, _ = parts.hostname, parts.port
    except ValueError as problem:
        raise CallError(f"cannot parse the URL {url!r}: {problem}") from None
    first = parts.path.partition("/")[0]
    if (
        url.startswith(":")
        or (not parts.scheme and ":" in first)
        or _BAD_ESCAPE.search(url.partition("?")[0])
    ):
        raise CallError(f"cannot parse the URL {url!r}")
    userinfo, at, host = parts.netloc.rpartition("@")
    is_opaque = bool(parts.scheme) and not parts.netloc and not parts.path.startswith("/")
    if hostname is not None:  # Python gives it in lower case
        hostname = host[1 : host.index("]")] if host.startswith("[") else host.partition(":")[0]
    return {
        "scheme": parts.scheme,
        "host": host,
        "hostname": hostname or "",
        "path": "" if is_opaque else unquote(parts.path),
        "query": parts.query,
        "opaque": parts.path if is_opaque else "",
        "fragment": unquote(parts.fragment),
        "userinfo": userinfo if at else "",
    }


def _url_join(parts: dict[str, object]) -> str:
    for name in _PARTS:
        if not isinstance(parts.get(name, ""), str):
            raise CallError(f"{name!r} must be a string, got a {values.go_type(parts[name])}")
    scheme, host, path, query, opaque, fragment, user = (str(parts.get(name, "")) for name in _PARTS)
    url = f"{scheme}:" if scheme else ""
    if opaque:
        url += opaque
    else:
        escaped = quote(path, safe=_IN_PATH)
        if scheme or host or user:
            url += f"//{user}@{host}" if user else f"//{host}" if host or path.startswith("//") else ""
            escaped = f"/{escaped}" if path and not path.startswith("/") and host else escaped
        url += escaped
    return (
        url
        + (f"?{query}" if query else "")
        + (f"#{quote(fragment, safe=_IN_PATH + '?')}" if fragment else "")
    )


FUNCTIONS: Final[dict[str, Callable[..., object]]] = {
    "base": _base,
    "clean": _clean,
    "dir": _dir,
    "ext": _ext,
    "isAbs": _is_abs,
    "osBase": _base,
    "osClean": _clean,
    "osDir": _dir,
    "osExt": _ext,
    "osIsAbs": _is_abs,
    "urlJoin": _url_join,
    "urlParse": _url_parse,
}
