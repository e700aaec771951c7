"""Before anything is sent: may we send all of it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.checks.rights import as_rules, missing
from meshctl.errors import AccessError
from meshctl.stages.permitting import commands, steps
from meshctl.stages.permitting.commands import Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meshctl.model.manifest import Manifest
    from meshctl.model.objects import Kind
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


def require(cluster: Cluster, values: Values, desired: Manifest) -> None:
    """Ask the API server for every right that an install of this needs.

    Raises:
        AccessError: some are missing; `details` are the RBAC rules that grant them.
    """
    _require(cluster, of_install(values, desired, cluster.kinds()))


def of_install(
    values: Values, desired: Manifest, kinds: Sequence[Kind] = (), releases: Sequence[Release] = ()
) -> Needs:
    """What an install needs, from its first look to its last step, now.

    Args:
        values: settled values of the cluster.
        desired: what is sent.
        kinds: what the cluster serves.
        releases: records that are there.
    """
    last = max((each.generation for each in releases), default=0)
    work = Work(desired, values.mesh.name, values.namespace, values.revision, (last + 1,), tuple(kinds))
    return commands.install(work)


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
