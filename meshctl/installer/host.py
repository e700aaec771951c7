"""Whether a payload fits this host, and what to do where it does not."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshctl.errors import AccessError, FailedError, UnsupportedError, listed

if TYPE_CHECKING:
    from meshctl.installer.manifest import Manifest
    from meshctl.installer.places import Installed

_PROGRAMS = ("useradd", "userdel", "groupadd", "groupdel", "systemctl")
_SPARE = 64 << 20
"""Bytes to be left free beside the payload; byte code takes some of them."""


@dataclass(frozen=True)
class Host:
    """What is of interest of this host.

    Attributes:
        system: such as `Linux`.
        architecture: as `uname -m` says it.
        libc: name and version of the C library, such as `glibc 2.36`.
        python: minor version of the Python that runs this, such as `3.11`.
        implementation: of that Python, such as `cpython`.
        interpreter: its path.
    """

    system: str
    architecture: str
    libc: tuple[str, str]
    python: str
    implementation: str
    interpreter: str

    def data(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return {
            "architecture": self.architecture,
            "libc": " ".join(self.libc),
            "python": self.python,
            "interpreter": self.interpreter,
        }


def here() -> Host:
    """This host."""
    return Host(
        platform.system(),
        platform.machine(),
        _libc(),
        "{}.{}".format(*sys.version_info[:2]),
        sys.implementation.name,
        os.path.realpath(sys.executable),
    )


def check(host: Host, manifest: Manifest) -> None:
    """Refuse a host for which the payload is not.

    Raises:
        UnsupportedError: names what does not fit, and what to do.
    """
    if host.system != "Linux":
        raise UnsupportedError("unsupported-system", f"this is {host.system}", hint="the agent needs Linux")
    architectures = sorted({architecture for architecture, _ in manifest.targets})
    if host.architecture not in architectures:
        raise UnsupportedError(
            "unsupported-architecture",
            f"this host is {host.architecture}; the payload is for {listed(architectures)}",
            hint=f"make one with `meshctl vm bundle --arch {host.architecture}`, if it can be",
        )
    if host.implementation != "cpython":
        raise UnsupportedError(
            "unsupported-python",
            f"{host.interpreter} is {host.implementation}",
            hint="name a CPython with --python=PATH",
        )
    pythons = [python for architecture, python in manifest.targets if architecture == host.architecture]
    if host.python not in pythons:
        raise UnsupportedError(
            "unsupported-python",
            f"{host.interpreter} is Python {host.python}; the payload is for {listed(pythons)}",
            hint="install one of them, and name it with --python=PATH",
        )
    _check_libc(host, manifest)


def check_means(places: Installed, manifest: Manifest, host: Host) -> None:
    """Refuse a host on which there is no right, no room or no service manager.

    Raises:
        AccessError: this is not root.
        UnsupportedError: there is no systemd, or no program that makes users.
        FailedError: the disk is full, or cannot be written.
    """
    if places.is_host:
        check_root()
        missing = [each for each in _PROGRAMS if shutil.which(each) is None]
        if missing:
            raise UnsupportedError(
                "program-missing",
                f"this host has no {listed(missing)}",
                hint="install them; they come with the packages passwd (or shadow-utils) and systemd",
            )
        if not Path("/run/systemd/system").is_dir():
            raise UnsupportedError(
                "unsupported-init",
                "systemd does not run here",
                hint="the agent is a systemd service; containers and other inits cannot run it",
            )
    entries = [each for each in manifest.entries if each.fits(host.architecture, host.python)]
    wanted = sum(each.size + each.unpacked for each in entries) + _SPARE
    place = next(each for each in (places.programs, *places.programs.parents) if each.exists())
    free = shutil.disk_usage(place).free
    if free < wanted:
        raise FailedError(
            "disk-full",
            f"{place} has {free >> 20} MiB free; {wanted >> 20} MiB are needed",
            hint="make room there",
        )


def check_root() -> None:
    """Refuse whoever is not root.

    Raises:
        AccessError: this is not root.
    """
    if os.geteuid() != 0:
        raise AccessError("not-root", "this needs root", hint="run it with sudo")


def _check_libc(host: Host, manifest: Manifest) -> None:
    name, version = host.libc
    if name != "glibc":
        raise UnsupportedError(
            "unsupported-libc",
            f"this host's C library is {name or 'not glibc'}",
            hint="wheels and Envoy are built for glibc; use a host of another distribution",
        )
    needed = [each.glibc for each in manifest.entries if each.fits(host.architecture, host.python)]
    least = max(needed, key=_number)
    if _number(version) < _number(least):
        raise UnsupportedError(
            "unsupported-libc",
            f"this host has glibc {version}; the payload needs {least}",
            hint="use a newer release of the distribution, or a bundle with an Envoy built for it (--envoy)",
        )


def _libc() -> tuple[str, str]:
    """Name and version of the C library. Source: confstr(3), _CS_GNU_LIBC_VERSION."""
    try:
        name, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").split(" ")
    except (ValueError, OSError):  # another library, such as musl
        return platform.libc_ver()
    return name, version


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in version.split(".") if each.isdigit())
