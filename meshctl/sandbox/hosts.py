"""Debian hosts with systemd beside the clusters: systemd-nspawn on overlays over one shared tree.

Each has its own network namespace with a cable to the sandbox's bridge, its own writable layer,
machine id and host key. They stand for the virtual machines of a mesh.
"""

from __future__ import annotations

import shlex
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshctl.errors import FailedError, MeshctlError
from meshctl.model.event import Changed, Done, Event, Started
from meshctl.sandbox import cgroups, network
from meshctl.sandbox.host_files import USER, SshFiles, make_client_key, personalise, write_client_files
from meshctl.sandbox.ledger import ControlGroup, Folder, Ledger, Mount, Process
from meshctl.sandbox.names import HostLayout, Layout
from meshctl.sandbox.process import Inside, clock, run, spawn
from meshctl.sandbox.settings import Settings
from meshctl.sandbox.waiting import together, until

GROUP = "hosts"
_CAPABILITIES = "CAP_NET_ADMIN,CAP_NET_RAW"  # without them iptables says "Permission denied"
_NOT_BOOTED = "its systemd has not begun"

# systemd-nspawn keeps the host's groups below its own in the hierarchies that systemd itself uses;
# on version 1 those are not the one in which the sandbox counts processes. Without this all hosts
# would share one group.
_ENTER = """
for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
  if [ -d "$hierarchy/$1" ]; then echo $$ > "$hierarchy/$1/cgroup.procs"; fi
done
shift
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class HostStatus:
    """One host as it is now.

    Attributes:
        name: such as `vm1`.
        address: on the sandbox's bridge.
        ssh: command line that logs in as `admin`.
        state: what systemd says: running, degraded, starting, or `stopped` when it does not run.
    """

    name: str
    address: str
    ssh: str
    state: str

    def data(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return {"name": self.name, "address": self.address, "ssh": self.ssh, "state": self.state}


def up(ledger: Ledger, layout: Layout, settings: Settings, tree: Path) -> Iterator[Event]:
    """Make all hosts and wait until each has booted and lets `admin` in.

    Args:
        ledger: the journal.
        layout: the sandbox, whose bridge exists.
        settings: how many hosts, and whether they reach pods and services.
        tree: the Debian root file system that all share and none changes.

    Raises:
        FailedError: a host did not come up; what systemd or its console says is in the details.
    """
    hosts = layout.hosts(settings.hosts)
    if not hosts:
        return
    begun = clock()
    for host in hosts:
        yield Started(GROUP, host.name)
        _make(ledger, layout, settings, host, tree)
    files = SshFiles(layout.state)
    make_client_key(root_of(hosts[0]), files, f"{USER}@{layout.name}")
    authorized = files.public_key.read_text()
    keys = {host: personalise(root_of(host), host, hosts, authorized) for host in hosts}
    write_client_files(layout, keys)
    yield from together([boot(ledger, layout, host) for host in hosts])
    yield Done(GROUP, f"{len(hosts)} running", clock() - begun)


def status(layout: Layout, settings: Settings, ledger: Ledger) -> tuple[HostStatus, ...]:
    """All hosts as they are now."""
    processes = {one.name: one for one in ledger.processes()}
    return tuple(
        HostStatus(host.name, str(host.address), ssh_command(layout, host), _state(host, processes))
        for host in layout.hosts(settings.hosts)
    )


def ssh_command(layout: Layout, host: HostLayout) -> str:
    """The command line that logs in to the host."""
    return shlex.join(["ssh", "-F", str(SshFiles(layout.state).config), host.name])


def root_of(host: HostLayout) -> Path:
    """The host's file system as the host sees it."""
    return host.folder / "root"


def nspawn_command(layout: Layout, host: HostLayout) -> list[str]:
    """The command line that boots the host. Source: systemd-nspawn(1)."""
    return [
        *("sh", "-c", _ENTER, "sh", host.cgroup),
        "systemd-nspawn",
        "--quiet",
        "--boot",
        f"--directory={root_of(host)}",
        f"--machine={_machine(layout, host)}",
        f"--hostname={host.name}",
        f"--network-namespace-path={network.NAMESPACES / host.netns}",
        f"--capability={_CAPABILITIES}",
        # There may be no systemd outside to tell about it, or to make a unit of it.
        "--register=no",
        "--keep-unit",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        "--console=pipe",
    ]


def _make(ledger: Ledger, layout: Layout, settings: Settings, host: HostLayout, tree: Path) -> None:
    ledger.record(ControlGroup(layout.cgroup))
    ledger.record(ControlGroup(host.cgroup))
    cgroups.make(host.cgroup)
    network.plug_in(ledger, layout, host.netns, host.link, host.address, forward=False)
    if settings.network == "flat":
        for cluster in layout.clusters(settings.clusters):
            network.route(host.netns, (cluster.pods, cluster.services), cluster.address)
    _mount(ledger, host, tree)
    for leftover in _leftovers(layout, host):
        ledger.record(leftover)


def _machine(layout: Layout, host: HostLayout) -> str:
    """What systemd-nspawn calls the host; no two on a machine may share it."""
    return f"{layout.name}-{host.name}"


def _mount(ledger: Ledger, host: HostLayout, tree: Path) -> None:
    root = root_of(host)
    upper, work = host.folder / "upper", host.folder / "work"
    for folder in (root, upper, work):
        folder.mkdir(parents=True, exist_ok=True)
    # It becomes `/` of the host, which users other than root must be able to enter.
    upper.chmod(0o755)
    ledger.record(Mount(str(root)))
    options = f"lowerdir={tree},upperdir={upper},workdir={work}"
    run(["mount", "-t", "overlay", f"meshctl-{host.netns}", "-o", options, str(root)])


def _leftovers(layout: Layout, host: HostLayout) -> Iterator[Folder]:
    """What systemd-nspawn leaves behind when it is killed."""
    root = root_of(host).stat()
    yield Folder(f"/run/systemd/nspawn/propagate/{_machine(layout, host)}")
    yield Folder(f"/run/systemd/nspawn/locks/inode-{root.st_dev}:{root.st_ino}")


def boot(ledger: Ledger, layout: Layout, host: HostLayout) -> Iterator[Event]:
    """Boot a host that was made, and wait until it lets `admin` in; also one that has powered itself off."""
    log = host.folder / "console.log"
    process = spawn(
        ledger, _process_name(host), nspawn_command(layout, host), log=log, inside=Inside(cgroup=host.cgroup)
    )
    yield from until(GROUP, host.name, _boot_cause(host, process), process=process, log=log)
    yield from until(GROUP, f"{host.name} sshd", lambda: _ssh_cause(host), process=process, log=log)
    yield Changed(GROUP, host.name, f"running at {host.address}")


def _boot_cause(host: HostLayout, process: Process) -> Callable[[], str]:
    def cause() -> str:
        state = _systemd(process)
        if state == "running":
            return ""
        if state == "degraded":
            failed = _lines(_inside(process, "systemctl", "--failed", "--no-legend", "--plain"))
            raise FailedError(
                "host-degraded",
                f"units of {host.name} failed while it booted",
                hint=f"read {host.folder / 'console.log'}",
                details=failed,
            )
        jobs = _lines(_inside(process, "systemctl", "list-jobs", "--no-legend", "--plain"))
        running = [line.split()[1] for line in jobs if line.endswith("running")]
        return f"{state}, {running[0]}" if running else state

    return cause


def _ssh_cause(host: HostLayout) -> str:
    """Why sshd does not answer; empty when it greets. Source: RFC 4253, 4.2."""
    try:
        with socket.create_connection((str(host.address), 22), timeout=2) as connection:
            greeting = connection.recv(4)
    except OSError as error:
        return str(error)
    return "" if greeting == b"SSH-" else "it does not greet"


def _state(host: HostLayout, processes: dict[str, Process]) -> str:
    process = processes.get(_process_name(host))
    if process is None:
        return "stopped"
    state = _systemd(process)
    return "stopped" if state == _NOT_BOOTED else state


def _process_name(host: HostLayout) -> str:
    return f"{host.name}/systemd-nspawn"


def _systemd(process: Process) -> str:
    """What the host's systemd says of itself."""
    return _inside(process, "systemctl", "is-system-running").strip() or _NOT_BOOTED


def _inside(process: Process, *argv: str) -> str:
    """Standard output of a program run inside the host; empty when the host is not there.

    Not by way of the journal's list of machines, which a machine without systemd does not have.
    """
    init = _init_of(process)
    if init is None:
        return ""
    entered = ["nsenter", f"--target={init}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"]
    # systemctl tells a state other than "running" by its exit code too.
    tolerant = ["sh", "-c", '"$@"; exit 0', "sh", *argv]
    try:
        return run([*entered, "--", *tolerant], seconds=10)
    except MeshctlError:
        return ""


def _init_of(process: Process) -> int | None:
    """The process number, seen from outside, of the host's systemd: the child of systemd-nspawn."""
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    for child in map(int, children):
        if _comm(child) == "systemd":
            return child
    return None


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _lines(text: str) -> Sequence[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
