"""Stand-ins for the ports, which keep the promises of the contracts without a cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from meshctl.errors import ConflictError
from meshctl.model.release import Release
from meshctl.model.rotation import Rotation
from meshctl.model.upgrade import Upgrade
from meshctl.stages.applying import steps
from tests.fake_clock import NOON, FakeClock
from tests.fake_cluster import FakeCluster, FakeWatch
from tests.fake_kinds import ALL, KINDS, kind_of

__all__ = [
    "ALL",
    "KINDS",
    "NOON",
    "FakeClock",
    "FakeCluster",
    "FakeFiles",
    "FakeReleases",
    "FakeWatch",
    "kind_of",
    "webhooks_that_answer",
]


class FakeFiles:
    """Files in memory."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def write(self, path: str, text: str) -> None:
        self.texts[path] = text


class FakeReleases:
    """Records in memory; the lock refuses a second holder."""

    def __init__(self, *records: Release) -> None:
        self.records = {(each.mesh, each.generation): each for each in records}
        self.locked: set[str] = set()
        self.locks = 0
        self.lost = False
        self.writes: list[Release] = []
        self.upgrades: dict[str, Upgrade] = {}
        self.story: list[Upgrade] = []
        self.rotations: dict[str, Rotation] = {}

    def of(self, mesh: str) -> tuple[Release, ...]:
        return tuple(self.records[key] for key in sorted(self.records) if key[0] == mesh)

    def meshes(self) -> tuple[str, ...]:
        return tuple(sorted({mesh for mesh, _ in self.records}))

    def write(self, release: Release) -> None:
        self.writes.append(release)
        self.records[release.mesh, release.generation] = release

    def forget(self, release: Release) -> None:
        self.records.pop((release.mesh, release.generation), None)

    def upgrade(self, mesh: str) -> Upgrade | None:
        return self.upgrades.get(mesh)

    def write_upgrade(self, upgrade: Upgrade) -> None:
        self.story.append(upgrade)
        self.upgrades[upgrade.source.mesh] = upgrade

    def forget_upgrade(self, mesh: str) -> None:
        self.upgrades.pop(mesh, None)

    def rotation(self, mesh: str) -> Rotation | None:
        return self.rotations.get(mesh)

    def write_rotation(self, mesh: str, rotation: Rotation) -> None:
        self.rotations[mesh] = rotation

    def forget_rotation(self, mesh: str) -> None:
        self.rotations.pop(mesh, None)

    def require_locks(self) -> None:
        if self.lost:
            raise ConflictError("lock-lost", "the lock was taken away")

    @contextlib.contextmanager
    def lock(self, mesh: str) -> Iterator[None]:
        if mesh in self.locked:
            raise ConflictError("mesh-locked", f"somebody has been at work on {mesh!r} since noon")
        self.locked.add(mesh)
        self.locks += 1
        try:
            yield
        finally:
            self.locked.discard(mesh)


@contextlib.contextmanager
def webhooks_that_answer() -> Iterator[None]:
    """Meanwhile no webhook is asked: in a cluster in memory nothing is injected or judged."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(steps, "webhook_answers", lambda *_, **__: "")
        yield
