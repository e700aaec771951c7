"""What can go on goes on, and what broke comes back alone: istiod, network, agent, Envoy, host, clock."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from meshctl.model.objects import Ref
from meshctl.sandbox import hosts
from meshctl.sandbox.ledger import Ledger
from meshctl.sandbox.names import Layout
from meshctl.sandbox.process import alive
from tests.cluster.traffic import Counts, new_resource, until
from tests.cluster.vm.bed import NAMESPACE, Bed, cable
from tests.cluster.vm.host import Host
from tests.cluster.vm.workloads import (
    APPS,
    HOST_NAME,
    Pods,
    ask,
    asked,
    begin_asking,
    one_request_a_connection,
    serve,
    to_host,
    to_pods,
)

pytestmark = [pytest.mark.cluster, pytest.mark.full("hosts, and pods that answer")]

QUIET = 4.0
"""Seconds without a failure after which all is as it was."""
ISTIOD = Ref("apps/v1", "Deployment", "istio-system", "istiod")
PODS = "pods"
_SKEWED = """
import sys, time
sys.path.insert(0, "/opt/meshctl-agent/current/lib")
real = time.time
def skewed():
    with open("/run/meshctl-test-clock") as file:
        return real() + float(file.read() or 0)
time.time = skewed
from meshctl.agent.commands import main
sys.exit(main(["run"]))
"""


class Calls:
    """Every workload asks every other without a break: pods and both hosts."""

    def __init__(self, bed: Bed, pods: Pods, folder: Path) -> None:
        self.bed = bed
        self.pods = pods
        self._folder = folder
        self._own = {name: [*to_pods(HOST_NAME + name), *self._others(name)] for name in bed.hosts}

    def begin(self, *names: str) -> None:
        """Let hosts serve and ask, all unless some are named, and wait until every call is answered."""
        for name in names or self.bed.hosts:
            serve(self.bed.hosts[name])
            begin_asking(self.bed.hosts[name], self._own[name])
        self.settle()

    def counts(self, since: float) -> Mapping[str, Counts]:
        """What each caller has reported, of requests begun after `since`."""
        own = {name: asked(host, self._folder / name, since) for name, host in self.bed.hosts.items()}
        return {PODS: self.pods.counts(since), **own}

    def failures(self, since: float, *, but: str = "") -> list[str]:
        """Calls that failed, without those that begin or end at the host `but`."""
        return [
            str(each)
            for caller, counts in self.counts(since).items()
            for each in counts.failures
            if not but or (caller != but and but not in each.target)
        ]

    def settle(self) -> None:
        """Wait until every call is answered, and none fails any more."""
        last: list[str] = []

        def quiet() -> bool:
            since = time.time()
            before = self.counts(since)
            time.sleep(QUIET)
            after = self.counts(since)
            last[:] = [str(each) for counts in after.values() for each in counts.failures]
            last.extend(
                f"{caller} does not ask {name}"
                for caller, names in self._wanted().items()
                for name in names
                if after[caller].requests.get(name, 0) == before[caller].requests.get(name, 0)
            )
            return not last

        until(quiet, lambda: last)

    def _wanted(self) -> Mapping[str, list[str]]:
        own = {name: [each["name"] for each in targets] for name, targets in self._own.items()}
        return {PODS: [f"{kind} {name}" for kind in ("http", "tcp") for name in self.bed.hosts], **own}

    def _others(self, name: str) -> list[dict[str, Any]]:
        others = [other for other in self.bed.hosts if other != name]
        return [target for other in others for target in to_host(other, HOST_NAME + name)]


@pytest.fixture(scope="module")
def calls(vms: Bed, pods: Pods, tmp_path_factory: pytest.TempPathFactory) -> Calls:
    found = Calls(vms, pods, tmp_path_factory.mktemp("asked"))
    found.begin()
    return found


@pytest.fixture
def one(vms: Bed) -> Host:
    return vms.hosts["vm1"]


def status(host: Host) -> Any:
    """What the agent says of itself, ready or not."""
    return json.loads(host.agent("status -o json", check=None))


def main_pid(host: Host) -> str:
    return host.sudo("systemctl show --property=MainPID --value meshctl-agent").strip()


@contextmanager
def without_istiod(bed: Bed) -> Iterator[None]:
    """istiod is gone, not only told to go, and comes back."""
    bed.cluster.patch(ISTIOD, {"spec": {"replicas": 0}})
    try:
        for pod in bed.cluster.list("v1", "Pod", namespace="istio-system", labels="app=istiod"):
            bed.cluster.delete(pod.ref, grace=0)
        until(lambda: not bed.cluster.list("v1", "Pod", namespace="istio-system", labels="app=istiod"))
        yield
    finally:
        bed.cluster.patch(ISTIOD, {"spec": {"replicas": 1}})
        until(lambda: bed.cluster.get(ISTIOD).at("status.readyReplicas", 0))  # type: ignore[union-attr]


def test_calls_go_on_while_istiod_is_away_and_its_news_come_when_it_is_back(calls: Calls, one: Host) -> None:
    begun = time.time()
    with without_istiod(calls.bed):
        until(lambda: status(one)["configuration"]["server"] == "")
        time.sleep(10)
    until(lambda: status(one)["configuration"]["server"])
    assert calls.failures(begun) == []
    route = [{"destination": {"host": f"echo.{APPS}.svc.cluster.local"}}]
    fault = {"abort": {"httpStatus": 418, "percentage": {"value": 100}}}
    match = [{"headers": {"x-test": {"exact": "abort"}}}]
    rules = [{"match": match, "fault": fault, "route": route}, {"route": route}]
    news = new_resource(
        "VirtualService", APPS, "news", {"hosts": [f"echo.{APPS}.svc.cluster.local"], "http": rules}
    )
    try:
        calls.bed.cluster.apply(news)
        until(lambda: ask(one, f"http://echo.{APPS}/", **{"x-test": "abort"}).status == 418)
    finally:
        calls.bed.cluster.delete(news.ref)


def test_a_host_whose_network_was_cut_comes_back_and_others_do_not_notice(
    calls: Calls, one: Host, pytestconfig: pytest.Config
) -> None:
    link = cable(calls.bed, one.name)
    begun = time.time()
    subprocess.run(["ip", "link", "set", link, "down"], check=True)
    try:
        time.sleep(120 if pytestconfig.getoption("--long") else 20)
    finally:
        subprocess.run(["ip", "link", "set", link, "up"], check=True)
    until(lambda: status(one)["ready"] and status(one)["configuration"]["server"])
    calls.settle()
    counts = calls.pods.counts(begun)
    assert [str(each) for each in counts.failures if "vm1" not in each.target] == []


def test_an_agent_that_is_killed_comes_back_with_the_same_identity(calls: Calls, one: Host) -> None:
    before, pid = one.sudo("sha256sum /var/lib/meshctl-agent/identity/key.pem"), main_pid(one)
    begun = time.time()
    one.sudo(f"kill -9 {pid}")
    until(lambda: main_pid(one) not in ("0", pid) and one.is_active)
    until(lambda: status(one)["ready"])
    calls.settle()
    assert one.sudo("sha256sum /var/lib/meshctl-agent/identity/key.pem") == before
    assert calls.failures(begun, but="vm1") == []


def test_an_envoy_that_is_killed_comes_back_and_the_agent_stays(calls: Calls, one: Host) -> None:
    pid, begun = main_pid(one), time.time()
    one.sudo("pkill -9 -u meshctl-agent -x envoy")
    calls.settle()
    assert main_pid(one) == pid
    found = status(one)
    assert found["ready"]
    assert found["envoy"]["restarts"] >= 1
    assert calls.failures(begun, but="vm1") == []


def test_a_host_that_reboots_is_back_in_the_mesh_by_itself(calls: Calls, one: Host) -> None:
    one.systemctl("enable")
    one.ended("sudo -n systemctl poweroff")
    boot_again(calls.bed, one)
    until(lambda: one.is_active and status(one)["ready"])
    calls.begin("vm1")


def boot_again(bed: Bed, host: Host) -> None:
    """Switch a host on that switches itself off; systemd-nspawn does not reboot without systemd outside."""
    state = Path(bed.kubeconfig).parent
    ledger = Ledger(state / "ledger.jsonl")
    begun = ledger.begun()
    assert begun is not None
    layout = Layout(bed.sandbox, begun.slot, state)
    found = next(each for each in layout.hosts(len(bed.hosts)) if each.name == host.name)
    machine = [each for each in ledger.processes() if each.name.startswith(f"{host.name}/")][-1]
    until(lambda: not alive(machine))
    for _ in hosts.boot(ledger, layout, found):
        pass


def test_a_clock_that_jumps_stops_nothing(calls: Calls, one: Host) -> None:
    folder = "/run/systemd/system/meshctl-agent.service.d"
    one.sudo(f"mkdir -p {folder}; echo 0 > /run/meshctl-test-clock; chmod 644 /run/meshctl-test-clock")
    one.write("/var/tmp/meshctl-skewed.py", _SKEWED, "0644")
    one.sudo("cp /var/tmp/meshctl-skewed.py /opt/meshctl-agent/current/skewed.py")
    one.write(
        f"{folder}/clock.conf",
        "[Service]\nExecStart=\nExecStart=/usr/bin/python3 -IS /opt/meshctl-agent/current/skewed.py\n",
        "0644",
    )
    try:
        one.sudo("systemctl daemon-reload")
        one.systemctl("restart")
        calls.settle()
        begun = time.time()
        for hours in (48, -48, 0):
            one.sudo(f"echo {hours * 3600} > /run/meshctl-test-clock")
            time.sleep(10)
        until(lambda: status(one)["identity"]["error"] == "", lambda: status(one)["identity"])
        assert calls.failures(begun) == []
    finally:
        one.sudo(f"rm -rf {folder} /opt/meshctl-agent/current/skewed.py /var/tmp/meshctl-skewed.py")
        one.sudo("systemctl daemon-reload")
        one.systemctl("restart")
        calls.settle()


def test_certificates_of_a_minute_are_renewed_under_traffic_and_no_request_fails(
    calls: Calls, pytestconfig: pytest.Config
) -> None:
    seconds = 600 if pytestconfig.getoption("--long") else 100
    rule = one_request_a_connection()
    try:
        calls.bed.cluster.apply(rule)
        for name, host in calls.bed.hosts.items():
            calls.bed.enrol(name, agent={"identity": {"lifetime": 60}})
            host.sudo("rm -f /var/lib/meshctl-agent/identity/cert-chain.pem")
            host.systemctl("restart")
        calls.settle()
        begun, before = time.time(), {name: _renewals(host) for name, host in calls.bed.hosts.items()}
        time.sleep(seconds / 2)
        with without_istiod(calls.bed):  # for 40 % of a life
            time.sleep(20)
        time.sleep(max(begun + seconds - time.time(), 0))
        failures = calls.failures(begun)
        renewed = {name: _renewals(host) - before[name] for name, host in calls.bed.hosts.items()}
        asked_for = {caller: counts.total for caller, counts in calls.counts(begun).items()}
        print(f"{time.time() - begun:.0f} s, requests {asked_for}, renewals {renewed}")
        assert failures == []
        assert min(renewed.values()) >= seconds // 60 + 1
    finally:
        calls.bed.cluster.delete(rule.ref)
        for name, host in calls.bed.hosts.items():
            calls.bed.enrol(name)
            host.systemctl("restart")


def _renewals(host: Host) -> int:
    return int(status(host)["identity"]["renewals"])


def test_the_entry_of_a_host_that_is_gone_goes(calls: Calls, one: Host) -> None:
    """Killed for good, and not stopped: nobody has said goodbye to istiod."""

    def there() -> bool:
        entries = calls.bed.cluster.list("networking.istio.io/v1", "WorkloadEntry", namespace=NAMESPACE)
        return any(each.ref.name.startswith("vm1-") for each in entries)

    until(there)
    one.sudo("systemctl kill --kill-whom=all --signal=KILL meshctl-agent; systemctl stop meshctl-agent")
    try:
        until(lambda: not there())
    finally:
        one.systemctl("start")
    until(there)
    calls.settle()
