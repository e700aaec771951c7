"""A chart whose objects are settled already: Helm only delivers, records and rolls back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.stages.exporting.objects import files
from meshctl.stages.rendering.emit import block

if TYPE_CHECKING:
    from meshctl.model.manifest import Manifest
    from meshctl.stages.exporting.export import Place
    from meshctl.stages.exporting.objects import Files

# The objects hold braces of their own, the injection templates: Helm must not evaluate them. So they
# are files of the chart, and its one template only puts them out.
_TEMPLATE = """\
{{- range $path, $_ := .Files.Glob "objects/**.yaml" }}
{{ $.Files.Get $path }}
{{- end }}
"""


def helm(manifest: Manifest, place: Place) -> Files:
    """A chart for `helm install`; Helm itself makes the namespace (`--create-namespace`).

    Definitions stay when the release goes: they carry Helm's mark for that, as upstream's do.
    """
    parts = tuple(part for part in manifest.parts if part.component != "namespace")
    found: Files = {
        "Chart.yaml": block(
            {
                "apiVersion": "v2",
                "name": place.name,
                "description": f"Istio {place.version}, rendered by meshctl",
                "type": "application",
                "version": place.version,
                "appVersion": place.version,
            }
        ),
        "values.yaml": "# Everything is settled; to change something, let meshctl export the chart anew.\n",
        "templates/objects.yaml": _TEMPLATE,
    }
    for part in parts:
        found |= {f"objects/{path}": text for path, text in files(part).items()}
    return found
