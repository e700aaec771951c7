"""A cluster as it answered when it was recorded; see `ports.Cluster` for what each method promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from meshctl.adapters.read_only import ReadOnly
from meshctl.errors import ConfigError
from meshctl.model.recording import FEW, Question

if TYPE_CHECKING:
    from meshctl.model.objects import Kind, Object, Ref
    from meshctl.model.recording import Recording


class RecordedCluster(ReadOnly):
    """Answers what is known, and refuses to guess the rest."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._served = {(kind.group, kind.kind) for kind in recording.kinds}
        self._present = {_key(ref) for ref in recording.names}
        self._asked: dict[tuple[str, str], list[Question]] = {}
        for each in recording.lists:
            self._asked.setdefault((each.api_version, each.kind), []).append(each)

    @property
    def name(self) -> str:  # type: ignore[override]  # a plain attribute there
        """Name of the cluster within the mesh."""
        return self.recording.cluster

    @property
    def server(self) -> str:
        """Address of its API server."""
        return self.recording.server

    @property
    def at_once(self) -> int:
        """All is here."""
        return 1

    @property
    def authority(self) -> bytes | None:
        """Certificates that its API server's own was verified by."""
        known = self.recording.authority
        return None if known is None else known.encode()

    def version(self) -> str:
        """The API server's version."""
        return self.recording.version

    def kinds(self) -> tuple[Kind, ...]:
        """Every kind it served."""
        return self.recording.kinds

    def get(self, ref: Ref) -> Object | None:
        """The object, or None where it is known not to have been there."""
        known = self.recording.objects.get(ref)
        if known is None and not self._is_absent(ref):
            there = _key(ref) in self._present
            self._refuse_to_guess(f"what is in {ref}" if there else f"whether {ref} is there")
        return known

    def list(
        self, api_version: str, kind: str, *, namespace: str = "", labels: str = "", fields: str = ""
    ) -> tuple[Object, ...]:
        """The list, where it or one that has all of it was asked for then."""
        group = api_version.rpartition("/")[0]
        if (group, kind) not in self._served:
            return ()
        asked = Question(api_version, kind, namespace, labels, fields)
        known = self.recording.lists.get(asked)
        if known is not None:
            return tuple(self.recording.objects[ref] for ref in known)
        wider = self._picked(asked)
        if wider is None and (
            (group, kind) not in self.recording.counted
            or any(namespace in ("", ref.namespace) for ref in self._named(group, kind))
        ):
            self._refuse_to_guess(f"which {kind} there are with {labels or fields or 'any labels'!r}")
        return wider or ()

    def names(self, kind: Kind, *, labels: str = "") -> tuple[Ref, ...]:
        """Names of objects of a kind, where all or these were asked for then."""
        if labels:
            picked = self.recording.picked.get(Question(kind.api_version, kind.kind, labels=labels))
            if picked is not None:
                return picked
            return tuple(each.ref for each in self.list(kind.api_version, kind.kind, labels=labels))
        if (kind.group, kind.kind) not in self.recording.counted:
            self._refuse_to_guess(f"which {kind.kind} there are")
        return self._named(kind.group, kind.kind)

    def allowed(self, verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
        """Refused: rights are those of whoever reaches the cluster."""
        self._refuse(f"ask about the right to {verb} {resource}")

    def _is_absent(self, ref: Ref) -> bool:
        kind = (ref.group, ref.kind)
        if ref in self.recording.absent or kind not in self._served:
            return True
        return kind in self.recording.counted and _key(ref) not in self._present

    def _named(self, group: str, kind: str) -> tuple[Ref, ...]:
        return tuple(ref for ref in self.recording.names if (ref.group, ref.kind) == (group, kind))

    def _picked(self, asked: Question) -> tuple[Object, ...] | None:
        """What fits of a list that has all that is asked for; None where there is none such."""
        if asked.kind in FEW:
            return None
        for question in self._asked.get((asked.api_version, asked.kind), ()):
            if question.covers(asked):
                objects = (self.recording.objects[ref] for ref in self.recording.lists[question])
                try:
                    return tuple(each for each in objects if asked.fits(each))
                except ValueError:  # a selector that only an API server reads
                    return None
        return None

    def _refuse_to_guess(self, what: str) -> NoReturn:
        raise ConfigError(
            "not-observed",
            f"{what} was not recorded of cluster {self.name!r}",
            hint="run `meshctl observe` again, with the settings that you plan with",
        )


def _key(ref: Ref) -> tuple[str, str, str, str]:
    """What names an object whichever version it is asked for at."""
    return ref.group, ref.kind, ref.namespace, ref.name
