"""Would an upgrade work: every check of that moment, before anything is sent."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from meshctl.actions.attempt import attempt
from meshctl.actions.checks import checks, run, site_of
from meshctl.actions.proxies import proxy_status
from meshctl.errors import ConfigError, MeshctlError, Where, nearest
from meshctl.model.check import Moment
from meshctl.model.finding import Level
from meshctl.model.labels import INJECTED
from meshctl.model.proxy import Carrier, Seat, Sync
from meshctl.stages.seeing import sync
from meshctl.stages.settings.upgrade_path import upgrade_path

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from meshctl.actions.install import Draft
    from meshctl.model.check import Outcome
    from meshctl.model.finding import Finding
    from meshctl.model.proxy import Proxy
    from meshctl.model.release import Release
    from meshctl.ports import Cluster, World


def preflight(
    world: World, cluster: str, source: Release, target: Draft, *, wait: float = 0.0
) -> Iterator[Outcome]:
    """What would keep an upgrade from a release to a draft from working, or what to know first. Only reads.

    Args:
        world: doors to the clusters of the mesh.
        cluster: name of the one that is upgraded.
        source: the release that is left.
        target: what it is to have; another revision than the release's stands beside it.
        wait: seconds to ask again for what may still settle.
    """
    door = world.clusters[cluster]
    site = replace(
        site_of(door, target.values, target.desired, target.seen),
        path=upgrade_path(source, target.values, world.clock.now().date()),
        seats=_seats(world, door, source),
    )
    chosen = [each for each in checks() if each.fits(Moment.UPGRADE)]
    yield from run(site, chosen, world.clock, wait=wait)


def refusals(outcomes: Iterable[Outcome], ignored: Collection[str] = ()) -> tuple[Finding, ...]:
    """The findings for which an upgrade is not begun: errors whose rule's code is not ignored."""
    return tuple(
        finding
        for outcome in outcomes
        for finding in outcome.findings
        if finding.rule.level is Level.ERROR and finding.rule.code not in ignored
    )


def require_codes(ignored: Collection[str]) -> None:
    """Refuse codes that no check of an upgrade has: whoever mistypes one ignores nothing. Asks no cluster.

    Raises:
        ConfigError: there is no such code.
    """
    known = {rule.code for each in checks() if each.fits(Moment.UPGRADE) for rule in each.rules}
    for code in ignored:
        if code not in known:
            near = nearest(code, sorted(known))
            raise ConfigError(
                "unknown-code",
                f"no check has the code {code!r}{f'; did you mean {near!r}?' if near else ''}",
                where=Where("--ignore"),
                hint="`meshctl check --pre --to VERSION` tells the codes",
            )


def _seats(world: World, door: Cluster, source: Release) -> tuple[Seat, ...]:
    """Pods and machines with a proxy of a release's control plane, as far as they can be seen.

    What a proxy rejected is its trouble, too: it would reject it of the next control plane.
    """
    revision = source.revision or "default"
    pods = attempt(partial(door.list, "v1", "Pod", labels=INJECTED, fields=sync.ALIVE))
    if isinstance(pods, MeshctlError):
        return ()  # for a check to tell
    ours = (pod for pod in pods if not pod.is_leaving and sync.revision_of(pod) in ("", revision))
    found = sync.seats(ours, door.name)
    status = attempt(partial(proxy_status, world, istio_namespace=source.namespace, revision=revision))
    if isinstance(status, MeshctlError):
        return found
    troubles = {(each.namespace, each.name): _rejected(each) for each in status.proxies}
    machines = tuple(
        Seat(each.name, each.namespace, each.cluster, each.carrier, revision, each.version)
        for each in status.proxies
        if each.carrier is Carrier.VM
    )
    return tuple(
        replace(seat, trouble=seat.trouble or troubles.get((seat.namespace, seat.name), ""))
        for seat in (*found, *machines)
    )


def _rejected(proxy: Proxy) -> str:
    """What a proxy did not take, in a few words; empty when it took all."""
    errors = (
        f"it rejected {name}: {each.error}" for name, each in proxy.states.items() if each.state is Sync.ERROR
    )
    return "; ".join(errors)
