"""`analyze`: ask every analyzer about a set of objects."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from meshctl.errors import ConfigError, Where
from meshctl.model.analysis import Analyzer
from meshctl.registry import plugins

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meshctl.model.analysis import ObjectSet
    from meshctl.model.finding import Finding, Level, Rule

SUPPRESSED = "galley.istio.io/analyze-suppress"
"""Annotation: codes, separated by commas, that are not told of an object; `*` for all."""


@dataclass(frozen=True)
class Suppression:
    """Findings that are not told: a code, and the objects as `Kind name.namespace`, with `*` for anything."""

    code: str
    objects: str

    def covers(self, finding: Finding) -> bool:
        """Whether a finding is one of them."""
        kind, _, place = finding.subject.partition(" ")
        namespace, _, name = place.rpartition("/")
        spoken = (f"{kind} {name}.{namespace}" if namespace else f"{kind} {name}", finding.subject)
        return _is_code(self.code, finding.rule) and any(fnmatchcase(each, self.objects) for each in spoken)


def suppression(text: str) -> Suppression:
    """Read what `--suppress` says, such as `IST0106=VirtualService reviews.default`.

    Raises:
        ConfigError: it is not of that form, or no analyzer has such a code.
    """
    code, equals, objects = text.partition("=")
    known = [word for each in analyzers() for rule in each.rules for word in (rule.number, rule.code) if word]
    if not (equals and objects):
        hint = "write CODE=Kind name.namespace, such as IST0106=VirtualService reviews.default"
        raise ConfigError(
            "bad-suppression", f"{text!r} names no objects", where=Where("--suppress"), hint=hint
        )
    if code != "*" and code not in known:
        what, hint = (
            f"no analyzer has the code {code!r}",
            "`meshctl analyze --list-analyzers` shows all codes",
        )
        raise ConfigError("bad-suppression", what, where=Where("--suppress"), hint=hint)
    return Suppression(code, objects)


def analyzers() -> tuple[Analyzer, ...]:
    """Every analyzer there is, by name of its file."""
    return plugins("meshctl.analyzers", Analyzer)


def analyze(objects: ObjectSet, suppressions: Sequence[Suppression], least: Level) -> tuple[Finding, ...]:
    """What the analyzers find, the gravest first, then by place.

    Args:
        objects: of files, clusters or both.
        suppressions: what not to tell.
        least: what is less grave is not told.
    """
    told = [
        finding
        for finding in _asked(objects)
        if finding.rule.level.rank >= least.rank and not any(each.covers(finding) for each in suppressions)
    ]
    return tuple(sorted(told, key=_order))


def _asked(objects: ObjectSet) -> Iterator[Finding]:
    accepted = {
        str(each.object.ref): {code.strip() for code in str(said).split(",")}
        for each in objects
        if (said := (each.object.annotations or {}).get(SUPPRESSED))
    }
    for analyzer in analyzers():
        for finding in analyzer.look(objects):
            codes = accepted.get(finding.subject, set())
            if not any(_is_code(code, finding.rule) for code in codes):
                yield finding


def _is_code(code: str, rule: Rule) -> bool:
    return code in ("*", rule.code) or (bool(rule.number) and code == rule.number)


def _order(finding: Finding) -> tuple[int, str, int, str, str, str]:
    where = finding.where
    return (
        -finding.rule.level.rank,
        where.file if where else "",
        (where and where.line) or 0,
        finding.subject,
        finding.place,
        finding.message,
    )
