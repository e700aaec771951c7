"""sprig's JSON, base64, base32 and checksums."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import zlib
from collections.abc import Callable
from typing import Final, TypeVar

from meshctl.gotemplate import floats, values
from meshctl.gotemplate.errors import CallError
from meshctl.gotemplate.literals import from_bytes, to_bytes
from meshctl.gotemplate.values import Nil, Struct

_T = TypeVar("_T")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_HTML = {each: f"\\u{ord(each):04x}" for each in "<>&"}
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]|[\ud800-\udfff]")
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_PAD = ord("=")
_BASE32 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def json_of(value: object, *, html: bool = True, indent: str = "") -> str:
    """A value as Go's encoding/json writes it: sorted keys, `<` escaped for HTML unless told not to.

    Raises:
        CallError: JSON has nothing for it.
    """
    return _json(value, html, indent, "\n")


def _json(value: object, html: bool, indent: str, newline: str) -> str:
    match value:
        case None | values.Missing() | Nil():
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return _json_string(value, html)
        case int():
            return str(int(value))
        case float():
            return _json_float(value)
        case dict() | list() if values.is_nil(value):
            return "null"
        case dict():
            colon = ": " if indent else ":"
            items = [
                _json_string(key, html) + colon + _json(value[key], html, indent, newline + indent)
                for key in sorted(value)
            ]
            return _bracketed("{", items, "}", indent, newline)
        case list() | tuple():
            items = [_json(item, html, indent, newline + indent) for item in value]
            return _bracketed("[", items, "]", indent, newline)
        case Struct():
            return _json(value.json(), html, indent, newline)
        case _:
            raise CallError(f"a {values.go_type(value)} has no JSON")


def _bracketed(opening: str, items: list[str], closing: str, indent: str, newline: str) -> str:
    if not items or not indent:
        return opening + ",".join(items) + closing
    inner = newline + indent
    return opening + inner + f",{inner}".join(items) + newline + closing


def _json_string(text: str, html: bool) -> str:
    return '"' + "".join(_json_character(each, html) for each in text) + '"'


def _json_character(one: str, html: bool) -> str:
    if one in _ESCAPES:
        return _ESCAPES[one]
    if html and one in _HTML:
        return _HTML[one]
    if one < " " or one in "\u2028\u2029":
        return f"\\u{ord(one):04x}"
    return "\\ufffd" if 0xD800 <= ord(one) < 0xE000 else one


def _json_float(value: float) -> str:
    if not math.isfinite(value):
        raise CallError(f"{floats.special(value)} has no JSON")
    if value and abs(value) < 1e-6:
        return floats.shortest(value, exponent_from=-400).replace("e-0", "e-")
    if value and abs(value) < 1e-4:
        # Go's JSON has exponents below a millionth only, where %v has them below a ten-thousandth.
        digits = floats.shortest(value, exponent_from=-400)
        return _without_exponent(digits)
    return floats.shortest(value, exponent_from=21)


def _without_exponent(text: str) -> str:
    mantissa, _, exponent = text.partition("e")
    minus = "-" if mantissa.startswith("-") else ""
    return f"{minus}0.{'0' * (-int(exponent) - 1)}{mantissa.lstrip('-').replace('.', '')}"


def from_json(text: str) -> object:
    """JSON as Go decodes it into an interface: all numbers are floats.

    Raises:
        CallError: not JSON.
    """
    try:
        decoded = json.loads(text, parse_int=_number, parse_float=_number, parse_constant=_no_constant)
    except (ValueError, RecursionError) as problem:
        raise CallError(f"not JSON: {problem}") from None
    return _without_surrogates(decoded) if _SURROGATE.search(text) else decoded


def _without_surrogates(value: object) -> object:
    """Go puts the replacement character for half of a pair, and for bytes that are no UTF-8."""
    match value:
        case str():
            return re.sub("[\ud800-\udfff]", "\ufffd", value)
        case list():
            return [_without_surrogates(item) for item in value]
        case dict():
            return {str(_without_surrogates(key)): _without_surrogates(value[key]) for key in value}
        case _:
            return value


def _number(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is too large")
    return number


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _must_to_json(value: object) -> str:
    return json_of(value)


def _must_to_pretty_json(value: object) -> str:
    return json_of(value, indent="  ")


def _to_raw_json(value: object) -> str:
    return json_of(value, html=False)


def _to_json(value: object) -> str:
    return _or_else(lambda: json_of(value), "")


def _to_pretty_json(value: object) -> str:
    return _or_else(lambda: json_of(value, indent="  "), "")


def _from_json(text: str) -> object:
    return _or_else(lambda: from_json(text), None)


def _must_from_json(text: str) -> object:
    return from_json(text)


def _or_else(make: Callable[[], _T], instead: _T) -> _T:
    """sprig's functions without `must` in front swallow the error."""
    try:
        return make()
    except CallError:
        return instead


def _b64enc(text: str) -> str:
    return base64.b64encode(to_bytes(text)).decode()


def _b32enc(text: str) -> str:
    return base64.b32encode(to_bytes(text)).decode()


def _b64dec(text: str) -> str:
    data = to_bytes(text)
    bad = _base64_mistake(data)
    if bad is not None:
        return f"illegal base64 data at input byte {bad}"  # sprig gives the words in place of the text
    return from_bytes(base64.b64decode(data.translate(None, b"\r\n")))


def _base64_mistake(data: bytes) -> int | None:
    """Where Go finds fault with base64, counted in bytes; None when it does not."""
    places = [place for place, each in enumerate(data) if each not in b"\r\n"]
    letters = bytes(data[place] for place in places)
    for at, each in enumerate(letters):
        if each in _BASE64:
            continue
        if each != _PAD or at % 4 < 2:
            return places[at]
        padding = 4 - at % 4
        if letters[at : at + padding] != b"=" * padding:
            return len(data) if at + 1 == len(letters) else places[at + 1] - (at + 1 < len(letters))
        return places[at + padding] if at + padding < len(letters) else None
    return len(data) - len(letters) % 4 if len(letters) % 4 else None


def _b32dec(text: str) -> str:
    data = to_bytes(text).translate(None, b"\r\n")
    bare = data.rstrip(b"=")
    bad = next((place for place, each in enumerate(bare) if each not in _BASE32), len(bare) - len(bare) % 8)
    try:
        return from_bytes(base64.b32decode(data))
    except ValueError:
        return f"illegal base32 data at input byte {bad}"


def _sha1(text: str) -> str:
    return hashlib.sha1(to_bytes(text), usedforsecurity=False).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(to_bytes(text)).hexdigest()


def _sha512(text: str) -> str:
    return hashlib.sha512(to_bytes(text)).hexdigest()


def _adler32(text: str) -> str:
    return str(zlib.adler32(to_bytes(text)))


FUNCTIONS: Final[dict[str, Callable[..., object]]] = {
    "adler32sum": _adler32,
    "b32dec": _b32dec,
    "b32enc": _b32enc,
    "b64dec": _b64dec,
    "b64enc": _b64enc,
    "fromJson": _from_json,
    "mustFromJson": _must_from_json,
    "mustToJson": _must_to_json,
    "mustToPrettyJson": _must_to_pretty_json,
    "mustToRawJson": _to_raw_json,
    "sha1sum": _sha1,
    "sha256sum": _sha256,
    "sha512sum": _sha512,
    "toJson": _to_json,
    "toPrettyJson": _to_pretty_json,
    "toRawJson": _to_raw_json,
}
