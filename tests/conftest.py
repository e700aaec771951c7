"""What every test may use.

Golden cases: `--update` writes what the code gives now, and the review reads the difference. What a test
has measured is printed at the end of the run, whether it passed or not.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadScopeScheduling

from meshctl.sandbox import preflight
from tests.golden import UPDATE

if TYPE_CHECKING:
    from xdist.remote import Producer


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


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # no types come with it
    """Gives a file's tests to one process, and all of the cluster's to one where there is but one cluster.

    Light sandboxes share this machine's ports, and a cluster that is given is one. Tests of fleets have a
    sandbox of several clusters in common.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        given = os.environ.get("MESHCTL_TEST_KUBECONFIG") or os.environ.get("MESHCTL_TEST_LIGHT")
        if "tests/cluster/" in file and (given or preflight.why_not_full()):
            return "cluster"
        return "fleet" if "tests/cluster/fleet/" in file else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile | None:
    """By file, where a run is spread by scope."""
    return ByFile(config, log) if config.getvalue("dist") == "loadscope" else None
