"""The record of an upgrade as bytes and back: canonical JSON, compressed. Pure."""

from __future__ import annotations

import gzip
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from meshctl.adapters import release_codec
from meshctl.errors import UnsupportedError
from meshctl.model.objects import Ref
from meshctl.model.upgrade import Batch, Gate, Method, Mover, Stage, Upgrade

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = 1
"""Version of the record's form; a reader refuses any other."""


def encode(upgrade: Upgrade) -> bytes:
    """The record as compressed canonical JSON: the same upgrade gives the same bytes."""
    text = json.dumps(to_json(upgrade), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return gzip.compress(text.encode(), 9, mtime=0)


def decode(data: bytes, name: str) -> Upgrade:
    """The upgrade in `data`.

    Args:
        data: what `encode` gave.
        name: name of the record, for messages.

    Raises:
        UnsupportedError: the record is damaged, or of a format that this version does not know.
    """
    try:
        content = json.loads(gzip.decompress(data))
        form = content["format"]
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise unreadable(name, str(error)) from error
    if form != FORMAT:
        raise UnsupportedError(
            "upgrade-format",
            f"the record of an upgrade {name!r} has format {form!r}; this meshctl knows {FORMAT}",
            hint="go on with the version of meshctl that wrote it",
        )
    try:
        return from_json(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise unreadable(name, f"{type(error).__name__}: {error}") from error


def to_json(upgrade: Upgrade) -> dict[str, Any]:
    """The upgrade as JSON data."""
    return {
        "format": FORMAT,
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


def unreadable(name: str, words: str) -> UnsupportedError:
    """The error for a record that is damaged; `words` say how."""
    return UnsupportedError(
        "upgrade-unreadable",
        f"the record of an upgrade {name!r} cannot be read",
        hint="restore that Secret from a backup; without it, move the workloads yourself and delete it",
        details=(words,),
    )
