"""What happened, as it happens: the words between the one who works and the one who reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from meshctl.errors import MeshctlError


@dataclass(frozen=True, slots=True)
class Started:
    """Work on `subject` began.

    `group` is the line of progress it belongs to: a component, a cluster, a part of the sandbox.
    """

    group: str
    subject: str


@dataclass(frozen=True, slots=True)
class Changed:
    """`subject` was changed; `detail` says how, in a few words."""

    group: str
    subject: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """`subject` was already as asked."""

    group: str
    subject: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """`subject` is not there yet; `cause` is the reason seen just now."""

    group: str
    subject: str
    cause: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """`subject` was left alone, and why."""

    group: str
    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the user should know, though the work goes on."""

    group: str
    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """`subject` could not be done."""

    group: str
    subject: str
    error: MeshctlError


@dataclass(frozen=True, slots=True)
class Done:
    """All of `group` is done; `seconds` is wall time from its first event, where it was measured."""

    group: str
    summary: str = ""
    seconds: float | None = None


Event: TypeAlias = Started | Changed | Unchanged | Waiting | Skipped | Warned | Failed | Done
