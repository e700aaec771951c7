"""Each older minor against upstream's rendering at its release, kept as digests in `recorded/`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from tests.parity import injecting, records, sides, test_crds
from tests.parity.leaves import Leaves
from tests.parity.test_profiles import LEAST, reason
from tests.parity.variants import Case
from tests.parity.version_cases import cases
from tests.parity.write_records import RECORDED

pytestmark = pytest.mark.parity

MINORS = ("1.30", "1.31")
TEXT = ".metadata.annotations.kubernetes.io/description"
"""What upstream says of some of its objects, and we in the documentation."""

EVERY = [(minor, case) for minor in MINORS for case in cases(minor)]


@cache
def recorded(minor: str, what: str = "manifests") -> dict[str, records.Tokens]:
    return records.read(RECORDED / minor / f"{what}.txt")


@pytest.mark.parametrize(("minor", "case"), EVERY, ids=[f"{minor}-{case}" for minor, case in EVERY])
def test_a_minor_renders_as_upstream_rendered_it(minor: str, case: Case) -> None:
    ours = sides.ours(case, minor)
    texts = [path.removesuffix(".kind") + TEXT for path in ours if path.endswith(".kind")]
    found = records.compare(ours, recorded(minor)[str(case)], texts)
    print(f"Istio {minor}, {case}: {found.share:.4f}, {found.shared} leaves shared\n{found}")
    assert [path for path in found.paths() if not reason(path)] == [], str(found)
    assert found.share >= LEAST, str(found)


@pytest.mark.parametrize("minor", MINORS)
def test_every_recorded_case_is_still_asked(minor: str) -> None:
    assert list(recorded(minor)) == [str(case) for case in cases(minor)]


@pytest.fixture(scope="module", params=MINORS)
def injected(request: pytest.FixtureRequest, injectjudge: Path) -> tuple[str, dict[str, Leaves]]:
    """A minor, and what our templates for it make of every case."""
    minor = str(request.param)
    return minor, injecting.verdicts(injectjudge, lambda settings: injecting.by_us(settings, minor))


def test_a_minor_injects_and_deploys_what_upstream_did(injected: tuple[str, dict[str, Leaves]]) -> None:
    minor, ours = injected
    theirs = recorded(minor, "injection")
    assert theirs.keys() <= ours.keys()
    differ = {name: case.get("differs", []) for name, case in injecting.pods()}
    refused = {name for name, case in injecting.pods() if case.get("refuses") == "upstream"}
    for name in theirs.keys() - refused:
        found = records.compare(ours[name], theirs[name])
        unexpected = [
            path for path in found.paths() if not any(each in path for each in differ.get(name, []))
        ]
        assert unexpected == [], f"{name}\n{found}"


@pytest.mark.parametrize("minor", MINORS)
def test_a_minor_defines_the_fields_that_upstream_defined(minor: str) -> None:
    theirs = recorded(minor, "definitions")
    ours = {name: dict(test_crds.leaves(each)) for name, each in test_crds.ours(minor).items()}
    assert list(ours) == list(theirs)
    found = {name: records.compare(ours[name], theirs[name]) for name in ours}
    assert [f"{name}\n{each}" for name, each in found.items() if each.paths()] == []
