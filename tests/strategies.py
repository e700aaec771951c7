"""Values for property tests, drawn from the declarations that check them: a strategy for each type."""

from __future__ import annotations

import base64
import string
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, assert_never

from hypothesis import strategies as st

from meshctl.crds.schema import Array, Boolean, IntOrString, Map, Number, Object, Text
from meshctl.pki import Subject, new_authority
from meshctl.stages.schema import typed
from meshctl.stages.schema.typed import type_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshctl.crds.schema import Schema
    from meshctl.stages.settings.catalogue import Field

MOST = 3
"""Fields of a map beyond those that must be there, and items of a list: few, so that what is wrong shows."""
PLAIN = st.text(string.ascii_letters + string.digits + " -_.:/=,éß", max_size=12)
CA = new_authority(Subject("mesh"), datetime(2026, 1, 1, tzinfo=UTC)).pair.certificate
TEXTS: dict[str, st.SearchStrategy[str]] = {
    "address": st.integers(1, 65535).map("zipkin.istio-system:{}".format),
    "service": st.from_regex(r"\A([a-z]{1,5}/)?[a-z]{1,8}(\.[a-z]{1,8}){0,2}\Z"),
    "host": st.from_regex(r"\A[a-z]{1,8}(\.[a-z]{1,8}){0,2}\Z"),
    "wildcardHost": st.from_regex(r"\A(\*\.)?[a-z]{1,8}(\.[a-z]{1,8}){0,2}\Z"),
    "trustDomain": st.from_regex(r"\A[a-z]{1,8}(\.[a-z]{1,8}){0,2}\Z"),
    "httpStatus": st.sampled_from(["", "403", "503"]),
    "dnsLabel": st.from_regex(r"\A[a-z]{1,8}\Z"),
    "anyRange": st.sampled_from(["10.0.0.0/8", "2001:db8::/32", "10.1.2.3"]),
    "range": st.sampled_from(["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"]),
    "regex": st.sampled_from([".*", "a|b", "^x[0-9]+$"]),
    "wholeSeconds": st.integers(1, 9999).map("{}s".format),
    "connectTimeout": st.integers(1, 3600000).map("{}ms".format),
    "folder": st.from_regex(r"\A(/[a-z.]{1,6}){1,3}\Z"),
    "ip": st.ip_addresses().map(str),
    "relative": st.from_regex(r"\A[a-z.]{1,6}(/[a-z]{1,4})?\Z"),
    "caBundle": st.just(base64.b64encode(CA).decode()),
    "span": st.sampled_from(["0s", "1ms", "1h30m", "45s"]),
}  # fmt: skip
"""Texts that follow rules rather than patterns, by type name."""


def matching(pattern: str) -> st.SearchStrategy[str]:
    """Texts of a pattern, in characters that people type."""
    return st.from_regex(pattern, fullmatch=True, alphabet=st.characters(max_codepoint=126, min_codepoint=32))


def of_schema(schema: Schema, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that a declaration accepts, but for rules about several fields at once."""
    match schema:
        case Text():
            return of_text(schema)
        case Number():
            least = -1000 if schema.smallest is None else max(schema.smallest, -(2**31))
            most = 1000 if schema.largest is None else min(schema.largest, 2**31 - 1)
            return st.one_of(st.integers(least, most), st.sampled_from([least, most]))
        case Boolean():
            return st.booleans()
        case IntOrString():
            texts = matching(schema.pattern) if schema.pattern else PLAIN
            return st.one_of(st.integers(0, 100), texts.filter(lambda text: len(text) < 12))
        case Array():
            return st.lists(of_schema(schema.items, depth + 1), max_size=MOST)
        case Map():
            keys = of_text(schema.keys) if schema.keys else st.from_regex(r"\A[a-z]{1,6}\Z")
            if schema.type_name == "" and isinstance(schema.values, IntOrString):
                keys = st.sampled_from(["cpu", "memory", "ephemeral-storage", "example.com/gpu"])
            return st.dictionaries(keys, of_schema(schema.values, depth + 1), max_size=MOST)
        case Object():
            return of_object(schema, depth)
        case _:
            assert_never(schema)


def of_text(schema: Text) -> st.SearchStrategy[str]:
    """Texts of a pattern, a choice or a rule."""
    if schema.choices:
        return st.sampled_from([choice.value for choice in schema.choices])
    if schema.type_name in TEXTS:
        return TEXTS[schema.type_name]
    if schema.format == "duration":
        return TEXTS["span"]
    found = matching(schema.pattern) if schema.pattern else PLAIN
    most = min(schema.longest or 300, 300)
    return found.map(lambda text: text[:most]).filter(lambda text: _suits(schema, text))


def _suits(schema: Text, text: str) -> bool:
    from meshctl.crds.patterns import compiled

    fits = not schema.pattern or compiled(schema.pattern).search(text)
    return bool(fits) and len(text) >= (schema.shortest or 0)


@st.composite
def of_object(draw: Callable[[st.SearchStrategy[Any]], Any], schema: Object, depth: int = 0) -> Any:
    """The fields that must be there, and some others."""
    needed = [name for name, below in schema.fields.items() if below.mandatory]
    others = [name for name, below in schema.fields.items() if not below.mandatory]
    names = list(needed)
    if others:
        most = MOST if depth < 3 else 1
        names += draw(st.lists(st.sampled_from(others), min_size=depth < 4, max_size=most, unique=True))
    return {name: draw(of_schema(schema.fields[name], depth + 1)) for name in names}


def of_field(field: Field) -> st.SearchStrategy[Any]:
    """Values that one setting accepts, but for what other settings say about it."""
    known = type_of(field.type, field.of)
    if known is not None:
        return of_schema(known.schema).filter(
            lambda value: not any(typed.problems(known, value, partial=False))
        )
    if field.choices:
        return st.sampled_from(field.choices)
    scalars: dict[str, st.SearchStrategy[Any]] = {
        "string": matching(field.pattern) if field.pattern else PLAIN,
        "text": st.one_of(matching(field.pattern) if field.pattern else PLAIN, st.integers(0, 99)),
        "integer": st.integers(int(field.minimum or 0), int(field.maximum or 1000)),
        "number": st.floats(field.minimum or 0.0, field.maximum or 1000.0).map(
            lambda number: round(number, 2)
        ),
        "boolean": st.booleans(),
        "amount": st.one_of(st.integers(0, 10), st.integers(0, 100).map("{}%".format)),
        "ports": st.sampled_from(["", "*", "80", "80,443"]),
        "cidrs": st.sampled_from(["", "*", "10.0.0.0/8", "10.0.0.0/8,192.0.2.0/24"]),
        "scalar": st.one_of(PLAIN, st.integers(), st.booleans()),
        "any": PLAIN,
        "map": st.dictionaries(st.from_regex(r"\A[a-z]{1,6}\Z"), PLAIN, max_size=MOST),
    }
    if field.type == "map":
        inside = {"map": st.just({})}.get(field.of, scalars.get(field.of, PLAIN))
        return st.dictionaries(st.from_regex(r"\A[a-z]{1,6}\Z"), inside, max_size=MOST)
    if field.type == "list":
        return st.lists(scalars.get(field.of, PLAIN), max_size=MOST)
    return scalars[field.type]
