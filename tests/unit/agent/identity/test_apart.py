"""Keys are worked on in a process of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from meshctl.agent.identity import apart, keys
from meshctl.agent.identity.apart import Apart
from meshctl.errors import ConfigError, FailedError, UnsupportedError
from tests.issuing import IDENTITY, NOON, Ca, run, until

CA = Ca("mesh")


def with_apart(test: Callable[[Apart], Awaitable[None]]) -> None:
    async def whole() -> None:
        asked = Apart()
        try:
            await test(asked)
        finally:
            asked.end()

    run(whole())


def test_all_that_keys_do_is_done_there_as_well() -> None:
    async def test(asked: Apart) -> None:
        key = await asked.new_key("ecdsa-p256")
        request = await asked.signing_request(key, IDENTITY)
        answer = CA.sign(request, NOON, NOON + 3600)
        found = await asked.checked(key, answer, CA.root)
        assert found == keys.checked(key, answer, CA.root)
        assert await asked.readable(CA.root + b"junk\xff") == CA.root
        await asked.paired(key, answer)

    with_apart(test)


def test_errors_come_back_as_they_were() -> None:
    async def test(asked: Apart) -> None:
        key = await asked.new_key("ecdsa-p256")
        with pytest.raises(UnsupportedError, match="'dsa'"):
            await asked.new_key("dsa")
        answer = CA.sign(await asked.signing_request(key, IDENTITY), NOON, NOON + 3600)
        with pytest.raises(ConfigError, match="no trusted root") as raised:
            await asked.checked(key, answer, Ca("other").root)
        assert raised.value.code == "root-not-trusted"
        assert "root-cert.pem" in raised.value.hint
        assert "CN=other root" in raised.value.details[0]
        assert await asked.new_key("ecdsa-p384")

    with_apart(test)


def test_one_process_answers_several_and_ends_when_nothing_more_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(apart, "_LINGER", 0.2)

    async def test(asked: Apart) -> None:
        asked.start()
        assert asked._process
        first = asked._process.pid
        await asyncio.gather(*(asked.new_key("ecdsa-p256") for _ in range(5)))
        assert asked._process.pid == first
        await until(lambda: asked._process is None)
        assert not Path(f"/proc/{first}").exists()
        assert await asked.new_key("ecdsa-p256")

    with_apart(test)


def test_a_process_that_is_killed_costs_one_answer() -> None:
    async def test(asked: Apart) -> None:
        await asked.new_key("ecdsa-p256")
        assert asked._process
        waiting = asyncio.ensure_future(asked.new_key("rsa-4096"))
        await asyncio.sleep(0.02)
        asked._process.kill()
        with pytest.raises(FailedError, match="ended with -9"):
            await waiting
        assert await asked.new_key("ecdsa-p256")

    with_apart(test)


def test_one_that_never_answers_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(asked: Apart) -> None:
        await asked.new_key("ecdsa-p256")
        assert asked._process
        monkeypatch.setattr(apart, "_PATIENCE", 0.1)
        os.kill(asked._process.pid, 19)  # SIGSTOP
        with pytest.raises(FailedError):
            await asked.new_key("ecdsa-p256")

    with_apart(test)


def test_who_is_cancelled_while_he_waits_leaves_no_answer_for_the_next() -> None:
    async def test(asked: Apart) -> None:
        waiting = asyncio.ensure_future(asked.new_key("rsa-4096"))
        await asyncio.sleep(0.1)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert b"BEGIN CERTIFICATE REQUEST" in await asked.signing_request(
            keys.new_key("ecdsa-p256"), IDENTITY
        )

    with_apart(test)


def test_no_key_is_seen_among_the_processes() -> None:
    async def test(asked: Apart) -> None:
        key = await asked.new_key("ecdsa-p256")
        await asked.signing_request(key, IDENTITY)
        assert asked._process
        shown = Path(f"/proc/{asked._process.pid}/cmdline").read_bytes()
        shown += Path(f"/proc/{asked._process.pid}/environ").read_bytes()
        assert key.splitlines()[1] not in shown

    with_apart(test)


def test_the_agent_itself_never_loads_cryptography() -> None:
    program = (
        "import sys, meshctl.agent.sds, meshctl.agent.identity.identity, meshctl.agent.identity.authority,"
        " meshctl.agent.identity.store, meshctl.agent.identity.apart\n"
        "assert not [name for name in sys.modules if name.startswith('cryptography')]"
    )
    paths = os.pathsep.join(filter(None, sys.path))
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "PYTHONPATH": paths})
