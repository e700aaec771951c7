"""Istio's objects in files, checked without a cluster."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meshctl.crds.validation import is_ours, reviewed
from meshctl.errors import ConfigError
from meshctl.stages.validating.reading import read
from meshctl.stages.validating.settings_files import is_settings, settings_problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meshctl.crds.cel import Unread
    from meshctl.model.values import Version
    from meshctl.stages.validating.sources import Source


@dataclass(frozen=True)
class Validation:
    """What came of it.

    Attributes:
        problems: everything that is wrong, by file and line.
        files: how many were read.
        checked: objects that were checked, by kind.
        left: objects of other APIs, by kind, which were left alone.
        others: files and documents in folders that are no Kubernetes objects.
        unread: CEL rules that could not be evaluated.
    """

    problems: tuple[ConfigError, ...] = ()
    files: int = 0
    checked: Mapping[str, int] = field(default_factory=dict)
    left: Mapping[str, int] = field(default_factory=dict)
    others: int = 0
    unread: tuple[Unread, ...] = ()


def validate(sources: Iterable[Source], version: Version) -> Validation:
    """Check every object of Istio's in the given texts.

    Args:
        sources: texts of files.
        version: the Istio that will read the objects.

    Raises:
        UnsupportedError: there are no definitions for this minor.
    """
    problems: list[ConfigError] = []
    checked: Counter[str] = Counter()
    left: Counter[str] = Counter()
    unread: dict[str, Unread] = {}
    files = others = 0
    for source in sources:
        files += 1
        told = read(source)
        others += told.others
        wrong = list(told.problems)
        for each in told.found:
            kind, api_version = each.content["kind"], each.content["apiVersion"]
            if is_settings(each):
                checked[kind] += 1
            elif is_ours(api_version, kind):
                checked[kind] += 1
                result = reviewed(each.content, version.crds)
                unread.update({rule.rule: rule for rule in result.unread})
                wrong += [
                    ConfigError(
                        found.code, found.message, where=each.origin.where(found.path), hint=found.hint
                    )
                    for found in result.problems
                ]
            else:
                left[kind] += 1
        wrong += settings_problems(tuple(each for each in told.found if is_settings(each)), version)
        problems += sorted(wrong, key=_line)
    return Validation(
        tuple(problems),
        files,
        dict(sorted(checked.items())),
        dict(sorted(left.items())),
        others,
        tuple(unread.values()),
    )


def _line(problem: ConfigError) -> int:
    return (problem.where and problem.where.line) or 0
