"""Install to ready, and uninstall to really gone, on one warm sandbox cluster, in turn."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from meshctl import sandbox
from meshctl.sandbox.versions import ISTIO_TAGS
from tests.bench.pairs import Pair, Run, timed

MESHCTL = str(Path(sys.executable).with_name("meshctl"))
NAME = "bench"
ROUNDS = 5

# What the sandbox's platform profile sets, in upstream's spelling: both install the same thing.
SAME = {
    "hub": "sandbox.meshctl.dev/istio",
    "tag": ISTIO_TAGS[0],
    "values.global.imagePullPolicy": "IfNotPresent",
    "values.pilot.env.PILOT_ENABLE_ALPN_FILTER": "false",
    "values.pilot.env.PILOT_ENABLE_METADATA_EXCHANGE": "false",
    "values.telemetry.enabled": "false",
    "values.pilot.resources.requests.cpu": "10m",
    "values.pilot.resources.requests.memory": "100Mi",
}


def lifecycle() -> list[Pair]:
    """Five rounds of install and uninstall, ours and theirs alternately, after one that is not counted."""
    for _ in sandbox.up(sandbox.Settings(name=NAME)):
        pass
    now = sandbox.status(NAME)
    env = {**os.environ, "KUBECONFIG": now.kubeconfig}
    try:
        rounds = [(_ours(env), _theirs(env, now)) for _ in range(ROUNDS + 1)][1:]
    finally:
        for _ in sandbox.down(NAME):
            pass
    installs = tuple(a[0] for a, _ in rounds), tuple(b[0] for _, b in rounds)
    removals = tuple(a[1] for a, _ in rounds), tuple(b[1] for _, b in rounds)
    return [
        Pair("install to ready", *installs, 1.0),
        Pair(
            "uninstall to really gone",
            *removals,
            1.0,
            "theirs: uninstall --purge, then the namespace deleted",
        ),
    ]


def _ours(env: dict[str, str]) -> tuple[Run, Run]:
    installed = timed([MESHCTL, "install", "--yes"], env)
    return installed, timed([MESHCTL, "uninstall", "--purge", "--yes"], env)


def _theirs(env: dict[str, str], now: sandbox.Status) -> tuple[Run, Run]:
    flags = [word for path, value in SAME.items() for word in ("--set", f"{path}={value}")]
    installed = timed([now.istioctl, "install", "-y", *flags], env)
    purged = timed([now.istioctl, "uninstall", "--purge", "-y"], env)
    deleted = timed([now.kubectl, "delete", "namespace", "istio-system", "--wait"], env)
    # What theirs leaves behind (root-cert ConfigMaps, leases) must not speed up our next install.
    subprocess.run([MESHCTL, "uninstall", "--purge", "--yes"], env=env, capture_output=True, check=True)
    return installed, Run(purged.seconds + deleted.seconds)
