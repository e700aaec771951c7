"""What a rotation of authorities needs in a cluster, from its first stage to its last, there and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl.model.right import Needs, Right
from meshctl.stages.permitting import steps as of_steps
from meshctl.stages.trusting.cacerts import ref

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from meshctl.model.objects import Kind
    from meshctl.model.plan import Step
    from meshctl.model.rotation import Seat

_KEEP: Final = "the authority of the cluster, and the old one, which is kept to return to"
_PROOF: Final = "ask every istiod and every proxy which certificates it works with"
_READ: Final = (
    ("", "namespaces"),
    ("", "pods"),
    ("", "configmaps"),
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("apps", "daemonsets"),
    ("apps", "replicasets"),
    ("policy", "poddisruptionbudgets"),
    ("networking.istio.io", "workloadentries"),
)


def needs(
    mesh: str,
    seats: Sequence[Seat],
    homes: Iterable[str],
    restarts: Sequence[Step] = (),
    kinds: Sequence[Kind] = (),
) -> Needs:
    """What is needed in one cluster.

    Args:
        mesh: name of its mesh.
        seats: authorities that are replaced there; none where another cluster's istiod serves it.
        homes: namespaces with proxies.
        restarts: what makes istiods and workloads anew that do not hear of roots.
        kinds: what the cluster serves.
    """
    rights = [*_recorded(mesh), *_seen(homes)]
    for seat in seats:
        rights += _kept(seat)
    return Needs(tuple(rights)) | of_steps.needs(restarts, kinds)


def _recorded(mesh: str) -> Iterator[Right]:
    for verb in ("get", "patch", "delete"):
        name = f"meshctl.{mesh}.rotation"
        yield Right(of_steps.RECORDS, "", "secrets", verb, name, of_steps.RECORD)
    yield Right(of_steps.RECORDS, "", "secrets", "create", why=of_steps.RECORD)
    yield from of_steps.of_lock(mesh)


def _kept(seat: Seat) -> Iterator[Right]:
    home = seat.namespace
    for verb in ("get", "patch"):
        yield Right(home, "", "secrets", verb, ref(home).name, _KEEP)
    for verb in ("get", "patch", "delete"):
        yield Right(home, "", "secrets", verb, seat.kept.name, _KEEP)
    yield Right(home, "", "secrets", "create", why=_KEEP)
    yield Right(home, "", "serviceaccounts/token", "create", "default", _PROOF)
    for verb in ("get", "create"):
        yield Right(home, "", "pods/portforward", verb, why=_PROOF)


def _seen(homes: Iterable[str]) -> Iterator[Right]:
    for group, resource in _READ:
        yield Right("", group, resource, "list", why=_PROOF)
    for home in sorted(set(homes)):
        for verb in ("get", "create"):
            yield Right(home, "", "pods/portforward", verb, why=_PROOF)
