"""sprig's functions on strings. Widths and positions count bytes, as they do in Go."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Final

from meshctl.gotemplate import literals, printing
from meshctl.gotemplate.errors import CallError
from meshctl.gotemplate.literals import from_bytes, to_bytes
from meshctl.gotemplate.values import List, Map, Struct

_SPACE: Final = (
    "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
)
_LONGEST: Final = 1 << 26  # characters; a template that repeats more is a mistake


def text_of(value: object) -> str:
    """A value as a string, as most of sprig's functions see it."""
    if isinstance(value, str):
        return value
    if isinstance(value, Struct) and value.text is not None:
        return value.text
    return printing.plain(value)


def texts_of(value: object) -> list[str]:
    """A list as strings, nil left out; anything else is a list of itself."""
    if isinstance(value, list | tuple):
        return [text_of(item) for item in value if item is not None]
    return [] if value is None else [text_of(value)]


def pieces(text: str, separator: str, limit: int = -1) -> list[str]:
    """Go's strings.SplitN; without a separator, the characters."""
    if limit == 0:
        return []
    if separator:
        return text.split(separator, limit - 1 if limit > 0 else -1)
    if 0 < limit < len(text):
        return [*text[: limit - 1], text[limit - 1 :]]
    return list(text)


def _cut(data: bytes, start: int, end: int) -> str:
    if not 0 <= start <= end <= len(data):
        raise CallError(f"no part from {start} to {end} in {len(data)} bytes")
    return from_bytes(data[start:end])


def _times(count: int, text: str) -> str:
    if count < 0:
        raise CallError(f"cannot repeat {count} times")
    if count * len(text) > _LONGEST:
        raise CallError(f"{count} times {len(text)} characters is more than {_LONGEST}")
    return text * count


def _one(text: str, other: str) -> str:
    """A change of case that Go makes only where one character becomes one."""
    return other if len(other) == 1 else text


def _upper(text: str) -> str:
    return "".join(_one(each, each.upper()) for each in text)


def _lower(text: str) -> str:
    return "".join(each.lower()[0] for each in text)  # one character becomes one


def _title_character(text: str) -> str:
    return _one(text, text.title())


def _title(text: str) -> str:
    out: list[str] = []
    begins = True
    for each in text:
        out.append(_title_character(each) if begins else each)
        is_word = each.isalnum() or each == "_"
        begins = not is_word if ord(each) < 128 else not is_word and each in _SPACE
    return "".join(out)


def _untitle(text: str) -> str:
    out: list[str] = []
    begins = True
    for each in text:
        if each in _SPACE:
            begins = True
        elif begins:
            each, begins = _lower(each), False
        out.append(each)
    return "".join(out)


def _swapcase(text: str) -> str:
    out: list[str] = []
    begins = True
    for each in text:
        if each.isupper() or unicodedata.category(each) == "Lt":
            each, begins = _lower(each), False
        elif each.islower():
            each, begins = _title_character(each) if begins else _upper(each), False
        else:
            begins = each in _SPACE
        out.append(each)
    return "".join(out)


def _nospace(text: str) -> str:
    """Takes each byte for a character, as sprig does, unless there is no space at all."""
    letters = to_bytes(text).decode("latin-1")
    kept = "".join(each for each in letters if each not in _SPACE)
    return text if len(kept) == len(letters) else kept


def _initials(text: str) -> str:
    letters = to_bytes(text).decode("latin-1")
    gaps = [True, *(each in _SPACE for each in letters)]
    return "".join(each for each, gap in zip(letters, gaps, strict=False) if gap and each not in _SPACE)


def _trim(text: str) -> str:
    return text.strip(_SPACE)


def _trim_all(cutset: str, text: str) -> str:
    return text.strip(cutset)


def _trim_suffix(suffix: str, text: str) -> str:
    return text.removesuffix(suffix)


def _trim_prefix(prefix: str, text: str) -> str:
    return text.removeprefix(prefix)


def _trunc(width: int, text: str) -> str:
    data = to_bytes(text)
    if width < 0:
        return from_bytes(data[width:]) if len(data) + width > 0 else text
    return from_bytes(data[:width])


def _substr(start: int, end: int, text: str) -> str:
    data = to_bytes(text)
    if start < 0:
        return _cut(data, 0, end)
    return _cut(data, start, len(data) if end < 0 or end > len(data) else end)


def _abbrev(width: int, text: str) -> str:
    return text if width < 4 else _abbreviated(text, 0, width)


def _abbrevboth(left: int, right: int, text: str) -> str:
    return text if right < 4 or (left > 0 and right < 7) else _abbreviated(text, left, right)


def _abbreviated(text: str, offset: int, width: int) -> str:
    data = to_bytes(text)
    if len(data) <= width:
        return text
    offset = min(offset, len(data))
    if len(data) - offset < width - 3:
        offset = len(data) - (width - 3)
    if offset <= 4:
        return from_bytes(data[: width - 3] + b"...")
    if width < 7:
        return ""
    if offset + width - 3 < len(data):
        # The inner abbreviation fails below a width of 4, and what it gives then is nothing.
        inner = _abbreviated(from_bytes(data[offset:]), 0, width - 3) if width - 3 >= 4 else ""
        return "..." + inner
    return "..." + from_bytes(data[len(data) - (width - 3) :])


def _wrap(width: int, text: str) -> str:
    return _wrapped(text, width, "\n", long_words=False)


def _wrap_with(width: int, separator: str, text: str) -> str:
    return _wrapped(text, width, separator or "\n", long_words=True)


def _wrapped(text: str, width: int, separator: str, *, long_words: bool) -> str:
    data, width, at = to_bytes(text), max(width, 1), 0
    out: list[bytes] = []
    while len(data) - at > width:
        if data[at : at + 1] == b" ":
            at += 1
            continue
        space = data.rfind(b" ", at, at + width + 1)
        if space < 0 and not long_words:
            space = data.find(b" ", at + width)
            if space < 0:
                out.append(data[at:])
                at = len(data)
                break
        if space < 0:
            out.append(data[at : at + width])
            at += width
        else:
            out.append(data[at:space])
            at = space + 1
        out.append(to_bytes(separator))
    out.append(data[at:])
    return from_bytes(b"".join(out))


def _contains(part: str, text: str) -> bool:
    return part in text


def _has_prefix(prefix: str, text: str) -> bool:
    return text.startswith(prefix)


def _has_suffix(suffix: str, text: str) -> bool:
    return text.endswith(suffix)


def _quote(*operands: object) -> str:
    return " ".join(literals.quote(text_of(each)) for each in operands if each is not None)


def _squote(*operands: object) -> str:
    return " ".join(f"'{printing.plain(each)}'" for each in operands if each is not None)


def _cat(*operands: object) -> str:
    return " ".join(printing.plain(each) for each in operands if each is not None)


def _indent(spaces: int, text: str) -> str:
    pad = _times(spaces, " ")
    return pad + text.replace("\n", "\n" + pad)


def _nindent(spaces: int, text: str) -> str:
    return "\n" + _indent(spaces, text)


def _replace(old: str, new: str, text: str) -> str:
    return text.replace(old, new)


def _plural(one: str, many: str, count: int) -> str:
    return one if count == 1 else many


def _to_string(value: object) -> str:
    return text_of(value)


def _to_strings(value: object) -> List:
    return List(texts_of(value), "string")


def _join(separator: str, value: object) -> str:
    return separator.join(texts_of(value))


def _split(separator: str, text: str) -> Map:
    return Map({f"_{i}": part for i, part in enumerate(pieces(text, separator))}, "string")


def _splitn(separator: str, count: int, text: str) -> Map:
    return Map({f"_{i}": part for i, part in enumerate(pieces(text, separator, count))}, "string")


def _split_list(separator: str, text: str) -> List:
    return List(pieces(text, separator), "string")


def _sort_alpha(value: object) -> List:
    return List(sorted(texts_of(value) if isinstance(value, list | tuple) else [text_of(value)]), "string")


def _hello() -> str:
    return "Hello!"


def _fail(message: str) -> str:
    raise CallError(message)


FUNCTIONS: Final[dict[str, Callable[..., object]]] = {
    "abbrev": _abbrev,
    "abbrevboth": _abbrevboth,
    "cat": _cat,
    "contains": _contains,
    "fail": _fail,
    "hasPrefix": _has_prefix,
    "hasSuffix": _has_suffix,
    "hello": _hello,
    "indent": _indent,
    "initials": _initials,
    "join": _join,
    "lower": _lower,
    "nindent": _nindent,
    "nospace": _nospace,
    "plural": _plural,
    "quote": _quote,
    "repeat": _times,
    "replace": _replace,
    "sortAlpha": _sort_alpha,
    "split": _split,
    "splitList": _split_list,
    "splitn": _splitn,
    "squote": _squote,
    "substr": _substr,
    "swapcase": _swapcase,
    "title": _title,
    "toString": _to_string,
    "toStrings": _to_strings,
    "trim": _trim,
    "trimAll": _trim_all,
    "trimPrefix": _trim_prefix,
    "trimSuffix": _trim_suffix,
    "trimall": _trim_all,
    "trunc": _trunc,
    "untitle": _untitle,
    "upper": _upper,
    "wrap": _wrap,
    "wrapWith": _wrap_with,
}
