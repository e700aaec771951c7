from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshctl.agent.envoy.output import LogLines, pass_on

Records = list[logging.LogRecord]


@pytest.fixture
def records() -> Iterator[Records]:
    """What the agent logs of Envoy."""
    found: Records = []
    handler = logging.Handler()
    handler.emit = found.append  # type: ignore[method-assign]
    log = logging.getLogger("meshctl.agent.envoy.log")
    log.addHandler(handler)
    yield found
    log.removeHandler(handler)


def test_lines_of_envoy_get_their_level_and_their_component(records: Records) -> None:
    LogLines().take(b'warning\tconfig\tgRPC \\"x\\" closed\\nagain\ntrace\tpool\tt\n')
    assert [(each.levelname, each.getMessage()) for each in records] == [
        ("WARNING", 'gRPC "x" closed\nagain'),
        ("DEBUG", "t"),
    ]
    assert records[0].fields == {"component": "config"}  # type: ignore[attr-defined]


def test_a_line_that_comes_in_pieces_is_one_line(records: Records) -> None:
    lines = LogLines()
    for piece in (b"info\tma", b"in\tsta", b"rted\n\n"):
        lines.take(piece)
    assert [each.getMessage() for each in records] == ["started"]


def test_what_envoy_could_not_go_on_for_is_kept(records: Records) -> None:
    lines = LogLines()
    lines.take(
        b"error\tconfig\tsmall\ncritical\tmain\terror initializing: port in use\ninfo\tmain\texiting\n"
    )
    assert lines.complaint == "error initializing: port in use"


def test_a_crash_that_is_told_in_another_form_is_kept_too(records: Records) -> None:
    lines = LogLines()
    lines.take(b"terminate called after throwing\n  what():  x\n")
    assert lines.complaint == "terminate called after throwing"
    assert {each.levelname for each in records} == {"WARNING"}


def test_a_line_without_end_is_cut_and_does_not_grow(records: Records) -> None:
    lines = LogLines()
    for _ in range(64):
        lines.take(b"x" * 4096)
    assert sum(len(each.getMessage()) for each in records) >= 3 << 16


@settings(deadline=None)
@given(st.lists(st.binary(max_size=64), max_size=8))
def test_no_bytes_stop_the_log(pieces: list[bytes]) -> None:
    lines = LogLines()
    for piece in pieces:
        lines.take(piece)
    lines.take(b"\n")


@settings(deadline=None)
@given(st.text(max_size=64))
def test_a_message_is_read_as_envoy_meant_it(message: str) -> None:
    lines = LogLines()
    lines.take(f"critical\tmain\t{json.dumps(message)[1:-1]}\n".encode())
    assert lines.complaint == message


def test_standard_output_goes_on_unchanged() -> None:
    source, given = os.pipe()
    taken, to = os.pipe()
    thread = pass_on(source, to)
    os.write(given, b'{"path":"/"}\n')
    assert os.read(taken, 100) == b'{"path":"/"}\n'
    os.close(taken)
    os.write(given, b"nobody reads this\n" * 10000)  # and Envoy does not wait for it
    os.close(given)
    thread.join(10)
    assert not thread.is_alive()
    os.close(to)
