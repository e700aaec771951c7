"""Has keys and certificates worked on in a process of its own, which ends when there is no more to do.

`keys` needs a library that would take a quarter of the agent's memory for as long as it runs. The two
processes talk over pipes, a line of JSON for each question and each answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent.identity.credentials import Credentials
from meshctl.errors import ConfigError, FailedError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    class Keys(Protocol):
        """What `keys` does, wherever it is done; each raises what the function of the same name raises."""

        async def new_key(self, kind: str) -> bytes:
            """A new private key."""

        async def signing_request(self, key: bytes, identity: str) -> bytes:
            """A request that asks for a certificate of an identity."""

        async def checked(self, key: bytes, answer: bytes, roots: bytes) -> Credentials:
            """The credentials that an authority's answer makes of a key."""

        async def readable(self, certificates: bytes) -> bytes:
            """Those of the certificates that can be read."""

        async def paired(self, key: bytes, chain: bytes) -> None:
            """Make sure that a chain is about a key."""

        def end(self) -> None:
            """There are no more questions for now."""


_PATIENCE: Final = 60.0
"""Seconds that one answer may take; a long RSA key takes some on a small host."""
_LINGER: Final = 5.0
"""Seconds that the process stays for a next question."""
_BEGIN: Final = (
    "import sys; sys.path[:] = sys.argv[1:]; from meshctl.agent.identity import apart; apart.main()"
)
_ERRORS: Final = {kind.__name__: kind for kind in (ConfigError, UnsupportedError)}


class Apart:
    """`keys`, in a process of its own, which is started when it is needed."""

    def __init__(self) -> None:
        """Nothing is started."""
        self._process: subprocess.Popen[bytes] | None = None
        self._asking = asyncio.Lock()
        self._ending: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start the process ahead of the first question; it ends all the same when none comes."""
        with contextlib.suppress(FailedError):  # which the first question will meet again
            self._started()
            self._end_later()

    async def new_key(self, kind: str) -> bytes:
        """See `Keys`."""
        return _bytes(await self._ask("new_key", kind))

    async def signing_request(self, key: bytes, identity: str) -> bytes:
        """See `Keys`."""
        return _bytes(await self._ask("signing_request", key, identity))

    async def checked(self, key: bytes, answer: bytes, roots: bytes) -> Credentials:
        """See `Keys`."""
        said = await self._ask("checked", key, answer, roots)
        chain, trusted = _bytes(said["chain"]), _bytes(said["roots"])
        return Credentials(key, chain, trusted, said["begins"], said["ends"], tuple(said["names"]))

    async def readable(self, certificates: bytes) -> bytes:
        """See `Keys`."""
        return _bytes(await self._ask("readable", certificates))

    async def paired(self, key: bytes, chain: bytes) -> None:
        """See `Keys`."""
        await self._ask("paired", key, chain)

    def end(self) -> None:
        """End the process, if there is one; the next question starts another."""
        if self._ending:
            self._ending.cancel()
        process, self._process, self._ending = self._process, None, None
        if process:
            process.kill()
            process.communicate()  # closes the pipes, and leaves no zombie

    async def _ask(self, function: str, *given: bytes | str) -> Any:
        question = {
            "do": function,
            "with": [each if isinstance(each, str) else _text(each) for each in given],
        }
        async with self._asking:
            process = self._started()
            limit = asyncio.get_running_loop().call_later(_PATIENCE, process.kill)
            try:
                answer = await asyncio.to_thread(_exchange, process, json.dumps(question))
            except BaseException:  # also when cancelled: the next to ask must not get this answer
                self.end()
                raise
            finally:
                limit.cancel()
            self._end_later()
        if "error" in answer:
            raise _error(answer["error"])
        return answer["is"]

    def _started(self) -> subprocess.Popen[bytes]:
        if self._ending:
            self._ending.cancel()
        if self._process and self._process.poll() is not None:
            self.end()
        if not self._process:
            command = [sys.executable, "-I", "-S", "-c", _BEGIN, *sys.path]
            pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
            try:
                self._process = subprocess.Popen(  # noqa: S603 - this program itself
                    command, stdin=pipe, stdout=pipe, stderr=nowhere, cwd="/"
                )
            except OSError as error:
                raise FailedError(
                    "keys-failed", f"the process that works on keys cannot be started: {error.strerror}"
                ) from error
        return self._process

    def _end_later(self) -> None:
        if self._ending:
            self._ending.cancel()
        self._ending = asyncio.get_running_loop().call_later(_LINGER, self.end)


def main() -> None:
    """Answer the questions that come in, until there are no more."""
    from meshctl.agent.identity import keys

    functions: Mapping[str, Callable[..., Any]] = {
        "new_key": lambda kind: _text(keys.new_key(kind)),
        "signing_request": lambda key, name: _text(keys.signing_request(key.encode(), name)),
        "checked": lambda *given: _data(keys.checked(*map(_bytes, given))),
        "readable": lambda given: _text(keys.readable(_bytes(given))),
        "paired": lambda *given: keys.paired(*map(_bytes, given)),
    }
    for line in sys.stdin.buffer:
        question = json.loads(line)
        try:
            answer = {"is": functions[question["do"]](*question["with"])}
        except (ConfigError, UnsupportedError) as error:
            told = {
                "code": error.code,
                "message": error.message,
                "hint": error.hint,
                "details": error.details,
            }
            answer = {"error": {"kind": type(error).__name__, **told}}
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n")
        sys.stdout.buffer.flush()


def _exchange(process: subprocess.Popen[bytes], question: str) -> Any:
    """One question and its answer; blocks.

    Raises:
        FailedError: the process has ended without an answer.
    """
    assert process.stdin
    assert process.stdout
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(question.encode() + b"\n")
        process.stdin.flush()
    answer = process.stdout.readline()
    if not answer.endswith(b"\n"):
        process.wait()
        raise FailedError(
            "keys-failed",
            f"the process that works on keys ended with {process.returncode}",
            hint="see whether the host has memory left, and whether `meshctl-agent csr` works",
        )
    return json.loads(answer)


def _error(said: Mapping[str, Any]) -> ConfigError | UnsupportedError:
    return _ERRORS[said["kind"]](said["code"], said["message"], hint=said["hint"], details=said["details"])


def _data(credentials: Credentials) -> dict[str, Any]:
    return {
        "chain": _text(credentials.chain),
        "roots": _text(credentials.roots),
        "begins": credentials.begins,
        "ends": credentials.ends,
        "names": credentials.names,
    }


def _text(pem: bytes) -> str:
    return pem.decode("latin-1")


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")
