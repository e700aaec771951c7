"""EnvoyFilters still reach what they reach into."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.checks.site import Site
    from meshctl.model.finding import Finding
    from meshctl.model.objects import Object

FILTERS_APPLY = Rule(
    code="envoy-filters-apply",
    level=Level.WARNING,
    summary="Every EnvoyFilter that is for this version's proxies is for the next one's, too.",
    hint="widen spec.configPatches[].match.proxy.proxyVersion once the patch is known to fit",
)
FILTERS_KNOWN = Rule(
    code="envoy-filters-known",
    level=Level.WARNING,
    summary="No EnvoyFilter uses names of Envoy's API v2, which is gone.",
    hint="use those of API v3: type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
)
FILTERS_SAFE = Rule(
    code="envoy-filters-absent",
    level=Level.INFO,
    summary="No EnvoyFilter reaches into what Istio makes for Envoy.",
    hint="names and places in that configuration may change with every minor: try it on one workload first",
)
_OLD = re.compile(r"type\.googleapis\.com/envoy\.(?:api\.v2|config\.filter|config(?:\.\w+)+\.v2)\b[\w.]*")


@check(rules=(FILTERS_APPLY, FILTERS_KNOWN, FILTERS_SAFE), after=("kube-reachable",), moment=Moment.UPGRADE)
def envoy_filters(site: Site) -> Iterator[Finding]:
    """Read which proxies their patches are for, and the types they name."""
    if site.path is None:
        return
    for obj in site.cluster.list("networking.istio.io/v1alpha3", "EnvoyFilter"):
        lost = [
            pattern
            for pattern in _patterns(obj)
            if _matches(pattern, site.path.source) and not _matches(pattern, site.path.target.full)
        ]
        old = sorted(set(_OLD.findall(json.dumps(obj.at("spec", {})))))
        if lost:
            patterns = ", ".join(dict.fromkeys(lost))
            message = f"proxies of {site.path.target.full} do not match {patterns}: the patch will do nothing"
            yield FILTERS_APPLY.at(str(obj.ref), message)
        if old:
            yield FILTERS_KNOWN.at(str(obj.ref), f"it names {', '.join(old)}")
        if not lost and not old:
            count = len(obj.at("spec.configPatches", ()))
            yield FILTERS_SAFE.at(str(obj.ref), f"{count} patches")


def _patterns(obj: Object) -> Iterator[str]:
    for patch in obj.at("spec.configPatches", ()):
        proxy = (patch.get("match") or {}).get("proxy") or {}
        if proxy.get("proxyVersion"):
            yield str(proxy["proxyVersion"])


def _matches(pattern: str, version: str) -> bool:
    try:
        return re.search(pattern, version) is not None
    except re.error:
        return True  # Go may read it otherwise; nobody can tell here
