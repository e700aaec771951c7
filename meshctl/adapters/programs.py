"""Programs of the user's, run and waited for."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from typing import TYPE_CHECKING, Final

from meshctl.errors import ConfigError, FailedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LAST: Final = 10
_TAIL: Final = 8192


def run(words: Sequence[str], *, environment: Mapping[str, str], seconds: float) -> None:
    """Run a program, without a shell, and wait until it ends with 0.

    It may write what it likes: of that the last lines are shown when it fails. When its time is up, or
    we are interrupted, it is killed with all that it started.

    Args:
        words: the program and its arguments.
        environment: added to our own.
        seconds: how long it may take.

    Raises:
        ConfigError: there is no such program, or it may not be run.
        FailedError: it ended with something else than 0, or not in time.
    """
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(  # noqa: S603 - it is the user's own command
                list(words),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},  # noqa: TID251 - the program is the user's, and so is this
                start_new_session=True,
            )
        except (OSError, ValueError) as fault:
            reason = getattr(fault, "strerror", None) or str(fault)
            raise ConfigError("program-not-run", f"{words[0]!r} cannot be run: {reason}") from fault
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired as late:
            _end(process)
            raise _failed(words, f"did not end within {seconds:g} s", said.fileno()) from late
        except BaseException:
            _end(process)
            raise
        if code:
            ended = f"ended with {code}" if code > 0 else f"was ended by signal {-code}"
            raise _failed(words, ended, said.fileno())


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _failed(words: Sequence[str], how: str, said: int) -> FailedError:
    size = os.fstat(said).st_size
    text = os.pread(said, _TAIL, max(0, size - _TAIL)).decode(errors="replace")
    return FailedError(
        "program-failed",
        f"{words[0]!r} {how}",
        hint="run it by hand to see what it finds",
        details=tuple(text.splitlines()[-_LAST:]),
    )
