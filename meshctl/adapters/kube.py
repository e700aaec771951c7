"""Kubernetes clusters through the `kubernetes` package, with plain JSON bodies; see `ports.Cluster`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshctl.adapters.clock import SystemClock
from meshctl.adapters.kube_catalogue import Catalogue
from meshctl.adapters.kube_config import load_access
from meshctl.adapters.kube_discovery import path_of
from meshctl.adapters.kube_errors import refusal
from meshctl.adapters.kube_forward import forward
from meshctl.adapters.kube_http import Http, expect
from meshctl.adapters.kube_watch import KubeWatch
from meshctl.errors import FailedError
from meshctl.model.objects import Object, Ref
from meshctl.ports import MANAGER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from meshctl.adapters.kube_errors import Reply
    from meshctl.model.objects import Kind
    from meshctl.ports import Clock, Watch

_AT_ONCE = 12
_PAGE = "500"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


def connect(
    kubeconfig: str | None = None,
    context: str | None = None,
    name: str = "",
    *,
    clock: Clock | None = None,
) -> KubeCluster:
    """A cluster by its kubeconfig context; sends nothing yet.

    Args:
        kubeconfig: a file, or several joined as in KUBECONFIG; None: as kubectl would find it.
        context: a context in it; None: the current one.
        name: name of the cluster within the mesh; empty: the context's.
        clock: for pauses between tries.

    Raises:
        ConfigError: no such file or context, or the entry is not usable.
        AccessError: the credential plugin failed.
    """
    clock = clock or SystemClock()
    access = load_access(kubeconfig, context)
    return KubeCluster(name or access.caller.context, Http(access, clock), clock)


class KubeCluster:
    """One cluster behind an API server; see `ports.Cluster` for what each method promises."""

    def __init__(self, name: str, http: Http, clock: Clock) -> None:
        self._name = name
        self._http = http
        self._clock = clock
        self._catalogue = Catalogue(http, clock)

    @property
    def name(self) -> str:
        """Name of the cluster within the mesh."""
        return self._name

    @property
    def server(self) -> str:
        """Address of the API server."""
        return self._http.server

    @property
    def at_once(self) -> int:
        """Requests under way at once; more cost more in TLS handshakes than they save."""
        return _AT_ONCE

    @property
    def authority(self) -> bytes | None:
        """Certificates that the API server's own is verified by."""
        configuration = self._http.configuration
        if not configuration.verify_ssl:
            return None
        file = configuration.ssl_ca_cert
        return Path(file).read_bytes() if file else b""

    def close(self) -> None:
        """Close idle connections."""
        self._http.close()

    def version(self) -> str:
        """The API server's version."""
        return str(self._ask("GET", "/version", "read the version")["gitVersion"])

    def kinds(self) -> tuple[Kind, ...]:
        """Every kind served, at its preferred version."""
        return self._catalogue.kinds()

    def get(self, ref: Ref) -> Object | None:
        """The object, or None."""
        kind = self._catalogue.find(ref.api_version, ref.kind)
        if kind is None:
            return None
        reply = self._http.call("GET", path_of(kind, ref.namespace, ref.name))
        return None if reply.code == 404 else Object(expect(reply, f"read {ref}", self._http.caller))

    def list(
        self, api_version: str, kind: str, *, namespace: str = "", labels: str = "", fields: str = ""
    ) -> tuple[Object, ...]:
        """Objects of a kind in one namespace or in all."""
        known = self._catalogue.find(api_version, kind)
        if known is None:
            return ()
        query = [("labelSelector", labels)] * bool(labels) + [("fieldSelector", fields)] * bool(fields)
        items = self._items(known, namespace, query)
        return tuple(Object({**item, "apiVersion": api_version, "kind": kind}) for item in items)

    def names(self, kind: Kind, *, labels: str = "") -> tuple[Ref, ...]:
        """Names of all objects of a kind."""
        query = [("labelSelector", labels)] * bool(labels)
        items = self._items(kind, "", query, accept=_METADATA)
        metas = [item["metadata"] for item in items]
        return tuple(
            Ref(kind.api_version, kind.kind, each.get("namespace", ""), each["name"]) for each in metas
        )

    def apply(self, obj: Object, *, take_over: bool = False, dry_run: bool = False) -> Object:
        """Server-side apply as field manager `meshctl`."""
        ref = obj.ref
        query = [("fieldManager", MANAGER), ("force", "true" if take_over else "false")]
        query += [("dryRun", "All")] * dry_run
        path = path_of(self._catalogue.require(ref), ref.namespace, ref.name)
        reply = self._http.call(
            "PATCH", path, query=query, body=obj.content, content="application/apply-patch+yaml"
        )
        return Object(expect(reply, f"apply {ref}", self._http.caller))

    def patch(self, ref: Ref, patch: Mapping[str, Any]) -> Object | None:
        """JSON merge patch."""
        kind = self._catalogue.find(ref.api_version, ref.kind)
        if kind is None:
            return None
        path = path_of(kind, ref.namespace, ref.name)
        reply = self._http.call(
            "PATCH",
            path,
            query=[("fieldManager", MANAGER)],
            body=patch,
            content="application/merge-patch+json",
        )
        return None if reply.code == 404 else Object(expect(reply, f"change {ref}", self._http.caller))

    def create(self, obj: Object, *, manager: str = MANAGER, dry_run: bool = False) -> Object:
        """Create."""
        path = path_of(self._catalogue.require(obj.ref), obj.ref.namespace)
        query = [("fieldManager", manager)] + [("dryRun", "All")] * dry_run
        return Object(self._ask("POST", path, f"create {obj.ref}", query=query, body=obj.content))

    def replace(self, obj: Object, *, manager: str = MANAGER, dry_run: bool = False) -> Object:
        """Update with the resourceVersion in `obj`."""
        path = path_of(self._catalogue.require(obj.ref), obj.ref.namespace, obj.ref.name)
        query = [("fieldManager", manager)] + [("dryRun", "All")] * dry_run
        return Object(self._ask("PUT", path, f"replace {obj.ref}", query=query, body=obj.content))

    def delete(self, ref: Ref, *, foreground: bool = False, grace: int | None = None) -> bool:
        """Ask for removal."""
        kind = self._catalogue.find(ref.api_version, ref.kind)
        if kind is None:
            return False
        options: dict[str, Any] = {"propagationPolicy": "Foreground" if foreground else "Background"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        path = path_of(kind, ref.namespace, ref.name)
        reply = self._http.call("DELETE", path, body=options)
        if reply.code == 404:
            return False
        expect(reply, f"delete {ref}", self._http.caller)
        return True

    def evict(self, ref: Ref, *, uid: str = "") -> bool:
        """Ask that a pod ends, as its disruption budgets allow."""
        body: dict[str, Any] = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": ref.name, "namespace": ref.namespace},
        }
        if uid:
            body["deleteOptions"] = {"preconditions": {"uid": uid}}
        path = f"/api/v1/namespaces/{ref.namespace}/pods/{ref.name}/eviction"
        # A second eviction of the very same pod finds nothing to do, so that it may be tried again.
        reply = self._http.call("POST", path, body=body, asks=bool(uid))
        if reply.code == 404 or (reply.code == 409 and uid and self._is_another(ref, uid)):
            return False
        if reply.is_over_budget:
            raise FailedError(
                "budget-exhausted",
                f"a disruption budget does not let {ref} end now",
                hint="see `kubectl get poddisruptionbudgets` of its namespace",
                details=tuple(str(cause.get("message", "")) for cause in reply.causes),
            )
        expect(reply, f"evict {ref}", self._http.caller)
        return True

    def _is_another(self, ref: Ref, uid: str) -> bool:
        """Whether the object of this name is not, or not any more, the one with this UID."""
        there = self.get(ref)
        return there is None or there.uid != uid

    def watch(
        self, api_version: str, kind: str, *, namespace: str = "", name: str = "", seconds: float = 300.0
    ) -> Watch:
        """Watch a kind, beginning with what exists."""
        known = self._catalogue.find(api_version, kind)
        path = None if known is None else path_of(known, namespace)
        selector = [("fieldSelector", f"metadata.name={name}")] if name else []
        return KubeWatch(self._http, self._clock, path, (api_version, kind), selector, seconds)

    def token(
        self,
        namespace: str,
        account: str,
        *,
        audiences: Sequence[str] = (),
        seconds: int,
        bound: Object | None = None,
    ) -> str:
        """A token of a service account."""
        spec: dict[str, Any] = {"audiences": [*audiences], "expirationSeconds": seconds}
        if bound is not None:
            ref = bound.ref
            to = {"apiVersion": ref.api_version, "kind": ref.kind, "name": ref.name, "uid": bound.uid}
            spec["boundObjectRef"] = to
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        doing = f"ask for a token of ServiceAccount {namespace}/{account}"
        return str(self._ask("POST", path, doing, body=body, asks=True)["status"]["token"])

    def allowed(self, verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
        """Whether we may do `verb` on `resource`."""
        whole, _, part = resource.partition("/")
        attributes = {"verb": verb, "group": group, "resource": whole, "subresource": part}
        attributes |= {"namespace": namespace, "name": name}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        review = self._ask("POST", path, "ask for our own rights", body=body, asks=True)
        return bool(review["status"].get("allowed"))

    def logs(self, namespace: str, pod: str, container: str, *, lines: int = 20) -> str:
        """The last lines a container wrote; of its earlier run when this one wrote nothing yet."""
        path = f"/api/v1/namespaces/{namespace}/pods/{pod}/log"
        query = [("container", container), ("tailLines", str(lines))]
        for previous in ("false", "true"):
            reply = self._http.call("GET", path, query=[*query, ("previous", previous)], accept="*/*")
            if reply.code < 400 and reply.body:
                return _text(reply)
            if reply.code in (401, 403):
                raise refusal(reply, f"read the log of Pod {namespace}/{pod}", self._http.caller)
        return ""

    def forward(self, namespace: str, pod: str, port: int) -> AbstractContextManager[tuple[str, int]]:
        """A loopback `(host, port)` that leads to a pod's port while the context is open."""
        return forward(self._http, namespace, pod, port)

    def _ask(self, method: str, path: str, doing: str, **parts: Any) -> Any:
        return expect(self._http.call(method, path, **parts), doing, self._http.caller)

    def _items(
        self, kind: Kind, namespace: str, query: Sequence[tuple[str, str]], **parts: Any
    ) -> Sequence[dict[str, Any]]:
        """All pages of a collection; none when the kind is not served any more."""
        path = path_of(kind, namespace)
        items: tuple[dict[str, Any], ...] = ()
        after = ""
        while True:
            page = [*query, ("limit", _PAGE)] + [("continue", after)] * bool(after)
            reply = self._http.call("GET", path, query=page, **parts)
            if reply.code == 404 or (reply.code == 405 and not items):
                return items
            if reply.code == 410:  # the list grew too old between pages: begin again
                items, after = (), ""
                continue
            body = expect(reply, f"list {kind.plural}", self._http.caller)
            items = (*items, *(body.get("items") or ()))
            after = (body.get("metadata") or {}).get("continue", "")
            if not after:
                return items


def _text(reply: Reply) -> str:
    if isinstance(reply.body, str):
        return reply.body
    import json

    return json.dumps(reply.body)  # a log whose only line is JSON was parsed on the way
