"""Before anything is sent: may we send all of it?"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meshctl.actions.canary.sending import own_gateways
from meshctl.actions.doing import recorded_by
from meshctl.checks.rights import as_rules, missing
from meshctl.errors import AccessError
from meshctl.stages.gating.probe import home
from meshctl.stages.permitting import commands, rotations, steps
from meshctl.stages.permitting.commands import Work
from meshctl.stages.seeing.observe import look

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from meshctl.actions.canary.preview import Preview
    from meshctl.actions.rotation.preparing import Prepared
    from meshctl.model.manifest import Manifest
    from meshctl.model.objects import Kind, Ref
    from meshctl.model.plan import Plan
    from meshctl.model.release import Release
    from meshctl.model.right import Needs
    from meshctl.model.values import Values
    from meshctl.ports import Cluster


def require_rights(cluster: Cluster, plan: Plan) -> None:
    """Ask the API server for every right that a plan needs.

    Raises:
        AccessError: some are missing; `details` are the RBAC rules that grant them.
    """
    _require(cluster, steps.needs(plan.steps, cluster.kinds()))


def require_in_place(cluster: Cluster, plan: Plan, source: Release) -> None:
    """Ask for every right of an upgrade in place: to do it, to prove it, and to go back to the source.

    Raises:
        AccessError: as `require_rights`.
    """
    tried = home(cluster, revision=source.revision, istio_namespace=source.namespace)
    kinds = cluster.kinds()
    _require(cluster, commands.in_place(plan.steps, source, tried=tried, kinds=kinds))


def require_canary(cluster: Cluster, planned: Preview) -> None:
    """Ask for every right of an upgrade by a second control plane, from its first step to the removal.

    Raises:
        AccessError: as `require_rights`.
    """
    upgrade, kinds = planned.upgrade, cluster.kinds()
    source, target = upgrade.source, upgrade.target
    first = recorded_by(planned.control_plane).generation
    count = 2 + len(own_gateways(target.manifest))  # the control plane, each gateway, and the whole
    moving = (*(mover for batch in upgrade.batches for mover in batch.workloads), *planned.late)
    needs = commands.beside(
        _work(target, tuple(range(first, first + count)), kinds),
        _work(source, (source.generation,), kinds),
        homes={mover.ref.namespace for mover in moving},
        tried=home(cluster, revision=target.revision, istio_namespace=target.namespace),
    )
    homes = look(cluster, (ref for ref in target.manifest.refs if ref.kind == "Namespace"))
    _require(cluster, steps.needs(planned.plans.steps, kinds) | _spared(needs, homes))


def require_rotation(cluster: Cluster, mesh: str, planned: Prepared) -> None:
    """Ask for every right that a rotation needs in a cluster: to do it, to prove it, and to take it back.

    Raises:
        AccessError: as `require_rights`.
    """
    kinds, name = cluster.kinds(), cluster.name
    seats = [seat for seat in planned.rotation.seats if seat.cluster == name]
    homes = {each.namespace for each in planned.witnesses if each.cluster == name}
    restarts = [step for each in planned.restarts if each.cluster == name for step in each.steps]
    _require(cluster, rotations.needs(mesh, seats, homes, restarts, kinds))


def _work(release: Release, generations: tuple[int, ...], kinds: tuple[Kind, ...]) -> Work:
    return Work(release.manifest, release.mesh, release.namespace, release.revision, generations, kinds)


def require(cluster: Cluster, values: Values, desired: Manifest) -> None:
    """Ask the API server for every right that an install of this needs.

    Raises:
        AccessError: some are missing; `details` are the RBAC rules that grant them.
    """
    _require(cluster, of_install(values, desired, cluster.kinds()))


def of_install(
    values: Values,
    desired: Manifest,
    kinds: Sequence[Kind] = (),
    releases: Sequence[Release] = (),
    there: Collection[Ref] = (),
) -> Needs:
    """What an install needs, from its first look to its last step, now.

    Args:
        values: settled values of the cluster.
        desired: what is sent.
        kinds: what the cluster serves.
        releases: records that are there.
        there: objects that are there; Namespaces among them need not be made.
    """
    last = max((each.generation for each in releases), default=0)
    work = Work(desired, values.mesh.name, values.namespace, values.revision, (last + 1,), tuple(kinds))
    return _spared(commands.install(work), there)


def _spared(needs: Needs, there: Collection[Ref]) -> Needs:
    """Without the making of namespaces that are there: an administrator may have made them, and alone may."""
    homes = {ref.name for ref in there if ref.kind == "Namespace"}
    rights = (
        each
        for each in needs.rights
        if (each.resource, each.verb) != ("namespaces", "create") or each.name not in homes
    )
    return replace(needs, rights=tuple(rights))


def _require(cluster: Cluster, needs: Needs) -> None:
    lacking = missing(cluster, needs, cluster.kinds())
    found = lacking.flat()
    if found:
        raise AccessError(
            "rights-missing",
            f"{len(found)} rights are missing in {cluster.name!r}; nothing was sent",
            hint="have an administrator grant these rules, or use another --context; "
            "`meshctl rbac print` makes whole roles",
            details=as_rules(found),
        )
