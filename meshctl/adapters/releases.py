"""Release records as Secrets of the cluster they tell of; see `ports.Releases`.

They live in `kube-system`, because a record must outlive the mesh's own namespace while that is
being removed: it is what a killed uninstall continues from.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from meshctl.adapters.lease import Held, Lease
from meshctl.adapters.record import NAMESPACE, MeshRecord
from meshctl.adapters.release_codec import FORM, decode, encode
from meshctl.adapters.rotation_codec import ROTATION
from meshctl.adapters.upgrade_codec import UPGRADE
from meshctl.errors import ConfigError
from meshctl.model.labels import MESH
from meshctl.model.objects import Object, Ref
from meshctl.model.release import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.model.release import Release
    from meshctl.model.rotation import Rotation
    from meshctl.model.upgrade import Upgrade
    from meshctl.ports import Clock, Cluster

KEPT = 10
"""How far back records are kept: those superseded that many generations ago are taken away.

Records of a revision that runs are not superseded, however old they are.
"""

_STATUS, _GENERATION = "meshctl.dev/status", "meshctl.dev/generation"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,51}[a-z0-9])?")


@dataclass(frozen=True)
class ClusterReleases:
    """Records and lock of one cluster.

    Attributes:
        cluster: where they are kept.
        clock: gives the times in the lock.
        lock_seconds: after how long without a sign of life others may take the lock.
    """

    cluster: Cluster
    clock: Clock
    lock_seconds: float = 15.0
    _held: list[Held] = field(default_factory=list, repr=False, compare=False)

    def of(self, mesh: str) -> tuple[Release, ...]:
        """Records of a mesh, oldest first."""
        secrets = self.cluster.list("v1", "Secret", namespace=NAMESPACE, labels=f"{MESH}={_checked(mesh)}")
        found = [_release(each) for each in secrets if each.at("type") == FORM.type]
        return tuple(sorted(found, key=lambda each: each.generation))

    def meshes(self) -> tuple[str, ...]:
        """Names of the meshes that have a record here, sorted."""
        secrets = self.cluster.list("v1", "Secret", namespace=NAMESPACE, labels=f"{MESH},{_GENERATION}")
        return tuple(sorted({each.labels[MESH] for each in secrets if each.at("type") == FORM.type}))

    def write(self, release: Release) -> None:
        """Create or replace the record of this generation.

        A deployed release supersedes the earlier one of its revision; what never came to be deployed
        has failed. Both are kept for ten generations, superseded ones whichever revision they are of.

        Raises:
            ConfigError: the record is larger than a Secret may be.
            ConflictError: the lock was taken away.
        """
        self.require_locks()
        self.cluster.apply(_secret(release), take_over=True)
        if release.status is Status.DEPLOYED:
            self._supersede(release)

    def forget(self, release: Release) -> None:
        """Take one record away."""
        self.require_locks()
        self.cluster.delete(_ref(release.mesh, release.generation))

    def upgrade(self, mesh: str) -> Upgrade | None:
        """The upgrade under way in a mesh; None when there is none."""
        return MeshRecord(UPGRADE, self.cluster, _checked(mesh)).read()

    def write_upgrade(self, upgrade: Upgrade) -> None:
        """Create or replace the record of the upgrade under way."""
        self.require_locks()
        MeshRecord(UPGRADE, self.cluster, _checked(upgrade.source.mesh)).write(upgrade)

    def forget_upgrade(self, mesh: str) -> None:
        """Take the record of an upgrade away."""
        self.require_locks()
        MeshRecord(UPGRADE, self.cluster, _checked(mesh)).forget()

    def rotation(self, mesh: str) -> Rotation | None:
        """The rotation of authorities under way in a mesh; None when there is none."""
        return MeshRecord(ROTATION, self.cluster, _checked(mesh)).read()

    def write_rotation(self, mesh: str, rotation: Rotation) -> None:
        """Create or replace the record of the rotation under way."""
        self.require_locks()
        MeshRecord(ROTATION, self.cluster, _checked(mesh)).write(rotation)

    def forget_rotation(self, mesh: str) -> None:
        """Take the record of a rotation away."""
        self.require_locks()
        MeshRecord(ROTATION, self.cluster, _checked(mesh)).forget()

    @contextmanager
    def lock(self, mesh: str) -> Iterator[None]:
        """Hold the mesh's lease until the context closes."""
        name = f"meshctl-{_checked(mesh)}"
        with Lease(self.cluster, self.clock, NAMESPACE, name, self.lock_seconds).held() as held:
            self._held.append(held)
            try:
                yield
            finally:
                self._held.remove(held)

    def require_locks(self) -> None:
        """Refuse to go on where a lock that was taken here was taken away."""
        for each in self._held:
            each.require()

    def _supersede(self, release: Release) -> None:
        secrets = self.cluster.list(
            "v1", "Secret", namespace=NAMESPACE, labels=f"{MESH}={release.mesh},{_GENERATION}"
        )
        for each in secrets:
            generation = int(each.labels[_GENERATION])
            if each.at("type") != FORM.type or generation >= release.generation:
                continue
            status = Status(each.labels.get(_STATUS, Status.PENDING))
            if status is not Status.SUPERSEDED and _release(each).revision != release.revision:
                continue  # another control plane's, which goes on beside this one
            past = Status.SUPERSEDED if status in (Status.DEPLOYED, Status.SUPERSEDED) else Status.FAILED
            if generation <= release.generation - KEPT:
                self.cluster.delete(each.ref)
            elif status is not past:
                self.cluster.patch(each.ref, {"metadata": {"labels": {_STATUS: str(past)}}})


def _checked(mesh: str) -> str:
    if not _NAME.fullmatch(mesh):
        raise ConfigError(
            "mesh-name-invalid",
            f"{mesh!r} cannot be the name of a mesh",
            hint="use up to 53 lower-case letters, digits and hyphens, with a letter or digit at either end",
        )
    return mesh


def _ref(mesh: str, generation: int) -> Ref:
    return Ref("v1", "Secret", NAMESPACE, f"meshctl.{_checked(mesh)}.v{generation}")


def _secret(release: Release) -> Object:
    # The status is told by the label alone, so that superseding a record does not send it again.
    ref, data = _ref(release.mesh, release.generation), encode(replace(release, status=Status.PENDING))
    labels = {MESH: release.mesh, _STATUS: str(release.status), _GENERATION: str(release.generation)}
    return FORM.secret(ref, labels, data)


def _release(secret: Object) -> Release:
    try:
        status = Status(secret.labels.get(_STATUS, ""))
    except ValueError as error:
        raise FORM.unreadable(secret.ref.name, str(error)) from error
    return replace(decode(FORM.data(secret), secret.ref.name), status=status)
