"""Floats as Go writes them."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction


def shortest(value: float, exponent_from: int = 6) -> str:
    """The fewest digits that give `value` back; an exponent below -4 and from `exponent_from` on.

    Go's `%v` has it from 6 on (`1e+06`), its JSON from 21 on.
    """
    if not math.isfinite(value):
        return special(value)
    sign, digits, power = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(power, int)  # it is finite
    text = "".join(map(str, digits))
    point = len(text) + power if value else 1
    minus = "-" if sign else ""
    if point - 1 < -4 or point - 1 >= exponent_from:
        fraction = f".{text[1:]}" if len(text) > 1 else ""
        return f"{minus}{text[0]}{fraction}e{point - 1:+03d}"
    if point <= 0:
        return f"{minus}0.{'0' * -point}{text}"
    if point >= len(text):
        return f"{minus}{text}{'0' * (point - len(text))}"
    return f"{minus}{text[:point]}.{text[point:]}"


def special(value: float) -> str:
    """An infinity, or no number."""
    if math.isnan(value):
        return "NaN"
    return "+Inf" if value > 0 else "-Inf"


def formatted(value: float, verb: str, precision: int | None, *, sharp: bool) -> str:
    """`value` by one of the verbs `b e E f F g G v x X`."""
    if not math.isfinite(value):
        return special(value)
    if verb in "gGv":
        if precision is None and not sharp:
            text = shortest(value)
        else:
            text = f"{value:{'#' if sharp else ''}.{6 if precision is None else precision}g}"
        return text.upper() if verb == "G" else text
    if verb == "b":
        fraction, exponent = math.frexp(value)
        return f"{int(math.ldexp(fraction, 53))}p{exponent - 53:+d}" if value else "0p-1074"
    if verb in "xX":
        text = _hexadecimal(value, precision)
        return text.upper() if verb == "X" else text
    return f"{value:.{6 if precision is None else precision}{verb}}"


def _hexadecimal(value: float, precision: int | None) -> str:
    mantissa, _, exponent = value.hex().partition("p")
    if precision is None:
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return f"{mantissa}p{int(exponent):+03d}"
    whole, _, fraction = mantissa.partition(".")
    power = int(exponent)
    if precision < len(fraction):
        # Half to even, as Go rounds; a carry that makes 0x2 of 0x1 moves the point.
        kept = round(Fraction(int(whole[-1] + fraction, 16), 16 ** (len(fraction) - precision)))
        if kept >> (4 * precision) > 1:
            kept, power = kept >> 1, power + 1
        lead, fraction = kept >> (4 * precision), f"{kept % 16**precision:0{precision}x}" if precision else ""
        whole = f"{whole[:-1]}{lead}"
    fraction = fraction.ljust(precision, "0")
    return f"{whole}{'.' if fraction else ''}{fraction}p{power:+03d}"
