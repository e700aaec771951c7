"""Asks a workload whether it is healthy."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from meshctl.agent.health import by_command, by_grpc, by_http
from meshctl.agent.health.settings import SOURCES, Check, Exec, Grpc, HttpGet
from meshctl.agent.http import HttpError, Tcp, connect, within

if TYPE_CHECKING:
    from pathlib import Path

_LOG: Final = logging.getLogger(__name__)


async def failure(check: Check, host: str, timeout: float, relay: Path) -> str:
    """Why a workload is not healthy; empty when it is.

    Args:
        check: what is asked.
        host: that is asked where the check names none.
        timeout: seconds.
        relay: path that names of Unix sockets may begin with, for gRPC.
    """
    try:
        if isinstance(check, HttpGet):
            return await by_http.failure(check, host, timeout)
        if isinstance(check, Grpc):
            return await by_grpc.failure(check, host, timeout, relay)
        if isinstance(check, Exec):
            return await by_command.failure(check, timeout)
        connection = await within(connect(Tcp(check.host or host, check.port, sources=SOURCES)), timeout)
        connection.abort()
    except TimeoutError:
        return f"no answer within {timeout:g} s"
    except OSError as error:
        return error.strerror or str(error) or type(error).__name__
    except HttpError as error:
        return f"the answer is not as HTTP has it: {error}"
    except Exception as error:  # noqa: BLE001 - a probe that cannot be made has not found anybody healthy
        _LOG.exception("the probe could not be made")
        return f"the probe could not be made: {type(error).__name__}"
    return ""
