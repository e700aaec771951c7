"""The machine's own clock."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """Time as this machine has it; see `ports.Clock`."""

    def now(self) -> datetime:
        """This moment; aware, UTC."""
        return datetime.now(UTC)  # noqa: TID251 - this is the Clock that others take

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        time.sleep(seconds)  # noqa: TID251 - this is the Clock that others take
