"""sprig's arithmetic: integers of 64 bits that wrap, and decimals."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Final

from meshctl.gotemplate import literals, printing
from meshctl.gotemplate.errors import CallError
from meshctl.gotemplate.values import Int64, List

_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_LONGEST = 1 << 20  # numbers in a list
_DECIMAL = re.compile(r"([-+]?\d*)\.\d*", re.ASCII)
_WHOLE = re.compile(r"[-+]?\d+", re.ASCII)
_FLOAT = re.compile(
    r"[-+]?(\d+(_\d+)*\.?\d*([eE][-+]?\d+)?|\.\d+([eE][-+]?\d+)?|inf(inity)?|nan)", re.ASCII | re.IGNORECASE
)
_PRECISE = Context(prec=2000, rounding=ROUND_HALF_UP)


def _wrapped(value: int) -> Int64:
    return Int64((value - _LEAST) % (1 << 64) + _LEAST)


def to_int(value: object) -> int:
    """What sprig takes for an integer: a number cut off, a string in Go's notation, or 0."""
    match value:
        case int():
            return int(_wrapped(value))
        case float():
            whole = int(value) if math.isfinite(value) else _LEAST
            return whole if _LEAST <= whole <= _MOST else _LEAST
        case str():
            cut = _DECIMAL.fullmatch(value)
            whole = literals.integer(cut[1] + "0" * (cut[1] in ("", "-", "+")) if cut else value) or 0
            return whole if _LEAST <= whole <= _MOST else 0
        case _:
            return 0


def _to_float(value: object) -> float:
    match value:
        case int() | float():
            return float(value)
        case str() if _FLOAT.fullmatch(value):
            number = float(value)
            return 0.0 if math.isinf(number) and "i" not in value.lower() else number
        case str() if re.fullmatch(r"[-+]?0[xX][0-9a-fA-F.]+[pP][-+]?\d+", value):
            return float.fromhex(value)
        case _:
            return 0.0


def _int(value: object) -> int:
    return to_int(value)


def _int64(value: object) -> Int64:
    return Int64(to_int(value))


def _float64(value: object) -> float:
    return _to_float(value)


def _atoi(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        return 0
    return max(
        _LEAST, min(_MOST, int(text))
    )  # Go tells of the overflow beside the number, and sprig drops it


def _to_decimal(value: object) -> Int64:
    text = printing.sprint([value])
    number = int(text, 8) if re.fullmatch(r"[-+]?[0-7]+", text) else 0
    return Int64(number if _LEAST <= number <= _MOST else 0)


def _add1(value: object) -> Int64:
    return _wrapped(to_int(value) + 1)


def _add(*operands: object) -> Int64:
    return _wrapped(sum(map(to_int, operands)))


def _sub(left: object, right: object) -> Int64:
    return _wrapped(to_int(left) - to_int(right))


def _div(left: object, right: object) -> Int64:
    dividend, divisor = to_int(left), to_int(right)
    if not divisor:
        raise CallError("division by zero")
    quotient = abs(dividend) // abs(divisor)
    return _wrapped(quotient if (dividend < 0) == (divisor < 0) else -quotient)


def _mod(left: object, right: object) -> Int64:
    return _wrapped(to_int(left) - _div(left, right) * to_int(right))


def _mul(first: object, *operands: object) -> Int64:
    return _wrapped(math.prod(map(to_int, operands), start=to_int(first)))


def _max(first: object, *operands: object) -> Int64:
    return Int64(max(map(to_int, (first, *operands))))


def _min(first: object, *operands: object) -> Int64:
    return Int64(min(map(to_int, (first, *operands))))


def _maxf(first: object, *operands: object) -> float:
    return _extreme(max, (first, *operands))


def _minf(first: object, *operands: object) -> float:
    return _extreme(min, (first, *operands))


def _extreme(choose: Callable[[list[float]], float], operands: tuple[object, ...]) -> float:
    numbers = list(map(_to_float, operands))
    return math.nan if any(map(math.isnan, numbers)) else choose(numbers)


def _floor(value: object) -> float:
    number = _to_float(value)
    return float(math.floor(number)) if math.isfinite(number) else number


def _ceil(value: object) -> float:
    number = _to_float(value)
    return math.copysign(float(math.ceil(number)), number) if math.isfinite(number) else number


def _round(value: object, places: int, *limit: float) -> float:
    """Up from `limit`, a half by default, on; sprig's fraction of a negative number is negative."""
    power = 10.0**places
    digits = power * _to_float(value)
    if not math.isfinite(digits):
        return digits / power
    up = math.modf(digits)[0] >= (limit[0] if limit else 0.5)
    return (_ceil(digits) if up else _floor(digits)) / power


def _decimal(value: object) -> Decimal:
    number = _to_float(value)
    if not math.isfinite(number):
        raise CallError(f"cannot calculate with {number}")
    return Decimal(repr(number))


def _calculated(
    first: object, rest: tuple[object, ...], step: Callable[[Decimal, Decimal], Decimal]
) -> float:
    with localcontext(_PRECISE):
        total = _decimal(first)
        for each in rest:
            total = step(total, _decimal(each))
        return float(total)


def _quotient(left: Decimal, right: Decimal) -> Decimal:
    if not right:
        raise CallError("division by zero")
    return (left / right).quantize(Decimal("1e-16"))


def _add1f(value: object) -> float:
    return _calculated(value, (1,), Decimal.__add__)


def _addf(*operands: object) -> float:
    return _calculated(0, operands, Decimal.__add__)


def _subf(first: object, *operands: object) -> float:
    return _calculated(first, operands, Decimal.__sub__)


def _divf(first: object, *operands: object) -> float:
    return _calculated(first, operands, _quotient)


def _mulf(first: object, *operands: object) -> float:
    return _calculated(first, operands, Decimal.__mul__)


def _until(count: int) -> List:
    return _until_step(0, count, -1 if count < 0 else 1)


def _until_step(start: int, stop: int, step: int) -> List:
    rising = stop >= start
    if step and abs(stop - start) // abs(step) > _LONGEST:
        raise CallError(f"a list of more than {_LONGEST} numbers")
    return List(range(start, stop, step) if step and rising == (step > 0) else (), "int")


def _seq(*bounds: int) -> str:
    if not 1 <= len(bounds) <= 3:
        return ""
    start = bounds[0] if len(bounds) > 1 else 1
    end = bounds[-1]
    one = -1 if end < start else 1
    step = bounds[1] if len(bounds) == 3 else one
    if one < 0 < step:
        return ""
    return " ".join(str(number) for number in _until_step(start, end + one, step))


FUNCTIONS: Final[dict[str, Callable[..., object]]] = {
    "add": _add,
    "add1": _add1,
    "add1f": _add1f,
    "addf": _addf,
    "atoi": _atoi,
    "biggest": _max,
    "ceil": _ceil,
    "div": _div,
    "divf": _divf,
    "float64": _float64,
    "floor": _floor,
    "int": _int,
    "int64": _int64,
    "max": _max,
    "maxf": _maxf,
    "min": _min,
    "minf": _minf,
    "mod": _mod,
    "mul": _mul,
    "mulf": _mulf,
    "round": _round,
    "seq": _seq,
    "sub": _sub,
    "subf": _subf,
    "toDecimal": _to_decimal,
    "until": _until,
    "untilStep": _until_step,
}
