"""Golden cases: `--update` writes what the code gives now, and the review reads the difference."""

from __future__ import annotations

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
