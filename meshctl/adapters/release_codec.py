"""Release records as bytes and back: canonical JSON, compressed. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from meshctl.adapters.record import Form
from meshctl.model.manifest import Manifest, Part
from meshctl.model.mesh import Cluster, Layer, Mesh, Network, NetworkGateway, Role, Source, Tokens, Trust
from meshctl.model.objects import Object, Ref
from meshctl.model.release import Asked, Release, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

FORM = Form(
    word="release",
    noun="release record",
    if_unknown="use the version of meshctl that wrote it, or a newer one",
    if_damaged="restore that Secret from a backup, or delete it if the mesh is gone",
    if_large="make the values smaller, or split the mesh's gateways over several meshes",
)


def encode(release: Release) -> bytes:
    """The record as compressed canonical JSON: the same release gives the same bytes."""
    return FORM.pack(to_json(release))


def decode(data: bytes, name: str) -> Release:
    """The release in what `encode` gave; `name` is the record's, for messages.

    Raises:
        UnsupportedError: the record is damaged, or of a format that this version does not know.
    """
    return FORM.unpack(data, name, from_json)


def to_json(release: Release) -> dict[str, Any]:
    """The release as JSON data."""
    return {
        "mesh": release.mesh,
        "cluster": release.cluster,
        "generation": release.generation,
        "status": str(release.status),
        "version": release.version,
        "revision": release.revision,
        "profile": release.profile,
        "namespace": release.namespace,
        "created": release.created,
        "parts": [_part_to_json(part) for part in release.manifest.parts],
        "warnings": list(release.manifest.warnings),
        "values": release.values,
        "inventory": refs_to_json(release.inventory),
        "labelled": [[name, [list(label) for label in labels]] for name, labels in release.labelled],
        "asked": _asked_to_json(release.asked) if release.asked else None,
        "cause": release.cause,
        "restores": release.restores,
    }


def from_json(content: Mapping[str, Any]) -> Release:
    """The release in JSON data; whatever is wrong with it raises as Python does."""
    return Release(
        mesh=content["mesh"],
        cluster=content["cluster"],
        generation=int(content["generation"]),
        status=Status(content["status"]),
        version=content["version"],
        revision=content["revision"],
        profile=content["profile"],
        namespace=content["namespace"],
        created=content["created"],
        manifest=Manifest(tuple(map(_part_from_json, content["parts"])), tuple(content["warnings"])),
        values=content["values"],
        inventory=refs_from_json(content["inventory"]),
        labelled=tuple(
            (name, tuple((key, value) for key, value in labels)) for name, labels in content["labelled"]
        ),
        # Records of before these were kept have none of them.
        asked=_asked_from_json(content["asked"]) if content.get("asked") else None,
        cause=content.get("cause", ""),
        restores=int(content.get("restores", 0)),
    )


def _asked_to_json(asked: Asked) -> dict[str, Any]:
    return {
        "mesh": asdict(asked.mesh),
        "settings": [{"layer": layer.name.lower(), "spec": tree} for layer, tree in asked.settings],
    }


def _asked_from_json(content: Mapping[str, Any]) -> Asked:
    mesh = dict(content["mesh"])
    clusters = (Cluster(**{**each, "role": Role(each["role"])}) for each in mesh.pop("clusters"))
    networks = (
        Network(each["name"], tuple(NetworkGateway(**gateway) for gateway in each["gateways"]))
        for each in mesh.pop("networks")
    )
    # Records of before a mesh.yaml said these have none of them.
    trust, tokens = mesh.pop("trust", None), mesh.pop("tokens", None)
    plain: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in mesh.items()
    }
    return Asked(
        Mesh(
            **plain,
            clusters=tuple(clusters),
            networks=tuple(networks),
            trust=Trust(**{**trust, "source": Source(trust["source"])}) if trust else Trust(),
            tokens=Tokens(**tokens) if tokens else Tokens(),
        ),
        tuple((Layer[each["layer"].upper()], each["spec"]) for each in content["settings"]),
    )


def _part_to_json(part: Part) -> dict[str, Any]:
    return {
        "name": part.name,
        "component": part.component,
        "needs": list(part.needs),
        "objects": [obj.content for obj in part.objects],
        "ready": refs_to_json(part.ready),
        "yields": [list(each) for each in part.yields],
    }


def _part_from_json(content: Mapping[str, Any]) -> Part:
    return Part(
        name=content["name"],
        component=content["component"],
        needs=tuple(content["needs"]),
        objects=tuple(Object(each) for each in content["objects"]),
        ready=refs_from_json(content["ready"]),
        yields=tuple((kind, path) for kind, path in content["yields"]),
    )


def refs_to_json(refs: Iterable[Ref]) -> list[list[Any]]:
    """Runs of names that share version, kind and namespace: an inventory has tens of thousands."""
    runs: list[list[Any]] = []
    for ref in refs:
        head = [ref.api_version, ref.kind, ref.namespace]
        if runs and runs[-1][:3] == head:
            runs[-1][3].append(ref.name)
        else:
            runs.append([*head, [ref.name]])
    return runs


def refs_from_json(runs: Iterable[Any]) -> tuple[Ref, ...]:
    """The names in such runs."""
    return tuple(
        Ref(version, kind, namespace, name) for version, kind, namespace, names in runs for name in names
    )
