"""Whoever writes Istio's resources does so in an API version that is there tomorrow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.checks.site import Site
    from meshctl.model.finding import Finding
    from meshctl.model.objects import Object

API_SERVED = Rule(
    code="resource-versions-served",
    level=Level.ERROR,
    summary="Nobody writes Istio's resources in an API version that goes.",
    hint="have that manager write them in the newer version first",
)
API_CURRENT = Rule(
    code="resource-versions-current",
    level=Level.INFO,
    summary="Nobody writes Istio's resources in an API version that newer ones have replaced.",
    hint="change apiVersion in the files that are applied; nothing else differs",
)
_SHOWN = 3


@check(rules=(API_SERVED, API_CURRENT), after=("kube-reachable",), moment=Moment.UPGRADE, seconds=60.0)
def resource_versions(site: Site) -> Iterator[Finding]:
    """Compare the versions in which field managers wrote with the definitions to come."""
    for definition in site.desired.objects:
        if definition.ref.kind != "CustomResourceDefinition":
            continue
        coming = {each["name"]: each for each in definition.at("spec.versions", ())}
        stored = next((name for name, each in coming.items() if each.get("storage")), "")
        for (version, manager), names in sorted(_written(site, definition).items()):
            many = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            subject = f"{definition.at('spec.names.kind')} {', '.join(names[:_SHOWN])}{many}"
            said = f"{manager} writes {definition.at('spec.group')}/{version}"
            if version not in coming or not coming[version].get("served", True):
                yield API_SERVED.at(subject, f"{said}, which is served no more")
            elif version != stored:
                yield API_CURRENT.at(subject, f"{said}, and {stored} is the current one")


def _written(site: Site, definition: Object) -> dict[tuple[str, str], list[str]]:
    """Resources by the version they were written in, and by whom."""
    group, kind = definition.at("spec.group"), definition.at("spec.names.kind")
    served = next((each for each in site.kinds if (each.group, each.kind) == (group, kind)), None)
    found: dict[tuple[str, str], list[str]] = {}
    for obj in site.cluster.list(served.api_version, kind) if served else ():
        for entry in obj.at("metadata.managedFields", ()):
            version = str(entry.get("apiVersion", "")).rpartition("/")[2]
            if "f:spec" in (entry.get("fieldsV1") or {}):  # not the status, which istiod writes
                names = found.setdefault((version, entry.get("manager", "")), [])
                names += [obj.ref.place] * (obj.ref.place not in names)
    return found
