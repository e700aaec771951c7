"""What needs no cluster: start-up and rendering."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

from tests.bench.pairs import Pair, in_turn, timed
from tests.upstream import istioctl

MESHCTL = str(Path(sys.executable).with_name("meshctl"))


def startup() -> list[Pair]:
    """`version` of both, without a cluster."""
    their = str(istioctl())
    ours, theirs = in_turn(
        9, lambda: timed([MESHCTL, "version"]), lambda: timed([their, "version", "--remote=false"])
    )
    seconds = median(run.seconds for run in ours)
    # The promise is an absolute one, 0.15 s; as a ratio it is what istioctl's own start-up makes of it.
    goal = 0.15 / median(run.seconds for run in theirs)
    return [Pair("version", ours, theirs, goal, f"ours is to be <= 0.15 s: {seconds:.3f} s")]


def render() -> list[Pair]:
    """`manifest generate`, default profile."""
    their = str(istioctl())
    ours, theirs = in_turn(
        9, lambda: timed([MESHCTL, "manifest", "generate"]), lambda: timed([their, "manifest", "generate"])
    )
    memory = [median(run.mebibytes for run in runs) for runs in (ours, theirs)]
    return [
        Pair(
            "manifest generate", ours, theirs, 0.8, f"memory {memory[0]:.0f} MiB, theirs {memory[1]:.0f} MiB"
        )
    ]
