"""What is checked before anything is made: whether this machine can, and what keeps it from it."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
from pathlib import Path

from meshctl.errors import ConfigError, ConflictError, FailedError, MeshctlError, UnsupportedError, Where
from meshctl.sandbox import cgroups, network
from meshctl.sandbox.names import MAX_CLUSTERS, Layout
from meshctl.sandbox.process import run
from meshctl.sandbox.settings import Settings

GIB = 2**30

# Measured: Go's module and build caches 7 GiB, programs 1, root file systems 0.6, images 1.6.
_COLD = 12 * GIB
_COLD_LIGHT = 9 * GIB
_EACH_CLUSTER = 1 * GIB
_EACH_HOST = GIB // 4

# inotify instances, counted in a running sandbox with a mesh, and some more.
_WATCHES = 20
_WATCHES_LIGHT = 12
_WATCHES_HOST = 10
_WATCHES_FOR_ALL = 1024
_WATCH_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")


def check_machine() -> None:
    """Refuse a machine for which nothing here is built.

    Raises:
        UnsupportedError: not Linux on x86-64.
    """
    system, machine = platform.system(), platform.machine()
    if system != "Linux" or machine != "x86_64":
        raise UnsupportedError(
            "sandbox-platform",
            f"the sandbox runs on Linux on x86_64, and this is {system} on {machine}",
            hint="use a Linux machine, or point meshctl at a cluster you have with --context",
        )


def why_not_full() -> str:
    """Why this machine and user cannot run pods and hosts; empty when they can."""
    if os.geteuid() != 0:
        return "not root"
    try:
        run(["unshare", "--net", "--mount", "true"])
    except MeshctlError as error:
        return "no right to make namespaces" + "".join(f" ({line})" for line in error.details[-1:])
    if missing := cgroups.missing_controllers():
        return f"control groups lack {', '.join(missing)}"
    read_only = [root for root in cgroups.hierarchies() if not os.access(root, os.W_OK)]
    if read_only:
        return f"{read_only[0]} is read-only"
    if reason := cgroups.why_not_handed_down():
        return reason
    return "" if _has_overlayfs() else "the kernel has no overlayfs"


def is_light(settings: Settings, reason: str) -> bool:
    """Whether to run in light mode, given why full mode is not possible (empty: it is).

    Raises:
        ConfigError: more clusters than a full sandbox can have.
        UnsupportedError: full mode, or hosts, were asked for and are not possible.
    """
    if settings.light is True:
        _refuse_hosts(settings, "light mode runs none")
        return True
    if not reason:
        _refuse_many(settings)
        return False
    if settings.light is False:
        raise UnsupportedError(
            "sandbox-full-impossible",
            f"a full sandbox is not possible here: {reason}",
            hint="run as root on a machine with namespaces and control groups, or use --light",
        )
    _refuse_hosts(settings, reason)
    return True


def check_disk(settings: Settings, folders: tuple[Path, ...], *, cold: bool, light: bool) -> None:
    """Refuse when the disk is too full.

    Args:
        settings: what is to run.
        folders: cache and state; they need not exist yet.
        cold: programs must be built first.
        light: in light mode.

    Raises:
        FailedError: less is free than is needed.
    """
    need = settings.clusters * _EACH_CLUSTER + settings.hosts * _EACH_HOST
    if cold:
        need += _COLD_LIGHT if light else _COLD
    for folder in folders:
        free = shutil.disk_usage(_existing(folder)).free
        if free < need:
            raise FailedError(
                "disk-full",
                f"the sandbox needs {need / GIB:.1f} GiB, and {str(folder)!r} has {free / GIB:.1f} free",
                hint="free some room, or set MESHCTL_CACHE and MESHCTL_STATE to a larger disk",
            )


def check_watches(settings: Settings, *, light: bool) -> None:
    """Refuse when the kernel gives this user too few inotify instances.

    Without them a kubelet ends at once, and systemd of a host starts nothing. Root lifts a low limit first,
    as sandboxes that start at one time each see the same ones left: it is no more than a ceiling, and stays.

    Raises:
        FailedError: fewer are left than the sandbox needs.
    """
    limit = int(_WATCH_LIMIT.read_text())
    if limit < _WATCHES_FOR_ALL and os.access(_WATCH_LIMIT, os.W_OK):
        _WATCH_LIMIT.write_text(str(_WATCHES_FOR_ALL))
    each = _WATCHES_LIGHT if light else _WATCHES
    need = settings.clusters * each + settings.hosts * _WATCHES_HOST
    had = _instances(need)
    if had < need:
        raise FailedError(
            "inotify-exhausted",
            f"the sandbox needs {need} inotify instances, and this user has {had} left of {limit}",
            hint=f"as root, run `sysctl fs.inotify.max_user_instances={limit + _WATCHES_FOR_ALL}`, "
            "or bring another sandbox down",
        )


def check_names(layout: Layout, settings: Settings) -> None:
    """Refuse names that somebody else uses on this machine.

    Raises:
        ConflictError: a network namespace or a control group of that name exists.
    """
    wanted = [cluster.netns for cluster in layout.clusters(settings.clusters)]
    wanted += [host.netns for host in layout.hosts(settings.hosts)]
    taken = [f"network namespace {name!r}" for name in wanted if network.namespace_exists(name)]
    if cgroups.members(layout.cgroup):
        taken.append(f"control group {layout.cgroup!r}")
    if taken:
        raise ConflictError(
            "sandbox-name-taken",
            f"{taken[0]} exists, and no sandbox of this user made it",
            where=Where("--name"),
            hint="give the sandbox another --name, or remove what is there",
        )


def _instances(wanted: int) -> int:
    """How many of the wanted inotify instances the kernel gives; they are given back. Source: inotify(7)."""
    libc = ctypes.CDLL(None, use_errno=True)
    held: list[int] = []
    try:
        while len(held) < wanted and (one := libc.inotify_init1(os.O_CLOEXEC)) >= 0:
            held.append(one)
        return len(held)
    finally:
        for one in held:
            os.close(one)


def _has_overlayfs() -> bool:
    known = Path("/proc/filesystems")
    if "overlay" not in known.read_text().split():
        network.load_module("overlay")
    return "overlay" in known.read_text().split()


def _refuse_many(settings: Settings) -> None:
    if settings.clusters > MAX_CLUSTERS:
        raise ConfigError(
            "out-of-range",
            f"a full sandbox has up to {MAX_CLUSTERS} clusters, not {settings.clusters}",
            where=Where("--clusters"),
            hint=f"give a number from 1 to {MAX_CLUSTERS}, or add --light",
        )


def _refuse_hosts(settings: Settings, reason: str) -> None:
    if settings.hosts:
        raise UnsupportedError(
            "sandbox-hosts-impossible",
            f"systemd hosts are not possible here: {reason}",
            where=Where("--hosts"),
            hint="run as root on a machine with namespaces and control groups, or leave --hosts out",
        )


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
