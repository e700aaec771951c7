"""A mesh in memory on which a canary upgrade is made, with stand-ins for what asks istiods and proxies."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from meshctl.actions.canary import batches as canary_batches
from meshctl.actions.canary import ending as canary_end
from meshctl.actions.canary.preview import Preview, preview, revision_for
from meshctl.actions.canary.sending import Run
from meshctl.actions.canary.upgrade import Summary, abort, begin, go_on
from meshctl.actions.doing import do
from meshctl.actions.install import drafted, install
from meshctl.actions.upgrade import target
from meshctl.adapters.releases import ClusterReleases
from meshctl.errors import ConflictError, FailedError
from meshctl.model.event import Done, Event
from meshctl.model.mesh import Inputs
from meshctl.model.objects import Object, Ref
from meshctl.model.upgrade import Gate, Upgrade
from meshctl.ports import World
from meshctl.stages.applying import steps
from meshctl.stages.settings.load import load
from tests.fake_kinds import KINDS, kind_of
from tests.fakes import FakeClock, FakeFiles
from tests.unit.actions.living import LivingCluster

GATEWAYS = kind_of("gateway.networking.k8s.io/v1", "Gateway")
SETS = ("values.base.enableIstioConfigCRDs=false",)  # definitions take their time


class Records(ClusterReleases):
    """Records in a cluster in memory, with a lock that needs no thread."""

    held = False

    @contextmanager
    def lock(self, mesh: str) -> Iterator[None]:
        if self.held:
            raise ConflictError("mesh-locked", f"somebody has been at work on {mesh!r} since noon")
        object.__setattr__(self, "held", True)
        try:
            yield
        finally:
            object.__setattr__(self, "held", False)


class Ground:
    """A cluster with Istio 1.31 and workloads in three namespaces, and stand-ins for the gate."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, profile: str = "default") -> None:
        clock = FakeClock()
        self.cluster = LivingCluster("here", kinds=(*KINDS, GATEWAYS), clock=clock)
        self.releases = Records(self.cluster, clock)
        self.world = World({"here": self.cluster}, {"here": self.releases}, clock, FakeFiles())
        self.run = Run(self.world, "here", seconds=60)
        self.refused: dict[str, int] = {}
        self.judged: list[tuple[str, str]] = []
        self.silent = False
        monkeypatch.setattr(canary_batches, "pass_through", self._gate)
        monkeypatch.setattr(canary_batches, "attached", self._attached)
        monkeypatch.setattr(canary_end.gate, "attached", self._attached)
        monkeypatch.setattr(steps, "webhook_answers", self._answers)
        asked = load(Inputs(profile=profile, sets=SETS, version="1.31.0", cluster="here"))
        for wave in install(self.world, asked):
            list(do(self.world, wave.plan))
        self._people()

    def _people(self) -> None:
        for name, labels in (
            ("shop", {"istio-injection": "enabled"}),
            ("bank", {"istio.io/rev": "default"}),
            ("yard", {}),
        ):
            self.cluster.seed(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
            )
        self.cluster.workload("Deployment", "shop", "web", replicas=2)
        self.cluster.workload("StatefulSet", "shop", "db")
        self.cluster.workload("Deployment", "bank", "teller")
        self.cluster.workload("Deployment", "yard", "tied", istio_io__rev="default")

    def _gate(
        self,
        world: World,
        cluster: str,
        *,
        revision: str,
        pods: Callable[[], Collection[tuple[str, str]]],
        gate: Gate,
        istio_namespace: str,
        batch: str,
    ) -> Iterator[Event]:
        self.judged.append((batch, revision))
        if self.refused.get(batch):
            self.refused[batch] -= 1
            raise FailedError("gate-failed", "web-1 rejected what it was sent")
        elsewhere = set(pods()) - self.cluster.riding(revision)
        if elsewhere:
            raise FailedError("gate-failed", f"{sorted(elsewhere)} are on another revision")
        yield Done("gate")

    def _attached(
        self, world: World, cluster: str, *, revision: str, istio_namespace: str, unused: bool = False
    ) -> tuple[str, ...]:
        return tuple(sorted("/".join(each) for each in self.cluster.riding(revision)))

    def _answers(self, _: Any, *, revision: str, istio_namespace: str) -> str:
        return "nobody answers" if self.silent and revision else ""

    def preview(self, *, revision: str = "", **how: Any) -> Preview:
        asked, source = target(self.world, to="1.32.0", revision=revision or revision_for("1.32.0"), sets=())
        [cluster] = asked.mesh.clusters
        return preview(self.run, source, drafted(self.world, asked, cluster), **how)

    def upgrade(self, **how: Any) -> Summary:
        return ended(begin(self.run, self.preview(**how)))

    def resume(self, **how: Any) -> Summary:
        return ended(go_on(self.run, "mesh", again=True, **how))

    def abort(self) -> Summary:
        return ended(abort(self.run, "mesh"))

    @property
    def under_way(self) -> Upgrade:
        found = self.releases.upgrade("mesh")
        assert found is not None
        return found

    def labels(self, ref: Ref) -> dict[str, str]:
        found = self.cluster.get(ref)
        assert found is not None
        return {key: each for key, each in found.labels.items() if key.startswith("istio")}

    def places(self) -> dict[str, set[str]]:
        """The revisions that workloads are on."""
        people = (("shop", "web"), ("shop", "db"), ("bank", "teller"), ("yard", "tied"))
        return {name: self.cluster.on(namespace, name) for namespace, name in people}

    def snapshot(self) -> dict[str, Any]:
        """All objects but records and what changes from run to run; pods by revision."""
        return {
            str(obj.ref): _lasting(obj) for obj in self.cluster.all() if _is_compared(obj)
        } | self.places()


def _is_compared(obj: Object) -> bool:
    is_record = obj.ref.name.startswith("meshctl")
    return not is_record and obj.ref.kind not in ("Pod", "ReplicaSet", "Lease")


def _lasting(obj: Object) -> dict[str, Any]:
    content = {key: each for key, each in obj.content.items() if key not in ("metadata", "status")}
    template = (content.get("spec") or {}).get("template") or {}
    notes = (template.get("metadata") or {}).get("annotations") or {}
    notes.pop("kubectl.kubernetes.io/restartedAt", None)
    if not notes and "annotations" in (template.get("metadata") or {}):
        del template["metadata"]["annotations"]
    return {**content, "labels": dict(obj.labels), "annotations": dict(obj.annotations)}


def ended(story: Generator[Event, None, Summary]) -> Summary:
    while True:
        try:
            next(story)
        except StopIteration as end:
            return end.value
