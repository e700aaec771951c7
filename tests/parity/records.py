"""Upstream's output of an earlier day, kept as digests of its leaves: what was, without a word of it.

A record has the leaves of many cases. Each leaf is a token, of which the first half is its path's digest
and the second its value's, so that a leaf with another value is told from one that is not there at all.
Tokens are kept once, in the order in which they first occur; below them, a line a case tells what it has
more and less than the first one.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from tests.parity.leaves import Leaves

_HALF = 3  # bytes; four characters of base64
_TOKEN = 8  # characters
_LINE = 14  # tokens on a line of the file

Tokens = frozenset[str]


@dataclass(frozen=True)
class Difference:
    """How our leaves differ from recorded ones.

    Attributes:
        shared: how many are the same.
        missing: what is recorded and we have not, or not so: our path where we have the path, else the token.
        extra: what we have and is not recorded, or not so.
    """

    shared: int
    missing: tuple[str, ...]
    extra: Leaves

    @property
    def share(self) -> float:
        """Shared leaves of all leaves, 0 to 1; two empty cases share everything."""
        whole = self.shared + len(self.missing) + len(self.extra)
        return self.shared / whole if whole else 1.0

    def paths(self) -> set[str]:
        """Every path at which there is a difference, or the token of one that we do not know."""
        return {*self.missing, *self.extra}

    def __str__(self) -> str:
        lines = [f"  - {path}" for path in self.missing]
        lines += [f"  + {path} = {value!r}" for path, value in sorted(self.extra.items())]
        return "\n".join(lines)


def token(path: str, value: Any) -> str:
    """The token of a leaf; values that YAML tells apart, such as 1 and true, have different ones."""
    return _digest(path) + _digest(f"{path}\0{json.dumps(value, sort_keys=True)}")


def compare(ours: Leaves, recorded: Tokens, others: Iterable[str] = ()) -> Difference:
    """Count what is the same, and list what is not; `others` are paths that we know though we lack them."""
    mine = {token(path, value): path for path, value in ours.items()}
    # What we have as a map may be recorded as an empty one, so that the places above ours count too.
    paths = {_digest(above): above for path in (*others, *ours) for above in _places(path)}
    missing = sorted(paths.get(each[: _TOKEN // 2], each) for each in recorded - mine.keys())
    extra = {path: ours[path] for each, path in mine.items() if each not in recorded}
    return Difference(len(recorded & mine.keys()), tuple(missing), extra)


def write(file: Path, cases: Mapping[str, Leaves]) -> None:
    """Keep cases, by name, in a file; the first is what the others are told by."""
    number: dict[str, int] = {}
    numbers = {
        name: {number.setdefault(token(*leaf), len(number)) for leaf in leaves.items()}
        for name, leaves in cases.items()
    }
    first = next(iter(numbers.values()), set())
    told = {
        name: {"more": _ranges(found - first), "less": _ranges(first - found)}
        for name, found in numbers.items()
    }
    told[next(iter(told))] = {"more": _ranges(first), "less": ""}
    lines = [*_lines(number), *(json.dumps({name: each}) for name, each in told.items())]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n")


def read(file: Path) -> dict[str, Tokens]:
    """The cases of a file, by name."""
    lines = file.read_text().splitlines()
    told: dict[str, dict[str, str]] = {}
    for each in lines:
        told |= json.loads(each) if each.startswith("{") else {}
    text = "".join(each for each in lines if not each.startswith("{"))
    tokens = [text[at : at + _TOKEN] for at in range(0, len(text), _TOKEN)]
    first = _numbers(next(iter(told.values()))["more"])
    return {
        name: frozenset(tokens[each] for each in first - _numbers(ranges["less"]) | _numbers(ranges["more"]))
        for name, ranges in told.items()
    }


def _places(path: str) -> Iterator[str]:
    """A path and those above it."""
    yield path
    for step in re.finditer(r"[.\[]", path):
        yield path[: step.start()]


def _digest(text: str) -> str:
    return b64encode(blake2b(text.encode(), digest_size=_HALF).digest()).decode()


def _lines(tokens: Iterable[str]) -> Iterator[str]:
    every = list(tokens)
    for at in range(0, len(every), _LINE):
        yield "".join(every[at : at + _LINE])


def _ranges(numbers: set[int]) -> str:
    """`1-3 7` for 1, 2, 3 and 7."""
    runs = groupby(enumerate(sorted(numbers)), lambda pair: pair[1] - pair[0])
    found = [[number for _, number in run] for _, run in runs]
    return " ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in found)


def _numbers(ranges: str) -> set[int]:
    ends = (run.split("-") for run in ranges.split())
    return {number for run in ends for number in range(int(run[0]), int(run[-1]) + 1)}
