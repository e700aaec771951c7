"""Stands in for Envoy, for the agent's DNS, and for applications; run on a host, with nothing but Python.

Arguments are `tcp:PORT:NAME` and `udp:PORT:NAME`: what listens there answers with its name, and for what
was redirected with where it was going.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading

ORIGINAL = 80  # SO_ORIGINAL_DST, IP6T_SO_ORIGINAL_DST


def main() -> None:
    """Serve until killed."""
    for word in sys.argv[1:]:
        kind, port, name = word.split(":")
        # As the agent does: an answer to a question that was redirected has to come from where it went.
        hosts = ("127.0.0.1", "::1") if name == "dns" else ("0.0.0.0", "::")
        for family, host in zip((socket.AF_INET, socket.AF_INET6), hosts, strict=True):
            made = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.bind((host, int(port)))
            if kind == "tcp":
                made.listen(64)
            serve = streams if kind == "tcp" else packets
            threading.Thread(target=serve, args=(made, name)).start()
    print("ready", flush=True)


def streams(server: socket.socket, name: str) -> None:
    """Tell each caller who has answered, and whom it meant."""
    while True:
        connection, _ = server.accept()
        with connection:
            connection.sendall(f"{name} {meant(connection)}".strip().encode())


def meant(connection: socket.socket) -> str:
    """Where a connection was going before it was redirected; empty when it was not."""
    try:
        if connection.family == socket.AF_INET:
            raw = connection.getsockopt(socket.SOL_IP, ORIGINAL, 16)
            port, host = struct.unpack_from("!H", raw, 2)[0], socket.inet_ntoa(raw[4:8])
        else:
            raw = connection.getsockopt(socket.IPPROTO_IPV6, ORIGINAL, 28)
            port, host = struct.unpack_from("!H", raw, 2)[0], socket.inet_ntop(socket.AF_INET6, raw[8:24])
    except OSError:
        return ""
    return "" if (host, port) == connection.getsockname()[:2] else f"{host}:{port}"


def packets(server: socket.socket, name: str) -> None:
    """Answer each question with a name."""
    while True:
        _, caller = server.recvfrom(2048)
        server.sendto(name.encode(), caller)


main()
