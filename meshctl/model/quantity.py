"""Kubernetes quantities, such as `500m` or `2Gi`, as numbers."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

_QUANTITY = re.compile(r"([+-]?[0-9.]+)([eE][+-]?[0-9]+|[numkKMGTPE]i?|)")
_SCALE = {
    "": Decimal(1),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("num", start=-3)},
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
}


def amount(value: Any) -> Decimal | None:
    """A quantity as a number: cores, bytes or pieces; None for anything else."""
    found = _QUANTITY.fullmatch(str(value))
    if found is None or found[1].count(".") > 1 or not any(sign.isdigit() for sign in found[1]):
        return None
    if found[2][:1] in ("e", "E") and found[2] not in ("E", "Ei"):
        return Decimal(found[1] + found[2])
    scale = _SCALE.get(found[2])
    return None if scale is None else Decimal(found[1]) * scale
