"""The doors to the world. What touches it takes one of these as its first argument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from meshctl.model.objects import Kind, Object, Ref
    from meshctl.model.release import Release
    from meshctl.model.rotation import Rotation
    from meshctl.model.upgrade import Upgrade


MANAGER = "meshctl"
"""Our field manager: who holds, in an object's `managedFields`, what we send."""
RESTORER = "meshctl-restore"
"""Field manager of what we put back for the user: it is theirs, and no install claims it."""


class Clock(Protocol):
    """Time, so that tests can hold it still."""

    def now(self) -> datetime:
        """This moment; aware, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        ...


class Watch(Protocol):
    """Changes of some objects, as they come."""

    def __iter__(self) -> Iterator[tuple[str, Object]]:
        """`(ADDED | MODIFIED | DELETED, object)`; ends when the watch is closed or its time is up."""
        ...

    def close(self) -> None:
        """Stop watching; safe from another thread, and twice."""
        ...


class Cluster(Protocol):
    """One Kubernetes cluster. All methods are safe to call from several threads.

    Every method may raise `UnreachableError` (no answer), `AccessError` (401, 403: names verb, kind
    and place) and `FailedError` (the API server refused for another reason, in its own words).
    """

    @property
    def name(self) -> str:
        """Name of the cluster within the mesh."""
        ...

    @property
    def server(self) -> str:
        """Address of the API server, as our kubeconfig has it."""
        ...

    @property
    def at_once(self) -> int:
        """How many questions it pays to have under way at the same time; 1 where none has to travel."""
        ...

    @property
    def authority(self) -> bytes | None:
        """Certificates that the API server's own is verified by, PEM.

        Empty: those that this machine trusts anyway; None: it is not verified.
        """
        ...

    def version(self) -> str:
        """The API server's version, such as `v1.34.4`."""
        ...

    def kinds(self) -> tuple[Kind, ...]:
        """Every kind served, at its preferred version; groups that do not answer are left out."""
        ...

    def get(self, ref: Ref) -> Object | None:
        """The object, or None when it (or its kind, or its namespace) does not exist."""
        ...

    def list(
        self, api_version: str, kind: str, *, namespace: str = "", labels: str = "", fields: str = ""
    ) -> tuple[Object, ...]:
        """Objects of a kind in one namespace or in all; an unknown kind gives none.

        `labels` and `fields` are selectors as the API server takes them.
        """
        ...

    def names(self, kind: Kind, *, labels: str = "") -> tuple[Ref, ...]:
        """Names of all objects of a kind, without their content (metadata only).

        `labels` is a selector as the API server takes it.
        """
        ...

    def apply(self, obj: Object, *, take_over: bool = False, dry_run: bool = False) -> Object:
        """Server-side apply as field manager `meshctl`; gives the object as the server would keep it.

        Raises:
            ConflictError: fields belong to other managers, which `details` names one a line.
        """
        ...

    def patch(self, ref: Ref, patch: Mapping[str, Any]) -> Object | None:
        """JSON merge patch; None when the object is gone."""
        ...

    def create(self, obj: Object, *, manager: str = MANAGER, dry_run: bool = False) -> Object:
        """Create; a `ConflictError` when it exists. A dry run asks every webhook and keeps nothing."""
        ...

    def replace(self, obj: Object, *, manager: str = MANAGER, dry_run: bool = False) -> Object:
        """Update with the resourceVersion in `obj`; a `ConflictError` when it has moved on."""
        ...

    def delete(self, ref: Ref, *, foreground: bool = False, grace: int | None = None) -> bool:
        """Ask for removal; False when it was not there. Does not wait.

        `grace` is how many seconds a pod may take to end; None leaves it its own.
        """
        ...

    def evict(self, ref: Ref, *, uid: str = "") -> bool:
        """Ask that a pod ends, as its disruption budgets allow; False when it was not there.

        With `uid`, another pod of that name is left alone, as though it was not there.

        Raises:
            FailedError: `budget-exhausted`: a disruption budget does not allow it now; says which.
        """
        ...

    def watch(
        self, api_version: str, kind: str, *, namespace: str = "", name: str = "", seconds: float = 300.0
    ) -> Watch:
        """Watch a kind, beginning with what exists; re-lists by itself when the server forgets."""
        ...

    def token(
        self,
        namespace: str,
        account: str,
        *,
        audiences: Sequence[str] = (),
        seconds: int,
        bound: Object | None = None,
    ) -> str:
        """A token of a service account (TokenRequest). Never log it.

        Without `audiences` it is for the API server itself. With `bound`, a Secret or Pod of that namespace,
        it ends when that object is gone.
        """
        ...

    def allowed(self, verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
        """Whether we may do `verb` on `resource` (SelfSubjectAccessReview).

        `resource` may have a subresource, as `pods/log`; `*` asks for every verb, group or resource.
        Empty: `namespace` asks for all namespaces, `name` for all objects.
        """
        ...

    def logs(self, namespace: str, pod: str, container: str, *, lines: int = 20) -> str:
        """The last lines a container wrote; empty when there are none."""
        ...

    def forward(self, namespace: str, pod: str, port: int) -> AbstractContextManager[tuple[str, int]]:
        """A loopback `(host, port)` that leads to a pod's port while the context is open."""
        ...


class Releases(Protocol):
    """Release records of one cluster, and the lock that keeps two operators apart."""

    def of(self, mesh: str) -> tuple[Release, ...]:
        """Records of a mesh, oldest first; unreadable ones raise `UnsupportedError` with their name."""
        ...

    def meshes(self) -> tuple[str, ...]:
        """Names of the meshes that have a record here."""
        ...

    def write(self, release: Release) -> None:
        """Create or replace the record of this generation."""
        ...

    def forget(self, release: Release) -> None:
        """Take one record away; something already gone is no error."""
        ...

    def upgrade(self, mesh: str) -> Upgrade | None:
        """The upgrade under way in a mesh; None when there is none."""
        ...

    def write_upgrade(self, upgrade: Upgrade) -> None:
        """Create or replace the record of the upgrade under way."""
        ...

    def forget_upgrade(self, mesh: str) -> None:
        """Take the record of an upgrade away; something already gone is no error."""
        ...

    def rotation(self, mesh: str) -> Rotation | None:
        """The rotation of authorities under way in a mesh; None when there is none."""
        ...

    def write_rotation(self, mesh: str, rotation: Rotation) -> None:
        """Create or replace the record of the rotation under way."""
        ...

    def forget_rotation(self, mesh: str) -> None:
        """Take the record of a rotation away; something already gone is no error."""
        ...

    def lock(self, mesh: str) -> AbstractContextManager[None]:
        """Hold the mesh's lease, renewed until the context closes.

        Raises:
            ConflictError: somebody else holds it; names the holder and since when.
        """
        ...

    def require_locks(self) -> None:
        """Go on only while every lock that was taken here is held; what writes records asks for it, too.

        Raises:
            ConflictError: `lock-lost`, as somebody has taken one away.
        """
        ...


class Files(Protocol):
    """Files that the user keeps."""

    def write(self, path: str, text: str) -> None:
        """Write a file readable by its owner alone, whole or not at all."""
        ...


class Signer(Protocol):
    """The roots of meshes, whose keys an operator keeps. Safe to call from several threads.

    A `folder` is what `Trust.root` says; a `root` is named by the SHA-256 of its certificate, in hex.
    Every method raises `ConfigError` where there is no such folder or root, or where its files are not sound.
    """

    def roots(self, folder: str) -> tuple[bytes, ...]:
        """Certificates of the roots, PEM, one each, the newest first: that one signs. Needs no key."""
        ...

    def unlock(self, folder: str, root: str) -> None:
        """Have the key of a root at hand; a person may be asked for its passphrase, once."""
        ...

    def sign(
        self, request: bytes, now: datetime, *, folder: str, root: str, days: int, permitted: Sequence[str]
    ) -> bytes:
        """The certificate, PEM, of an intermediate, which may issue leaves only.

        Args:
            request: a signing request, PEM.
            now: this moment; aware.
            folder: where the root is.
            root: which of them signs.
            days: length of validity, cut to the root's own end.
            permitted: trust domains to which names in what it signs are constrained; empty: any.
        """
        ...


@dataclass(frozen=True)
class World:
    """Every door, bundled. `clusters` and `releases` have the same keys: names within the mesh.

    `signer` is there for commands that may have to sign the authority of a cluster. `is_recorded` says that
    the clusters answer as they did when they were observed: nothing is waited for, and nothing can change.
    """

    clusters: Mapping[str, Cluster]
    releases: Mapping[str, Releases]
    clock: Clock
    files: Files
    signer: Signer | None = None
    is_recorded: bool = False
