"""A mesh.yaml with a hundred clusters, rendered into a folder each."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.bench.pairs import Pair, Run, in_turn, timed
from tests.upstream import istioctl

MESHCTL = str(Path(sys.executable).with_name("meshctl"))
CLUSTERS = 100
SECONDS = 10.0
ROUNDS = 3


def mesh(clusters: int) -> str:
    """A mesh.yaml of primaries and remotes on two clusters a network, no two of them alike."""
    lines = [
        "apiVersion: meshctl.dev/v1alpha1",
        "kind: Mesh",
        "metadata: {name: fleet}",
        "spec:",
        "  meshConfig: {accessLogFile: /dev/stdout}",
        "  clusters:",
    ]
    for index in range(clusters):
        role = f"role: remote, controlPlane: c{index - 1}" if index % 2 else f"address: 192.0.2.{index}"
        own = f"values: {{global: {{logging: {{level: 'default:info,s{index}:debug'}}}}}}"
        lines.append(f"    - {{name: c{index}, network: n{index // 2}, {role}, {own}}}")
    return "\n".join(lines)


def fleet() -> list[Pair]:
    """All clusters by one command of ours; theirs renders one, and is run as often as there are clusters."""
    their = str(istioctl())
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder) / "mesh.yaml", Path(folder) / "out"
        file.write_text(mesh(CLUSTERS))
        ours, theirs = in_turn(
            ROUNDS,
            lambda: timed([MESHCTL, "manifest", "generate", "-f", str(file), "--out", str(out)]),
            lambda: Run(CLUSTERS * timed([their, "manifest", "generate"]).seconds),
        )
    seconds, memory = median(run.seconds for run in ours), max(run.mebibytes for run in ours)
    # The promise is an absolute one; as a ratio it is what istioctl's own speed makes of it.
    goal = SECONDS / median(run.seconds for run in theirs)
    note = f"ours is to be <= {SECONDS:.0f} s: {seconds:.1f} s, memory {memory:.0f} MiB"
    return [Pair(f"manifest generate, {CLUSTERS} clusters", ours, theirs, goal, note)]
