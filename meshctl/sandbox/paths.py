"""Where the sandbox keeps things: the only file of it that reads the environment for folders."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """The folder of binaries, root file systems and images; survives `down`.

    Source: `MESHCTL_CACHE`, else the XDG base directory specification.
    """
    given = _variable("MESHCTL_CACHE")
    return Path(given) if given else _xdg("XDG_CACHE_HOME", ".cache") / "meshctl"


def state_root() -> Path:
    """The folder with one folder for each sandbox; `down` removes that one.

    Source: `MESHCTL_STATE`, else the XDG base directory specification.
    """
    given = _variable("MESHCTL_STATE")
    return Path(given) if given else _xdg("XDG_STATE_HOME", ".local/state") / "meshctl"


def gomod(name: str) -> Path:
    """The folder of the Go module `name` that pins what is built."""
    return Path(__file__).parent / "gomod" / name


def _xdg(variable: str, fallback: str) -> Path:
    given = _variable(variable)
    # The specification: a relative path is invalid and is to be ignored.
    return Path(given) if given.startswith("/") else Path.home() / fallback


def _variable(name: str) -> str:
    return os.environ.get(name, "")  # noqa: TID251 - the one place
