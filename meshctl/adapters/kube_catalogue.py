"""The kinds of one API server, asked for once and again when an unknown one is wanted."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from meshctl.adapters.kube_discovery import AGGREGATED, kinds_in, kinds_in_list, preferred
from meshctl.adapters.kube_http import JSON, expect
from meshctl.errors import FailedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.adapters.kube_http import Http
    from meshctl.model.objects import Kind, Ref
    from meshctl.ports import Clock

_FRESH = 1.0  # seconds during which an unknown kind is not asked for again
_NEW_KIND = 10.0  # seconds by which discovery may lag behind an established CRD
_PAUSE = 0.05  # asking anew takes the API server a few milliseconds
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Catalogue:
    """Kinds served by one API server; safe for several threads."""

    def __init__(self, http: Http, clock: Clock) -> None:
        self._http = http
        self._clock = clock
        self._lock = threading.Lock()
        self._preferred: tuple[Kind, ...] = ()
        self._by_name: dict[tuple[str, str], Kind] = {}
        self._asked: float | None = None

    def kinds(self) -> tuple[Kind, ...]:
        """Every kind, at its preferred version."""
        with self._lock:
            if self._asked is None:
                self._ask()
            return self._preferred

    def find(self, api_version: str, kind: str) -> Kind | None:
        """A kind at any version served; None when there is none."""
        with self._lock:
            now = self._clock.monotonic()
            if (api_version, kind) not in self._by_name and (
                self._asked is None or now > self._asked + _FRESH
            ):
                self._ask()
            return self._by_name.get((api_version, kind))

    def require(self, ref: Ref) -> Kind:
        """The kind of `ref`, awaited for some seconds when its definition is new.

        Raises:
            FailedError: the cluster does not know it.
        """
        give_up = self._clock.monotonic() + _NEW_KIND
        while (kind := self.find(ref.api_version, ref.kind)) is None:
            if self._clock.monotonic() >= give_up or not self._is_defined(ref):
                raise FailedError(
                    "not-found",
                    f"the cluster does not know {ref.kind} of {ref.api_version}",
                    hint="is its CustomResourceDefinition there, at this version?",
                )
            self._clock.sleep(_PAUSE)
            with self._lock:
                self._ask()
        return kind

    def _is_defined(self, ref: Ref) -> bool:
        body = expect(self._http.call("GET", _DEFINITIONS), "list definitions", self._http.caller)
        specs = [each["spec"] for each in body["items"]]
        return any(each["group"] == ref.group and each["names"]["kind"] == ref.kind for each in specs)

    def _ask(self) -> None:
        found = [kind for root in ("/api", "/apis") for kind in self._below(root)]
        self._preferred = preferred(found)
        self._by_name = {}
        for kind in found:
            self._by_name.setdefault((kind.api_version, kind.kind), kind)
        self._asked = self._clock.monotonic()

    def _below(self, root: str) -> Iterator[Kind]:
        reply = self._http.call("GET", root, accept=f"{AGGREGATED},{JSON}")
        document = expect(reply, "read which kinds there are", self._http.caller)
        if document.get("kind") == "APIGroupDiscoveryList":
            yield from kinds_in(document)
            return
        for version in _versions(document):  # a server older than 1.27, or one in between that hides it
            answer = self._http.call("GET", f"{root}/{version}")
            if answer.code < 400:  # a group whose server is away is left out
                yield from kinds_in_list(version, answer.body)


def _versions(document: Mapping[str, Any]) -> Iterator[str]:
    """Versions in the older discovery documents, preferred ones first within their group."""
    yield from document.get("versions") or ()
    for group in document.get("groups") or ():
        first = group["preferredVersion"]["groupVersion"]
        yield first
        yield from (each["groupVersion"] for each in group["versions"] if each["groupVersion"] != first)
