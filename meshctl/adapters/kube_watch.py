"""Watching a kind: list, then follow, and list again when the server has forgotten."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from meshctl.adapters.kube_errors import Reply, refusal
from meshctl.adapters.kube_http import expect, parsed
from meshctl.errors import UnreachableError
from meshctl.model.objects import Object

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from meshctl.adapters.kube_http import Http
    from meshctl.ports import Clock

Change = tuple[str, Object]

_SILENCE = 150.0  # bookmarks come about once a minute, so this long without a byte is a dead connection
_PAUSE = 0.1  # between streams, should a server close each at once
_LONGEST_PAUSE = 2.0  # between streams that it refuses to open
_HEALS = frozenset({404, 409, 410, 429})
"""Refusals after which listing says more: no longer served, too old a version, too busy."""


class KubeWatch:
    """Changes of one collection; see `ports.Watch`. One thread iterates, any thread closes."""

    def __init__(
        self,
        http: Http,
        clock: Clock,
        path: str | None,
        kind: tuple[str, str],
        selector: Sequence[tuple[str, str]],
        seconds: float,
    ) -> None:
        self._http = http
        self._clock = clock
        self._path = path
        self._kind = kind
        self._selector = selector
        self._until = clock.monotonic() + seconds
        self._known: dict[tuple[str, str], Object] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._response: Any = None
        self._pause = _PAUSE

    def __iter__(self) -> Iterator[Change]:
        """Changes until closed or out of time; nothing when the kind is not served."""
        if self._path is None:
            return
        while not self._is_over():
            version, changes = self._list(self._path)
            yield from changes
            while version and not self._is_over():
                version = yield from self._follow(self._path, version)
                if not self._is_over():
                    self._clock.sleep(self._pause)

    def close(self) -> None:
        """Stop watching."""
        with self._lock:
            self._closed = True
            response, self._response = self._response, None
        if response is not None:
            _interrupt(response)

    def _is_over(self) -> bool:
        return self._closed or self._clock.monotonic() >= self._until

    def _list(self, path: str) -> tuple[str, list[Change]]:
        """The collection's version, and how it differs from what was told before."""
        reply = self._http.call("GET", path, query=self._selector)
        if reply.code == 404:
            reply = Reply(200, {"metadata": {}})  # the kind is no longer served: all of it is gone
            self._path = None
            self._closed = True
        body = expect(reply, f"watch {self._kind[1]}", self._http.caller)
        now = {_key(item): self._object(item) for item in body.get("items") or ()}
        changes = [("DELETED", self._known[key]) for key in self._known if key not in now]
        for key, obj in now.items():
            before = self._known.get(key)
            if before is None:
                changes.append(("ADDED", obj))
            elif before.at("metadata.resourceVersion") != obj.at("metadata.resourceVersion"):
                changes.append(("MODIFIED", obj))
        self._known = now
        return body["metadata"].get("resourceVersion", ""), changes

    def _follow(self, path: str, version: str) -> Generator[Change, None, str]:
        """Follow from `version`; gives the version to go on from, or an empty one to list again."""
        left = max(1, int(self._until - self._clock.monotonic()))
        query = [*self._selector, ("watch", "1"), ("resourceVersion", version)]
        query += [("allowWatchBookmarks", "true"), ("timeoutSeconds", str(left))]
        try:
            response = self._http.stream(path, query, silence=_SILENCE)
        except UnreachableError:
            return ""  # listing again has the patience that a restarting server needs
        with self._lock:
            if self._closed:
                response.close()
                return version
            self._response = response
        try:
            if 400 <= response.status < 500 and response.status not in _HEALS:
                raise refusal(
                    Reply(response.status, parsed(response.read())),
                    f"watch {self._kind[1]}",
                    self._http.caller,
                )
            if response.status >= 400:
                self._pause = min(2 * self._pause, _LONGEST_PAUSE)
                return ""
            self._pause = _PAUSE
            for line in _lines(response):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return ""
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    yield self._seen(event["type"], self._object(event["object"]))
        except (OSError, ValueError, AttributeError, LookupError, TypeError, _http_error()):
            pass  # a broken or interrupted stream: go on from the last version seen
        finally:
            with self._lock:
                self._response = None
            response.close()
        return version

    def _seen(self, kind: str, obj: Object) -> Change:
        key = (obj.ref.namespace, obj.ref.name)
        if kind == "DELETED":
            self._known.pop(key, None)
        else:
            self._known[key] = obj
        return kind, obj

    def _object(self, item: dict[str, Any]) -> Object:
        return Object({**item, "apiVersion": self._kind[0], "kind": self._kind[1]})


def _key(item: dict[str, Any]) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]


def _lines(response: Any) -> Iterator[bytes]:
    rest = b""
    for chunk in response.stream(amt=None):
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line for line in whole if line)


def _interrupt(response: Any) -> None:
    """Wake the thread that reads `response`."""
    try:
        response.shutdown()
    except (OSError, ValueError, AttributeError):
        response.close()  # already at its end


def _http_error() -> type[Exception]:
    from urllib3.exceptions import HTTPError

    return HTTPError
