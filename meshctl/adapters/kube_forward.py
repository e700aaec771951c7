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
_BINARY, _CLOSE = 2, 8  # opcodes of RFC 6455, section 5.2
_DATA, _ERROR = b"\x00", b"\x01"  # channels of the one port that a stream is for


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

    def __init__(self, http: Http, namespace: str, pod: str, port: int, first: _Stream) -> None:
        self._target = (http, namespace, pod, port)
        self._ready = [first]
        self._ends: list[socket.socket] = []
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
        for stream in unused:
            stream.close()

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
                far.copy(near)
            finally:
                far.close()
                with self._lock:
                    self._ends = [end for end in self._ends if end is not near]


class _Stream:
    """A stream to a pod's port over a websocket.

    The client library has one of its own, `ws_client.PortForward`: a thread of its copies between a
    pair of sockets and the websocket, dies with a traceback on stderr when either side ends while data
    is on the way, and leaves the websocket open.
    """

    def __init__(self, websocket: Any) -> None:
        self._websocket = websocket
        self._greeted: set[bytes] = set()

    def copy(self, near: socket.socket) -> None:
        """Copy both ways until either side ends."""
        far = self._websocket.sock
        with contextlib.suppress(OSError), selectors.DefaultSelector() as selector:
            selector.register(near, selectors.EVENT_READ)
            selector.register(far, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if far in ready and not self._receive(near):
                    return
                if near in ready:
                    data = near.recv(_CHUNK)
                    if not data:
                        return
                    self._websocket.send_binary(_DATA + data)

    def close(self) -> None:
        """Say goodbye without waiting for an answer."""
        with contextlib.suppress(Exception):  # the other side may be gone
            self._websocket.close(timeout=0)
        self._websocket.shutdown()

    def _receive(self, near: socket.socket) -> bool:
        """Hand on the frames that are there; False when the stream has ended."""
        while True:
            try:
                opcode, frame = self._websocket.recv_data_frame(True)
            except Exception:  # noqa: BLE001 - the library has many names for "it is gone"
                return False
            if opcode == _CLOSE or (opcode == _BINARY and not self._take(frame.data, near)):
                return False
            pending = getattr(
                self._websocket.sock, "pending", None
            )  # TLS may hold frames that no select sees
            if pending is None or not pending():
                return True

    def _take(self, data: bytes, near: socket.socket) -> bool:
        channel, rest = data[:1], data[1:]
        if channel not in self._greeted:  # each channel begins with its port number
            self._greeted.add(channel)
            return True
        if channel == _DATA:
            near.sendall(rest)
        return channel != _ERROR


def _open(http: Http, namespace: str, pod: str, port: int) -> _Stream:
    """A new stream to the pod."""
    from kubernetes.stream import ws_client

    library: Any = ws_client  # untyped
    url = http.url(f"/api/v1/namespaces/{namespace}/pods/{pod}/portforward")
    headers = {key.lower(): value for key, value in http.authorization().items()}
    try:
        full = library.get_websocket_url(url, [("ports", str(port))])
        return _Stream(library.create_websocket(http.configuration, full, headers))
    except Exception as error:
        doing = f"forward port {port} of Pod {namespace}/{pod}"
        code, words = getattr(error, "status_code", 0), str(error)
        if code in (401, 403):
            raise refusal(Reply(code, words), doing, http.caller) from error
        raise UnreachableError(
            "pod-unreachable",
            f"it is not possible to {doing}",
            hint="is the pod running, and does the API server reach its node?",
            details=(words,),
        ) from error


def _shut(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        end.close()
