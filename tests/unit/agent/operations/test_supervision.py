"""A part that fails comes back, and takes no other with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from meshctl.agent.supervision import LONGEST_PAUSE, Part, keep, keep_all
from meshctl.errors import ConfigError


class Pauses(list[float]):
    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


def failing(times: int, then: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    left = times

    async def run() -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            raise OSError("no route to host")
        await then()

    return run


async def for_ever() -> None:
    await asyncio.Event().wait()


def test_a_part_that_fails_is_started_again_until_it_works() -> None:
    pauses = Pauses()

    async def story() -> Part:
        worked = asyncio.Event()

        async def work() -> None:
            worked.set()
            await for_ever()

        part = Part("ads", failing(3, work))
        task = asyncio.ensure_future(keep(part, sleep=pauses))
        await asyncio.wait_for(worked.wait(), 5)
        task.cancel()
        return part

    part = asyncio.run(story())
    assert part.data() == {
        "name": "ads",
        "state": "runs",
        "failures": 3,
        "error": "OSError: no route to host",
    }
    assert len(pauses) == 3
    assert pauses[0] <= pauses[1] * 2 <= pauses[2] * 4


def test_pauses_grow_no_longer_than_half_a_minute() -> None:
    pauses = Pauses()

    async def story() -> None:
        done = asyncio.Event()

        async def enough() -> None:
            done.set()
            await for_ever()

        task = asyncio.ensure_future(keep(Part("ads", failing(30, enough)), sleep=pauses))
        await done.wait()
        task.cancel()

    asyncio.run(story())
    assert LONGEST_PAUSE / 2 <= max(pauses) <= LONGEST_PAUSE


def test_an_end_without_an_error_is_a_failure_too() -> None:
    async def story() -> Part:
        async def nothing() -> None:
            pass

        paused = asyncio.Event()

        async def sleep(_: float) -> None:
            paused.set()
            await for_ever()

        part = Part("dns", nothing)
        task = asyncio.ensure_future(keep(part, sleep=sleep))
        await paused.wait()
        task.cancel()
        return part

    part = asyncio.run(story())
    assert (part.failures, part.error, part.data()["state"]) == (1, "it ended by itself", "starts again")


def test_a_part_that_can_never_work_ends_the_program_with_its_cause() -> None:
    async def story() -> list[str]:
        ended: list[str] = []

        async def wrong() -> None:
            raise ConfigError("unknown-probe", "there is no probe 'ping'")

        async def right() -> None:
            try:
                await for_ever()
            finally:
                ended.append("right")

        with pytest.raises(ConfigError, match="there is no probe 'ping'"):
            await keep_all([Part("dns", right), Part("health", wrong)], asyncio.Event())
        return ended

    assert asyncio.run(story()) == ["right"]


def test_parts_end_one_after_another_in_reverse() -> None:
    async def story() -> list[str]:
        order: list[str] = []

        def part(name: str) -> Part:
            async def run() -> None:
                try:
                    await for_ever()
                finally:
                    await asyncio.sleep(0.01)
                    order.append(name)

            return Part(name, run)

        ended = asyncio.Event()
        task = asyncio.ensure_future(keep_all([part("ads"), part("dns"), part("envoy")], ended))
        await asyncio.sleep(0.05)
        ended.set()
        await task
        return order

    assert asyncio.run(story()) == ["envoy", "dns", "ads"]
