"""gRPC on Unix sockets that nobody but this user can open."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import grpc.aio

from meshctl.errors import FailedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


async def served(
    path: Path, handlers: Sequence[Any], options: Sequence[tuple[str, Any]] = ()
) -> grpc.aio.Server:
    """A server that answers on a socket; what was there before it, as after a crash, goes.

    Args:
        path: of the socket, which is made with mode 0600.
        handlers: gRPC's generic handlers.
        options: gRPC's, for the server.

    Raises:
        FailedError: the socket cannot be made.
    """
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0), *options])
    server.add_generic_rpc_handlers(handlers)
    try:
        path.unlink(missing_ok=True)
        before = os.umask(0o177)  # a mode that is set afterwards would leave a moment to come in
        try:
            server.add_insecure_port(f"unix:{path}")
        finally:
            os.umask(before)
    except (OSError, RuntimeError) as error:
        raise FailedError(
            "no-socket",
            f"{path} cannot be made: {error}",
            hint="see who else uses it, and whose its folder is",
        ) from error
    await server.start()
    return server
