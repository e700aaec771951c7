"""Envoy's metrics as they stream, with others merged in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from meshctl.agent.server.families import Families
from meshctl.agent.server.merging import LONGEST_LINE, Merged, OddMetricsError
from tests.unit.agent.server.expositions import FUZZING, expositions, seen


def merged(stream: bytes, held: bytes, size: int = 7) -> tuple[str, set[bytes]]:
    """A stream that comes in pieces of a size, and what is held, in one text; and what clashes."""

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(stream), size):
            yield stream[at : at + size]

    async def both() -> tuple[str, set[bytes]]:
        families = Families()
        await families.read(held)
        merged = Merged(families)
        out = b"".join([piece async for piece in merged.pieces(pieces())])
        return (out + merged.rest()).decode(), families.clashes

    return asyncio.run(both())


ENVOY = b"""# TYPE up gauge
up{x="1"} 1
# TYPE took histogram
took_bucket{le="+Inf"} 1
took_sum 1
took_count 1
"""


def test_what_streams_comes_first_and_as_it_is() -> None:
    assert (
        merged(ENVOY, b"# TYPE mine counter\nmine 1\n")[0].encode()
        == ENVOY + b"# TYPE mine counter\nmine 1\n"
    )


def test_series_of_one_family_stand_together() -> None:
    out, clashes = merged(ENVOY, b'# TYPE up gauge\nup{x="2"} 2\nup{x="1"} 7\n')
    assert out.encode() == ENVOY.replace(b"# TYPE took", b'up{x="2"} 2\n# TYPE took')
    assert clashes == set()


def test_series_of_the_last_family_stand_there_too() -> None:
    out, _ = merged(b"# TYPE up gauge\nup 1\n", b'# TYPE up gauge\nup{a="b"} 1\n')
    assert out == '# TYPE up gauge\nup 1\nup{a="b"} 1\n'


@pytest.mark.parametrize(
    ("held", "clash"),
    [
        ("# TYPE up counter\nup 1\n", "up"),
        ("up 1\n", "up"),
        ("# TYPE took_sum counter\ntook_sum 1\n", "took_sum"),
        ("# TYPE took gauge\ntook 1\n", "took"),
    ],
)
def test_what_is_held_never_hides_what_streams(held: str, clash: str) -> None:
    out, clashes = merged(ENVOY, held.encode() + b"other 1\n")
    assert out.encode() == ENVOY + b"# TYPE other untyped\nother 1\n"
    assert clashes == {clash.encode()}


def test_a_stream_that_breaks_off_in_a_line_loses_that_line_only() -> None:
    out, _ = merged(ENVOY[:-4], b"other 1\n")
    assert out.encode() == ENVOY.rpartition(b"took_count")[0] + b"# TYPE other untyped\nother 1\n"


def test_a_stream_without_lines_is_given_up() -> None:
    with pytest.raises(OddMetricsError):
        merged(b"x" * (LONGEST_LINE + 100), b"", size=65536)


def test_without_a_stream_what_is_held_is_all() -> None:
    assert merged(b"", b"other 1\n")[0] == "# TYPE other untyped\nother 1\n"


@FUZZING
@given(expositions(), expositions(), st.integers(1, 200))
def test_others_read_all_that_streams_and_all_that_does_not_clash(stream: str, held: str, size: int) -> None:
    out, clashes = merged(stream.encode(), held.encode(), size)
    both, first, second = seen(out), seen(stream), seen(held)
    assert both.keys() == first.keys() | {name for name in second if name.encode() not in _stems(clashes)}
    for name, (kind, _, samples) in first.items():
        assert both[name][0] == kind
        assert both[name][2].items() >= samples.items()
    for name, (kind, _, samples) in second.items():
        if name in both and both[name][0] == kind:
            assert both[name][2].keys() >= samples.keys() - _other_times(first, name)


def _stems(clashes: set[bytes]) -> set[bytes]:
    """As the library calls them, which takes `_total` off counters."""
    return clashes | {name.removesuffix(b"_total") for name in clashes}


def _other_times(
    first: dict[str, tuple[str, str, dict[tuple[object, ...], float]]], name: str
) -> set[tuple[object, ...]]:
    """Samples that are of the stream at one time, and may be held at another."""
    samples = first[name][2] if name in first else {}
    return {(*key[:-1], moment) for key in samples for moment in (None, 1700000000.0)}


_ODDITIES = st.sampled_from([
    "# TYPE up gauge\n", "# TYPE up counter\n", "up 1\n", 'up{a="b"} 1\n', "# HELP up x\n",
    "took_sum 1\n", "up 1", "# TYPE took histogram\n", "\n", "# TYPE \n", "# TYPE up\n", "{}", "\0",
    "<html>\n", "# EOF\n", "up up up\n",
])  # fmt: skip


@FUZZING
@given(
    st.lists(_ODDITIES, max_size=20).map("".join),
    st.lists(_ODDITIES, max_size=20).map("".join),
    st.integers(1, 50),
)
def test_whatever_streams_comes_through_in_its_order(stream: str, held: str, size: int) -> None:
    out, _ = merged(stream.encode(), held.encode(), size)
    rest = iter(out.split("\n"))
    assert all(line in rest for line in stream.split("\n")[:-1])


@FUZZING
@given(st.binary(max_size=300), st.binary(max_size=300), st.integers(1, 50))
def test_whatever_bytes_stream_and_are_held_it_ends(stream: bytes, held: bytes, size: int) -> None:
    async def both() -> None:
        families = Families()
        await families.read(held)
        merged = Merged(families)

        async def pieces() -> AsyncIterator[bytes]:
            for at in range(0, len(stream), size):
                yield stream[at : at + size]

        assert len([piece async for piece in merged.pieces(pieces())]) <= len(stream)
        list(text_string_to_metric_families(merged.rest().decode()))

    asyncio.run(both())
