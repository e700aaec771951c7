"""Which proxies the istiods that go still serve, and why a removal is refused while they do."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from meshctl.actions.attempt import attempt
from meshctl.actions.proxies import proxy_status
from meshctl.errors import ConflictError, FailedError, MeshctlError, listed
from meshctl.model.proxy import ProxyStatus
from meshctl.stages.planning.tags import revision_of
from meshctl.stages.removing.belongings import is_istiod

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from meshctl.model.objects import Object
    from meshctl.model.proxy import Proxy
    from meshctl.model.removal import Scope
    from meshctl.ports import World
    from meshctl.stages.removing.attached import Attached, Leading

Told: TypeAlias = "ProxyStatus | MeshctlError"
_SECONDS: Final = 5.0
"""How long istiods may take to say which proxies they have: a dead one must be removable."""


def servers_of(world: World, istio_namespace: str) -> Told:
    """What the istiods say of their proxies, or why they say nothing."""
    return attempt(partial(proxy_status, world, istio_namespace=istio_namespace, seconds=_SECONDS))


def unanswered_by(told: Told, cluster: str, going: Collection[Object]) -> tuple[tuple[Proxy, ...], str]:
    """Proxies of the istiods that go, and why more may be attached than was told; empty when not.

    Args:
        told: by all istiods.
        cluster: name of the one that they go from.
        going: workloads that go.
    """
    revisions = {revision_of(obj) or "default" for obj in going if is_istiod(obj)}
    if not revisions:
        return (), ""
    if isinstance(told, MeshctlError):
        return (), told.message
    mine = [each for each in told.istiods if each.cluster == cluster and each.revision in revisions]
    silent = [f"{each.name}: {each.error.message}" for each in mine if each.error is not None]
    names = {each.name for each in mine}
    return tuple(each for each in told.proxies if each.istiod in names), listed(silent)


def refusals(
    scope: Scope, attached: Sequence[Attached], leading: Sequence[Leading], webhooks: Sequence[str]
) -> tuple[MeshctlError, ...]:
    """Why a removal is not done without `--force`."""
    if scope.force:
        return ()
    found: list[MeshctlError] = []
    if attached:
        found.append(_attached(scope, attached))
    if leading:
        found.append(
            FailedError(
                "tags-lead-here",
                f"{len(leading)} tag{'s' * (len(leading) > 1)} would lead to nothing: "
                f"{listed(each.name for each in leading)}",
                hint="lead them to another revision with `meshctl tag set`; --force removes them too",
                details=[
                    f"tag {each.name}: {f'used by {listed(each.users)}' if each.users else 'used by none'}"
                    for each in leading
                ],
            )
        )
    if webhooks:
        found.append(
            ConflictError(
                "webhook-left-behind",
                "pods or Istio objects would be refused: webhooks stay, and what answers them goes",
                hint="make them lead to a control plane that stays, or remove them first; --force goes on",
                details=webhooks,
            )
        )
    return tuple(found)


def _attached(scope: Scope, attached: Sequence[Attached]) -> FailedError:
    counts = Counter(each.carrier for each in attached)
    kinds = listed(f"{count} {carrier}" for carrier, count in sorted(counts.items()))
    lose = f"{len(attached)} proxies would lose their control plane ({kinds})"
    hint = "--uninject takes sidecars out of workloads first; --force goes on all the same"
    if scope.uninject:
        lose = f"{len(attached)} proxies cannot be taken out, and would lose their control plane ({kinds})"
        hint = (
            "remove or change these yourself, then run the same command again; --force goes on without them"
        )
    return FailedError(
        "proxies-attached",
        lose,
        hint=hint,
        details=[f"{each.place}{f': {each.why}' if each.why else ''}" for each in attached],
    )
