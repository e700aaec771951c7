"""Our templates against Go's own text/template and sprig, byte by byte.

The judge (`meshctl/sandbox/gomod/istio/templatejudge`) is Go's library with a door for many
templates. Both must write the same bytes or both must fail; the words of an error are our own.
"""

from __future__ import annotations

import base64
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from meshctl.gotemplate import Int64, TemplateError, parse
from meshctl.gotemplate.evaluate import MissingKey
from meshctl.gotemplate.literals import to_bytes

pytestmark = pytest.mark.parity

DATA: dict[str, Any] = {
    "s": "str",
    "i": 42,
    "f": 2.5,
    "t": True,
    "no": False,
    "nil": None,
    "l": [1, "two", 3.5, None],
    "ln": [None, 1],
    "ll": [[1, 2], [3], []],
    "ls": ["a", "b", "c"],
    "m": {"a": "A", "b": {"c": "deep"}, "n": 7, "nil": None},
    "el": [],
    "em": {},
    "big": 1234567890123,
    "small": 0.0000001,
    "neg": -5,
    "fl": 1e21,
    "u": "héllo <&> \u2028",
}
MODES: tuple[MissingKey, ...] = ("default", "zero", "error")


@dataclass(frozen=True)
class Verdict:
    """What a template makes, or None when it fails; `why` is for the one who reads a failure."""

    output: bytes | None
    why: str = ""


class Judge:
    """Go, asked many questions at once."""

    def __init__(self, binary: Path) -> None:
        self.binary = binary

    def ask(self, questions: list[tuple[str, MissingKey]]) -> list[Verdict]:
        lines = [json.dumps({"template": text, "data": DATA, "missingkey": mode}) for text, mode in questions]
        ran = subprocess.run(
            [self.binary], input="\n".join(lines), capture_output=True, text=True, check=True, timeout=300
        )
        answers = [json.loads(line) for line in ran.stdout.splitlines()]
        assert len(answers) == len(questions)
        return [
            Verdict(None, answer["error"])
            if "error" in answer
            else Verdict(base64.b64decode(answer["output"] or ""))
            for answer in answers
        ]


def ours(text: str, mode: MissingKey) -> Verdict:
    try:
        return Verdict(to_bytes(parse(text, "judged").render(typed(DATA), missing_key=mode)))
    except TemplateError as problem:
        return Verdict(None, str(problem))


def typed(value: object) -> object:
    """The data as the judge has it: whole numbers are int64."""
    match value:
        case bool():
            return value
        case int():
            return Int64(value)
        case list():
            return [typed(item) for item in value]
        case dict():
            return {key: typed(item) for key, item in value.items()}
    return value


def differences(judge: Judge, questions: list[tuple[str, MissingKey]]) -> list[str]:
    return [
        f"{text}  ({mode})\n    go:   {theirs.output!r} {theirs.why}\n    ours: {mine.output!r} {mine.why}"
        for (text, mode), theirs in zip(questions, judge.ask(questions), strict=True)
        if (mine := ours(text, mode)).output != theirs.output
    ]


@pytest.fixture(scope="module")
def judge(templatejudge: Path) -> Judge:
    return Judge(templatejudge)


def snippets() -> list[str]:
    """The templates of the file beside; one that goes over several lines is made of two."""
    lines = (Path(__file__).parent / "inputs" / "gotemplate.txt").read_text().split("\n")
    cases = [line for line in lines if line and not line.startswith("# ")]
    return [
        *cases,
        *(f"{first}\n  {second}" for first, second in zip(cases[:-1:7], cases[1::7], strict=False)),
    ]


@pytest.mark.parametrize("mode", MODES)
def test_a_template_makes_what_go_makes_of_it(judge: Judge, mode: MissingKey) -> None:
    found = differences(judge, [(text, mode) for text in snippets()])
    assert not found, "\n".join(found)


def words(text: str) -> st.SearchStrategy[str]:
    return st.sampled_from(text.split())


NAMES = words(".s .i .f .t .nil .l .ls .m .m.a .m.b .m.nil .zz .zz.a .el . $ $.ls")
CONSTANTS = words("""0 1 -2 2.5 1e6 "" "a" "x,y" "é\\n" `r` true false nil 'c'""")
UNARY = words(
    """not len print upper quote squote default empty toJson list first rest int float64 toString trim html
    typeOf kindOf reverse dict title b64enc b64dec until add ceil sortAlpha uniq compact coalesce fromJson
    snakecase println initial"""
)
BINARY = words(
    """eq ne lt le gt ge and or index default add sub mul div mod join split splitList contains hasPrefix
    trunc indent has append dict list get hasKey slice printf print cat max ternary replace omit pick
    deepEqual without concat regexMatch semverCompare trimAll repeat merge round untilStep pluck typeIs
    chunk"""
)
# Several flags at once, and `#`, have corners of their own: those that were met stand among the snippets.
FORMATS = st.builds(
    lambda flags, width, verb: f'"%{flags}{width}{verb}"',
    st.text("+- 0", max_size=1),
    st.sampled_from(["", "3", "8", ".2", "6.1"]),
    st.sampled_from("vdsqxXtTeEfgGbocU%z"),
)


def expressions() -> st.SearchStrategy[str]:
    return st.recursive(
        NAMES | CONSTANTS,
        lambda inner: st.one_of(
            st.builds("({} {})".format, UNARY, inner),
            st.builds("({} {} {})".format, BINARY, inner, inner),
            st.builds("({} | {})".format, inner, UNARY),
            st.builds("({} | {} {})".format, inner, BINARY, inner),
            st.builds("(printf {} {})".format, FORMATS, inner),
            st.builds("({}).a".format, inner),
        ),
        max_leaves=5,
    )


def bodies() -> st.SearchStrategy[str]:
    written = st.builds("{{{{ {} }}}}".format, expressions()) | st.sampled_from(
        [" ", "x\n", "{{- $v }}", "{{/* c */}}"]
    )
    return st.recursive(
        written,
        lambda inner: st.one_of(
            st.builds("{}{}".format, inner, inner),
            st.builds("{{{{- if {} }}}}{}{{{{ else }}}}{}{{{{- end }}}}".format, expressions(), inner, inner),
            st.builds("{{{{ with {} -}}}} {}{{{{ end }}}}".format, expressions(), inner),
            st.builds(
                "{{{{ with $v := {} }}}}{}{{{{ else }}}}{}{{{{ end }}}}".format, expressions(), inner, inner
            ),
            st.builds("{{{{ range {} }}}}{},{{{{ end }}}}".format, expressions(), inner),
            st.builds("{{{{ range $k, $v := {} }}}}{{{{ $k }}}}{}{{{{ end }}}}".format, expressions(), inner),
            st.builds("{{{{ $v = {} }}}}{}".format, expressions(), inner),
            st.builds('{{{{ template "t" {} }}}}{}'.format, expressions(), inner),
        ),
        max_leaves=4,
    )


DEFINED = '{{ $v := 1 }}{{ define "t" }}<{{ . }}>{{ end }}'


@seed(4)
@settings(
    max_examples=20,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(bodies(), min_size=100, max_size=100), st.sampled_from(MODES))
def test_any_template_makes_what_go_makes_of_it(judge: Judge, texts: list[str], mode: MissingKey) -> None:
    found = differences(judge, [(DEFINED + text, mode) for text in texts])
    assert not found, "\n".join(found)
