"""Each event is one line, which holds no secret."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshctl.agent import logs
from meshctl.errors import ConfigError

KEY = (
    "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIBkg4LVWM9nuwNSk3yByxZpYRTBnVJk5\n-----END EC PRIVATE KEY-----\n"
)
TOKEN = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJl-_x"
OPAQUE = "0d5b1d8e2f6c4a39"
SECRETS = ("MHcCAQEEIBkg4LVWM9nuwNSk3yByxZpYRTBnVJk5", "eyJhbGci", "eyJpc3Mi", "c2lnbmF0dXJl", OPAQUE)
CARRIERS = {
    "a key": KEY,
    "a key that was cut off": KEY[:60],
    "a key in JSON": json.dumps({"key": KEY}),
    "a token": TOKEN,
    "a token without its signature": TOKEN.rpartition(".")[0],
    "a header": f"authorization: Bearer {OPAQUE}",
    "a header of Python's": f"('authorization', 'bearer {OPAQUE}')",
    "a header in JSON": json.dumps({"Authorization": f"Basic {OPAQUE}"}),
    "a bearer's token": f"sent Bearer {OPAQUE} to istiod",
}


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, raising = root.handlers[:], root.level, logging.raiseExceptions
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.raiseExceptions = raising
    logging.getLogger(logs.ROOT).setLevel(logging.NOTSET)
    logging.getLogger(f"{logs.ROOT}.ads").setLevel(logging.NOTSET)


def logger(part: str = "ads") -> logging.Logger:
    return logging.getLogger(f"{logs.ROOT}.{part}")


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize("carrier", CARRIERS)
def test_no_secret_is_written_whereever_it_stands(carrier: str, form: str) -> None:
    stream = io.StringIO()
    logs.start(form=form, stream=stream)
    text = CARRIERS[carrier]
    logger().error("could not use %s", text)
    logger().error("could not", extra={"fields": {"sent": text, "deep": {"er": [text, (text,)]}}})
    try:
        raise ValueError(text)
    except ValueError:
        logger().exception("failed")
    logging.getLogger("grpc._cython.cygrpc").error("%s", text)
    said = stream.getvalue()
    assert said.count("[hidden]") >= 4
    for secret in SECRETS:
        assert secret not in said


def test_what_only_sounds_like_a_secret_stays() -> None:
    text = "the bearer token is too old; basic authentication is off; authorization policies: 3"
    assert logs.redacted(text) == text


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_event_is_one_line_whatever_it_holds(form: str) -> None:
    stream = io.StringIO()
    logs.start(form=form, stream=stream)
    logger().warning("first\nsecond \x1b[2J \u2028 %s", "\r\n{}", extra={"fields": {"a": "b\nc"}})
    assert len(stream.getvalue().splitlines()) == 1
    assert stream.getvalue().endswith("\n")
    assert "\x1b" not in stream.getvalue()


def test_a_line_of_json_says_when_how_bad_where_and_what() -> None:
    stream = io.StringIO()
    logs.start(stream=stream)
    logger("ads.upstream").warning("%s is away", "istiod", extra={"fields": {"address": "10.0.0.1:15012"}})
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "part": "ads.upstream",
        "message": "istiod is away",
        "address": "10.0.0.1:15012",
    }


def test_a_message_without_end_is_cut_and_says_so() -> None:
    stream = io.StringIO()
    logs.start(stream=stream)
    logger().error("x" * 1_000_000)
    assert len(stream.getvalue()) < 2 * logs.LONGEST
    assert "(1000000 characters)" in stream.getvalue()


def test_a_secret_does_not_escape_by_being_cut() -> None:
    stream = io.StringIO()
    logs.start(stream=stream)
    logger().error("%s%s", "x" * (logs.LONGEST - 40), KEY)
    assert "MHcCAQEE" not in stream.getvalue()


def test_the_level_of_all_and_of_one_part_changes_while_it_runs() -> None:
    stream = io.StringIO()
    logs.start(stream=stream)
    logger().debug("1")
    logs.set_level("debug", "ads")
    logger().debug("2")
    logger("dns").debug("3")
    logs.set_level("error")
    logger("dns").warning("4")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["2"]


def test_a_level_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="there is no log level 'loud'"):
        logs.set_level("loud")


def test_the_journal_is_told_how_bad_each_line_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w+") as stream:
        found = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        logs.start(stream=stream)
        logger().error("bad")
        logger().info("good")
        stream.seek(0)
        assert [line[:4] for line in stream] == ["<3>{", "<6>{"]
