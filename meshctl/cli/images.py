"""`images`: what has to be pulled before a mesh can run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from meshctl.cli.app import App, command
from meshctl.cli.inputs import inputs_options, loaded_all
from meshctl.cli.report import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshctl.stages.exporting.images import Image
    from meshctl.stages.settings.load import Loaded


@click.command("list")
@inputs_options
@command()
def list_images(app: App, **asked: Any) -> None:
    """Every image that the mesh runs, also those that istiod puts into pods.

    \b
    Examples:
      meshctl images list
      meshctl images list --profile ambient --set hub=registry.example.com/istio
      meshctl images list -o json | jq -r '.[].image'
    """
    found = _images(loaded_all(app, asked))
    app.report.result(
        [{"image": each.reference, "usedBy": list(each.users)} for each in found],
        table([(each.reference, ", ".join(each.users)) for each in found], ("IMAGE", "USED BY")),
    )


@click.command("save-script")
@inputs_options
@click.option(
    "--to",
    "registry",
    default="",
    metavar="REGISTRY",
    help="Copy them to this registry (and path) instead of saving them to an archive.",
)
@command()
def save_images(app: App, registry: str, **asked: Any) -> None:
    """A shell script that saves the images, for clusters without internet.

    \b
    Examples:
      meshctl images save-script > save.sh && sh save.sh istio.tar
      meshctl images save-script --to registry.example.com/istio | sh
      meshctl install --set hub=registry.example.com/istio
    """
    from meshctl.stages.exporting.save_script import save_script

    wanted = loaded_all(app, asked)
    references = [each.reference for each in _images(wanted)]
    script = save_script(references, wanted[0].version.full, registry)
    app.report.result({"images": references, "script": script}, script.rstrip("\n"))


def _images(wanted: Sequence[Loaded]) -> list[Image]:
    """Images of every cluster of these meshes, once each."""
    from meshctl.stages.exporting.images import Image, images
    from meshctl.stages.rendering.fleet import rendered

    users: dict[str, set[str]] = {}
    for values, manifest in rendered(wanted):
        for each in images(manifest, values):
            users.setdefault(each.reference, set()).update(each.users)
    return [Image(reference, tuple(sorted(found))) for reference, found in sorted(users.items())]
