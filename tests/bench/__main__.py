"""Print the table of ratios; `python -m tests.bench [PART …]`, the parts being those of `PARTS`."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from meshctl.cli.report import table
from tests.bench import fleet, lifecycle, offline, scale

if TYPE_CHECKING:
    from tests.bench.pairs import Pair

PARTS = {
    "startup": offline.startup,
    "render": offline.render,
    "fleet": fleet.fleet,
    "lifecycle": lifecycle.lifecycle,
    "parallel": scale.parallel,
    "observations": scale.observations,
}


def main(asked: list[str]) -> int:
    """Measure the parts asked for, all by default; 1 when a goal is missed."""
    cores = len(
        [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("processor")]
    )
    machine = f"{platform.system()} {platform.release()} {platform.machine()}"
    print(f"{machine}, {cores} cores, Python {platform.python_version()}")
    pairs: list[Pair] = []
    for name in asked or PARTS:
        pairs += PARTS[name]()
    header = ("WHAT", "MESHCTL", "ISTIOCTL", "RATIO", "GOAL", "", "")
    print(table([pair.row() for pair in pairs], header))
    return int(any(pair.ratio > pair.goal for pair in pairs))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
