"""Every check by name. The sessions share the environment that `make` prepares."""

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "types", "layers", "unit"]

PYTEST = ("python", "-m", "pytest")


@nox.session
def lint(session: nox.Session) -> None:
    """Format, rules, spelling, dependencies."""
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("codespell", "meshctl", "templates", "profiles", "docs", "examples", "tests", "README.md")
    session.run("deptry", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types, strictly."""
    session.run("mypy")


@nox.session
def layers(session: nox.Session) -> None:
    """Who may import whom."""
    session.run("lint-imports")


@nox.session
def unit(session: nox.Session) -> None:
    """Unit and golden tests: no network, under a minute."""
    session.run(*PYTEST, "tests/unit", "-n", "auto", *session.posargs)


@nox.session
def parity(session: nox.Session) -> None:
    """Leaf by leaf against upstream, built from its Go module."""
    session.run(*PYTEST, "tests/parity", *session.posargs)


@nox.session
def cluster(session: nox.Session) -> None:
    """On real clusters and hosts of the sandbox."""
    session.run(*PYTEST, "tests/cluster", *session.posargs)


@nox.session
def test(session: nox.Session) -> None:
    """All of it in one run, so that one line at the end counts everything.

    Three processes, each with a sandbox of its own, as a test of a cluster waits more than it works: a file
    of the cluster's tests goes to whichever is free, first as they are the longest.
    """
    spread = ("-n", "3", "--dist", "loadscope", "--no-loadscope-reorder")
    session.run(*PYTEST, *spread, "tests/cluster", "tests/parity", "tests/unit", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Ratios against istioctl, measured in turn in one run."""
    session.run("python", "-m", "tests.bench", *session.posargs)


@nox.session
def chaos(session: nox.Session) -> None:
    """The long matrices: killed after every recorded event, seeded faults, every drill."""
    session.run(*PYTEST, "tests/cluster", "--long", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The generated reference; `-- --check` fails when it is stale."""
    session.run("python", "docs/generate.py", *session.posargs)
