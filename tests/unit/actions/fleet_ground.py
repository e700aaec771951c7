"""A fleet in memory, and what is done there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from meshctl.actions.fleet.install import Choices, Fleet, Planned, carry_out, preview
from meshctl.actions.fleet.uninstall import depart, departure
from meshctl.adapters.releases import ClusterReleases
from meshctl.errors import UnreachableError
from meshctl.model.fleet import Ended, Task, Told
from meshctl.model.mesh import Inputs
from meshctl.model.objects import Object, Ref
from meshctl.model.removal import Scope
from meshctl.ports import World
from meshctl.stages.seeing.observe import inventory
from meshctl.stages.settings.load import load_all
from tests.fakes import FakeClock, FakeCluster, FakeFiles

ADDRESS = "203.0.113.7"
LOST = UnreachableError("unreachable", "the API server does not answer")


class Balanced(FakeCluster):
    """A cluster with a load balancer: Services of that type have an address as soon as they are there.

    While `is_lost` its API server does not answer.
    """

    address = ADDRESS
    is_lost = False

    def version(self) -> str:
        self._answer()
        return super().version()

    def get(self, ref: Ref) -> Object | None:
        self._answer()
        return super().get(ref)

    def list(self, *args: Any, **kwargs: Any) -> tuple[Object, ...]:
        self._answer()
        return super().list(*args, **kwargs)

    def _answer(self) -> None:
        if self.is_lost:
            raise LOST

    def apply(self, obj: Object, *, take_over: bool = False, dry_run: bool = False) -> Object:
        self._answer()
        after = super().apply(obj, take_over=take_over, dry_run=dry_run)
        if obj.at("spec.type") == "LoadBalancer" and self.address and not dry_run:
            self.edit(obj.ref, {"status": {"loadBalancer": {"ingress": [{"ip": self.address}]}}})
        return after


class FleetGround:
    """The clusters of a mesh.yaml, each an API server in memory."""

    def __init__(self, folder: Path, text: str, *, tick: float = 0.0) -> None:
        (folder / "mesh.yaml").write_text(text)
        self.file = str(folder / "mesh.yaml")
        self.fleet = self.asked()
        clock = FakeClock(tick=tick)
        self.doors = {name: Balanced(name) for name in self.fleet.clusters}
        records = {name: ClusterReleases(door, clock) for name, door in self.doors.items()}
        self.world = World(self.doors, records, clock, FakeFiles())
        self.choices = Choices(seconds=5)

    def asked(self, **inputs: Any) -> Fleet:
        return Fleet.of(load_all(Inputs(files=(self.file,), **inputs)))

    def world_of(self, *names: str) -> World:
        """The doors to some of the clusters."""
        doors, records = self.world.clusters, self.world.releases
        return replace(
            self.world,
            clusters={name: doors[name] for name in names},
            releases={name: records[name] for name in names},
        )

    def preview(self, fleet: Fleet | None = None) -> tuple[Planned, ...]:
        return preview(self.world, fleet or self.fleet, self.choices)

    def install(self, fleet: Fleet | None = None) -> dict[Task, Ended]:
        asked = fleet or self.fleet
        news = list(carry_out(self.world, asked, self.preview(asked), self.choices))
        assert all(each.cluster in self.doors for each in news if isinstance(each, Told))
        return {each.task: each for each in news if isinstance(each, Ended)}

    def uninstall(self, *names: str) -> dict[Task, Ended]:
        gone = departure(self.world, self.fleet, Scope("", purge=True), names or tuple(self.doors), drain=0)
        assert gone.refusals == ()
        return {each.task: each for each in depart(self.world, gone, drain=0) if isinstance(each, Ended)}

    def everything(self) -> dict[str, frozenset[object]]:
        """Names of all objects, of the clusters that answer."""
        return {name: frozenset(inventory(door)) for name, door in self.doors.items() if not door.is_lost}

    def writes(self) -> list[str]:
        """What was sent since the last time this was asked."""
        found = [write for door in self.doors.values() for write in door.writes]
        for door in self.doors.values():
            door.writes.clear()
        return found
