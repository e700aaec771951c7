"""Which kinds an API server has, and where: reads its discovery documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.model.objects import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

AGGREGATED = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
)
"""Accept header for all groups in one document; Kubernetes 1.27 and newer."""


def kinds_in(document: Mapping[str, Any]) -> Iterator[Kind]:
    """Every kind in an aggregated discovery document, preferred versions first within a group.

    Source:
        k8s.io/api/apidiscovery/v2, APIGroupDiscoveryList; a version whose server did not answer is
        marked `Stale` and may be old, so it is left out.
    """
    for group in document.get("items") or ():
        name = (group.get("metadata") or {}).get("name", "")
        for version in group.get("versions") or ():
            if version.get("freshness") == "Stale":
                continue
            api_version = f"{name}/{version['version']}" if name else version["version"]
            for resource in version.get("resources") or ():
                kind = (resource.get("responseKind") or {}).get("kind", "")
                if kind:
                    verbs = tuple(sorted(resource.get("verbs") or ()))
                    namespaced = resource.get("scope") == "Namespaced"
                    yield Kind(api_version, kind, resource["resource"], namespaced, verbs)


def kinds_in_list(api_version: str, document: Mapping[str, Any]) -> Iterator[Kind]:
    """Every kind in the resource list of one version, the form of older servers."""
    for resource in document.get("resources") or ():
        if "/" not in resource["name"]:
            verbs = tuple(sorted(resource.get("verbs") or ()))
            yield Kind(api_version, resource["kind"], resource["name"], bool(resource["namespaced"]), verbs)


def preferred(kinds: Iterable[Kind]) -> tuple[Kind, ...]:
    """One `Kind` for each group and kind: the first, which is the preferred version; sorted."""
    first: dict[tuple[str, str], Kind] = {}
    for kind in kinds:
        first.setdefault((kind.group, kind.plural), kind)
    return tuple(sorted(first.values()))


def path_of(kind: Kind, namespace: str = "", name: str = "") -> str:
    """Path of a collection, or of one object in it."""
    root = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.api_version}"
    place = f"/namespaces/{namespace}" if kind.namespaced and namespace else ""
    return f"{root}{place}/{kind.plural}" + (f"/{name}" if name else "")
