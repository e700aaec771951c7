"""What every test may use.

Golden cases: `--update` writes what the code gives now, and the review reads the difference. What a test
has measured is printed at the end of the run, whether it passed or not.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.golden import UPDATE


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="rewrite the expected files of golden cases")
    parser.addoption(
        "--long", action="store_true", help="run long matrices whole, not the slice of every run"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[UPDATE] = config.getoption("--update")


@pytest.fixture
def update(pytestconfig: pytest.Config) -> bool:
    """Whether expected files are to be rewritten."""
    return pytestconfig.stash[UPDATE]


FIGURE = "figure"


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Keeps a line of what was measured for the end of the run."""

    def keep(text: str) -> None:
        record_property(FIGURE, text)

    return keep


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured, test by test."""
    reports = [each for found in terminalreporter.stats.values() for each in found]
    lines = [
        f"{report.nodeid.rpartition('::')[2]}: {text}"
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, text in report.user_properties
        if name == FIGURE
    ]
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.line(line)
