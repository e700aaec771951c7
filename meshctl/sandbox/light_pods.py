"""Pods that run as processes: started, watched, told about, and stopped, as a kubelet would.

Those are istiod's, gateways, and whichever carry the label `sandbox.meshctl.dev/process`. All other
pods are played by kwok.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from meshctl.errors import FailedError, MeshctlError
from meshctl.sandbox.ledger import Ledger, Process
from meshctl.sandbox.light_launch import NO_STATUS_PORT, Launch, Surroundings, chosen_container, prepare
from meshctl.sandbox.light_places import Places, Tenant
from meshctl.sandbox.light_ports import POD_PORTS, Ports, is_free
from meshctl.sandbox.light_states import Moment, Since, status_of
from meshctl.sandbox.light_volumes import Volumes
from meshctl.sandbox.process import alive, clock, pause, spawn

SELECTORS: Final = ("app=istiod", "istio,app!=istiod", "sandbox.meshctl.dev/process,!istio,app!=istiod")
"""Label selectors of the pods that run as processes: istiod's, gateways, and those that ask for it.

No pod matches two of them. The stages of kwok leave all of these alone.
"""

_LOOK = 0.25  # seconds between two looks at a process
_LOOK_WHEN_READY = 1.0
_RETRY = 2.0  # seconds until something missing is looked for again
_REFRESH = 10.0  # seconds between two looks at ConfigMaps, Secrets and tokens
_GRACE = 5.0  # seconds between asking a process to end and ending it
_BACK_OFF = (1.0, 2.0, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Kubelet:
    """What all pods of one cluster share.

    Attributes:
        around: API server, programs, ports.
        places: who runs where.
        ledger: journal of the sandbox.
        cluster: short name of the cluster.
        node: address of the nodes.
        folder: pods keep their files and logs below it.
    """

    around: Surroundings
    places: Places
    ledger: Ledger
    cluster: str
    node: str
    folder: Path


@dataclass(slots=True)
class Pod:
    """One pod that runs as a process, in a thread of its own from `begin` to `end`."""

    kubelet: Kubelet
    manifest: dict[str, Any]
    restarts: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _told: Moment | None = None
    _since: Since = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the pod."""
        return str(self.manifest["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Namespace of the pod."""
        return str(self.manifest["metadata"]["namespace"])

    @property
    def uid(self) -> str:
        """UID of the pod."""
        return str(self.manifest["metadata"]["uid"])

    @property
    def path(self) -> str:
        """Path of the pod at the API server."""
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"

    def begin(self) -> None:
        """Start it."""
        self._thread = threading.Thread(target=self._live, name=self.name, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Have it stop; returns at once, and what it leaves is gone a little later."""
        self._ended.set()

    def _live(self) -> None:
        place = self._take_place()
        if place is None:
            self._finish()
            return
        root = self.kubelet.folder / self.uid
        try:
            while not self._ended.is_set():
                with suppress(MeshctlError):  # the API server may be away for a moment; told already
                    self._run_once(place, root)
                if not self._ended.is_set():
                    self._ended.wait(_RETRY)
        finally:
            self.kubelet.places.leave(place)
            shutil.rmtree(root, ignore_errors=True)
            self._finish()

    def _take_place(self) -> int | None:
        log = self.kubelet.folder / f"{self.namespace}_{self.name}.log"
        tenant = Tenant(self.namespace, self.name, self.uid, log)
        while not self._ended.is_set():
            place = self.kubelet.places.take(tenant)
            if place is not None:
                return place
            self._tell(Moment.waiting("ContainerCreating", "no place is free for another process"))
            self._ended.wait(_RETRY)
        return None

    def _run_once(self, place: int, root: Path) -> None:
        """Start the process and stay until it ends or the pod goes."""
        container = chosen_container(self.manifest)
        if container is None:  # labelled like one of Istio's, but none: as simulated as all others
            self._tell(Moment.running(self.kubelet.places.address(place), 0, ready=True))
            self._ended.wait()
            return
        volumes = Volumes(self.kubelet.around.api, self.manifest, container, root)
        launch = self._prepared(volumes, container, place, root)
        if launch is None:
            return
        process = self._spawn(launch, place, root)
        try:
            code = self._watch(process, launch, volumes, place)
        finally:
            _stop(process)
        if code is not None:
            self.restarts += 1
            self._tell(Moment.crashed(self.restarts, self.kubelet.places.address(place)))
            self._ended.wait(_BACK_OFF[min(self.restarts, len(_BACK_OFF)) - 1])

    def _prepared(self, volumes: Volumes, container: dict[str, Any], place: int, root: Path) -> Launch | None:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Fields that a pod is told of itself hold its address, which nobody has written yet.
        self.manifest.setdefault("status", {})["podIP"] = self.kubelet.places.address(place)
        self.manifest["status"]["hostIP"] = self.kubelet.node
        meta = self.manifest["metadata"]
        meta["annotations"] = meta.get("annotations", {}) | NO_STATUS_PORT
        try:
            _check_free(self.kubelet.around.ports, place)
            volumes.write()
            return prepare(self.kubelet.around, self.manifest, container, place, root)
        except FailedError as error:
            reason = "ImagePullBackOff" if error.code == "image-unknown" else "ContainerCreating"
            self._tell(Moment.waiting(reason, error.message))
            return None

    def _spawn(self, launch: Launch, place: int, root: Path) -> Process:
        log = self.kubelet.places.log(place)
        assert log is not None  # the place is ours until we leave it
        name = f"{self.kubelet.cluster}/pod/{self.namespace}/{self.name}"
        argv = ["env", f"--chdir={root}", *launch.argv]
        return spawn(self.kubelet.ledger, name, argv, log=log, env=launch.env)

    def _watch(self, process: Process, launch: Launch, volumes: Volumes, place: int) -> int | None:
        """Tell how the process fares until it ends (1) or the pod goes (None)."""
        address = self.kubelet.places.address(place)
        refresh = clock() + _REFRESH
        while not self._ended.is_set():
            if not alive(process):
                return 1
            ready = launch.probe is None or _answers(launch.probe)
            self._tell(Moment.running(address, self.restarts, ready=ready))
            if clock() > refresh:
                with suppress(MeshctlError):  # what is there stays until the next look
                    volumes.write()
                refresh = clock() + _REFRESH
            self._ended.wait(_LOOK_WHEN_READY if ready else _LOOK)
        return None

    def _tell(self, moment: Moment) -> None:
        """Write the pod's status, if it is another than was told last."""
        if moment == self._told:
            return
        status = status_of(self.manifest, moment, self.kubelet.node, self._since, _now())
        with suppress(MeshctlError):
            self.kubelet.around.api.patch(f"{self.path}/status", {"status": status})
            self._told = moment

    def _finish(self) -> None:
        """What a kubelet does last: the pod is away, so its object may go."""
        with suppress(MeshctlError):
            found = self.kubelet.around.api.get(self.path)
            if found and found["metadata"]["uid"] == self.uid and "deletionTimestamp" in found["metadata"]:
                self.kubelet.around.api.delete(f"{self.path}?gracePeriodSeconds=0")


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - a kubelet tells the time


def _check_free(ports: Ports, place: int) -> None:
    """Refuse a place whose ports another program has: the new process would end at once."""
    for port in POD_PORTS:
        stand_in = ports.stand_in(place, port)
        if not is_free(stand_in):
            raise FailedError("port-taken", f"{stand_in} on 127.0.0.1, which stands for {port}, is taken")


def _answers(probe: tuple[int, str]) -> bool:
    port, path = probe
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return bool(connection.getresponse().status == http.client.OK)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _stop(process: Process) -> None:
    """End the process and its children: first asked, then made to."""
    end = clock() + _GRACE
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, sign)
        while alive(process) and clock() < end:
            pause(0.05)
