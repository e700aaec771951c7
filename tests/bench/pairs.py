"""Two commands in turn, A B A B …, so that a machine that drifts drifts under both."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True)
class Run:
    """One finished run: wall seconds, and peak resident memory in MiB (0 where it was not measured)."""

    seconds: float
    mebibytes: float = 0.0


@dataclass(frozen=True)
class Pair:
    """What was measured of ours and of theirs, run by run."""

    name: str
    ours: tuple[Run, ...]
    theirs: tuple[Run, ...]
    goal: float
    note: str = ""

    @property
    def ratio(self) -> float:
        """Median of ours/theirs, pair by pair; below one is faster."""
        return median(a.seconds / b.seconds for a, b in zip(self.ours, self.theirs, strict=True))

    def row(self) -> tuple[str, ...]:
        """A row of the table."""
        return (
            self.name,
            f"{median(run.seconds for run in self.ours):.2f} s",
            f"{median(run.seconds for run in self.theirs):.2f} s",
            f"{self.ratio:.2f}",
            f"<= {self.goal:.2f}",
            "met" if self.ratio <= self.goal else "MISSED",
            self.note,
        )


def timed(argv: Sequence[str], env: Mapping[str, str] | None = None) -> Run:
    """Run a command to its end; it must succeed. Python keeps what it compiled, as on any user's machine.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    env = {key: value for key, value in (env or os.environ).items() if key != "PYTHONDONTWRITEBYTECODE"}
    began = time.monotonic()
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - began
    if process.returncode:
        raise RuntimeError(f"{' '.join(argv)} gave {process.returncode}: {said.decode()[-800:]}")
    return Run(seconds, usage.ru_maxrss / 1024)


def in_turn(
    rounds: int, ours: Callable[[], Run], theirs: Callable[[], Run]
) -> tuple[tuple[Run, ...], tuple[Run, ...]]:
    """`rounds` of ours and theirs alternately, after one of each that is not counted."""
    ours(), theirs()
    measured = [(ours(), theirs()) for _ in range(rounds)]
    return tuple(a for a, _ in measured), tuple(b for _, b in measured)
