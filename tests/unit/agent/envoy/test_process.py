from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from meshctl.agent.envoy.admin import Admin
from meshctl.agent.envoy.process import Envoy, is_too_old
from meshctl.agent.places import Places
from meshctl.errors import ConfigError, UnsupportedError
from tests.unit.agent.envoy.files import settings

PATIENCE = 30.0
SLEEPS = "trap 'exit 0' TERM; while :; do sleep 0.05; done"


def program(path: Path, script: str) -> str:
    """A program in place of Envoy; its standard output is the access log."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def envoy(root: Path, script: str, variables: str = "", **said: Any) -> Envoy:
    """An Envoy that is such a script."""
    said = {
        "accessLog": str(root / "out"),
        "firstWait": 0.01,
        "longestWait": 0.02,
        "termination": 0.01,
        **said,
    }
    path = program(root / "envoy", script)
    return Envoy(settings(root, variables, path=path, **said), root / "envoy.json", Admin(Places(root).admin))


@contextlib.asynccontextmanager
async def running(made: Envoy) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.ensure_future(made.run())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(wanted: Callable[[], bool], task: asyncio.Task[None]) -> None:
    ends = time.monotonic() + PATIENCE
    while not wanted():
        assert time.monotonic() < ends, "it did not happen"
        if task.done():
            task.result()
        await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_envoy_is_started_again_and_again_and_says_why_it_ended(tmp_path: Path) -> None:
    made = envoy(tmp_path, "printf 'critical\\tmain\\tport in use\\n' >&2; exit 3")

    async def run() -> None:
        async with running(made) as task:
            await until(lambda: made.state.starts > 3, task)

    asyncio.run(run())
    assert made.state.error == "it ended with status 3: port in use"
    assert made.state.restarts >= 3
    assert made.state.pid is None


def test_an_envoy_that_is_killed_comes_back_as_another_process(tmp_path: Path) -> None:
    made = envoy(tmp_path, SLEEPS)

    async def run() -> tuple[int | None, int | None]:
        async with running(made) as task:
            await until(lambda: made.state.pid is not None, task)
            first = made.state.pid
            os.kill(first or 0, signal.SIGKILL)
            await until(lambda: made.state.pid not in (None, first), task)
            return first, made.state.pid

    first, second = asyncio.run(run())
    assert first != second
    assert "SIGKILL" in made.state.error
    assert not is_alive(second or 0)


def test_an_envoy_that_does_not_end_when_asked_is_killed(tmp_path: Path) -> None:
    script = "trap '' TERM; echo on; while :; do sleep 0.05; done"
    made = envoy(tmp_path, script, stopTimeout=0.2)
    seen: list[int] = []

    async def run() -> None:
        async with running(made) as task:
            await until(lambda: (tmp_path / "out").exists() and "on" in (tmp_path / "out").read_text(), task)
            seen.append(made.state.pid or 0)

    asyncio.run(run())
    assert not is_alive(seen[0])


def test_envoy_ends_when_the_agent_is_killed(tmp_path: Path) -> None:
    program(tmp_path / "envoy", SLEEPS)
    agent = f"""
import asyncio
from pathlib import Path
from tests.unit.agent.envoy.test_process import Admin, Envoy, Places, settings
root = Path({str(tmp_path)!r})
made = Envoy(settings(root, path=str(root / "envoy")), root / "envoy.json", Admin(Places(root).admin))
async def run():
    task = asyncio.ensure_future(made.run())
    while made.state.pid is None:
        await asyncio.sleep(0.01)
    print(made.state.pid, flush=True)
    await task
asyncio.run(run())
"""
    process = subprocess.Popen([sys.executable, "-c", agent], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    pid = int(process.stdout.readline())
    ends = time.monotonic() + PATIENCE
    while b"python" in Path(f"/proc/{pid}/cmdline").read_bytes():  # not yet become Envoy
        assert time.monotonic() < ends
        time.sleep(0.01)
    process.kill()
    process.wait()
    process.stdout.close()
    while is_alive(pid):
        assert time.monotonic() < ends, "it lives on"
        time.sleep(0.01)


def test_envoy_has_its_limits_and_nothing_of_the_agents_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OURS", "hush")
    made = envoy(
        tmp_path,
        f"ulimit -n; ulimit -c; env; ls -l /proc/self/fd | wc -l; {SLEEPS}",
        "POD_NAME=me\nMY_SECRET=hush\n",
        openFiles=300,
    )

    async def run() -> str:
        async with running(made) as task:
            await until(
                lambda: (tmp_path / "out").exists() and (tmp_path / "out").read_text().count("\n") > 6, task
            )
        return (tmp_path / "out").read_text()

    files, cores, *rest = asyncio.run(run()).splitlines()
    assert (files, cores) == ("300", "0")
    names = {line.partition("=")[0] for line in rest if "=" in line}
    assert names - {"PWD", "_", "SHLVL", "OLDPWD", "LC_CTYPE"} == {
        "POD_NAME",
        "POD_NAMESPACE",
        "SERVICE_ACCOUNT",
    }
    assert "hush" not in "".join(rest)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o640


def test_a_program_that_is_not_there_is_told_with_what_to_do(tmp_path: Path) -> None:
    made = envoy(tmp_path, SLEEPS)
    (tmp_path / "envoy").unlink()
    with pytest.raises(ConfigError, match="there is no program") as caught:
        asyncio.run(made.run())
    assert "agent.envoy.path" in caught.value.hint


def test_a_program_of_another_machine_is_told_apart_from_one_that_fails(tmp_path: Path) -> None:
    made = envoy(tmp_path, SLEEPS)
    (tmp_path / "envoy").write_bytes(b"\x7fELF\x02\x01\x01not for this machine")
    with pytest.raises(UnsupportedError, match="cannot be run: Exec format error"):
        asyncio.run(made.run())


def test_a_drained_envoy_is_not_started_again(tmp_path: Path) -> None:
    made = envoy(tmp_path, SLEEPS)

    async def run() -> None:
        async with running(made) as task:
            await until(lambda: made.state.pid is not None, task)
            await made.drain()
            os.kill(made.state.pid or 0, signal.SIGKILL)
            await until(lambda: made.state.pid is None, task)
            await asyncio.sleep(0.1)
            assert made.state.starts == 1

    asyncio.run(run())
    assert made.state.draining


def test_an_access_log_that_cannot_be_written_keeps_nobody_from_serving(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = envoy(tmp_path, f"echo said; {SLEEPS}", accessLog="/dev/null/none")
    seen = ""

    async def run() -> None:
        async with running(made) as task:

            def has_said() -> bool:
                nonlocal seen
                seen += capfd.readouterr().out
                return "said" in seen

            await until(has_said, task)

    asyncio.run(run())
    assert made.state.starts == 1


def test_what_envoy_says_while_it_ends_is_still_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    last_words = r"""
leave() {
  i=0
  while [ $i -lt 3000 ]; do printf 'info\tmain\t%s and so on and so on\n' $i >&2; i=$((i+1)); done
  exit 0
}
trap leave TERM
echo on
while :; do sleep 0.05; done"""
    made = envoy(tmp_path, last_words)

    async def run() -> None:
        async with running(made) as task:
            await until(lambda: (tmp_path / "out").exists() and "on" in (tmp_path / "out").read_text(), task)

    with caplog.at_level("DEBUG", "meshctl.agent.envoy.log"):
        asyncio.run(run())
    assert caplog.messages[-1] == "2999 and so on and so on"


def test_envoy_can_be_run_again_after_it_was_ended(tmp_path: Path) -> None:
    made = envoy(tmp_path, SLEEPS)

    async def run() -> None:
        for _ in range(2):
            async with running(made) as task:
                await until(lambda: made.state.pid is not None, task)
                os.kill(made.state.pid or 0, signal.SIGKILL)
                starts = made.state.starts
                await until(lambda starts=starts: made.state.starts > starts, task)  # type: ignore[misc]

    asyncio.run(run())
    assert made.state.starts >= 4


def test_only_an_envoy_that_is_known_to_be_too_old_is() -> None:
    assert is_too_old("1.29.12")
    assert not any(is_too_old(each) for each in ("1.30.0", "1.40.0-dev", "2.0", "unknown", "", "9e5580"))
