"""What is stored of Istio's kinds can be read once their new definitions are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.checks.site import Site
    from meshctl.model.finding import Finding

STORED_SERVED = Rule(
    code="stored-versions-served",
    level=Level.ERROR,
    summary="The definitions to come serve every API version that objects are stored in.",
    hint="write all objects of that kind anew, then take the old version out of status.storedVersions",
)


@check(rules=(STORED_SERVED,), after=("kube-reachable",), moment=Moment.UPGRADE, seconds=30.0)
def stored_versions(site: Site) -> Iterator[Finding]:
    """Compare `status.storedVersions` with the versions of the same definition to come."""
    for desired in site.desired.objects:
        if desired.ref.kind != "CustomResourceDefinition":
            continue
        live = site.cluster.get(desired.ref)
        if live is None:
            continue
        coming = {each["name"] for each in desired.at("spec.versions", ())}
        lost = [each for each in live.at("status.storedVersions", ()) if each not in coming]
        if lost:
            yield STORED_SERVED.at(str(live.ref), f"objects may be stored as {', '.join(lost)}")
