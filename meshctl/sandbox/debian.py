"""The Debian packages a full sandbox needs on the machine itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from meshctl.errors import FailedError, MeshctlError, UnsupportedError, listed
from meshctl.model.event import Changed, Event, Started, Unchanged
from meshctl.sandbox.process import environment, run

GROUP = "packages"

_WITHOUT_SYSTEMD = """
if [ -d /run/systemd ]; then mount -t tmpfs tmpfs /run/systemd; fi
exec "$@"
"""

# What is needed, and a file that shows that it is there.
_PACKAGES = {
    "containerd": "containerd",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "debootstrap": "debootstrap",
    "iproute2": "ip",
    "iptables": "iptables",
    "runc": "runc",
    "systemd-container": "systemd-nspawn",
}


def missing() -> list[str]:
    """Packages that are not installed."""
    # An ordinary user's PATH may lack the folders of system programs.
    path = f"{environment().get('PATH', '')}:/usr/sbin:/sbin"
    return [name for name, shows in _PACKAGES.items() if shutil.which(shows, path=path) is None]


def install() -> Iterator[Event]:
    """Install what is missing, without starting any service; needs root.

    Raises:
        UnsupportedError: there is no apt.
        FailedError: apt failed.
    """
    wanted = missing()
    if not wanted:
        yield Unchanged(GROUP, "installed")
        return
    if shutil.which("apt-get") is None:
        raise UnsupportedError(
            "no-apt",
            f"the sandbox needs {listed(wanted)}, and this machine has no apt to install them",
            hint="install them, or use --light",
        )
    yield Started(GROUP, listed(wanted))
    environ = environment(DEBIAN_FRONTEND="noninteractive")
    try:
        run(["apt-get", "update", "-q"], env=environ, seconds=600)
        run(install_command(wanted), env=environ, seconds=1800)
    except MeshctlError as cause:
        raise FailedError(
            "packages-not-installed",
            f"apt cannot install {listed(wanted)}",
            hint="install them by hand, or use --light",
            details=cause.details,
        ) from cause
    yield Changed(GROUP, listed(wanted), "installed")


def install_command(packages: list[str]) -> list[str]:
    """The command line that installs packages and starts none of their services.

    The sandbox starts a containerd of its own and has no use for the machine's. Maintainer scripts
    start a service only where they see a running systemd, so apt runs in a mount namespace in which
    there is none to see.
    """
    install = ["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages]
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", _WITHOUT_SYSTEMD, "sh", *install]
