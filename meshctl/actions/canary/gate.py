"""The gate that everything that was moved has to pass: it is where it should be, and works there."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from meshctl import pki
from meshctl.actions.attempt import attempt
from meshctl.actions.proxies import proxy_status
from meshctl.adapters import envoy, programs, prometheus, xds
from meshctl.errors import AccessError, ConfigError, FailedError, MeshctlError, UnreachableError
from meshctl.model.event import Done, Started, Waiting
from meshctl.model.labels import INJECTED
from meshctl.model.objects import Ref
from meshctl.model.proxy import Carrier
from meshctl.model.upgrade import Gate
from meshctl.stages.applying.readiness import unready
from meshctl.stages.gating.judgement import NEVER, REJECTED, Objection, of_envoy, of_pods
from meshctl.stages.gating.patience import Patience
from meshctl.stages.gating.pods import Place, admin_port, alive, has_envoy, owned, place
from meshctl.stages.gating.query import refusal
from meshctl.stages.seeing import sync

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.model.envoy import EnvoyReport
    from meshctl.model.event import Event
    from meshctl.model.objects import Object
    from meshctl.model.upgrade import Mover
    from meshctl.ports import Cluster, World

Pods: TypeAlias = Collection[Place] | Callable[[], Collection[Place]]
"""Which pods were moved; a function is asked anew at each look, as pods come and go meanwhile."""

GROUP: Final = "gate"
PAUSE: Final = 1.0
"""Seconds between two looks, at the least."""
_AT_ONCE: Final = 12


def pass_through(
    world: World,
    cluster: str,
    *,
    revision: str,
    pods: Pods,
    gate: Gate,
    istio_namespace: str = "istio-system",
    batch: str = "",
) -> Iterator[Event]:
    """Wait until moved pods pass the gate, or tell why they do not.

    A pod passes when it is ready, its proxy is connected to an istiod of the revision, has what that
    istiod sent it, rejected nothing, and holds a valid certificate under the mesh's root. Then the
    query must hold; all this without a break for the time of the soak; then the user's command, once.
    What no waiting heals ends it early, rejected configuration after some seconds.

    Args:
        world: doors to the clusters of the mesh; a proxy may be connected to an istiod of another one.
        cluster: name of the one that the pods are in.
        revision: where they should be; empty for the unnamed one.
        pods: namespaces and names of those that were moved; those that are gone or leaving by now are
            passed over.
        gate: what must hold besides, and how long it may take.
        istio_namespace: where istiod runs.
        batch: told to the user's command.

    Raises:
        FailedError: `gate-failed`, also where we may not look or ask; the details say each objection.
        ConfigError: as `require`, before anything is looked at.
    """
    require(gate)
    name = revision or "default"
    eye = _Eye(world, world.clusters[cluster], name, istio_namespace)
    patience = Patience(gate, name, world.clock.monotonic())
    yield Started(GROUP, f"{batch or 'proxies'} on revision {name}")
    while not patience.has_held:
        begun = world.clock.monotonic()
        objections = eye.look(pods)
        if gate.query and not objections:
            objections = _of_query(gate)
        patience.judge(objections, world.clock.monotonic())
        if cause := patience.news():
            yield Waiting(GROUP, f"{eye.passed} of {eye.count} proxies", cause)
        if not patience.has_held:
            spent = world.clock.monotonic() - begun
            world.clock.sleep(max(PAUSE, spent))  # half of the time at most goes into looking
    if gate.command:
        yield Started(GROUP, f"command {gate.command[0]}")
        _run(gate, cluster, revision, batch)
    yield Done(GROUP, f"{eye.count} proxies passed on revision {name}", patience.passed)


def watch(
    world: World, cluster: str, *, revision: str, pods: Pods, istio_namespace: str = "istio-system"
) -> Callable[[], None]:
    """A look at pods that are on their way, to be taken again and again; for `apply` to heed.

    A proxy that rejects its first configuration never becomes ready, and so its workload is waited for in
    vain. The look raises `FailedError`, as `pass_through` would, once a rejection has lasted too long.
    Pods are asked about by istiods alone here; the gate that follows asks their Envoys as well.

    Args:
        world: as for `pass_through`, and all others.
    """
    name = revision or "default"
    eye = _Eye(world, world.clusters[cluster], name, istio_namespace, asks_envoys=False)
    patience = Patience(Gate(seconds=NEVER), name, world.clock.monotonic())

    def look() -> None:
        rejections = tuple(each for each in eye.look(pods) if each.code == REJECTED)
        patience.judge(rejections, world.clock.monotonic())

    return look


def rejected(
    world: World, cluster: str, *, revision: str, pods: Pods, istio_namespace: str = "istio-system"
) -> tuple[str, ...]:
    """What these pods' proxies reject just now, in Envoy's words; empty where none does, or nobody can tell.

    A proxy that rejects its first configuration never becomes ready, and nothing but this says why.
    """
    eye = _Eye(world, world.clusters[cluster], revision or "default", istio_namespace)
    return tuple(str(each) for each in eye.look(pods) if each.code == REJECTED)


def require(gate: Gate) -> None:
    """Refuse a gate that can never be asked.

    Raises:
        ConfigError: a query without a server, or a server's address that is none.
    """
    if gate.query and not gate.prometheus:
        raise ConfigError(
            "gate-without-prometheus",
            "the gate has a query, and no Prometheus to ask",
            hint="name the address of the server, or leave the query out",
        )
    if gate.prometheus:
        prometheus.require_address(gate.prometheus)


def pods_of(cluster: Cluster, workloads: Collection[Mover]) -> tuple[Place, ...]:
    """The pods that these workloads have now, for `pass_through`."""
    return owned(cluster, (each.ref for each in workloads))


def attached(
    world: World,
    cluster: str,
    *,
    revision: str,
    istio_namespace: str = "istio-system",
    unused: bool = False,
) -> tuple[str, ...]:
    """Proxies that still need the istiods of a revision, as `namespace/name`, sorted.

    These are proxies of any kind and any cluster with a stream to one of its istiods in this cluster,
    and pods here whose proxy was made for the revision and that are neither done nor leaving. A stream
    of a pod that is gone does not count.

    Args:
        world: doors to the clusters of the mesh.
        cluster: name of the one whose control plane it is.
        revision: of the control plane; empty for the unnamed one.
        istio_namespace: where it runs.
        unused: whether nobody was ever led there. Then, where no pod was made for it either, a silent istiod
            that is not ready has no proxies: nothing is sent to one that never was.

    Raises:
        UnreachableError: an istiod that runs did not say which proxies it has.
        AccessError: we may not ask.
    """
    door, name = world.clusters[cluster], revision or "default"
    found = {
        f"{pod.ref.namespace}/{pod.ref.name}"
        for labels in (INJECTED, "app=ztunnel")
        for pod in door.list("v1", "Pod", labels=labels, fields=sync.ALIVE)
        if not pod.is_leaving and sync.revision_of(pod) == name
    }
    status = attempt(partial(proxy_status, world, istio_namespace=istio_namespace, revision=name))
    if isinstance(status, AccessError):
        raise status
    unused = unused and not found
    if isinstance(status, MeshctlError):
        for server in xds.servers(door, istio_namespace, name):
            _require_stopped(door, Ref("v1", "Pod", server.namespace, server.pod), status, unused=unused)
        return tuple(sorted(found))
    for silent in status.failed:
        if silent.cluster == cluster:
            _require_stopped(
                door, Ref("v1", "Pod", silent.namespace, silent.name), silent.error, unused=unused
            )
    ours = {istiod.name for istiod in status.istiods if istiod.cluster == cluster}
    found |= {
        f"{proxy.namespace}/{proxy.name}"
        for proxy in status.proxies
        if proxy.istiod in ours and proxy.carrier is not Carrier.GONE
    }
    return tuple(sorted(found))


@dataclass
class _Eye:
    """Looks at pods again and again, and remembers how much each Envoy had rejected."""

    world: World
    door: Cluster
    revision: str
    istio_namespace: str
    asks_envoys: bool = True
    rejected: dict[Place, int] = field(default_factory=dict)
    count: int = 0
    passed: int = 0

    def look(self, pods: Pods) -> tuple[Objection, ...]:
        """What is to be said against these pods now, by their places."""
        self.passed = 0
        found = attempt(partial(self._find, pods))
        if isinstance(found, MeshctlError):
            return (_unanswered(found),)
        places, moved = found
        self.count = len(moved)
        if places and not moved:
            return (
                Objection(
                    "pods", "pods-gone", f"none of the {len(places)} that were moved is there any more"
                ),
            )
        status = attempt(
            partial(proxy_status, self.world, istio_namespace=self.istio_namespace, revision=self.revision)
        )
        if isinstance(status, AccessError):
            return (_unanswered(status),)
        objections = of_pods(moved, status, self.revision)
        doubted = {each.subject for each in objections}
        if self.asks_envoys:
            objections += self._of_envoys([pod for pod in moved if pod.ref.place not in doubted])
        self.passed = self.count - len({each.subject for each in objections})
        return tuple(sorted(objections, key=lambda each: each.subject))

    def _find(self, pods: Pods) -> tuple[Collection[Place], tuple[Object, ...]]:
        places = pods() if callable(pods) else pods
        return places, alive(self.door, places)

    def _of_envoys(self, pods: Collection[Object]) -> tuple[Objection, ...]:
        asked = [pod for pod in pods if has_envoy(pod)]
        if not asked:
            return ()
        roots = self._roots()
        if isinstance(roots, MeshctlError):
            return (_unanswered(roots),)
        with ThreadPoolExecutor(min(_AT_ONCE, len(asked))) as pool:
            reports = list(pool.map(self._report, asked))
        now = self.world.clock.now()
        found = []
        for pod, report in zip(asked, reports, strict=True):
            before = self.rejected.get(place(pod))
            found.append(of_envoy(pod, report, before=before, roots=roots, now=now))
            if not isinstance(report, MeshctlError):
                self.rejected[place(pod)] = sum(report.rejected.values())
        return tuple(each for each in found if each is not None)

    def _report(self, pod: Object) -> EnvoyReport | MeshctlError:
        port = admin_port(pod, envoy.ADMIN_PORT)
        return attempt(partial(envoy.report, self.door, *place(pod), port=port))

    def _roots(self) -> frozenset[int] | MeshctlError:
        """Serial numbers of the mesh's roots; none where they are not published."""
        ref = Ref("v1", "ConfigMap", self.istio_namespace, xds.ROOT_CONFIG_MAP)
        found = attempt(partial(self.door.get, ref))
        if isinstance(found, MeshctlError):
            return found
        text = found.at("data.root-cert\\.pem", "") if found else ""
        return frozenset(map(pki.serial, pki.split(text.encode()))) if text else frozenset()


def _of_query(gate: Gate) -> tuple[Objection, ...]:
    values = attempt(partial(prometheus.ask, gate.prometheus, gate.query))
    if isinstance(values, MeshctlError):
        patience = NEVER if isinstance(values, UnreachableError) else 0.0
        return (Objection("query", values.code, _words(values), patience),)
    cause = refusal(gate.query, values)
    return (Objection("query", "query-does-not-hold", f"{gate.query}: {cause}"),) if cause else ()


def _run(gate: Gate, cluster: str, revision: str, batch: str) -> None:
    told = {"MESHCTL_CLUSTER": cluster, "MESHCTL_REVISION": revision or "default", "MESHCTL_BATCH": batch}
    try:
        programs.run(gate.command, environment=told, seconds=gate.seconds)
    except (ConfigError, FailedError) as error:
        raise FailedError(
            "gate-failed",
            f"the gate's command did not pass: {error.message}",
            hint=error.hint,
            details=error.details,
        ) from error


def _unanswered(error: MeshctlError) -> Objection:
    """An API server that does not answer just now is waited for; one that lets us see nothing is not."""
    patience = 0.0 if isinstance(error, AccessError) else NEVER
    return Objection("API server", error.code, _words(error), patience)


def _words(error: MeshctlError) -> str:
    return "; ".join((error.message, *error.details))


def _require_stopped(door: Cluster, istiod: Ref, error: MeshctlError | None, *, unused: bool) -> None:
    """Refuse to guess which proxies a silent istiod has; one without a running container has none."""
    pod = door.get(istiod)
    if unused and pod is not None and unready(pod):
        return
    statuses = pod.at("status.containerStatuses", ()) if pod else ()
    if any("running" in (each.get("state") or {}) for each in statuses):
        raise UnreachableError(
            "attached-unknown",
            f"istiod {istiod.place} did not say which proxies it has",
            hint="it may still serve some; look at its pod, then run the same command again",
            details=(_words(error),) if error else (),
        )
