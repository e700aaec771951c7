"""A host is a full workload of the mesh: called and calling by names, with its identity, under policies."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from meshctl.adapters.kube import KubeCluster
from meshctl.model.objects import Object, Ref
from tests.cluster.traffic import new_resource, until
from tests.cluster.vm.bed import GRPC, NAMESPACE, Bed
from tests.cluster.vm.host import PLACES, Host
from tests.cluster.vm.workloads import (
    APPS,
    HOST_NAME,
    POD_NAME,
    Pods,
    ask,
    begin_asking,
    echo,
    serve,
)

pytestmark = [pytest.mark.cluster, pytest.mark.full("hosts, and pods that answer")]

_GRPC_SERVER = """
import sys
sys.path[:0] = sys.argv[1:]
import grpc
from concurrent import futures
def said(request, context):
    peers = dict(context.invocation_metadata()).get("x-forwarded-client-cert", "")
    return request + b" heard from " + peers.encode()
class Service(grpc.GenericRpcHandler):
    def service(self, call):
        return grpc.unary_unary_rpc_method_handler(said) if call.method == "/test.Echo/Say" else None
server = grpc.server(futures.ThreadPoolExecutor(4))
server.add_generic_rpc_handlers([Service()])
server.add_insecure_port("0.0.0.0:50051")
server.start()
server.wait_for_termination()
"""
_GRPC_CLIENT = """
import sys
sys.path[:0] = sys.argv[2:]
import grpc
with grpc.insecure_channel(sys.argv[1]) as channel:
    print(channel.unary_unary("/test.Echo/Say")(b"hello", timeout=15, wait_for_ready=True).decode())
"""


@pytest.fixture
def one(vms: Bed, pods: Pods) -> Host:
    return vms.hosts["vm1"]


@pytest.fixture
def two(vms: Bed, pods: Pods) -> Host:
    return vms.hosts["vm2"]


@contextmanager
def made(cluster: KubeCluster, *objects: Object) -> Iterator[None]:
    """Objects that are there for as long as the context is open."""
    try:
        for obj in objects:
            cluster.apply(obj)
        yield
    finally:
        for obj in objects:
            cluster.delete(obj.ref)


def eventually(look: Callable[[], Any], wanted: Any) -> None:
    """What istiod was told takes a moment until it holds on a host."""
    until(lambda: look() == wanted, look)


def entry(cluster: KubeCluster, group: str) -> Object | None:
    """The WorkloadEntry that istiod has made for the host of a group."""
    found = cluster.list("networking.istio.io/v1", "WorkloadEntry", namespace=NAMESPACE)
    return next((one for one in found if one.ref.name.startswith(f"{group}-")), None)


def test_the_service_is_active_when_the_proxy_serves(vms: Bed) -> None:
    for host in vms.hosts.values():
        assert host.is_active, host.journal()
        status = json.loads(host.agent("status -o json"))
        assert status["ready"], status
        assert status["identity"]["names"] == [f"{HOST_NAME}{host.name}"]
        rejected = {name: kind for name, kind in status["configuration"]["types"].items() if kind["rejected"]}
        assert rejected == {}
        assert host.agent("status").startswith("ready\n")
        assert "StatusText=ready" in host.sudo("systemctl show --property=StatusText meshctl-agent")


def test_the_service_is_sandboxed_and_needs_no_capability(vms: Bed) -> None:
    host = vms.hosts["vm1"]
    said = host.sudo("systemd-analyze security meshctl-agent --no-pager | tail -1")
    print(said)
    assert float(said.split(": ")[1].split()[0]) <= 2.5
    main = host.sudo("systemctl show --property=MainPID --value meshctl-agent").strip()
    pids = [main, *host.sudo(f"pgrep -P {main}").split()]
    for pid in pids:
        status = host.sudo(f"cat /proc/{pid}/status")
        lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert int(lines["CapPrm"], 16) == int(lines["CapBnd"], 16) == 0
        assert lines["NoNewPrivs"] == "1"
        assert "0" not in lines["Uid"].split()


def test_nobody_but_root_and_the_agent_sees_keys_or_gives_orders(vms: Bed) -> None:
    host = vms.hosts["vm1"]
    for path in (PLACES.identity, PLACES.token, PLACES.status, PLACES.sds, PLACES.xds, PLACES.admin):
        assert "Permission denied" in host.run(f"cat {path} 2>&1", check=None), path
    modes = host.sudo(f"stat -c '%a %U' {PLACES.identity} {PLACES.identity}/*").splitlines()
    assert set(modes) == {"700 meshctl-agent", "600 meshctl-agent"}
    assert "not for this user" in host.run(
        f"{PLACES.programs}/current/bin/meshctl-agent status 2>&1", check=None
    )


def test_no_secret_is_in_the_journal_or_on_a_command_line(vms: Bed) -> None:
    host = vms.hosts["vm1"]
    secrets = [host.read(PLACES.token).strip(), *host.read(PLACES.identity / "key.pem").splitlines()[1:-1]]
    seen = host.sudo(
        "journalctl --no-pager --output=cat -u meshctl-agent; cat /proc/*/cmdline /proc/*/environ"
    )
    assert [secret[:12] for secret in secrets if secret[:60] in seen] == []


def test_istiod_makes_an_entry_of_the_host(vms: Bed) -> None:
    for name, host in vms.hosts.items():
        found = until(lambda name=name: entry(vms.cluster, name))  # type: ignore[misc]
        assert found.at("spec.address") == host.address
        assert found.at("spec.serviceAccount") == name
        assert found.at("spec.labels.app") == name


@pytest.mark.parametrize(
    "name", ["echo.apps", "echo.apps.svc", "echo.apps.svc.cluster.local", "the virtual address"]
)
def test_a_host_calls_pods_by_every_name_they_have(one: Host, pods: Pods, name: str) -> None:
    target = pods.address() if name == "the virtual address" else name
    eventually(lambda: ask(one, f"http://{target}/").status, 200)
    answer = ask(one, f"http://{target}/")
    assert answer.server.startswith("echo-v")
    assert f"By={POD_NAME}echo;" in answer.peers
    assert f"URI={HOST_NAME}vm1" in answer.peers
    assert echo(one, target, 9000) == "over there"


def test_what_does_not_go_through_the_proxy_is_refused(one: Host, pods: Pods) -> None:
    """The agent's own user is not captured, and so speaks plain text."""
    url = f"http://{pods.pod_address()}:8080/"
    code = f"import urllib.request; print(urllib.request.urlopen({url!r}, timeout=5).status)"
    said = one.sudo(f"setpriv --reuid=meshctl-agent python3 -c {shlex.quote(code)} 2>&1", check=None)
    assert "Error" in said.splitlines()[-1]


def test_hosts_call_each_other_by_their_services(one: Host, two: Host, pods: Pods) -> None:
    for host, other in ((one, two), (two, one)):
        for target in (f"{other.name}.{NAMESPACE}", pods.address(other.name, NAMESPACE)):
            eventually(lambda: ask(host, f"http://{target}/").status, 200)  # noqa: B023 - called at once
            answer = ask(host, f"http://{target}/")
            assert answer.server == other.name
            assert f"By={HOST_NAME}{other.name};" in answer.peers
            assert f"URI={HOST_NAME}{host.name}" in answer.peers
            assert echo(host, target, 9000) == "over there"


def test_a_host_calls_itself_by_its_own_service(one: Host) -> None:
    eventually(lambda: ask(one, f"http://vm1.{NAMESPACE}/").status, 200)
    assert ask(one, "http://127.0.0.1:8080/").server == "vm1"
    assert ask(one, f"http://{one.address}:8080/").server == "vm1"


def test_pods_call_hosts_with_both_identities_right(vms: Bed, pods: Pods) -> None:
    wanted = {f"{kind} {name}" for kind in ("http", "tcp") for name in vms.hosts}
    until(lambda: wanted <= pods.counts().answered, lambda: pods.counts())
    begun = time.time()
    before = pods.counts().requests
    until(lambda: all(pods.counts().requests[each] > before[each] + 3 for each in wanted))
    assert pods.counts(begun).failures == ()


def test_grpc_goes_from_host_to_host_by_the_short_name_of_its_service(vms: Bed, one: Host, two: Host) -> None:
    lib = two.sudo(f"dirname $(find -L {PLACES.programs}/current -type d -path '*/grpc/_cython' | head -1)")
    folder = lib.strip().removesuffix("/grpc")
    places = [folder, f"{PLACES.programs}/current/lib"]
    two.start_unit("grpc", "python3", "-c", _GRPC_SERVER, *places)
    meta = {"name": "vm2-grpc", "namespace": NAMESPACE}
    ports = [{"name": "grpc", "port": GRPC, "targetPort": GRPC}]
    spec = {"selector": {"app": "vm2"}, "ports": ports}
    service = Object({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec})
    with made(vms.cluster, service):
        words = shlex.join(["python3", "-c", _GRPC_CLIENT, f"vm2-grpc:{GRPC}", *places])
        eventually(lambda: one.ended(words).returncode, 0)
        said = one.run(words)
    assert said.startswith("hello heard from ")
    assert f"By={HOST_NAME}vm2;" in said
    assert f"URI={HOST_NAME}vm1" in said


def test_an_authorization_policy_holds_on_a_host(vms: Bed, one: Host, two: Host) -> None:
    rule = {
        "from": [{"source": {"principals": [f"{HOST_NAME}vm1".removeprefix("spiffe://")]}}],
        "to": [{"operation": {"paths": ["/private*"]}}],
    }
    policy = Object(
        {
            "apiVersion": "security.istio.io/v1",
            "kind": "AuthorizationPolicy",
            "metadata": {"name": "no-private", "namespace": NAMESPACE},
            "spec": {"selector": {"matchLabels": {"app": "vm2"}}, "action": "DENY", "rules": [rule]},
        }
    )
    url = f"http://vm2.{NAMESPACE}"
    eventually(lambda: ask(one, f"{url}/private").status, 200)
    with made(vms.cluster, policy):
        eventually(lambda: ask(one, f"{url}/private").status, 403)
        assert ask(one, f"{url}/public").status == 200
        assert ask(two, f"{url}/private").status == 200
    eventually(lambda: ask(one, f"{url}/private").status, 200)


def test_faults_timeouts_and_retries_of_a_virtual_service_hold_on_a_host(vms: Bed, one: Host) -> None:
    name = f"echo.{APPS}.svc.cluster.local"
    route = [{"destination": {"host": name}}]
    abort = {"abort": {"httpStatus": 418, "percentage": {"value": 100}}}
    often = {"attempts": 3, "retryOn": "5xx"}
    rules = [
        {"match": [{"headers": {"x-test": {"exact": "abort"}}}], "fault": abort, "route": route},
        {"match": [{"headers": {"x-test": {"exact": "often"}}}], "retries": often, "route": route},
        {"timeout": "0.5s", "retries": {"attempts": 0}, "route": route},
    ]
    url = f"http://echo.{APPS}"
    assert ask(one, f"{url}/slow").status == 200
    with made(vms.cluster, new_resource("VirtualService", APPS, "rules", {"hosts": [name], "http": rules})):
        eventually(lambda: ask(one, url, **{"x-test": "abort"}).status, 418)
        assert ask(one, f"{url}/slow").status == 504
        assert {ask(one, f"{url}/flaky").status for _ in range(8)} == {200, 503}
        assert {ask(one, f"{url}/flaky", **{"x-test": "often"}).status for _ in range(8)} == {200}
        assert ask(one, url).status == 200


def test_a_split_of_traffic_holds_on_a_host(vms: Bed, one: Host) -> None:
    name = f"echo.{APPS}.svc.cluster.local"
    subsets = [{"name": version, "labels": {"version": version}} for version in ("v1", "v2")]
    rule = new_resource("DestinationRule", APPS, "echo", {"host": name, "subsets": subsets})

    def split(first: int) -> Object:
        route = [
            {"destination": {"host": name, "subset": version}, "weight": weight}
            for version, weight in (("v1", first), ("v2", 100 - first))
        ]
        return new_resource("VirtualService", APPS, "split", {"hosts": [name], "http": [{"route": route}]})

    def servers() -> set[str]:
        return {ask(one, f"http://echo.{APPS}/").server[:7] for _ in range(6)}

    with made(vms.cluster, rule):
        for first, wanted in ((100, {"echo-v1"}), (0, {"echo-v2"})):
            with made(vms.cluster, split(first)):
                eventually(servers, wanted)


def test_a_host_whose_application_is_dead_is_taken_out(vms: Bed, two: Host, one: Host) -> None:
    group = Ref("networking.istio.io/v1", "WorkloadGroup", NAMESPACE, "vm2")
    probe = {"httpGet": {"port": 8080, "path": "/"}, "periodSeconds": 1}
    vms.cluster.patch(group, {"spec": {"probe": probe}})
    try:
        vms.enrol("vm2")
        two.systemctl("restart")

        def health() -> str:
            found = entry(vms.cluster, "vm2")
            said = {
                each["type"]: each["status"] for each in (found.at("status.conditions", ()) if found else ())
            }
            return said.get("Healthy", "")

        url = f"http://vm2.{NAMESPACE}/"
        eventually(health, "True")
        eventually(lambda: ask(one, url).status, 200)
        two.stop_unit("app")
        eventually(health, "False")
        eventually(lambda: ask(one, url).status, 503)
        serve(two)
        eventually(health, "True")
        eventually(lambda: ask(one, url).status, 200)
    finally:
        vms.cluster.patch(group, {"spec": {"probe": None}})
        vms.enrol("vm2")
        two.systemctl("restart")


def test_a_host_whose_agent_stops_leaves_the_mesh_and_is_as_it_was(vms: Bed, two: Host) -> None:
    until(lambda: entry(vms.cluster, "vm2"))
    two.systemctl("stop")
    try:
        rules = two.sudo("iptables-save; ip6tables-save; nft list ruleset 2>/dev/null", check=None)
        assert "15001" not in rules
        assert "MESHCTL" not in rules
        assert (
            two.sudo("ls /run/meshctl-agent 2>&1", check=None).strip().endswith("No such file or directory")
        )
        assert two.sudo("pgrep -u meshctl-agent", check=None) == ""
        eventually(lambda: entry(vms.cluster, "vm2"), None)
    finally:
        two.systemctl("start")
    until(lambda: entry(vms.cluster, "vm2"))


def test_a_level_of_the_log_changes_while_it_runs(vms: Bed, pods: Pods) -> None:
    host = vms.hosts["vm1"]
    host.agent("log-level ads=debug envoy.http=debug")
    ask(host, f"http://echo.{APPS}/")
    until(lambda: '"level": "debug"' in host.journal(200))
    host.agent("log-level info envoy=warning")
    said = host.sudo(f"{PLACES.programs}/current/bin/meshctl-agent log-level loud 2>&1", check=1)
    assert "there is no log level 'loud'" in said


def test_wrong_settings_are_told_with_file_and_line_and_are_not_tried_again(vms: Bed) -> None:
    host = vms.hosts["vm1"]
    good = host.read(PLACES.proxy)
    try:
        host.settings({"proxy.json": '{\n  "agent": {"dns": {"prot": 53}}\n}\n'})
        host.systemctl("restart", check=None)
        until(lambda: host.systemctl("is-active", check=None) == "failed")
        assert "proxy.json:2" in host.journal(20)
        assert "'port'" in host.journal(20)
    finally:
        host.settings({"proxy.json": good})
        host.systemctl("restart")
    eventually(lambda: ask(host, f"http://echo.{APPS}/").status, 200)


def test_asking_goes_on_for_as_long_as_it_is_asked(vms: Bed, one: Host, tmp_path: Path) -> None:
    from tests.cluster.vm.workloads import asked, to_host, to_pods

    me = f"{HOST_NAME}vm1"
    begin_asking(one, [*to_pods(me), *to_host("vm2", me)])
    wanted = {"http echo", "tcp echo", "http vm2", "tcp vm2"}
    until(lambda: all(asked(one, tmp_path).requests.get(each, 0) > 10 for each in wanted))
    one.stop_unit("asking")
    assert asked(one, tmp_path).failures == ()
