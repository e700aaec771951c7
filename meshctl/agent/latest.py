"""A value that others watch."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

T = TypeVar("T")


class Latest(Generic[T]):
    """The newest of a value, for tasks of one event loop; who is slow misses what came between."""

    def __init__(self, value: T) -> None:
        """Begin with a value."""
        self._value = value
        self._changed = asyncio.Event()

    @property
    def value(self) -> T:
        """The newest."""
        return self._value

    def set(self, value: T) -> None:
        """Give a new one to all who watch; one that is equal to the newest is no news."""
        if value == self._value:
            return
        self._value = value
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def changes(self) -> AsyncIterator[T]:
        """The value as it is, and again whenever it has changed."""
        while True:
            changed, value = self._changed, self._value
            yield value
            await changed.wait()

    async def until(self, wanted: Callable[[T], bool]) -> T:
        """The first value from now on that is `wanted`."""
        while not wanted(self._value):
            await self._changed.wait()
        return self._value
