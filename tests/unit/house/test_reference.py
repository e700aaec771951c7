"""The written reference is what the code says now."""

from __future__ import annotations

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_reference_of_commands_and_values_is_up_to_date() -> None:
    generate = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    assert generate["main"](check=True) == 0, "`make docs` writes it anew"
