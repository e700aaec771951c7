"""Runs the command as a user does, and sees what the API server says it did."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshctl.adapters.kube import KubeCluster
from meshctl.model.objects import Object, Ref
from meshctl.stages.seeing.observe import CHURNING, inventory, look

MESHCTL = str(Path(sys.executable).with_name("meshctl"))
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class Command:
    """`meshctl` against one cluster.

    Attributes:
        kubeconfig: its file.
        folder: where the command runs, and leaves what it saves.
    """

    kubeconfig: str
    folder: Path

    def run(self, *words: str, check: int | None = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run to the end; `check` is the exit code that is expected, None takes any."""
        done = subprocess.run(
            [MESHCTL, *words], env=self.env, cwd=self.folder, input=stdin, capture_output=True, text=True
        )
        said = f"{' '.join(words)} gave {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        assert check is None or done.returncode == check, said
        return done

    def json(self, *words: str, check: int | None = 0) -> Any:
        """The answer of a command in JSON."""
        return json.loads(self.run(*words, "-o", "json", check=check).stdout)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Begin, to be stopped."""
        quiet = subprocess.DEVNULL
        return subprocess.Popen([MESHCTL, *words], env=self.env, cwd=self.folder, stdout=quiet, stderr=quiet)

    @property
    def env(self) -> Mapping[str, str]:
        return {**os.environ, "KUBECONFIG": self.kubeconfig}


class Audit:
    """The API server's own log of what it was asked, from the moment this is made."""

    def __init__(self, kubeconfig: str) -> None:
        self.log = Path(kubeconfig).parent / "c1" / "audit.log"
        self.begun = self.log.stat().st_size

    def writes(self) -> list[str]:
        """Requests of meshctl that change something: no dry runs, no questions about rights, no tokens."""
        with self.log.open() as log:
            log.seek(self.begun)
            events = [json.loads(line) for line in log]
        return [
            f"{event['verb']} {event['requestURI']}"
            for event in events
            if event["verb"] in WRITES
            and event.get("userAgent", "").startswith("meshctl")
            and "accessreview" not in event["requestURI"]
            and not event["requestURI"].endswith("/token")
            and "dryRun=All" not in event["requestURI"]
        ]


ELECTED = "control-plane.alpha.kubernetes.io/leader"
"""Annotation of istiod's election ConfigMaps: who leads, and since when."""

VOLATILE = ("uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "selfLink")


def snapshot(cluster: KubeCluster) -> dict[str, Any]:
    """Every object of the cluster by name, without what differs between two runs of one story.

    Left out are kinds that churn by themselves, times, counters, status, and what Kubernetes or istiod
    draws by chance: cluster IPs, node ports, keys and certificates.
    """
    refs = inventory(cluster, without={*CHURNING, "Lease"})
    return {str(ref): _still(obj) for ref, obj in sorted(look(cluster, refs).items()) if _is_of_interest(ref)}


def settled(clusters: Mapping[str, KubeCluster]) -> dict[str, Any]:
    """Snapshots of clusters that were just made, once their own controllers have made what they make."""
    found = {name: snapshot(cluster) for name, cluster in clusters.items()}
    while True:
        time.sleep(3)
        again = {name: snapshot(cluster) for name, cluster in clusters.items()}
        if again == found:
            return found
        found = again


def _is_of_interest(ref: Ref) -> bool:
    """What other tests' namespaces hold may still be going."""
    if "test-" in (ref.namespace[:5], ref.name[:5] if ref.kind == "Namespace" else ""):
        return False
    return ref.kind not in ("APIService", "FlowSchema", "PriorityLevelConfiguration", "CSINode", "Node")


def _still(obj: Object) -> Any:
    content = json.loads(json.dumps(obj.content))
    for key in VOLATILE:
        content["metadata"].pop(key, None)
    content["metadata"].get("annotations", {}).pop(ELECTED, None)
    content.pop("status", None)
    if "aggregationRule" in content:
        content.pop("rules", None)  # gathered by a controller, in its own time
    if obj.ref.kind == "Service":
        for key in ("clusterIP", "clusterIPs"):
            content["spec"].pop(key, None)
        for port in content["spec"].get("ports", ()):
            port.pop("nodePort", None)
    if obj.ref.kind == "Secret" or obj.ref.name.startswith("istio-ca-"):
        content["data"] = sorted(content.get("data", {}))
    if obj.ref.kind == "Secret":
        content["metadata"].pop("labels", None)
    if obj.ref.kind.endswith("WebhookConfiguration"):
        for webhook in content["webhooks"]:
            webhook["clientConfig"].pop("caBundle", None)
    if obj.ref.kind == "Deployment":
        content["metadata"].get("annotations", {}).pop("deployment.kubernetes.io/revision", None)
    return content
