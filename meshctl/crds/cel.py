"""Rules in CEL (`x-kubernetes-validations`), evaluated here as the API server evaluates them.

What a rule says of `self` is asked of cel-cpp, the reference implementation; the functions that Kubernetes
adds and our rules use are given to it. A rule that it cannot read is told as such and never counts as kept.
Rules about changes, which compare with `oldSelf`, say nothing about an object on its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from meshctl.crds.structural import Path, Problem, field_schema, kept, named
from meshctl.crds.urls import is_url, scheme
from meshctl.model.wording import literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cel_expr_python import cel

_CHANGES = re.compile(r"\boldSelf\b")


@dataclass(frozen=True, slots=True)
class Unread:
    """A rule that could not be evaluated, and why."""

    rule: str
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules of a schema say about a value."""

    problems: tuple[Problem, ...] = ()
    unread: tuple[Unread, ...] = ()


def judged(schema: Mapping[str, Any], value: Any, found: Sequence[Problem] = ()) -> Verdict:
    """Ask every rule of a schema about the part of `value` it is for.

    Args:
        schema: OpenAPI v3 as in a CustomResourceDefinition.
        value: JSON.
        found: what the schema's structure found wrong with it. A rule that fails on such a part, for
            want of a field or because of its type, says nothing new and is left out.
    """
    problems: list[Problem] = []
    unread: dict[str, Unread] = {}
    broken = {each.path[:length] for each in found for length in range(len(each.path) + 1)}
    for path, here, rule in _asked(schema, value, ()):
        text = rule["rule"]
        if _CHANGES.search(text):
            continue
        program, why = _program(text)
        if program is None:
            unread[text] = Unread(text, why)
            continue
        held, why = _held(program, here)
        if why:
            unread[text] = Unread(text, why)
        elif held is False or (held is None and path not in broken):
            problems.append(_problem(path, here, rule))
    return Verdict(tuple(problems), tuple(unread.values()))


def _asked(
    schema: Mapping[str, Any], value: Any, path: Path
) -> Iterator[tuple[Path, Any, Mapping[str, str]]]:
    """Every rule, with the place and the value that it is for; those of the outer parts first."""
    if value is None:
        return
    value = kept(schema, value) if isinstance(value, dict) else value
    for rule in schema.get("x-kubernetes-validations", ()):
        yield path, value, rule
    if isinstance(value, dict):
        for name, below in value.items():
            known = field_schema(schema, name)
            if known is not None:
                yield from _asked(known, below, (*path, name))
    elif isinstance(value, list) and "items" in schema:
        for index, below in enumerate(value):
            yield from _asked(schema["items"], below, (*path, index))


def _held(program: cel.Expression, value: Any) -> tuple[bool | None, str]:
    """Whether a rule is true of a value, None where that has no answer; and why it could not be asked."""
    try:
        answer = program.eval(data={"self": value}).value()
    except RuntimeError as fault:  # a list so long that the evaluation is given up
        return None, str(fault).splitlines()[0]
    return (answer if isinstance(answer, bool) else None), ""


def _problem(path: Path, value: Any, rule: Mapping[str, str]) -> Problem:
    said = rule.get("message") or f"the rule is {rule['rule']}"
    what = "" if isinstance(value, (dict, list)) else f" cannot be {literal(value)}"
    return Problem(path, "rule-broken", f"{named(path)}{what}: {said}")


@cache
def _program(rule: str) -> tuple[cel.Expression | None, str]:
    """A rule ready to be asked, or why it cannot be."""
    environment, why = _environment()
    if environment is None:
        return None, why
    try:
        return environment.compile(rule), ""
    except RuntimeError as fault:
        return None, str(fault).splitlines()[0]


@cache
def _environment() -> tuple[cel.Env | None, str]:
    try:
        from cel_expr_python import cel
        from cel_expr_python.ext import ext_strings
    except ImportError:  # there is no wheel of it for every platform
        return None, "the package cel-expr-python is not installed"
    kind = cel.Type
    functions = [
        _function(cel, "isURL", kind.BOOL, is_url),
        _function(cel, "url", kind.STRING, _checked_url),
        _function(cel, "getScheme", kind.STRING, scheme, member=True),
    ]
    variables = {"self": kind.DYN}
    return cel.NewEnv(variables=variables, extensions=[ext_strings.ExtStrings()], functions=functions), ""


def _function(cel: Any, name: str, gives: Any, answer: Any, *, member: bool = False) -> Any:
    """A function of one text; addresses are texts too, as a type of their own would change no answer."""
    text = [cel.Type.STRING]
    overload = cel.Overload(f"{name}_text", return_type=gives, parameters=text, is_member=member, impl=answer)
    return cel.FunctionDecl(name, [overload])


def _checked_url(text: str) -> str:
    scheme(text)
    return text
