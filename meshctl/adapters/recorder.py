"""A door that remembers what a cluster answered, and lets nothing change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.adapters.read_only import ReadOnly
from meshctl.errors import AccessError
from meshctl.model.recording import FEW, Question, Recording

if TYPE_CHECKING:
    from meshctl.model.objects import Kind, Object, Ref
    from meshctl.ports import Cluster


class Recorder(ReadOnly):
    """A cluster that is looked at through its own door; see `ports.Cluster`."""

    def __init__(self, door: Cluster) -> None:
        self._door = door
        self._objects: dict[Ref, Object] = {}
        self._absent: set[Ref] = set()
        self._lists: dict[Question, tuple[Ref, ...]] = {}
        self._names: dict[Kind, tuple[Ref, ...]] = {}
        self._picked: dict[Question, tuple[Ref, ...]] = {}

    @property
    def name(self) -> str:  # type: ignore[override]  # a plain attribute there
        """Name of the cluster within the mesh."""
        return self._door.name

    @property
    def server(self) -> str:
        """Address of the API server."""
        return self._door.server

    @property
    def at_once(self) -> int:
        """As the door's own."""
        return self._door.at_once

    @property
    def authority(self) -> bytes | None:
        """Certificates that the API server's own is verified by."""
        return self._door.authority

    def version(self) -> str:
        """The API server's version."""
        return self._door.version()

    def kinds(self) -> tuple[Kind, ...]:
        """Every kind served."""
        return self._door.kinds()

    def get(self, ref: Ref) -> Object | None:
        """The object, or None; remembered."""
        found = self._door.get(ref)
        if found is None:
            self._absent.add(ref)
        else:
            self._objects[ref] = found
        return found

    def list(
        self, api_version: str, kind: str, *, namespace: str = "", labels: str = "", fields: str = ""
    ) -> tuple[Object, ...]:
        """Objects of a kind; remembered."""
        found = self._door.list(api_version, kind, namespace=namespace, labels=labels, fields=fields)
        kept = found[:1] if kind in FEW else found
        self._objects |= {each.ref: each for each in kept}
        question = Question(api_version, kind, namespace, labels, fields)
        self._lists[question] = tuple(each.ref for each in kept)
        return found

    def names(self, kind: Kind, *, labels: str = "") -> tuple[Ref, ...]:
        """Names of objects of a kind; remembered."""
        found = self._door.names(kind, labels=labels)
        if labels:
            self._picked[Question(kind.api_version, kind.kind, labels=labels)] = found
        else:
            self._names[kind] = found
        return found

    def counted(self, kind: Kind) -> tuple[Ref, ...]:
        """As `names`; none where they may not be read, and then nothing is remembered."""
        try:
            return self.names(kind)
        except AccessError:
            return ()

    def allowed(self, verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
        """Whether we may do `verb` on `resource`."""
        return self._door.allowed(verb, group, resource, namespace, name)

    def recording(self, taken: str) -> Recording:
        """All that was answered up to now; `taken` is the time, RFC 3339."""
        authority = self._door.authority
        return Recording(
            cluster=self.name,
            server=self.server,
            authority=None if authority is None else authority.decode(errors="replace"),
            taken=taken,
            version=self.version(),
            kinds=self.kinds(),
            names=tuple(sorted(ref for refs in self._names.values() for ref in refs)),
            counted=frozenset((kind.group, kind.kind) for kind in self._names),
            objects=dict(self._objects),
            absent=frozenset(self._absent - self._objects.keys()),
            lists=dict(self._lists),
            picked=dict(self._picked),
        )
