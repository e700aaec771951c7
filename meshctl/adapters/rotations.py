"""The record of a rotation under way, as a Secret of each of its clusters; see `ports.Releases`.

There is one at most for a mesh and cluster: it is written before each stage, and gone at the end.
Certificates in it are public, and keys are in none.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from meshctl.adapters.record import NAMESPACE, Form
from meshctl.model.labels import MESH
from meshctl.model.objects import Ref
from meshctl.model.rotation import Renewal, Root, Rotation, Scope, Seat, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.ports import Cluster

FORM: Final = Form(
    word="rotation",
    noun="rotation record",
    if_unknown="go on with the version of meshctl that wrote it",
    if_damaged="delete that Secret; those in the other clusters of the mesh say the same",
    if_large="rotate fewer clusters at a time: give each mesh a file of its own",
)


@dataclass(frozen=True)
class RotationRecord:
    """The record of a mesh's rotation in one cluster."""

    cluster: Cluster
    mesh: str

    @property
    def ref(self) -> Ref:
        """What names the Secret."""
        return Ref("v1", "Secret", NAMESPACE, f"meshctl.{self.mesh}.rotation")

    def read(self) -> Rotation | None:
        """The rotation under way; None when there is none.

        Raises:
            UnsupportedError: it is damaged, or of a format that this version does not know.
        """
        secret = self.cluster.get(self.ref)
        if secret is None or secret.is_leaving:
            return None
        return decode(FORM.data(secret), self.ref.name)

    def write(self, rotation: Rotation) -> None:
        """Create or replace it.

        Raises:
            ConfigError: the record is larger than a Secret may be.
        """
        secret = FORM.secret(self.ref, {MESH: self.mesh}, encode(rotation))
        self.cluster.apply(secret, take_over=True)

    def forget(self) -> None:
        """Take it away; something already gone is no error, and asks for no right to remove it."""
        if self.cluster.get(self.ref) is not None:
            self.cluster.delete(self.ref)


def encode(rotation: Rotation) -> bytes:
    """The record as compressed canonical JSON: the same rotation gives the same bytes."""
    return FORM.pack(asdict(rotation))


def decode(data: bytes, name: str) -> Rotation:
    """The rotation in what `encode` gave; `name` is the record's, for messages.

    Raises:
        UnsupportedError: the record is damaged, or of a format that this version does not know.
    """
    return FORM.unpack(data, name, _from_json)


def _from_json(content: Mapping[str, Any]) -> Rotation:
    """The rotation in JSON data; whatever is wrong with it raises as Python does."""
    return Rotation(
        created=content["created"],
        scope=Scope(content["scope"]),
        signer=content["signer"],
        leaving=tuple(content["leaving"]),
        roots=tuple(Root(**each) for each in content["roots"]),
        seats=tuple(
            Seat(**{**each, "serves": tuple(each["serves"]), "trusted": tuple(each["trusted"])})
            for each in content["seats"]
        ),
        stage=Stage(content["stage"]),
        renewal=Renewal(content["renewal"]),
        is_back=bool(content["is_back"]),
        lenient=bool(content["lenient"]),
        rounds=int(content["rounds"]),
        reason=content["reason"],
    )
