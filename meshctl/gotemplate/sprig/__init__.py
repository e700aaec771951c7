"""sprig's functions, as istiod gives them to its templates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from meshctl.gotemplate.sprig import (
    cases,
    encodings,
    lists,
    maps,
    numbers,
    places,
    regex,
    strings,
    times,
    versions,
)

FUNCTIONS: Final[dict[str, Callable[..., object]]] = {
    **cases.FUNCTIONS,
    **encodings.FUNCTIONS,
    **lists.FUNCTIONS,
    **maps.FUNCTIONS,
    **numbers.FUNCTIONS,
    **places.FUNCTIONS,
    **regex.FUNCTIONS,
    **strings.FUNCTIONS,
    **times.FUNCTIONS,
    **versions.FUNCTIONS,
}
