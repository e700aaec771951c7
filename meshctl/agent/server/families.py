"""Metrics as text: families of series, read strictly, so that one odd line never spoils the others.

Source: Prometheus' text format 0.0.4, and OpenMetrics 1.0, which is read as though it were the former.
"""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_COMMENT: Final = re.compile(rb"#[ \t]+(HELP|TYPE)[ \t]+([a-zA-Z_:][a-zA-Z0-9_:]*)(?:[ \t]+(.*))?")
_QUOTED: Final = rb'"(?:[^"\\]|\\.)*"'
_ONE_LABEL: Final = rb"[ \t]*[a-zA-Z_][a-zA-Z0-9_]*[ \t]*=[ \t]*" + _QUOTED + rb"[ \t]*"
_LABEL: Final = re.compile(rb"([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*(" + _QUOTED + rb")")
_SAMPLE: Final = re.compile(
    rb"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)[ \t]*"
    rb"(?:\{(?P<labels>(?:" + _ONE_LABEL + rb"(?:," + _ONE_LABEL + rb")*,?)?[ \t]*)\}[ \t]*|[ \t])"
    rb"(?P<value>[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|(?i:inf|nan)))"
    rb"(?:[ \t]+(?P<time>-?[0-9]{1,18}(?:\.[0-9]*)?))?[ \t]*(?P<exemplar>[ \t]#.*)?"
)

_AT_ONCE: Final = 500
"""Lines that are read before other tasks have their turn."""
_HISTOGRAM: Final = tuple((suffix, "", "histogram") for suffix in ("_bucket", "_sum", "_count"))
_SUMMARY: Final = tuple((suffix, "", "summary") for suffix in ("", "_sum", "_count"))
_CREATED: Final = ("_created", "_created", "gauge")
_TEXT: Final = {
    "counter": (("", "", "counter"),),
    "gauge": (("", "", "gauge"),),
    "untyped": (("", "", "untyped"),),
    "histogram": (("", "", "histogram"), *_HISTOGRAM),
    "summary": _SUMMARY,
}
_OPEN_METRICS: Final = {
    "counter": (("_total", "_total", "counter"), _CREATED),
    "gauge": (("", "", "gauge"),),
    "unknown": (("", "", "untyped"),),
    "info": (("_info", "_info", "gauge"),),
    "stateset": (("", "", "gauge"),),
    "histogram": (*_HISTOGRAM, _CREATED),
    "gaugehistogram": tuple((suffix, suffix, "untyped") for suffix in ("_bucket", "_gcount", "_gsum")),
    "summary": (*_SUMMARY, _CREATED),
}
"""Of a declared kind: endings of its samples' names, and the family's name and kind as text has them."""


@dataclass
class Family:
    """Series of one name.

    Attributes:
        name: of the family.
        kind: counter, gauge, histogram, summary or untyped.
        help: escaped, as it stands in the text; may be empty.
        series: values and times of samples, by their names and labels.
    """

    name: bytes
    kind: str
    help: bytes = b""
    series: dict[bytes, bytes] = field(default_factory=dict)

    def head(self) -> bytes:
        """What stands before the samples."""
        said = b"# HELP %b %b\n" % (self.name, self.help) if self.help else b""
        return said + b"# TYPE %b %b\n" % (self.name, self.kind.encode())

    def lines(self, but: Collection[bytes] = ()) -> bytes:
        """The samples, but for some series."""
        return b"".join(b"%b %b\n" % each for each in self.series.items() if each[0] not in but)


class Families:
    """Families of several texts; what clashes with an earlier one is left out and counted.

    Attributes:
        clashes: families that were left out, because an earlier one has the name of one of their series.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.clashes: set[bytes] = set()
        self._families: dict[bytes, Family] = {}
        self._owners: dict[bytes, bytes] = {}  # names of series that are taken, and by which family

    async def read(self, text: bytes, *, open_metrics: bool = False) -> int:
        """Take over a text, and say how many of its lines are none of the format; others have their turn."""
        source = _Source(self, open_metrics)
        for at, line in enumerate(io.BytesIO(text)):
            if not source.line(line.removesuffix(b"\n").removesuffix(b"\r")):
                break
            if at % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
        return source.odd

    def made(self, name: bytes, kind: str, said: bytes) -> Family | None:
        """The family, which there may be already, or None when it clashes."""
        family = self._families.get(name)
        if family is None and not any(name in self._owners for name in taken(name, kind)):
            family = self._families[name] = Family(name, kind, said)
            self._owners.update(dict.fromkeys(taken(name, kind), name))
        if family is None or family.kind != kind:
            self.clashes.add(name)
            return None
        return family

    def get(self, name: bytes) -> Family | None:
        """The family of that name, if there is one."""
        return self._families.get(name)

    def rest(self, told: set[bytes], names: set[bytes]) -> Iterator[bytes]:
        """The text of families that are not `told` yet and have none of the `names` of other series."""
        for name, family in self._families.items():
            if name in told or not family.series:
                continue
            if names.isdisjoint(taken(name, family.kind)):
                yield family.head() + family.lines()
            else:
                self.clashes.add(name)


def taken(name: bytes, kind: str) -> list[bytes]:
    """Names that a family's series have."""
    return [name + suffix.encode() for suffix, _, _ in _TEXT.get(kind, _TEXT["untyped"])]


def series(line: bytes) -> bytes | None:
    """Name and labels of a sample, whatever order they have; None when the line is no sample."""
    found = _SAMPLE.fullmatch(line)
    return _key(found) if found else None


def _key(found: re.Match[bytes]) -> bytes | None:
    name: bytes = found["name"]
    labels = sorted(_LABEL.findall(found["labels"] or b""))
    if not labels:
        return name
    if len(dict(labels)) < len(labels):
        return None
    return b"%b{%b}" % (name, b",".join(b"%b=%b" % label for label in labels))


class _Source:
    """One text, while it is read."""

    def __init__(self, into: Families, open_metrics: bool) -> None:
        self.odd = 0
        self._into = into
        self._open_metrics = open_metrics
        self._help: dict[bytes, bytes] = {}
        self._declared: dict[bytes, tuple[bytes, str, bytes]] = {}  # by sample: family, kind, declared name
        self._where: dict[bytes, Family | None] = {}

    def line(self, line: bytes) -> bool:
        """Take over a line; whether another may follow."""
        if not line.strip() or (self._open_metrics and line == b"# EOF"):
            return not line.strip()
        if not line.isascii() and not _is_text(line):
            self.odd += 1
        elif line.startswith(b"#"):
            self._comment(line)
        elif not self._sample(line):
            self.odd += 1
        return True

    def _comment(self, line: bytes) -> None:
        found = _COMMENT.fullmatch(line)
        if not found:
            return
        word, name, said = found[1], found[2], found[3] or b""
        if word == b"HELP":
            self._help.setdefault(name, said.replace(b'\\"', b'"') if self._open_metrics else said)
            return
        kinds = _OPEN_METRICS if self._open_metrics else _TEXT
        for suffix, family, kind in kinds.get(said.strip().decode(), (("", "", "untyped"),)):
            self._declared.setdefault(name + suffix.encode(), (name + family.encode(), kind, name))

    def _sample(self, line: bytes) -> bool:
        found = _SAMPLE.fullmatch(line)
        if not found or (found["exemplar"] and not self._open_metrics):
            return False
        name, moment = found["name"], found["time"]
        key = _key(found)
        if key is None or (moment and b"." in moment and not self._open_metrics):
            return False
        if name not in self._where:
            family, kind, declared = self._declared.get(name, (name, "untyped", name))
            self._where[name] = self._into.made(family, kind, self._help.get(declared, b""))
        into = self._where[name]
        if into is not None:
            into.series.setdefault(key, found["value"] + self._time(moment))
        return True

    def _time(self, moment: bytes | None) -> bytes:
        """The time of a sample in milliseconds, which OpenMetrics has in seconds."""
        if not moment:
            return b""
        return b" %d" % round(float(moment) * 1000) if self._open_metrics else b" " + moment


def _is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
