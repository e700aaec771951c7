"""`validate` and `analyze`: what is wrong with objects before anybody sends them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from meshctl.cli.app import App, command
from meshctl.cli.report import error_data, table
from meshctl.cli.status import FINDINGS
from meshctl.errors import ConfigError, Where
from meshctl.model.finding import Level

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.model.analysis import Analyzer
    from meshctl.model.finding import Finding
    from meshctl.stages.validating.sources import Source
    from meshctl.stages.validating.validate import Validation

UNREADABLE = frozenset({"no-such-file", "nothing-to-read"})
"""Codes of problems with the command line rather than with what a file holds."""

_VERSION = click.option(
    "--istio-version",
    "version",
    metavar="VERSION",
    help="Istio minor or version that will read the objects; not given: the default one.",
)


@click.command()
@click.argument("names", nargs=-1, metavar="[FILE|DIR]...")
@click.option(
    "-f",
    "--filename",
    "files",
    multiple=True,
    metavar="FILE|DIR|-",
    help="File, folder with all below it, or `-`: standard input; may be given several times.",
)
@_VERSION
@command()
def validate(app: App, names: tuple[str, ...], files: tuple[str, ...], version: str | None) -> int:
    """Check Istio's objects in files against the schema and rules of their kinds, without a cluster.

    IstioOperator files and mesh.yaml are checked as `install -f` does. Objects of other APIs are counted
    and left alone. Of a folder, files that end in .yaml, .yml or .json are read. Exit code 3 when
    something is wrong.

    \b
    Examples:
      meshctl validate -f reviews.yaml
      meshctl validate -f config/ --istio-version 1.31
      kubectl get virtualservices -A -o yaml | meshctl validate -f -
      meshctl validate -f config/ -o json
    """
    from meshctl.stages.settings.versions import version as known_version
    from meshctl.stages.validating.validate import validate

    asked = known_version(version)
    told = validate(_sources((*names, *files)), asked)
    app.report.result(validation_data(told), validation_text(told, asked.crds))
    if any(problem.code in UNREADABLE for problem in told.problems):
        return ConfigError.exit_code
    return FINDINGS if told.problems else 0


@click.command()
@click.argument("names", nargs=-1, metavar="[FILE|DIR|-]...")
@_VERSION
@click.option(
    "-S",
    "--suppress",
    "suppressed",
    multiple=True,
    metavar="CODE=OBJECTS",
    help="Findings not to tell, such as `IST0106=VirtualService reviews.default`; * stands for anything.",
)
@click.option(
    "--failure-threshold",
    "--fail-on",
    "fail_on",
    type=click.Choice([level.value for level in Level], case_sensitive=False),
    default=Level.ERROR.value,
    show_default=True,
    help="Exit code 3 when a finding is at least this bad.",
)
@click.option(
    "--output-threshold",
    "least",
    type=click.Choice([level.value for level in Level], case_sensitive=False),
    default=Level.INFO.value,
    show_default=True,
    help="Tell findings that are at least this bad.",
)
@click.option("-L", "--list-analyzers", "only_list", is_flag=True, help="List the analyzers and their codes.")
@command()
def analyze(
    app: App,
    names: tuple[str, ...],
    version: str | None,
    suppressed: tuple[str, ...],
    fail_on: str,
    least: str,
    only_list: bool,
) -> int:
    """Ask every analyzer about the objects of files; codes are those of istioctl analyze.

    An object's annotation galley.istio.io/analyze-suppress names codes that are not told of it.

    \b
    Examples:
      meshctl analyze config/
      kubectl get all,virtualservices -A -o yaml | meshctl analyze -
      meshctl analyze config/ --suppress "IST0106=VirtualService legacy-*.shop" --failure-threshold warning
      meshctl analyze --list-analyzers
    """
    from meshctl.actions import analyze as action
    from meshctl.stages.settings.versions import version as known_version
    from meshctl.stages.validating.gather import gather

    if only_list:
        known = action.analyzers()
        app.report.result([analyzer_data(each) for each in known], analyzers_text(known))
        return 0
    accepted = [action.suppression(each) for each in suppressed]
    objects = gather(_sources(names), known_version(version).crds)
    findings = action.analyze(objects, accepted, Level(least))
    app.report.result(
        [finding_data(each) for each in findings], analysis_text(findings, len(objects.resources))
    )
    worst = max((each.rule.level.rank for each in findings), default=-1)
    return FINDINGS if worst >= Level(fail_on).rank else 0


def _sources(names: tuple[str, ...]) -> tuple[Source, ...]:
    from meshctl.stages.validating.sources import sources

    if not names:
        raise ConfigError(
            "nothing-to-read",
            "no file is named",
            where=Where("command line"),
            hint="name files or folders, or - for standard input",
        )
    stdin = sys.stdin.buffer.read().decode("utf-8-sig", "replace") if "-" in names else ""
    return tuple(sources(names, stdin))


def validation_text(told: Validation, minor: str) -> str:
    """Three lines a problem, then what was looked at and what was not."""
    lines = []
    for problem in told.problems:
        lines += [f"x {problem.where}", f"    {problem.message}  [{problem.code}]"]
        lines += [f"    hint: {problem.hint}"] if problem.hint else []
    for rule in told.unread:
        lines.append(f"! a rule was not evaluated, as {rule.why}: {rule.rule}")
    lines += [""] if lines else []
    count = _counted(len(told.problems), "problem")
    where = f"in {_counted(told.files, 'file')}, against Istio {minor}"
    lines.append(f"{count}; {_tally(told.checked, 'Istio object')} checked {where}")
    if told.left:
        lines.append(f"{_tally(told.left, 'object')} of other APIs left alone: their shape is not checked")
    if told.others:
        lines.append(f"{_counted(told.others, 'document')} without apiVersion and kind left alone")
    return "\n".join(lines)


def validation_data(told: Validation) -> dict[str, Any]:
    """A validation for a program; described in docs/reference/json.md."""
    return {
        "problems": [error_data(each) for each in told.problems],
        "files": told.files,
        "checked": dict(told.checked),
        "leftAlone": dict(told.left),
        "notObjects": told.others,
        "rulesNotEvaluated": [{"rule": each.rule, "why": each.why} for each in told.unread],
    }


def analysis_text(findings: tuple[Finding, ...], objects: int) -> str:
    """Two lines a finding, then the count."""
    lines = []
    for each in findings:
        place = f"({each.subject} {each.where})" if each.where else f"({each.subject})"
        lines += [f"{_level(each)} [{each.rule.number or each.rule.code}] {place} {each.message}"]
        lines += [f"    hint: {each.remedy}"]
    lines += [""] if lines else []
    return "\n".join([*lines, f"{_counted(len(findings), 'finding')} in {_counted(objects, 'object')}"])


def finding_data(finding: Finding) -> dict[str, Any]:
    """A finding for a program; described in docs/reference/json.md."""
    where = finding.where
    return {
        "code": finding.rule.number or finding.rule.code,
        "rule": finding.rule.code,
        "level": finding.rule.level.value,
        "object": finding.subject,
        "message": finding.message,
        "where": None if where is None else {"file": where.file, "line": where.line, "path": where.path},
        "hint": finding.remedy,
    }


def analyzers_text(known: tuple[Analyzer, ...]) -> str:
    """One line an analyzer."""
    rows = [
        (each.name, ", ".join(rule.number or rule.code for rule in each.rules), each.summary)
        for each in known
    ]
    return table(rows, ("NAME", "CODES", "WHAT IT LOOKS AT"))


def analyzer_data(one: Analyzer) -> dict[str, Any]:
    """An analyzer for a program."""
    rules = [
        {
            "code": rule.number or rule.code,
            "rule": rule.code,
            "level": rule.level.value,
            "summary": rule.summary,
        }
        for rule in one.rules
    ]
    return {"name": one.name, "summary": one.summary, "inputs": list(one.inputs), "rules": rules}


def _level(finding: Finding) -> str:
    return finding.rule.level.value.capitalize()


def _tally(kinds: Mapping[str, int], noun: str) -> str:
    parts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return _counted(sum(kinds.values()), noun) + (f" ({parts})" if parts else "")


def _counted(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
