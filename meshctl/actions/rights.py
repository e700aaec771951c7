"""Before anything is sent: may we send all of it?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.checks.rights import as_rules, missing, wanted
from meshctl.errors import AccessError
from meshctl.model.plan import Apply, Delete

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshctl.model.objects import Ref
    from meshctl.model.plan import Plan
    from meshctl.ports import Cluster


def require_rights(cluster: Cluster, plan: Plan) -> None:
    """Ask the API server for every right that a plan needs.

    Raises:
        AccessError: some are missing; `details` are the RBAC rules that grant them.
    """
    require(cluster, {step.ref for step in plan.steps if isinstance(step, Apply | Delete)})


def require(cluster: Cluster, refs: Iterable[Ref]) -> None:
    """Ask the API server for every right to send, await and remove these objects.

    Raises:
        AccessError: some are missing; `details` are the RBAC rules that grant them.
    """
    lacking = missing(cluster, wanted(refs, cluster.kinds()))
    if lacking:
        raise AccessError(
            "rights-missing",
            f"{len(lacking)} rights are missing in {cluster.name!r}; nothing was sent",
            hint="have an administrator grant these rules, or use another --context",
            details=as_rules(lacking),
        )
