"""Patterns in Go's syntax mean in Python what they mean in Go."""

from __future__ import annotations

import pytest

from meshctl.crds.patterns import compiled

MATCHES = {
    r"^a$": ("a", "a\n"),
    r"^a\z": ("a", "a\n"),
    r"^[[:alpha:]]+$": ("abc", "a1"),
    r"^[[:^]+$": ("[:^", "a"),
    r"^[]a]+$": ("]a", "b"),
    r"^[^]]$": ("a", "]"),
    r"^[\]$]+$": ("]$", "a"),
    r"^\Qa.b\E+$": ("a.bb", "axb"),
    r"^(?<name>a)$": ("a", "b"),
    r"^(?P<name>a)$": ("a", "b"),
    r"^\d+$": ("12", "١٢"),
    r"^a\$$": ("a$", "a"),
    r"(?m)^b$": ("a\nb\nc", "ab"),
    r"b": ("abc", "ac"),
}


@pytest.mark.parametrize("pattern", MATCHES)
def test_it_matches_what_go_matches_and_nothing_else(pattern: str) -> None:
    good, bad = MATCHES[pattern]
    assert compiled(pattern).search(good)
    assert not compiled(pattern).search(bad)


def test_what_python_cannot_say_is_an_error() -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        compiled(r"^\pL$")
