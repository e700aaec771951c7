"""Port-forward over a websocket: a loopback listener whose connections lead to a pod's port."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from meshctl.adapters.kube_errors import Reply, refusal
from meshctl.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.adapters.kube_http import Http

_CHUNK = 65536
_FAREWELL_SECONDS = 1.0


@contextmanager
def forward(http: Http, namespace: str, pod: str, port: int) -> Iterator[tuple[str, int]]:
    """A loopback address that leads to `port` of a pod; each connection is a stream of its own.

    The first stream is opened at once, so that a pod that cannot be reached is told here.

    Raises:
        UnreachableError: the API server cannot reach the pod, or there is none.
        AccessError: we may not forward ports there.
    """
    first = _open(http, namespace, pod, port)
    listener = socket.create_server(("127.0.0.1", 0))
    tunnels = _Tunnels(http, namespace, pod, port, first)
    acceptor = threading.Thread(target=tunnels.accept, args=(listener,), name=f"forward {pod}", daemon=True)
    acceptor.start()
    try:
        yield listener.getsockname()[:2]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        listener.close()
        acceptor.join()
        tunnels.close()


class _Tunnels:
    """Connections of one forward, each copied by a thread of its own."""

    def __init__(self, http: Http, namespace: str, pod: str, port: int, first: Any) -> None:
        self._target = (http, namespace, pod, port)
        self._ready = [first]
        self._ends: list[Any] = []
        self._lock = threading.Lock()

    def accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def close(self) -> None:
        with self._lock:
            ends, self._ends = self._ends, []
            unused, self._ready = self._ready, []
        for end in ends:
            _shut(end)  # ends its thread's copying
        for end in unused:
            _finish(end)

    def _serve(self, near: socket.socket) -> None:
        with near:
            try:
                with self._lock:
                    far = self._ready.pop() if self._ready else None
                far = far or _open(*self._target)
            except Exception:  # noqa: BLE001 - the caller sees its connection closed, as with a dead pod
                return
            with self._lock:
                self._ends.append(near)
            try:
                _copy(near, far)
            finally:
                _finish(far)
                with self._lock:
                    self._ends = [end for end in self._ends if end is not near]


def _open(http: Http, namespace: str, pod: str, port: int) -> Any:
    """A socket-like end of a new stream to the pod."""
    from kubernetes.client.exceptions import ApiException
    from kubernetes.stream.ws_client import portforward_call

    url = http.url(f"/api/v1/namespaces/{namespace}/pods/{pod}/portforward")
    query = [("ports", str(port))]
    headers = {key.lower(): value for key, value in http.authorization().items()}
    try:
        call: Any = portforward_call
        return call(http.configuration, "GET", url, headers=headers, query_params=query).socket(port)
    except ApiException as error:
        doing = f"forward port {port} of Pod {namespace}/{pod}"
        words = str(error.reason)
        for code in (401, 403):
            if f"status {code}" in words:
                raise refusal(Reply(code, words), doing, http.caller) from error
        raise UnreachableError(
            "pod-unreachable",
            f"it is not possible to {doing}",
            hint="is the pod running, and does the API server reach its node?",
            details=(words,),
        ) from error


def _copy(near: Any, far: Any) -> None:
    """Copy both ways until either side ends."""
    with selectors.DefaultSelector() as selector:
        selector.register(near.fileno(), selectors.EVENT_READ, (near, far))
        selector.register(far.fileno(), selectors.EVENT_READ, (far, near))
        while True:
            for key, _ in selector.select():
                source, target = key.data
                try:
                    data = source.recv(_CHUNK)
                    if not data:
                        return
                    target.sendall(data)
                except OSError:
                    return


def _finish(far: Any) -> None:
    """Close the end of a stream after the other side has.

    The client library copies between it and the websocket in a thread of its own, which dies with a
    traceback on stderr when its side breaks while data is on the way (ws_client.PortForward._proxy).
    """
    with contextlib.suppress(OSError):
        far.settimeout(_FAREWELL_SECONDS)
        far.shutdown(socket.SHUT_WR)
        while far.recv(_CHUNK):
            pass
    _shut(far)


def _shut(end: Any) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        end.close()
