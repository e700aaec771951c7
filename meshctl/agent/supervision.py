"""Parts of the agent run side by side; one that fails is started again."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from meshctl.errors import ConfigError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_log = logging.getLogger(__name__)

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
STEADY: Final = 60.0
"""Seconds after which a part that runs has got over its earlier failures."""
HOPELESS: Final = (ConfigError, UnsupportedError)
"""Errors that another try does not mend: someone has to change a file, or the host."""


@dataclass
class Part:
    """Something that runs as long as the agent does.

    Attributes:
        name: as logs and `status` show it.
        run: runs until it is cancelled; an end of any other kind is a failure.
        failures: how often it has failed.
        error: of the last failure; empty when it never failed.
        paused: whether it waits to be started again.
    """

    name: str
    run: Callable[[], Awaitable[None]]
    failures: int = 0
    error: str = ""
    paused: bool = False

    def data(self) -> dict[str, Any]:
        """As plain data, for `status`."""
        state = "starts again" if self.paused else "runs"
        return {"name": self.name, "state": state, "failures": self.failures, "error": self.error}


async def keep(part: Part, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
    """Run a part, again and again with growing pauses, until this is cancelled.

    Raises:
        ConfigError, UnsupportedError: the part can never work as things are.
    """
    pause = FIRST_PAUSE
    while True:
        began = time.monotonic()
        try:
            await part.run()
            part.error = "it ended by itself"
        except HOPELESS:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the other parts go on
            part.error = f"{type(error).__name__}: {error}"
            _log.debug("failure of %s", part.name, exc_info=True)
        part.failures += 1
        pause = FIRST_PAUSE if time.monotonic() - began > STEADY else min(pause * 2, LONGEST_PAUSE)
        wait = pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads hosts, hides nothing
        _log.error("%s failed and starts again in %.1f s: %s", part.name, wait, part.error)
        part.paused = True
        await sleep(wait)
        part.paused = False


async def keep_all(parts: list[Part], ended: asyncio.Event) -> None:
    """Run all parts until `ended` is set, then end them, the last first.

    Raises:
        ConfigError, UnsupportedError: of a part that can never work; the others have been ended.
    """
    tasks = [asyncio.ensure_future(keep(part)) for part in parts]
    stop = asyncio.ensure_future(ended.wait())
    try:
        done, _ = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.cancel()
        for task in reversed(tasks):
            task.cancel()
            await asyncio.wait([task])
    for task in tasks:
        if task in done:
            task.result()
