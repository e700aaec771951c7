"""The record of a rotation as bytes and back: certificates in it are public, and keys are in none. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from meshctl.adapters.record import Codec, Form
from meshctl.model.rotation import Renewal, Root, Rotation, Scope, Seat, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

_FORM: Final = Form(
    word="rotation",
    noun="rotation record",
    if_unknown="go on with the version of meshctl that wrote it",
    if_damaged="delete that Secret; those in the other clusters of the mesh say the same",
    if_large="rotate fewer clusters at a time: give each mesh a file of its own",
)


def from_json(content: Mapping[str, Any]) -> Rotation:
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


ROTATION: Final = Codec(_FORM, asdict, from_json)
