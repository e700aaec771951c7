"""Whose the objects are that an install would send, and which definitions are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.checks.other_installs import installer
from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule
from meshctl.ports import MANAGER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.checks.site import Site
    from meshctl.model.finding import Finding
    from meshctl.model.objects import Object

FIELDS_UNCLAIMED = Rule(
    code="fields-unclaimed",
    level=Level.ERROR,
    summary="No field that an install would change belongs to somebody else.",
    hint="`--take-over` makes them ours; `meshctl plan --take-over` shows what would change",
)
DEFINITIONS_OURS = Rule(
    code="definitions-unclaimed",
    level=Level.WARNING,
    summary="Istio's definitions belong to nobody else.",
    hint="`meshctl install --take-over` makes them ours; their resources stay as they are",
)
GATEWAY_API = Rule(
    code="gateway-api-present",
    level=Level.INFO,
    summary="The Gateway API is installed.",
    hint="install its definitions from gateway-api.sigs.k8s.io if you want to use Gateway and HTTPRoute",
)
_GATEWAY_API = "gateway.networking.k8s.io"


@check(rules=(FIELDS_UNCLAIMED,), after=("kube-reachable",), moment=Moment.BEFORE)
def field_owners(site: Site) -> Iterator[Finding]:
    """Tell what the plan was refused for, object by object."""
    for line in site.conflicts():
        subject, _, message = line.partition(": ")
        yield FIELDS_UNCLAIMED.at(subject, message)


@check(rules=(DEFINITIONS_OURS,), after=("kube-reachable",), moment=Moment.BEFORE)
def definition_owners(site: Site) -> Iterator[Finding]:
    """Read who manages the definitions that an install would send; one finding an owner."""
    owned: dict[str, list[str]] = {}
    for obj in site.desired.objects:
        if obj.ref.kind == "CustomResourceDefinition":
            live = site.cluster.get(obj.ref)
            owners = _owners(live) if live else ()
            if live and owners:
                owned.setdefault(f"{', '.join(owners)}, installed by {installer(live)}", []).append(
                    obj.ref.name
                )
    for owner, names in sorted(owned.items()):
        count = f"{len(names)} definitions belong" if len(names) > 1 else f"{names[0]} belongs"
        yield DEFINITIONS_OURS.at(f"cluster {site.cluster.name}", f"{count} to {owner}")


@check(rules=(GATEWAY_API,), after=("kube-reachable",), moment=Moment.BEFORE)
def gateway_api(site: Site) -> Iterator[Finding]:
    """Look at what is served."""
    if not any(kind.group == _GATEWAY_API and kind.kind == "Gateway" for kind in site.kinds):
        yield GATEWAY_API.at(f"cluster {site.cluster.name}", f"nothing serves {_GATEWAY_API}")


def _owners(live: Object) -> tuple[str, ...]:
    """Field managers other than ours that hold something of the definition itself, not of its status."""
    return tuple(
        sorted(
            {
                entry.get("manager", "")
                for entry in live.at("metadata.managedFields", ())
                if entry.get("manager") != MANAGER
                and not entry.get("subresource")
                and "f:spec" in (entry.get("fieldsV1") or {})
            }
        )
    )
