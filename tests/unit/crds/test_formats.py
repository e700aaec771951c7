"""Formats mean what they mean to an API server."""

from __future__ import annotations

import pytest

from meshctl.crds.formats import example, fits

FORMATS = {
    "byte": ("aXN0aW8=", "aXN0aW8", ""),
    "cidr": ("10.0.0.0/8", "2001:db8::/32", "10.0.0.1"),
    "date": ("2006-01-02", "2006-1-2", "2006-13-01"),
    "date-time": ("2006-01-02t15:04:05.123+02:00", "2006-01-02", "2006-01-02T25:00:00Z"),
    "duration": ("-1.5h20m", "5", "1d"),
    "hostname": ("a-1.example", "-a", "a..b"),
    "ipv4": ("10.0.0.1", "10.0.0.256", "::1"),
    "ipv6": ("::1", "10.0.0.1", "::g"),
    "uuid": ("123e4567-e89b-12d3-a456-426614174000", "123", "g" * 32),
}
BOTH_GOOD = {"cidr"}


@pytest.mark.parametrize("format", FORMATS)
def test_a_text_fits_or_does_not(format: str) -> None:
    good, second, bad = FORMATS[format]
    assert fits(good, format)
    assert fits(second, format) is (format in BOTH_GOOD)
    assert not fits(bad, format)


@pytest.mark.parametrize("format", FORMATS)
def test_the_example_of_a_hint_fits(format: str) -> None:
    assert fits(example(format), format)


def test_a_format_that_nobody_knows_fits_everything() -> None:
    assert fits("anything", "poem")
    assert example("poem") == ""
