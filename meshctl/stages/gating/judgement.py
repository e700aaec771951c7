"""What keeps moved pods from passing the gate: pure reading of pods, proxies' status and Envoys' reports."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from meshctl.errors import AccessError, MeshctlError, listed
from meshctl.model.proxy import Sync
from meshctl.stages.applying.readiness import troubles, unready
from meshctl.stages.gating.pods import cluster_id, has_proxy, place
from meshctl.stages.seeing.sync import revision_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import datetime

    from meshctl.model.envoy import EnvoyReport
    from meshctl.model.objects import Object
    from meshctl.model.proxy import Proxy, ProxyStatus

NEVER: Final = math.inf
"""Patience with what may heal until the time of the gate is up."""
REJECTED: Final = "config-rejected"
"""Code of objections to proxies that did not take what they were sent."""
MENDABLE: Final = 10.0
"""Seconds of patience with rejected configuration: somebody may be about to mend it."""


@dataclass(frozen=True, slots=True)
class Objection:
    """One reason not to let a batch pass.

    Attributes:
        subject: whom it is about: `shop/web-1`, or what else was asked.
        code: stable kebab-case name; the same reason keeps its code while its words change.
        cause: what is seen, in a few words.
        patience: seconds it may last before there is no use in waiting.
    """

    subject: str
    code: str
    cause: str
    patience: float = NEVER

    def __str__(self) -> str:
        """`shop/web-1: not ready yet`."""
        return f"{self.subject}: {self.cause}"


def of_pods(
    pods: Collection[Object], status: ProxyStatus | MeshctlError, revision: str
) -> tuple[Objection, ...]:
    """What the API server and the istiods say against these pods, at most one objection each.

    Args:
        pods: as they are now.
        status: what the istiods of the revision say of their proxies, or why nobody could be asked.
        revision: the one that the proxies should be connected to; `default` for the unnamed one.
    """
    proxies: tuple[Proxy, ...]
    if isinstance(status, MeshctlError):
        proxies, silent = (), status.message
    else:
        failed = listed(each.name for each in status.failed)
        proxies, silent = status.proxies, f"{failed} did not answer" if failed else ""
    connected = _by_place(proxies)
    found = (
        _of_pod(pod, connected.get((cluster_id(pod), *place(pod)), ()), revision, silent) for pod in pods
    )
    return tuple(each for each in found if each is not None)


def of_envoy(
    pod: Object,
    report: EnvoyReport | MeshctlError,
    *,
    before: int | None,
    roots: Collection[int],
    now: datetime,
) -> Objection | None:
    """What a pod's Envoy says against it.

    Args:
        pod: as it is now.
        report: what Envoy says, or why it says nothing.
        before: how many rejections it had counted at the last look; None: this is the first. istiod
            tells only of the last answer of each type, so a proxy that refuses one update and takes
            the next is seen here alone; once the count stands still, what it refused is past.
        roots: serial numbers of the mesh's root certificates; empty where they are not known.
        now: aware, UTC.
    """
    subject = pod.ref.place
    if isinstance(report, MeshctlError):
        words = "; ".join((report.message, *report.details))
        return Objection(subject, report.code, words, 0.0 if isinstance(report, AccessError) else NEVER)
    count = sum(report.rejected.values())
    if count and count != before:
        names = listed(f"{name} {number}" for name, number in sorted(report.rejected.items()))
        return Objection(subject, REJECTED, f"Envoy rejected configuration: {names}", MENDABLE)
    cause = next(_certificate_faults(report, roots, now), "")
    return Objection(subject, "certificate-invalid", cause) if cause else None


def _by_place(proxies: Collection[Proxy]) -> Mapping[tuple[str, str, str], tuple[Proxy, ...]]:
    found: dict[tuple[str, str, str], tuple[Proxy, ...]] = {}
    for each in proxies:
        key = (each.cluster, each.namespace, each.name)
        found[key] = (*found.get(key, ()), each)
    return found


def _of_pod(pod: Object, proxies: Collection[Proxy], revision: str, silent: str) -> Objection | None:
    subject = pod.ref.place
    if proxies:
        errors = sorted(_errors(proxies))
        if errors:  # said first: it is why such a pod is not ready
            return Objection(subject, REJECTED, "; ".join(errors), MENDABLE)
    trouble = next(iter(troubles(pod, [pod], (), ())), None)
    if unready(pod):
        cause, patience = (trouble.cause, trouble.patience) if trouble else (unready(pod), NEVER)
        return Objection(subject, "pod-not-ready", cause, patience)
    if not proxies:
        return Objection(subject, "proxy-not-connected", _unconnected(pod, revision, silent))
    stale = sorted(
        {name for each in proxies for name, sync in each.states.items() if sync.state is Sync.STALE}
    )
    if stale:
        return Objection(subject, "proxy-not-in-sync", f"it has not acknowledged {listed(stale)}")
    return None


def _errors(proxies: Collection[Proxy]) -> Iterator[str]:
    for each in proxies:
        for name, sync in each.states.items():
            if sync.state is Sync.ERROR:
                yield f"it rejected {name}: {' '.join(sync.error.split()) or 'without a word'}"


def _unconnected(pod: Object, revision: str, silent: str) -> str:
    if not has_proxy(pod):
        return f"it has no proxy: the injector of revision {revision!r} left it out"
    other = revision_of(pod)
    causes = [silent] * bool(silent)
    if other not in ("", revision):
        causes.append(f"its proxy is of revision {other!r}")
    why = f": {'; '.join(causes)}" if causes else ""
    return f"it is connected to no istiod of revision {revision!r}{why}"


def _certificate_faults(report: EnvoyReport, roots: Collection[int], now: datetime) -> Iterator[str]:
    for context in report.contexts:
        if not context.is_of_the_mesh:
            continue
        for each in context.shown:
            if now >= each.expires:
                yield f"its certificate expired at {each.expires.isoformat()}"
            if now < each.begins:
                yield f"its certificate is valid only from {each.begins.isoformat()} on"
        trusted = {each.serial for each in context.trusted}
        if roots and trusted and trusted.isdisjoint(roots):
            yield "it trusts another root than the mesh's"
