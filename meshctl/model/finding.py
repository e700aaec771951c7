"""Rules, and where they do not hold."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshctl.errors import Where


class Level(StrEnum):
    """How bad a finding is; also the words of `--fail-on`."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """Order of levels: info 0, warning 1, error 2."""
        return list(Level).index(self)


@dataclass(frozen=True, slots=True)
class Rule:
    """A state that should hold, said in the affirmative, and what to do when it does not.

    `code` is kebab-case, unique over checks, soundness, analyzers and errors, and never reused. `number`
    is what istioctl's analysis calls the same, such as `IST0106`; empty where it has none.
    """

    code: str
    level: Level
    summary: str
    hint: str
    number: str = ""

    def at(self, subject: str, message: str, *, place: str = "") -> Finding:
        """A finding: `subject` breaks this rule, and `message` says how."""
        return Finding(self, subject, message, place)


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where a rule does not hold.

    `subject` is what a person would name (`Deployment istio-system/istiod`, a cluster, a file);
    `place` is a dotted path or `file:line`, where there is one; `where` is the place in a file the subject
    was read from. `hint` says more than the rule's own, where there is more to say.
    """

    rule: Rule
    subject: str
    message: str
    place: str = ""
    where: Where | None = None
    hint: str = ""

    @property
    def remedy(self) -> str:
        """What to do."""
        return self.hint or self.rule.hint
