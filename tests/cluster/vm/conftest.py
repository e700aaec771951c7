"""The bed: a full sandbox with one cluster and two hosts, or the one that MESHCTL_TEST_VMS names.

A sandbox that is named is left as it is, with mesh and agents, so that tests can be tried again and again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshctl.adapters.kube import connect
from meshctl.sandbox import Settings, down, preflight, status, up
from meshctl.sandbox.host_files import SshFiles
from tests.cluster.command import Command
from tests.cluster.conftest import SANDBOX
from tests.cluster.vm.bed import Bed
from tests.cluster.vm.host import Host
from tests.cluster.vm.workloads import Pods, forget, serve

HOSTS = 2


@pytest.fixture(scope="package")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A mesh and two hosts that are not yet in it."""
    given = os.environ.get("MESHCTL_TEST_VMS", "")
    name = given or f"{SANDBOX}-vms"
    if not given and (reason := preflight.why_not_full()):
        pytest.skip(f"needs hosts: a full sandbox is not possible ({reason})")
    if not given:
        for _ in up(Settings(name=name, hosts=HOSTS)):
            pass
    found = made(name, tmp_path_factory.mktemp("vms"))
    try:
        found.begin()
        yield found
    finally:
        found.cluster.close()
        if not given:
            for _ in down(name):
                pass


@pytest.fixture(scope="package")
def vms(bed: Bed) -> Bed:
    """A mesh and two hosts in it: payload installed, settings written, service started."""
    for name, host in bed.hosts.items():
        bed.install(name)
        bed.enrol(name)
        host.systemctl("restart")
    return bed


def made(sandbox: str, folder: Path) -> Bed:
    """The bed of a sandbox that is up."""
    now = status(sandbox)
    config = SshFiles(Path(now.kubeconfig).parent).config
    hosts = {each.name: Host(each.name, each.address, config) for each in now.hosts}
    return Bed(sandbox, now.kubeconfig, connect(now.kubeconfig), Command(now.kubeconfig, folder), hosts)


@pytest.fixture(scope="package")
def pods(vms: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pods]:
    """The service in pods and on both hosts, each asked by the other without a break."""
    pods = Pods(vms.cluster, tmp_path_factory.mktemp("calls") / "reports", list(vms.hosts))
    try:
        pods.begin()
        for host in vms.hosts.values():
            serve(host)
        yield pods
    finally:
        for host in vms.hosts.values():
            forget(host)
        pods.remove()
