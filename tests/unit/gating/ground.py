"""A cluster in which pods have been moved, for what is asked of them then."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from meshctl import pki
from meshctl.ports import World
from tests.envoys import FakeEnvoy, context
from tests.fakes import FakeClock, FakeFiles
from tests.istiods import AskedCluster, FakeIstiod, istiod_pod, mesh_ca, proxied_pod, root_config_map

ROOT = pki.serial(mesh_ca().root)


def moved(name: str = "web-1", *, revision: str = "new", ready: bool = True, **more: Any) -> dict[str, Any]:
    pod = copy.deepcopy(proxied_pod(name, revision=revision, **more))
    pod["status"]["conditions"] = [{"type": "Ready", "status": "True" if ready else "False"}]
    return pod


def envoy(**told: Any) -> FakeEnvoy:
    certs = told.pop("certs", [context(root=ROOT)])
    return FakeEnvoy(certs=certs, **told)


@contextmanager
def a_world(
    *pods: dict[str, Any],
    istiods: dict[str, FakeIstiod],
    envoys: dict[str, FakeEnvoy] | None = None,
    revision: str = "new",
    clock: FakeClock | None = None,
    broken: dict[str, Exception] | None = None,
) -> Iterator[World]:
    with ExitStack() as stack:
        ports = {name: stack.enter_context(istiod).port for name, istiod in istiods.items()}
        makers = [istiod_pod(name, revision=revision) for name in istiods]
        cluster = AskedCluster(root_config_map(), *makers, *pods, ports=ports, broken=broken)
        for name, each in (envoys or {}).items():
            cluster.targets["shop", name, 15000] = ("127.0.0.1", stack.enter_context(each).port)
        yield World({"home": cluster}, {}, clock or FakeClock(), FakeFiles())


def istiod(*configs: Any, **more: Any) -> FakeIstiod:
    return FakeIstiod(*configs, host="istiod-new.istio-system.svc", **more)
