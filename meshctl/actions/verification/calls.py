"""Has the clients of a verification call every server and open every gateway, until all is well."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from meshctl.actions.attempt import attempt
from meshctl.actions.verification.side_by_side import side_by_side
from meshctl.adapters import envoy, pod_http
from meshctl.errors import FailedError, MeshctlError
from meshctl.model.event import Done, Started, Waiting
from meshctl.model.fleet import Told
from meshctl.model.verification import Call, Opened, Traffic
from meshctl.stages.seeing.sync import ALIVE
from meshctl.stages.verifying import answers, envoys
from meshctl.stages.verifying.workloads import NAMESPACE, word

if TYPE_CHECKING:
    import threading
    from collections.abc import Generator, Mapping, Sequence

    from meshctl.actions.verification.side_by_side import Tell
    from meshctl.ports import World
    from meshctl.stages.verifying.placing import Gate
    from meshctl.stages.verifying.workloads import Place

GROUP: Final = "calls"
_PAUSE: Final = 1.0
_ASKING: Final = 15.0  # seconds for one answer; a client gives up on a call after ten


def asked(
    world: World, places: Sequence[Place], gates: Mapping[str, Sequence[Gate]], seconds: float
) -> Generator[Told, None, Traffic]:
    """Ask every client for every call, and again for those that are not well.

    Args:
        world: doors to the clusters.
        places: those whose client and server are ready.
        gates: what each client has to reach, by its cluster.
        seconds: how long it may take, as proxies learn of new endpoints in their time.
    """
    until = world.clock.monotonic() + seconds
    clients = [_Client(world, each, places, gates.get(each.cluster, ()), until) for each in places]
    yield from side_by_side([client.run for client in clients])
    return Traffic(
        tuple(call for client in clients for call in client.calls.values()),
        tuple(door for client in clients for door in client.opened.values()),
    )


class _Client:
    """The client of one cluster, and what came of its calls."""

    def __init__(
        self, world: World, place: Place, places: Sequence[Place], gates: Sequence[Gate], until: float
    ) -> None:
        self._door, self._clock = world.clusters[place.cluster], world.clock
        self._place, self._gates, self._until = place, gates, until
        self.calls = {each.cluster: _between(place, each) for each in places}
        self.opened: dict[str, Opened] = {}
        self._servers = {each.cluster: each for each in places}

    def run(self, tell: Tell, stop: threading.Event) -> None:
        """Ask until all is well or the time is up."""
        name, begun = self._place.cluster, self._clock.monotonic()
        tell(Told(name, Started(GROUP, f"from {name}")))
        news = None
        while waits := self._round():
            if stop.is_set() or self._clock.monotonic() >= self._until:
                self._explain()
                break
            if waits != news:
                tell(Told(name, Waiting(GROUP, *waits)))
            news = waits
            self._clock.sleep(_PAUSE)
        arrived = sum(not each.fault for each in self.calls.values())
        took = self._clock.monotonic() - begun
        tell(Told(name, Done(GROUP, f"{arrived} of {len(self.calls)} arrived", took)))

    def _round(self) -> tuple[str, str] | None:
        """Ask once for what is not well yet; one thing that is not, and why."""
        unwell = []
        for name, call in self.calls.items():
            if not call.is_well:
                call = self.calls[name] = self._made(call)
            if not call.is_well:
                unwell.append((f"to {name}", call.fault or "identities are not as they should be"))
        for gate in self._gates:
            if gate.word not in self.opened or self.opened[gate.word].fault:
                self.opened[gate.word] = self._open(gate)
            if fault := self.opened[gate.word].fault:
                unwell.append((f"gateway {gate.place}", fault))
        return next(iter(unwell), None)

    def _made(self, call: Call, path: tuple[str, ...] = ()) -> Call:
        reply = self._ask(envoys.ASKING_PORT, envoys.call_path(word(call.server)))
        if isinstance(reply, MeshctlError):
            return replace(call, fault=_unasked(reply))
        return answers.answered(call, reply.status, reply.headers, reply.body, path)

    def _open(self, gate: Gate) -> Opened:
        reply = self._ask(envoys.ASKING_PORT, envoys.door_path(gate.word))
        if isinstance(reply, MeshctlError):
            fault = _unasked(reply)
        else:
            fault = answers.door_fault(reply.status, reply.headers, reply.body)
        return Opened(self._place.cluster, gate.cluster, gate.subject, gate.place, fault)

    def _explain(self) -> None:
        """See where the proxy of this client would reach the servers that did not answer."""
        lost = [each for each in self.calls.values() if each.fault]
        clusters = self._ask(envoy.ADMIN_PORT, "/clusters?format=json") if lost else None
        if clusters is None or isinstance(clusters, MeshctlError):
            return
        for call in lost:
            service = f"{self._servers[call.server].server}.{NAMESPACE}"
            self.calls[call.server] = self._made(call, answers.endpoints(clusters.body, service))

    def _ask(self, port: int, path: str) -> pod_http.Reply | MeshctlError:
        def ask() -> pod_http.Reply:
            return pod_http.get(self._door, NAMESPACE, self._pod(), port, path, seconds=_ASKING)

        return attempt(ask)

    def _pod(self) -> str:
        """Name of the client's pod as it is now."""
        labels = f"app={self._place.client}"
        pods = self._door.list("v1", "Pod", namespace=NAMESPACE, labels=labels, fields=ALIVE)
        names = sorted(pod.ref.name for pod in pods if not pod.is_leaving)
        if not names:
            raise FailedError("client-gone", f"there is no pod with the label {labels}")
        return names[0]


def _between(client: Place, server: Place) -> Call:
    wanted = client.identity(client.client), server.identity(server.server)
    return Call(client.cluster, server.cluster, *wanted)


def _unasked(error: MeshctlError) -> str:
    return f"its client cannot be asked: {error.message}"
