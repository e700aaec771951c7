"""Values as Go's fmt prints them: `%v` at the end of an action, and the verbs of `printf`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from meshctl.gotemplate import floats, literals, values
from meshctl.gotemplate.values import ANY, MISSING, Nil, Struct

_WIDEST = 1_000_000  # what fmt takes for a width or a precision
_DIRECTIVE = re.compile(
    r"%([-+# 0]*)(?:\[(\d+)\])?(\*|\d+)?(?:(\.)(?:\[(\d+)\])?(\*|\d+)?)?(?:\[(\d+)\])?(.)?", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class _Spec:
    """A verb with its flags; `bad` when it takes the place of one that does not suit the value."""

    verb: str
    flags: str = ""
    width: int | None = None
    precision: int | None = None
    bad: bool = False

    def has(self, flag: str) -> bool:
        return flag in self.flags

    @property
    def go_syntax(self) -> bool:
        return self.verb == "v" and self.has("#") and not self.bad

    @property
    def plus(self) -> bool:
        """Whether a number has a plus."""
        return self.has("+") and not self.names_fields

    @property
    def names_fields(self) -> bool:
        """Whether the plus asks for the names of a struct's fields instead."""
        return self.verb == "v" and self.has("+") and not self.bad

    def pad(self, text: str) -> str:
        missing = (self.width or 0) - len(text)
        if missing <= 0:
            return text
        if self.has("-"):
            return text + " " * missing
        return ("0" if self.has("0") else " ") * missing + text

    def pad_spaces(self, text: str) -> str:
        """Spaces, though zeros are asked for."""
        return text.ljust(self.width or 0) if self.has("-") else text.rjust(self.width or 0)

    def pad_number(self, text: str) -> str:
        """Zeros go behind the sign."""
        if self.has("0") and not self.has("-") and text[:1] in ("+", "-", " "):
            return text[0] + replace(self, width=(self.width or 0) - 1).pad(text[1:])
        return self.pad(text)


_PLAIN = _Spec("v")
# What Go never puts between backquotes (strconv.CanBackquote): controls but tabs, and what is no UTF-8.
_UNFIT = re.compile("[`\x00-\x08\x0a-\x1f\x7f\ufeff\ud800-\udfff]")


def top(value: object) -> str:
    """A value as an action prints it."""
    if type(value) is str:
        return value
    if isinstance(value, Struct) and value.text is None and value.go_type.startswith("*"):
        return _struct(value, _PLAIN)  # an action looks behind a pointer
    return formatted(value, _PLAIN)


def sprint(operands: Sequence[object]) -> str:
    """Go's `fmt.Sprint`: a space between two operands that are no strings."""
    parts: list[str] = []
    for place, operand in enumerate(operands):
        if place and not isinstance(operand, str) and not isinstance(operands[place - 1], str):
            parts.append(" ")
        parts.append(formatted(operand, _PLAIN))
    return "".join(parts)


def sprintln(operands: Sequence[object]) -> str:
    """Go's `fmt.Sprintln`."""
    return " ".join(formatted(operand, _PLAIN) for operand in operands) + "\n"


def plain(value: object) -> str:
    """A value by `%v`."""
    return formatted(value, _PLAIN)


def sprintf(template: str, arguments: Sequence[object]) -> str:
    """Go's `fmt.Sprintf`; a wrong verb or number of arguments is told in the text, as Go does."""
    return _Printf(template, arguments).text()


class _Printf:
    """One call: which argument is next."""

    def __init__(self, template: str, arguments: Sequence[object]) -> None:
        self._template = template
        self._arguments = arguments
        self._next = 0
        self._reordered = False
        self._bad_index = False

    def text(self) -> str:
        parts: list[str] = []
        position = 0
        for found in _DIRECTIVE.finditer(self._template):
            parts.append(self._template[position : found.start()])
            parts.append(self._directive(found))
            position = found.end()
        parts.append(self._template[position:])
        left = self._arguments[self._next :]
        if left and not self._reordered:
            extra = ", ".join(
                "<nil>" if each is None else f"{values.go_type(each)}={plain(each)}" for each in left
            )
            parts.append(f"%!(EXTRA {extra})")
        return "".join(parts)

    def _directive(self, found: re.Match[str]) -> str:
        flags, width_index, width, dot, precision_index, precision, index, verb = found.groups()
        self._bad_index = False
        wide, bad_width = self._number(width, width_index, "WIDTH")
        exact, bad_precision = self._number(precision, precision_index, "PREC")
        if width_index and width is None:
            index = width_index
        elif precision_index and precision is None:
            index = precision_index
        if wide is not None and wide < 0:
            flags, wide = flags + "-", -wide
        if exact is not None and exact < 0:
            exact, bad_precision = None, "%!(BADPREC)"
        self._move(index)
        said = bad_width + bad_precision
        if verb is None:
            return said + "%!(NOVERB)"
        if verb == "%":
            return said + "%"
        if self._bad_index:
            return f"{said}%!{verb}(BADINDEX)"
        if self._next >= len(self._arguments):
            return f"{said}%!{verb}(MISSING)"
        argument = self._arguments[self._next]
        self._next += 1
        if dot and exact is None and not bad_precision:
            exact = 0
        return said + formatted(argument, _Spec(verb, flags, wide, exact))

    def _number(self, written: str | None, index: str | None, what: str) -> tuple[int | None, str]:
        """A width or a precision, and what is wrong with it."""
        if written != "*":
            return (int(written), "") if written else (None, "")
        self._move(index)
        given = self._arguments[self._next] if self._next < len(self._arguments) else None
        self._next += 1
        if isinstance(given, int) and not isinstance(given, bool) and abs(given) <= _WIDEST:
            return given, ""
        return None, f"%!(BAD{what})"

    def _move(self, index: str | None) -> None:
        if index is not None:
            self._reordered = True
            self._bad_index = not 1 <= int(index) <= len(self._arguments)
            self._next = self._next if self._bad_index else int(index) - 1


def formatted(value: object, spec: _Spec) -> str:
    """A value by one verb."""
    if spec.verb == "T" and value is not None:
        return _string(values.go_type(value), replace(spec, verb="s"))
    match value:
        case None | values.Missing():
            return spec.pad("<nil>") if spec.verb in "vT" else f"%!{spec.verb}(<nil>)"
        case str():
            return _string(value, spec)
        case bool():
            return spec.pad("true" if value else "false") if spec.verb in "tv" else _bad(value, spec)
        case int():
            return _integer(value, spec)
        case float():
            return _float(value, spec)
        case dict():
            return _map(value, spec)
        case list() | tuple():
            return _slice(value, spec)
        case Struct():
            return _struct_or_text(value, spec)
        case Nil():
            text = f"({value.go_type})(nil)" if spec.go_syntax else "<nil>"
            return spec.pad(text) if spec.verb == "v" else f"%!{spec.verb}({value.go_type}=<nil>)"
        case _:
            return _bad(value, spec)


def _bad(value: object, spec: _Spec) -> str:
    told = formatted(value, replace(spec, verb="v", bad=True))
    return f"%!{spec.verb}({values.go_type(value)}={told})"


def _string(value: str, spec: _Spec) -> str:
    match spec.verb:
        case "v" if spec.go_syntax:
            return spec.pad(literals.quote(value))
        case "v" | "s":
            return spec.pad(value if spec.precision is None else value[: spec.precision])
        case "q":
            cut = value if spec.precision is None else value[: spec.precision]
            if spec.has("#") and not _UNFIT.search(cut):
                return spec.pad(f"`{cut}`")
            return spec.pad(literals.quote(cut, ascii_only=spec.has("+")))
        case "x" | "X":
            return spec.pad(_hex(literals.to_bytes(value), spec))
        case _:
            return _bad(value, spec)


def _hex(data: bytes, spec: _Spec) -> str:
    data = data if spec.precision is None else data[: spec.precision]
    prefix = "0x" if spec.has("#") and data else ""
    text = data.hex(" ").replace(" ", " " + prefix) if spec.has(" ") else data.hex()
    return (prefix + text).upper() if spec.verb == "X" else prefix + text


def _integer(value: int, spec: _Spec) -> str:
    if spec.precision == 0 and value == 0 and spec.verb in "vdbxXoO":
        return spec.pad_spaces("")  # no digits at all, and then no sign either
    unsigned = values.go_type(value).startswith("uint")
    match spec.verb:
        case "v" if spec.go_syntax:
            digits = f"{abs(value):#x}" if unsigned else str(abs(value))
        case "v" | "d":
            digits = str(abs(value))
        case "b" | "o" | "x" | "X" as base:
            prefix = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}[base] if spec.has("#") else ""
            digits = f"{abs(value):{base}}".rjust(_least(spec, prefix, value), "0")
            digits = digits if prefix == "0" and digits.startswith("0") else prefix + digits
        case "O":
            digits = f"0o{abs(value):o}"
        case "c":
            return spec.pad(_rune(value))
        case "q":
            return spec.pad(literals.quote(_rune(value), quotes="'", ascii_only=spec.has("+")))
        case "U":
            code = f"U+{value % (1 << 64):04X}"
            return spec.pad_spaces(
                f"{code} '{chr(value)}'" if spec.has("#") and chr(value).isprintable() else code
            )
        case _:
            return _bad(value, spec)
    if spec.precision is not None and spec.verb in "vd":
        digits = digits.rjust(spec.precision, "0")
    sign = "-" if value < 0 else "+" if spec.plus else " " if spec.has(" ") else ""
    # A precision says how many digits there are, so zeros do not fill the width as well.
    return spec.pad_spaces(sign + digits) if spec.precision is not None else spec.pad_number(sign + digits)


def _least(spec: _Spec, prefix: str, value: int) -> int:
    """The digits a number in another base has at least: zeros go behind its prefix."""
    if spec.precision is not None:
        return spec.precision
    if not spec.has("0") or spec.has("-") or spec.width is None:
        return 0
    # fmt counts the sign, but not the prefix, into the width that zeros fill.
    return spec.width - (value < 0 or spec.has("+") or spec.has(" "))


def _rune(code: int) -> str:
    return chr(code) if 0 <= code <= 0x10FFFF and not 0xD800 <= code < 0xE000 else "\ufffd"


def _float(value: float, spec: _Spec) -> str:
    if spec.verb not in tuple("vgGeEfFxXb"):
        return _bad(value, spec)
    sharp = spec.has("#") and not spec.go_syntax
    text = floats.formatted(value, spec.verb, spec.precision, sharp=sharp)
    if text[0] not in "+-" and (spec.plus or spec.has(" ")):
        text = ("+" if spec.plus else " ") + text
    if text.lstrip("+- ")[0] in "IN":
        return replace(spec, flags=spec.flags.replace("0", "")).pad(text)
    return spec.pad_number(text)


def _inner(value: object, spec: _Spec, element: str) -> str:
    """What a map or a slice holds."""
    if value is None and spec.go_syntax:
        return f"{element}(nil)"
    if value is None:
        return "<nil>"
    return formatted(value, spec)


def _map(value: dict[str, object], spec: _Spec) -> str:
    element = getattr(value, "element", ANY)
    items = [(formatted(key, spec), _inner(value[key], spec, element)) for key in sorted(value)]
    if spec.go_syntax:
        if values.is_nil(value):
            return f"{values.go_type(value)}(nil)"
        return values.go_type(value) + "{" + ", ".join(f"{key}:{item}" for key, item in items) + "}"
    return "map[" + " ".join(f"{key}:{item}" for key, item in items) + "]"


def _slice(value: Sequence[object], spec: _Spec) -> str:
    element = getattr(value, "element", ANY)
    items = [_inner(item, spec, element) for item in value]
    if spec.go_syntax:
        if values.is_nil(value):
            return f"{values.go_type(value)}(nil)"
        return values.go_type(value) + "{" + ", ".join(items) + "}"
    return "[" + " ".join(items) + "]"


def _struct_or_text(value: Struct, spec: _Spec) -> str:
    if value.text is not None and not spec.go_syntax and spec.verb in "vsxXq":
        return _string(value.text, spec)
    return ("&" if value.go_type.startswith("*") else "") + _struct(value, spec)


def _struct(value: Struct, spec: _Spec) -> str:
    if spec.go_syntax:
        fields = ", ".join(f"{name}:{_inner(item, spec, ANY)}" for name, item in value.fields.items())
        return value.go_type.lstrip("*") + "{" + fields + "}"
    parts = [
        (f"{name}:" if spec.names_fields else "") + _inner(None if item is MISSING else item, spec, ANY)
        for name, item in value.fields.items()
    ]
    return "{" + " ".join(parts) + "}"
