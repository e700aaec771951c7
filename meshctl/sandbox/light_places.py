"""Who of the simulated cluster runs as a process, and where."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path

from meshctl.sandbox.light_ports import PLACES


@dataclass(frozen=True, slots=True)
class Tenant:
    """A pod that runs as a process: who it is, and the log of its program."""

    namespace: str
    pod: str
    uid: str
    log: Path


@dataclass(slots=True)
class Places:
    """The places of one cluster; safe to use from several threads.

    Attributes:
        pods: the cluster's range of pod addresses; its last ones belong to the places.
    """

    pods: IPv4Network
    _tenants: dict[int, Tenant] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def address(self, place: int) -> str:
        """Address of the pod at `place`, from 0."""
        return str(self.pods.broadcast_address - (PLACES - place))

    def take(self, tenant: Tenant) -> int | None:
        """A free place for the tenant; None when all are taken."""
        with self._lock:
            place = next((one for one in range(PLACES) if one not in self._tenants), None)
            if place is not None:
                self._tenants[place] = tenant
            return place

    def leave(self, place: int) -> None:
        """Give the place back."""
        with self._lock:
            self._tenants.pop(place, None)

    def at(self, address: str) -> int | None:
        """The place in use whose address this is."""
        with self._lock:
            return next((one for one in self._tenants if self.address(one) == address), None)

    def of(self, namespace: str, pod: str) -> int | None:
        """The place of a pod; None for pods that are only simulated."""
        with self._lock:
            return next(
                (one for one, it in self._tenants.items() if (it.namespace, it.pod) == (namespace, pod)), None
            )

    def of_uid(self, uid: str) -> int | None:
        """The place of the pod with that UID."""
        with self._lock:
            return next((one for one, it in self._tenants.items() if it.uid == uid), None)

    def log(self, place: int) -> Path | None:
        """The log of whoever is at `place`."""
        with self._lock:
            tenant = self._tenants.get(place)
        return tenant.log if tenant else None
