"""Time for tests."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class FakeClock:
    """Time that stands still until told; sleeping moves it.

    `tick` is how many seconds pass each time somebody looks at it, so that loops come to their end.
    """

    def __init__(self, start: datetime = NOON, *, tick: float = 0.0) -> None:
        self._start = start
        self._passed = 0.0
        self._tick = tick
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        with self._lock:
            self._passed += self._tick
            return 1000.0 + self._passed

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass for everybody."""
        with self._lock:
            self._passed += seconds
