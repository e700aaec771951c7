"""Light mode as an ordinary user: a real API server, a real istiod and a real Envoy, without root.

When the tests run as root, a throw-away user is made for them and removed again.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from meshctl.sandbox import build
from meshctl.sandbox.ledger import Ledger
from meshctl.sandbox.paths import cache_root
from meshctl.sandbox.versions import ISTIO_TAGS

pytestmark = pytest.mark.cluster

NAME = "t-light"
MAIN = "from meshctl.cli import main; main()"
WEB = """
apiVersion: v1
kind: Namespace
metadata: {name: app, labels: {istio-injection: enabled}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: real, namespace: app}
spec:
  selector: {matchLabels: {app: real}}
  template:
    metadata: {labels: {app: real, sandbox.meshctl.dev/process: "true"}}
    spec: {containers: [{name: web, image: "web:1", ports: [{containerPort: 8080}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: simulated, namespace: app}
spec:
  replicas: 3
  selector: {matchLabels: {app: simulated}}
  template:
    metadata: {labels: {app: simulated}}
    spec: {containers: [{name: web, image: "web:1"}]}
"""
GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: open, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: PORT, name: http, protocol: HTTP}, hosts: ["*"]}]
"""
WRONG = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: wrong, namespace: default}
spec: {hosts: [a.example], http: [{route: [{destination: {host: b.example}, weight: -1}]}]}
"""


@dataclass(frozen=True)
class Person:
    """An ordinary user with a home of their own, who runs commands."""

    uid: int
    gid: int
    home: Path
    python: str = sys.executable

    def run(self, *argv: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run to the end."""
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "HOME": str(self.home),
            "MESHCTL_CACHE": str(self.home / "cache"),
            "MESHCTL_STATE": str(self.home / "state"),
            "KUBECONFIG": str(self.home / "state" / NAME / "kubeconfig"),
        }
        identity = ["setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        command = [*(identity if os.geteuid() == 0 else []), *argv]
        done = subprocess.run(command, env=env, cwd=self.home, input=stdin, capture_output=True, text=True)
        assert not check or done.returncode == 0, f"{argv}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done

    def meshctl(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run meshctl."""
        return self.run(self.python, "-c", MAIN, *words, check=check)

    def kubectl(self, *words: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the sandbox's kubectl."""
        kubectl = json.loads(self.meshctl("sandbox", "status", "--name", NAME, "-o", "json").stdout)[
            "kubectl"
        ]
        return self.run(kubectl, "--request-timeout=20s", *words, stdin=stdin, check=check)

    def pods(self, namespace: str, labels: str) -> list[dict[str, Any]]:
        """Pods that carry `labels`."""
        found = self.kubectl("-n", namespace, "get", "pods", "-l", labels, "-o", "json")
        return list(json.loads(found.stdout)["items"])

    def everything(self) -> list[int]:
        """Numbers of all processes of this user."""
        return [
            int(path.name)
            for path in Path("/proc").iterdir()
            if path.name.isdigit() and _owned(path, self.uid)
        ]

    def processes(self) -> list[int]:
        """Numbers of the sandbox's own: each that it recorded leads a session, where its children are."""
        recorded = {one.pid for one in Ledger(self.home / "state" / NAME / "ledger.jsonl").processes()}
        return [pid for pid in self.everything() if _session(pid) in recorded]


def _owned(path: Path, uid: int) -> bool:
    try:
        return path.stat().st_uid == uid and b"\0" in (path / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


def until(what: Callable[[], bool], seconds: float = 60) -> bool:
    """Whether `what` comes true in time."""
    end = time.monotonic() + seconds
    while not (true := what()) and time.monotonic() < end:
        time.sleep(0.5)
    return true


@pytest.fixture(scope="module")
def person() -> Iterator[Person]:
    """An ordinary user, and the programs where they can read them."""
    for _ in build.build(ISTIO_TAGS, light=True):
        pass
    home = Path(tempfile.mkdtemp(prefix="light-", dir="/tmp"))
    name = ""
    try:
        if os.geteuid() == 0:
            name = f"light-{uuid.uuid4().hex[:8]}"
            subprocess.run(["useradd", "--system", "--home-dir", str(home), name], check=True)
            entry = pwd.getpwnam(name)
            somebody = _with_python(Person(entry.pw_uid, entry.pw_gid, home))
        else:
            somebody = Person(os.getuid(), os.getgid(), home)
        _share_cache(home / "cache", somebody)
        yield somebody
    finally:
        if name:
            subprocess.run(["userdel", name], check=True)
        shutil.rmtree(home)


def _with_python(person: Person) -> Person:
    """The person, with an interpreter that is not in somebody else's closed home.

    One of the same version: it reads the packages of the one that runs the tests.
    """
    os.chown(person.home, person.uid, person.gid)
    name = f"python3.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/local/bin/{name}", f"/usr/bin/{name}"):
        other = replace(person, python=candidate)
        with suppress(OSError):
            # By way of a shell: setpriv itself may still start what the user may not.
            trial = ["sh", "-c", 'exec "$0" -c "import json, meshctl.cli"', candidate]
            if other.run(*trial, check=False).returncode == 0:
                return other
    pytest.skip(f"no {name} on this machine that an ordinary user may run with meshctl's packages")


def _share_cache(target: Path, somebody: Person) -> None:
    """The same programs in folders of the user's own, by links where the disk allows."""
    for kind in ("bin", "wheels"):
        try:
            shutil.copytree(cache_root() / kind, target / kind, copy_function=os.link)
        except (OSError, shutil.Error):
            shutil.rmtree(target / kind, ignore_errors=True)
            shutil.copytree(cache_root() / kind, target / kind)
    for folder in (target.parent, target, *(path for path in target.rglob("*") if path.is_dir())):
        os.chown(folder, somebody.uid, somebody.gid)


@pytest.fixture(scope="module")
def world(person: Person) -> Iterator[Person]:
    """A light sandbox of that user."""
    person.meshctl("sandbox", "up", "--light", "--name", NAME, "--nodes", "3")
    try:
        yield person
    finally:
        person.meshctl("sandbox", "down", "--name", NAME)
        # When it is no throw-away user, other processes are theirs too.
        assert person.everything() == [] or os.geteuid() != 0
        assert not (person.home / "state" / NAME).exists()


@pytest.fixture(scope="module")
def mesh(world: Person) -> Iterator[Person]:
    """A mesh in that sandbox, with a gateway and a pod that run."""
    world.meshctl("install", "--yes")
    world.kubectl("apply", "-f", "-", stdin=WEB)
    try:
        yield world
    finally:
        world.kubectl("delete", "namespace", "app")
        removed = world.meshctl("uninstall", "--purge", "--force", "--yes")
        assert "nothing of the mesh is left" in removed.stdout


def test_all_nodes_are_ready_and_nothing_listens_beyond_loopback(world: Person) -> None:
    nodes = json.loads(world.kubectl("get", "nodes", "-o", "json").stdout)["items"]
    ready = [
        one["metadata"]["name"]
        for one in nodes
        if any(it["type"] == "Ready" and it["status"] == "True" for it in one["status"]["conditions"])
    ]
    assert ready == [f"{NAME}-c1", f"{NAME}-c1-2", f"{NAME}-c1-3"]
    assert _listening(world) <= LOOPBACK


LOOPBACK = {"0100007F", "00000000000000000000000001000000"}


def _listening(person: Person) -> set[str]:
    """Addresses on which the sandbox listens, as in /proc/net/tcp: in hexadecimal."""
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path("/proc/net", table).read_text().splitlines()[1:]
    ]
    sockets = {link for pid in person.processes() for link in _links(Path(f"/proc/{pid}/fd"))}
    return {line[1].split(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets}


def _links(folder: Path) -> list[str]:
    found = []
    with suppress(FileNotFoundError, ProcessLookupError):  # the process may end meanwhile
        for path in folder.iterdir():
            with suppress(FileNotFoundError):
                found.append(str(path.readlink()))
    return found


def test_the_status_names_the_mode_and_a_server_on_loopback(world: Person) -> None:
    now = json.loads(world.meshctl("sandbox", "status", "--name", NAME, "-o", "json").stdout)
    assert now["light"] is True
    assert [one["context"] for one in now["clusters"]] == [f"{NAME}-c1"]
    assert now["clusters"][0]["server"].startswith("https://127.0.0.1:")


def test_bringing_it_up_again_changes_nothing(world: Person) -> None:
    before = world.processes()
    world.meshctl("sandbox", "up", "--light", "--name", NAME, "--nodes", "3")
    assert set(before) <= set(world.processes())


@pytest.mark.parametrize(
    ("workload", "labels"),
    [("real.app", "app=real"), ("istio-ingressgateway.istio-system", "istio=ingressgateway")],
)
def test_a_proxy_gets_its_certificate_and_all_configuration(mesh: Person, workload: str, labels: str) -> None:
    def synced() -> bool:
        asked = mesh.meshctl("proxy-status", f"deployment/{workload}", "-o", "json", check=False)
        answer = json.loads(asked.stdout)
        return len(answer["proxies"]) == 1 and bool(answer["synced"])

    assert until(synced)
    namespace = workload.partition(".")[2]
    [pod] = mesh.pods(namespace, labels)
    logs = mesh.kubectl("-n", namespace, "logs", pod["metadata"]["name"], "-c", "istio-proxy").stdout
    assert "generated new workload certificate" in logs


def test_a_gateway_that_serves_listens_on_loopback_alone(mesh: Person) -> None:
    def accepted() -> bool:
        asked = mesh.meshctl(
            "proxy-status", "deployment/istio-ingressgateway.istio-system", "-o", "json", check=False
        )
        proxies = json.loads(asked.stdout)["proxies"]
        # Routes are asked for by listeners, so they come once a gateway serves.
        states = {each["type"]: each["state"] for proxy in proxies for each in proxy["types"]}
        return states.get("LDS") == states.get("RDS") == "synced"

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    gateway = GATEWAY.replace("PORT", str(port))
    mesh.kubectl("apply", "-f", "-", stdin=gateway)
    try:
        assert until(accepted)
        with socket.create_connection(("127.0.0.1", port), timeout=10):
            assert _listening(mesh) <= LOOPBACK
    finally:
        mesh.kubectl("delete", "-f", "-", stdin=gateway)


def test_simulated_pods_are_injected_and_run_at_addresses_of_their_own(mesh: Person) -> None:
    def running() -> bool:
        return [one["status"]["phase"] for one in mesh.pods("app", "app=simulated")] == ["Running"] * 3

    assert until(running)
    pods = mesh.pods("app", "app=simulated")
    assert len({one["status"]["podIP"] for one in pods}) == 3
    for pod in pods:
        names = [one["name"] for key in ("containers", "initContainers") for one in pod["spec"].get(key, [])]
        assert "istio-proxy" in names


def test_the_webhook_of_istiod_refuses_a_wrong_object(mesh: Person) -> None:
    refused = mesh.kubectl("apply", "-f", "-", stdin=WRONG, check=False)
    assert refused.returncode != 0
    assert "validation.istio.io" in refused.stderr


def test_an_istiod_that_is_killed_is_told_as_a_restart_and_comes_back(mesh: Person) -> None:
    def ready(restarts: int) -> bool:
        states = [one["status"]["containerStatuses"][0] for one in mesh.pods("istio-system", "app=istiod")]
        return [(one["ready"], one["restartCount"]) for one in states] == [(True, restarts)]

    assert until(lambda: ready(0))
    program = [pid for pid in mesh.processes() if _program(pid) == "pilot-discovery"]
    mesh.run("kill", "-KILL", *map(str, program))
    assert until(lambda: ready(1))


def test_an_istiod_of_a_version_that_was_not_built_says_so(mesh: Person) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "other", "namespace": "default", "labels": {"app": "istiod"}},
        "spec": {"containers": [{"name": "discovery", "image": "example.com/istio/pilot:0.0.1"}]},
    }
    mesh.kubectl("apply", "-f", "-", stdin=json.dumps(pod))

    def waiting() -> dict[str, Any]:
        [found] = mesh.pods("default", "app=istiod")
        states = found["status"].get("containerStatuses") or [{}]
        return dict(states[0].get("state", {}).get("waiting", {}))

    try:
        assert until(lambda: waiting().get("reason") == "ImagePullBackOff")
        assert ISTIO_TAGS[0] in waiting()["message"]
    finally:
        mesh.kubectl("-n", "default", "delete", "pod", "other", "--wait=true")


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/exe").readlink().name
    except (FileNotFoundError, ProcessLookupError):
        return ""
