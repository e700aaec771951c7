"""Write the records of one Istio minor anew: `python -m tests.parity.write_records MINOR FOLDER`.

FOLDER is the `manifests` folder of that minor's source tree, got by whoever runs this; istioctl of the
pinned Istio renders its charts. Only digests are written.
"""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from meshctl.sandbox import build
from tests import upstream
from tests.parity import injecting, records, sides, test_crds, version_cases

RECORDED = Path(__file__).parent / "recorded"
DEFINITIONS = Path("charts/base/files/crd-all.gen.yaml")


def main(minor: str, charts: Path) -> None:
    """Write what upstream renders, defines and injects."""
    istioctl = upstream.istioctl()
    judge = build.program(build.INJECTJUDGE)
    cases = {str(case): sides.theirs(case, istioctl, charts) for case in version_cases.cases(minor)}
    records.write(RECORDED / minor / "manifests.txt", cases)
    pods = injecting.verdicts(judge, lambda settings: injecting.by_upstream(settings, istioctl, charts))
    records.write(RECORDED / minor / "injection.txt", pods)
    definitions = yaml.load_all((charts / DEFINITIONS).read_text(), Loader=yaml.CSafeLoader)
    kinds = {each["metadata"]["name"]: dict(test_crds.leaves(each)) for each in definitions if each}
    records.write(RECORDED / minor / "definitions.txt", kinds)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
