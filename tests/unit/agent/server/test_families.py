"""Metrics as text: what is read, what is left out."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from meshctl.agent.server.families import Families
from tests.unit.agent.server.expositions import FUZZING, expositions, seen


def read(*texts: bytes, open_metrics: bool = False) -> tuple[str, list[int], Families]:
    """What several texts come to, how many of their lines are odd, and the families."""
    families = Families()

    async def each() -> list[int]:
        return [await families.read(text, open_metrics=open_metrics) for text in texts]

    odd = asyncio.run(each())
    return b"".join(families.rest(set(), set())).decode(), odd, families


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a 1", "a 1"),
        ("a{} 1", "a 1"),
        ('a{b="c"} 1 1700000000000', 'a{b="c"} 1 1700000000000'),
        ('a { b = "c" , d="e", }\t-1.5e+3 ', 'a{b="c",d="e"} -1.5e+3'),
        (r'a{b="\"}\\ \n# x"} +Inf', r'a{b="\"}\\ \n# x"} +Inf'),
        ("a NaN\r", "a NaN"),
        ('a:b{c="ü"} .5', 'a:b{c="ü"} .5'),
        ("  # not a sample", None),
        ("a", None),
        ("a one", None),
        ("a 1_000", None),
        ("a 1 2 3", None),
        ("a 1 1.5", None),
        ("1a 1", None),
        ('a{b="c} 1', None),
        ('a{b="c"d="e"} 1', None),
        ('a{b="c",b="d"} 1', None),
        ("a{b='c'} 1", None),
        ("a{,} 1", None),
        ('a 1 # {trace_id="x"} 1', None),
        ("<html>", None),
    ],
)
def test_a_sample_is_taken_as_it_is_or_left_out_and_counted(line: str, said: str | None) -> None:
    name = (said or "a").partition("{")[0].partition(" ")[0]
    out, odd, _ = read(line.encode())
    assert (out, odd) == (f"# TYPE {name} untyped\n{said}\n" if said else "", [0 if said else 1])


def test_a_line_that_is_not_text_spoils_no_other() -> None:
    out, odd, _ = read(b'a{b="\xff\xfe"} 1\nb 2\n')
    assert (out, odd) == ("# TYPE b untyped\nb 2\n", [1])


def test_help_and_kind_stand_before_their_samples() -> None:
    head = b"# HELP a Said.\n"
    rest = b'# TYPE a counter\na 1\n# TYPE b summary\nb_sum 1\nb_count 2\nb{quantile="0"} 3\n'
    assert read(head + b"# a comment\n\n" + rest)[0].encode() == head + rest


def test_series_of_one_family_stand_together_wherever_they_come_from() -> None:
    out, _, families = read(b'# TYPE a gauge\na{x="1"} 1\nb 1\n', b'# TYPE a gauge\na{x="2"} 2\n')
    assert out == '# TYPE a gauge\na{x="1"} 1\na{x="2"} 2\n# TYPE b untyped\nb 1\n'
    assert families.clashes == set()


def test_of_two_samples_of_a_series_the_first_stays() -> None:
    out, _, _ = read(b'a{x="1",y="2"} 1\na{y="2",x="1"} 2\n', b'a{x="1",y="2"} 3\n')
    assert out == '# TYPE a untyped\na{x="1",y="2"} 1\n'


@pytest.mark.parametrize(
    "second",
    [
        "# TYPE a counter\na 1\n",
        "# TYPE h gauge\nh 1\n",
        "# TYPE h_count counter\nh_count 1\n",
        "h_sum 1\n",
        "a 1\n",
    ],
)
def test_what_has_the_name_of_another_kind_is_left_out_and_told(second: str) -> None:
    first = b'# TYPE a gauge\na 0\n# TYPE h histogram\nh_bucket{le="+Inf"} 1\nh_sum 1\nh_count 1\n'
    out, odd, families = read(first, second.encode())
    assert out.encode() == first
    assert odd == [0, 0]
    assert families.clashes == {second.split()[-2].encode()}


def test_open_metrics_become_plain_text() -> None:
    text = b"""# TYPE requests counter
# UNIT requests requests
# HELP requests Said \\"so\\".
requests_total{a="b # {"} 3 1700000000.5 # {trace_id="x"} 1 1700000000
requests_created{a="b # {"} 1700000000
# TYPE took histogram
took_bucket{le="+Inf"} 2 # {} 3
took_count 2
took_sum 4
# TYPE target info
target_info{version="1"} 1
# TYPE mode stateset
mode{mode="a"} 1
# TYPE odd unknown
odd 7
# EOF
after 1
"""
    out, odd, _ = read(text, open_metrics=True)
    assert odd == [0]
    assert out.splitlines() == [
        '# HELP requests_total Said "so".',
        "# TYPE requests_total counter",
        'requests_total{a="b # {"} 3 1700000000500',
        '# HELP requests_created Said "so".',
        "# TYPE requests_created gauge",
        'requests_created{a="b # {"} 1700000000',
        "# TYPE took histogram",
        'took_bucket{le="+Inf"} 2',
        "took_count 2",
        "took_sum 4",
        "# TYPE target_info gauge",
        'target_info{version="1"} 1',
        "# TYPE mode gauge",
        'mode{mode="a"} 1',
        "# TYPE odd untyped",
        "odd 7",
    ]


@FUZZING
@given(expositions())
def test_what_was_right_is_read_by_others_as_it_was(text: str) -> None:
    out, odd, families = read(text.encode())
    assert odd == [0]
    assert families.clashes == set()
    assert seen(out) == seen(text)


_ODDITIES = st.sampled_from([
    "a", "b_sum", "a_count", "{", "}", 'x="y"', ",", " ", "\t", "1", "NaN", "-", "\n", "# TYPE ", "# HELP ",
    "counter",    "histogram", "summary", '"', "\\", " # {}", "# EOF", "\r\n", "\0", "\u2028", "é", "1e999",
    "_bucket", "info",
])  # fmt: skip


@FUZZING
@given(
    st.lists(_ODDITIES, max_size=60).map("".join),
    st.lists(_ODDITIES, max_size=60).map("".join),
    st.booleans(),
)
def test_whatever_is_said_what_comes_out_is_read_by_others(
    first: str, second: str, open_metrics: bool
) -> None:
    out, _, _ = read(first.encode(), second.encode(), open_metrics=open_metrics)
    names = [family.name for family in text_string_to_metric_families(out)]
    assert len(names) == len(set(names))


@FUZZING
@given(st.binary(max_size=200), st.booleans())
def test_whatever_bytes_come_they_are_read_to_the_end(text: bytes, open_metrics: bool) -> None:
    out, _, _ = read(text, open_metrics=open_metrics)
    list(text_string_to_metric_families(out))
