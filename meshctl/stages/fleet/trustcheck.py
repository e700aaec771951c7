"""Whether what a mesh.yaml says of trust fits together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl.errors import ConfigError
from meshctl.model.mesh import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.model.mesh import Overlay
    from meshctl.model.values import Tree

_OF: Final = {
    "root": Source.MANAGED,
    "days": Source.MANAGED,
    "nameConstraints": Source.MANAGED,
    "files": Source.FILES,
}
"""Fields that mean something with one source of authorities only."""


def problems(tree: Tree, doc: Overlay) -> Iterator[ConfigError]:
    """Everything that does not fit in the trust of a document that is otherwise sound."""
    said = tree["spec"].get("trust") or {}
    path = ("spec", "trust")
    source = Source(said.get("ca", Source.THERE))
    for name, meant in _OF.items():
        if name in said and source is not meant:
            yield ConfigError(
                "no-effect",
                f"`{name}` counts where `ca: {meant}` is said",
                where=doc.where((*path, name)),
                hint=f"write `ca: {meant}` beside it, or leave it out",
            )
    if source is not Source.FILES:
        return
    folder = said.get("files", "")
    if not folder:
        yield ConfigError(
            "no-folder",
            "where the files of each cluster are is not said",
            where=doc.where((*path, "ca")),
            hint="write `files: pki/{cluster}` beside it",
        )
    elif "{cluster}" not in folder and len(tree["spec"]["clusters"]) > 1:
        yield ConfigError(
            "one-folder-for-several",
            "several clusters would share one authority, and its key",
            where=doc.where((*path, "files")),
            hint=f"write {{cluster}} where a cluster's name belongs: {folder.rstrip('/')}/{{cluster}}",
        )
