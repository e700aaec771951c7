"""One stream of a port-forward: bytes on one side, websocket frames on the other."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from meshctl.adapters.kube_forward import _Stream

BINARY, CLOSE = 2, 8
GREETINGS = (b"\x00\x94\x3a", b"\x01\x94\x3a")


class FakeWebsocket:
    """Frames are lines of a socket pair, so that `select` sees them as it would a real one's."""

    def __init__(self) -> None:
        self.sock, self._pod = socket.socketpair()
        self._frames: list[tuple[int, bytes]] = []
        self.sent: list[bytes] = []
        self.got = threading.Event()
        self.closed = False

    def arrive(self, data: bytes, opcode: int = BINARY) -> None:
        self._frames.append((opcode, data))
        self._pod.send(b".")

    def recv_data_frame(self, control: bool) -> tuple[int, Any]:
        if not self.sock.recv(1):
            raise ConnectionError("it is gone")
        opcode, data = self._frames.pop(0)
        return opcode, SimpleNamespace(data=data)

    def send_binary(self, data: bytes) -> None:
        self.sent.append(data)
        self.got.set()

    def hang_up(self) -> None:
        self._pod.close()

    def close(self, timeout: int) -> None:
        raise OSError("it is gone")

    def shutdown(self) -> None:
        self.closed = True
        self.sock.close()
        self._pod.close()


@contextmanager
def a_stream() -> Iterator[tuple[FakeWebsocket, socket.socket, threading.Thread]]:
    """A websocket, our end of the connection, and the thread that copies between them."""
    websocket, (ours, near) = FakeWebsocket(), socket.socketpair()
    stream = _Stream(websocket)
    copying = threading.Thread(target=stream.copy, args=(near,), daemon=True)
    ours.settimeout(5)
    copying.start()
    with ours, near:
        yield websocket, ours, copying
        ours.close()
        copying.join(5)
        stream.close()


def test_bytes_go_both_ways_without_the_greetings_of_the_channels() -> None:
    with a_stream() as (websocket, ours, _):
        for frame in (*GREETINGS, b"\x00hello ", b"\x00you"):
            websocket.arrive(frame)
        with ours.makefile("rb") as reader:
            assert reader.read(9) == b"hello you"
        ours.send(b"and you")
        assert websocket.got.wait(5)
    assert websocket.sent == [b"\x00and you"]
    assert websocket.closed


@pytest.mark.parametrize("how", ["error", "close", "gone"])
def test_the_end_on_the_pods_side_ends_the_stream(how: str) -> None:
    with a_stream() as (websocket, _, copying):
        for frame in GREETINGS:
            websocket.arrive(frame)
        if how == "gone":
            websocket.hang_up()
        else:
            websocket.arrive(b"\x01refused", BINARY) if how == "error" else websocket.arrive(b"", CLOSE)
        copying.join(5)
        assert not copying.is_alive()


def test_the_end_on_our_side_ends_the_stream() -> None:
    with a_stream() as (_, ours, copying):
        ours.close()
        copying.join(5)
        assert not copying.is_alive()
