"""Errors for the person who must act.

    MeshctlError
    ├── ConfigError         edit a file, a flag or a value; nothing was sent
    ├── AccessError         get permission or credentials
    ├── UnreachableError    try again, or mend the network
    ├── ConflictError       agree with another owner
    ├── UnsupportedError    change a version or a platform
    ├── FailedError         something in the cluster or on the host did not come right
    ├── StoppedError        stopped part-way; the same command continues
    └── InternalError       tell us

Each has a stable kebab-case code, says what is wrong in one lower-case sentence without a full
stop, where (`file:line path`), and what to do about it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Where:
    """A place in the user's input.

    `file` is a path as the user wrote it, or a flag such as `--set`; `line` counts from 1 and is
    None where lines mean nothing; `path` is the dotted path of the value.
    """

    file: str
    line: int | None = None
    path: str = ""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}  {self.path}" if self.path else place


class MeshctlError(Exception):
    """An error with a code, a place and a remedy; see the module's tree."""

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        code: str,
        message: str,
        *,
        where: Where | None = None,
        hint: str = "",
        details: Sequence[str] = (),
    ) -> None:
        """Make an error.

        Args:
            code: stable kebab-case name, the same in text, JSON and documentation.
            message: one lower-case sentence, names quoted, no full stop.
            where: the place in the user's input, if there is one.
            hint: what to do next, as an order.
            details: further lines, such as each missing rule or the words of the cause.
        """
        super().__init__(message)
        self.code = code
        self.message = message
        self.where = where
        self.hint = hint
        self.details = tuple(details)
        if sys.version_info >= (3, 11):  # the agent runs on 3.10 too
            for line in self.details:
                self.add_note(line)

    def __reduce__(self) -> tuple[Any, ...]:
        """What another process makes the same error of."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[MeshctlError], args: tuple[Any, ...], state: dict[str, Any]) -> MeshctlError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class ConfigError(MeshctlError):
    """The input is wrong; nothing was sent."""

    exit_code = 2


class AccessError(MeshctlError):
    """Permission or credentials are missing."""


class UnreachableError(MeshctlError):
    """No answer, or not in time."""


class ConflictError(MeshctlError):
    """Something belongs to another owner."""


class UnsupportedError(MeshctlError):
    """A version, platform or kernel that does not do what is needed."""


class FailedError(MeshctlError):
    """The work was sent, and the world did not come right."""


class StoppedError(MeshctlError):
    """Stopped part-way; the same command continues."""

    exit_code = 4


class InternalError(MeshctlError):
    """A fault of ours."""

    exit_code = 70


class ProblemsError(ConfigError):
    """Several problems of one input, told at once."""

    def __init__(self, problems: Iterable[ConfigError]) -> None:
        """Gather `problems`, which must not be empty; the order is kept."""
        self.problems = tuple(problems)
        first = self.problems[0]
        super().__init__(first.code, first.message, where=first.where, hint=first.hint, details=first.details)


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name most like `name`, or an empty string when none is close."""
    import difflib  # only ever wanted on the way to an error message

    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)), "")


def listed(names: Iterable[str]) -> str:
    """Names as a person reads them: `a, b, c`."""
    return ", ".join(names)
