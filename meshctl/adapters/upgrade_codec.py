"""The record of an upgrade as bytes and back: canonical JSON, compressed. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from meshctl.adapters import release_codec
from meshctl.adapters.record import Codec, Form
from meshctl.model.objects import Ref
from meshctl.model.upgrade import Batch, Gate, Method, Mover, Stage, Upgrade

if TYPE_CHECKING:
    from collections.abc import Mapping

_FORM: Final = Form(
    word="upgrade",
    noun="upgrade record",
    if_unknown="go on with the version of meshctl that wrote it",
    if_damaged="restore that Secret from a backup; without it, move the workloads yourself and delete it",
    if_large="upgrade in place, or split the mesh's gateways over several meshes",
)


def to_json(upgrade: Upgrade) -> dict[str, Any]:
    """The upgrade as JSON data."""
    return {
        "created": upgrade.created,
        "source": release_codec.to_json(upgrade.source),
        "target": release_codec.to_json(upgrade.target),
        "stage": str(upgrade.stage),
        "batches": [_batch_to_json(each) for each in upgrade.batches],
        "passed": upgrade.passed,
        "attempt": upgrade.attempt,
        "labelled": [[name, [list(label) for label in labels]] for name, labels in upgrade.labelled],
        "tags": [list(each) for each in upgrade.tags],
        "gate": asdict(upgrade.gate),
        "pause": upgrade.pause,
        "returning": upgrade.returning,
        "reason": upgrade.reason,
    }


def from_json(content: Mapping[str, Any]) -> Upgrade:
    """The upgrade in JSON data; whatever is wrong with it raises as Python does."""
    gate = dict(content["gate"])
    return Upgrade(
        created=content["created"],
        source=release_codec.from_json(content["source"]),
        target=release_codec.from_json(content["target"]),
        stage=Stage(content["stage"]),
        batches=tuple(map(_batch_from_json, content["batches"])),
        passed=int(content["passed"]),
        attempt=int(content["attempt"]),
        labelled=tuple(
            (name, tuple((key, value) for key, value in labels)) for name, labels in content["labelled"]
        ),
        tags=tuple((name, revision) for name, revision in content["tags"]),
        gate=Gate(**{**gate, "command": tuple(gate["command"])}),
        pause=bool(content["pause"]),
        returning=bool(content["returning"]),
        reason=content["reason"],
    )


def _batch_to_json(batch: Batch) -> dict[str, Any]:
    return {
        "name": batch.name,
        "namespaces": list(batch.namespaces),
        "workloads": [
            {
                "ref": [each.ref.api_version, each.ref.kind, each.ref.namespace, each.ref.name],
                "method": str(each.method),
                "pods": each.pods,
                "why": each.why,
            }
            for each in batch.workloads
        ],
    }


def _batch_from_json(content: Mapping[str, Any]) -> Batch:
    movers = (
        Mover(Ref(*each["ref"]), Method(each["method"]), int(each["pods"]), each["why"])
        for each in content["workloads"]
    )
    return Batch(content["name"], tuple(content["namespaces"]), tuple(movers))


UPGRADE: Final = Codec(_FORM, to_json, from_json)
