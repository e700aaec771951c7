"""Ten API servers at once against one of them, and a hundred clusters planned from what was seen of them.

What ten API servers and their istiods have to do is ten times the work of one, whoever asks: where the
machine has too few cores for it, no client can meet the promise, and the note says so in processor time.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from meshctl import sandbox
from meshctl.adapters import recordings
from tests.bench.pairs import Pair, Run, timed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MESHCTL = str(Path(sys.executable).with_name("meshctl"))
NAME = "bench-scale"
CLUSTERS = 10
ROUNDS = 3
RATIO = 2.0
"""How much longer ten clusters may take than one."""
MANY = 100
SECONDS = 30.0
"""How long a plan of so many may take."""

_SAMPLE = "cluster-sample"
"""Stands for a name nowhere else, so that a recording can be given another."""


def parallel() -> list[Pair]:
    """Plan and install ten clusters, each a mesh of its own, and one of them; ours in both columns."""
    for _ in sandbox.up(sandbox.Settings(name=NAME, clusters=CLUSTERS, light=True)):
        pass
    try:
        now = sandbox.status(NAME)
        env = {**os.environ, "KUBECONFIG": now.kubeconfig}
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "mesh.yaml"
            contexts = [each.context for each in now.clusters]
            file.write_text("---\n".join(_mesh([(each, each)], each) for each in contexts))
            rounds = [_round(str(file), contexts[0], env) for _ in range(ROUNDS + 1)][1:]
    finally:
        for _ in sandbox.down(NAME):
            pass
    return [
        _scaled(what, [ten for ten, _ in found], [one for _, one in found])
        for what, found in zip(("plan", "install"), zip(*rounds, strict=True), strict=True)
    ]


def _scaled(what: str, ten: Sequence[Busy], one: Sequence[Busy]) -> Pair:
    """Ten against one, and what the machine's cores alone make of it."""
    cores = os.cpu_count() or 1
    least = median(run.processor for run in ten) / cores
    note = (
        f"columns: {CLUSTERS} clusters, and one; the processors are at work for "
        f"{median(run.processor for run in ten):.1f} s and {median(run.processor for run in one):.1f} s: "
        f"on {cores} cores ten take {least:.1f} s at least, a ratio of "
        f"{least / median(run.run.seconds for run in one):.1f}"
    )
    runs = tuple(each.run for each in ten), tuple(each.run for each in one)
    return Pair(f"{what}, {CLUSTERS} clusters", *runs, RATIO, note)


@dataclass(frozen=True)
class Busy:
    """A run, and the seconds that all processors were at work meanwhile, for whatever program."""

    run: Run
    processor: float


def _busy(argv: Sequence[str], env: dict[str, str]) -> Busy:
    before = _processor()
    run = timed(argv, env)
    return Busy(run, _processor() - before)


def _processor() -> float:
    """Seconds that the processors have been at work since the machine started. Source: proc_stat(5)."""
    user, nice, system, _, _, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _round(file: str, one: str, env: dict[str, str]) -> tuple[tuple[Busy, Busy], tuple[Busy, Busy]]:
    """Plans of ten and of one, and installs of ten and of one."""
    plans, installs = [], []
    for asked in (("-f", file), ("-f", file, "--cluster", one)):
        plans.append(_busy([MESHCTL, "plan", *asked], env))
        installs.append(_busy([MESHCTL, "install", *asked, "--yes"], env))
        timed([MESHCTL, "uninstall", *asked, "--purge", "--yes"], env)
    return (plans[0], plans[1]), (installs[0], installs[1])


def observations() -> list[Pair]:
    """A hundred clusters planned from recordings: of one real cluster, under as many names."""
    for _ in sandbox.up(sandbox.Settings(name=NAME, light=True)):
        pass
    try:
        now = sandbox.status(NAME)
        with tempfile.TemporaryDirectory() as folder:
            env = {**os.environ, "KUBECONFIG": now.kubeconfig}
            sample = _sample(Path(folder), now.clusters[0].context, env)
            return _planned(Path(folder), sample)
    finally:
        for _ in sandbox.down(NAME):
            pass


def _sample(folder: Path, context: str, env: dict[str, str]) -> str:
    """The recording, as JSON text, of a cluster with a mesh."""
    file, seen = folder / "sample.yaml", folder / "sample"
    file.write_text(_mesh([(_SAMPLE, context)]))
    timed([MESHCTL, "install", "-f", str(file), "--yes"], env)
    timed([MESHCTL, "observe", "-f", str(file), "--out", str(seen)], env)
    timed([MESHCTL, "uninstall", "-f", str(file), "--purge", "--yes"], env)
    return json.dumps(recordings.FORM.unpack(recordings.place(seen, _SAMPLE).read_bytes(), _SAMPLE, dict))


def _planned(folder: Path, sample: str) -> list[Pair]:
    names = [f"cluster-{number:06d}" for number in range(MANY)]
    for name in (*names, _SAMPLE):
        content = json.loads(sample.replace(_SAMPLE, name))
        recordings.place(folder, name).write_bytes(recordings.FORM.pack(content))
    many, one = folder / "many.yaml", folder / "one.yaml"
    many.write_text(_mesh((name, "") for name in names))
    one.write_text(_mesh([(_SAMPLE, "")]))
    runs = [
        tuple(
            timed([MESHCTL, "plan", "-f", str(file), "--observations", str(folder)]) for file in (many, one)
        )
        for _ in range(ROUNDS)
    ]
    ours, theirs = tuple(run[0] for run in runs), tuple(run[1] for run in runs)
    slowest = max(run.seconds for run in ours)
    note = (
        f"columns: {MANY} clusters, and one; is to be <= {SECONDS:.0f} s: {slowest:.1f} s at most, "
        f"memory {max(run.mebibytes for run in ours):.0f} MiB; {MANY * (MANY - 1)} links"
    )
    # The promise is an absolute one; as a ratio it is what the plan of one cluster makes of it.
    goal = SECONDS / (sum(run.seconds for run in theirs) / len(theirs))
    return [Pair(f"plan from observations, {MANY} clusters", ours, theirs, goal, note)]


def _mesh(clusters: Iterable[tuple[str, str]], name: str = "fleet") -> str:
    """A mesh.yaml of primaries on one network, by name and context."""
    lines = [
        "apiVersion: meshctl.dev/v1alpha1",
        "kind: Mesh",
        f"metadata: {{name: {name}}}",
        "spec:",
        "  profile: minimal",
        "  clusters:",
    ]
    for cluster, context in clusters:
        where = f", context: {context}" if context else ""
        lines.append(f"    - {{name: {cluster}{where}, network: shared}}")
    return "\n".join(lines) + "\n"
