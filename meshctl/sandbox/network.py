"""Network of a sandbox: one bridge on the machine, a namespace with a cable to it for each node and host."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from meshctl.errors import ConflictError, MeshctlError
from meshctl.sandbox import mounts
from meshctl.sandbox.ledger import Ledger, Link, NetworkNamespace
from meshctl.sandbox.names import SLOTS, Layout
from meshctl.sandbox.process import Inside, run

NAMESPACES = Path("/run/netns")
_LOCK = Path("/run/lock/meshctl-sandbox.lock")
_BRIDGE_FILTER = Path("/proc/sys/net/bridge")


@contextmanager
def slots_locked() -> Iterator[None]:
    """Hold the machine's one lock on slots, from choosing one until its bridge is there."""
    _LOCK.parent.mkdir(parents=True, exist_ok=True)
    with _LOCK.open("w") as file:
        flock(file, LOCK_EX)
        yield


def free_slot(name: str, state: Path) -> int:
    """The first slot whose bridge and ranges nobody on this machine uses.

    Raises:
        ConflictError: all are taken.
    """
    links = {link["ifname"] for link in _ip_json("link")}
    taken = [*_routes(), *_addresses()]
    for slot in range(SLOTS):
        layout = Layout(name, slot, state)
        if layout.bridge in links:
            continue
        if not any(ours.overlaps(theirs) for ours in layout.ranges for theirs in taken):
            return slot
    raise ConflictError(
        "no-free-network",
        f"all {SLOTS} address ranges for sandboxes are in use on this machine",
        hint="bring a sandbox down with `meshctl sandbox down --name NAME`",
    )


def make_bridge(ledger: Ledger, layout: Layout) -> None:
    """Make the bridge, with the machine's own address on it."""
    if not _BRIDGE_FILTER.exists():
        load_module("br_netfilter")
    ledger.record(Link(layout.bridge))
    run(["ip", "link", "add", layout.bridge, "type", "bridge"])
    run(["ip", "address", "add", f"{layout.gateway}/{layout.network.prefixlen}", "dev", layout.bridge])
    run(["ip", "link", "set", layout.bridge, "up", "alias", _alias(layout)])


def plug_in(
    ledger: Ledger, layout: Layout, netns: str, link: str, address: IPv4Address, *, forward: bool
) -> None:
    """Make the network namespace `netns` and its cable to the bridge.

    Args:
        ledger: the journal.
        layout: the sandbox, whose bridge exists.
        netns: name of the namespace to make.
        link: name of the machine's end of the cable; the other end is `eth0`.
        address: the namespace's address on the bridge.
        forward: it passes on packets, as a node does.
    """
    ledger.record(NetworkNamespace(netns))
    run(["ip", "netns", "add", netns])
    ledger.record(Link(link))
    run(["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", netns])
    run(["ip", "link", "set", link, "master", layout.bridge, "up", "alias", _alias(layout)])
    inside = ["ip", "-n", netns]
    run([*inside, "address", "add", f"{address}/{layout.network.prefixlen}", "dev", "eth0"])
    run([*inside, "link", "set", "lo", "up"])
    run([*inside, "link", "set", "eth0", "up"])
    run([*inside, "route", "add", "default", "via", str(layout.gateway)])
    if forward:
        _set(netns, "net/ipv4/ip_forward", "1")
        # Without it kube-proxy cannot serve a pod that reaches a pod of its own bridge by a service.
        _set(netns, "net/bridge/bridge-nf-call-iptables", "1")


def route(netns: str, ranges: Iterable[IPv4Network], via: IPv4Address) -> None:
    """Let the namespace reach `ranges` by way of `via`."""
    for one in ranges:
        run(["ip", "-n", netns, "route", "replace", str(one), "via", str(via)])


def namespace_exists(netns: str) -> bool:
    """Whether a network namespace of that name exists."""
    return (NAMESPACES / netns).exists()


def link_exists(link: str) -> bool:
    """Whether the machine has an interface of that name."""
    return Path("/sys/class/net", link).exists()


def remove_link(link: str) -> None:
    """Remove an interface; fine if it is gone."""
    if link_exists(link):
        _tolerant(["ip", "link", "delete", link], gone=lambda: not link_exists(link))


def remove_namespace(netns: str) -> None:
    """Remove a named network namespace; fine if it is gone."""
    if namespace_exists(netns):
        _tolerant(["ip", "netns", "delete", netns], gone=lambda: not namespace_exists(netns))


def remove_namespaces_folder() -> None:
    """Remove the folder of named namespaces when nobody has one; the first one made it, and mounted it."""
    if mounts.is_point(NAMESPACES) and not any(NAMESPACES.iterdir()):
        with contextlib.suppress(MeshctlError, OSError):  # somebody has just made one
            run(["umount", str(NAMESPACES)])
            NAMESPACES.rmdir()


def load_module(name: str) -> None:
    """Have the kernel load a module, if it is one and may be loaded: what needs it finds out."""
    with contextlib.suppress(MeshctlError):
        run(["modprobe", "--quiet", name])


def _tolerant(argv: list[str], gone: Callable[[], bool]) -> None:
    try:
        run(argv)
    except MeshctlError:
        if not gone():
            raise


def _alias(layout: Layout) -> str:
    """What `ip link` says about our links, whose own names are too short to tell."""
    return f"meshctl sandbox {layout.name}"


def _set(netns: str, key: str, value: str) -> None:
    write = 'if [ -e "$1" ]; then echo "$2" > "$1"; fi'
    run(["sh", "-c", write, "sh", f"/proc/sys/{key}", value], inside=Inside(netns=netns))


def _ip_json(what: str, *more: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(run(["ip", "-json", what, "show", *more]) or "[]")
    return found


def _routes() -> Iterator[IPv4Network]:
    for one in _ip_json("route", "table", "all"):
        destination = str(one.get("dst", "default"))
        if destination == "default" or ":" in destination:
            continue
        yield IPv4Network(destination, strict=False)


def _addresses() -> Iterator[IPv4Network]:
    for link in json.loads(run(["ip", "-4", "-json", "address", "show"]) or "[]"):
        for one in link.get("addr_info", []):
            yield IPv4Network(f"{one['local']}/{one['prefixlen']}", strict=False)
