"""Debian root file systems, made once: `pod` under every container image, `host` under every systemd host."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from meshctl.errors import FailedError, MeshctlError
from meshctl.model.event import Changed, Done, Event, Started, Unchanged, Waiting
from meshctl.sandbox import cache
from meshctl.sandbox.paths import cache_root
from meshctl.sandbox.process import clock, environment, lines_of, run
from meshctl.sandbox.versions import DEBIAN_SUITE

PROXY_USER = 1337


@dataclass(frozen=True, slots=True)
class Tree:
    """A root file system.

    Attributes:
        name: what it is for.
        packages: Debian packages beside the base system.
        proxy_user: has the account that Istio's containers run under.
    """

    name: str
    packages: tuple[str, ...]
    proxy_user: bool = False

    @property
    def path(self) -> Path:
        """Where it is once made."""
        parts = (DEBIAN_SUITE, *self.packages, str(self.proxy_user), *_UNUSED)
        return cache.entry("rootfs", f"{self.name}-{cache.key(*parts)}")

    @property
    def group(self) -> str:
        """Its line of progress."""
        return f"root file system {self.name}"


POD = Tree("pod", ("ca-certificates", "curl", "iproute2", "iptables", "python3"), proxy_user=True)
HOST = Tree(
    "host",
    (
        "ca-certificates",
        "curl",
        "dbus",
        "iproute2",
        "iptables",
        "openssh-server",
        "python3",
        "sudo",
        "systemd-sysv",
    ),
)

# What takes room and is never looked at in a container or a throw-away host.
_UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists")


def make(*trees: Tree) -> Iterator[Event]:
    """Make the trees that are not in the cache, one after the other: they share downloaded packages.

    Raises:
        FailedError: debootstrap failed; its last lines are in the details.
    """
    for tree in trees:
        yield from cache.locked(cache_root() / "rootfs.lock", tree.group, _make(tree))


def _make(tree: Tree) -> Iterator[Event]:
    if tree.path.is_dir():
        yield Unchanged(tree.group, "in the cache")
        return
    begun = clock()
    yield Started(tree.group, f"debootstrap {DEBIAN_SUITE}")
    tree.path.parent.mkdir(parents=True, exist_ok=True)
    debs = cache.entry("debs", DEBIAN_SUITE)
    debs.mkdir(parents=True, exist_ok=True)
    with cache.filling(tree.path) as part:
        # In a mount namespace of its own, so that what debootstrap mounts goes with it however it ends.
        command = [
            *("unshare", "--mount", "--propagation", "private", "debootstrap"),
            *("--variant=minbase", f"--include={','.join(tree.packages)}", f"--cache-dir={debs}"),
            *(DEBIAN_SUITE, str(part), mirror()),
        ]
        try:
            yield from _told(tree, lines_of(command, env=_env(), cwd=part.parent), begun)
        except MeshctlError as cause:
            raise FailedError(
                "debootstrap-failed",
                f"the root file system {tree.name!r} cannot be made",
                hint="check that apt on this machine reaches its mirror",
                details=cause.details,
            ) from cause
        _finish(tree, part)
    yield Changed(tree.group, str(len(tree.packages)) + " packages", "made")
    yield Done(tree.group, seconds=clock() - begun)


def _told(tree: Tree, lines: Iterator[str], begun: float) -> Iterator[Event]:
    told = begun
    for line in lines:
        if clock() - told > 1 and line.startswith("I: "):
            told = clock()
            yield Waiting(tree.group, "debootstrap", f"{line[3:].lower()}, {told - begun:.0f} s")


def _finish(tree: Tree, root: Path) -> None:
    for unused in _UNUSED:
        shutil.rmtree(root / unused, ignore_errors=True)
        (root / unused).mkdir(parents=True)
    if tree.proxy_user:
        run(["chroot", str(root), "useradd", "-m", "--uid", str(PROXY_USER), "istio-proxy"])


def mirror() -> str:
    """The mirror from which apt on this machine gets the suite.

    Raises:
        FailedError: apt has no such source.
    """
    wanted = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    found = run(["apt-get", "indextargets", "--format", wanted, "Created-By: Packages"])
    for line in found.splitlines():
        address, suite, component = line.split()
        if suite == DEBIAN_SUITE and component == "main":
            return address
    raise FailedError(
        "no-debian-mirror",
        f"apt on this machine has no source for Debian {DEBIAN_SUITE!r}",
        hint=f"add one with the suite {DEBIAN_SUITE} and the component main, and run `apt-get update`",
    )


def _env() -> dict[str, str]:
    return environment(DEBIAN_FRONTEND="noninteractive", LC_ALL="C.UTF-8")
