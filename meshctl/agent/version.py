"""Which agent this is, and what it stands on."""

from __future__ import annotations

import json
import platform
import re
from pathlib import Path
from typing import Final

_PAYLOAD: Final = re.compile(r"[0-9a-f]{64}")
_MANIFEST: Final = "manifest.json"


def versions() -> dict[str, str]:
    """By name: the agent, its payload by the beginning of its hash, Python, gRPC; empty where not known."""
    import grpc

    payload = _payload()
    return {
        "agent": _agent(payload),
        "payload": payload.name[:12] if _PAYLOAD.fullmatch(payload.name) else "",
        "python": platform.python_version(),
        "grpc": str(grpc.__version__),
    }


def _payload() -> Path:
    """The folder that the payload was unpacked into, of which this is `lib/meshctl/agent/version.py`."""
    return Path(__file__).resolve().parents[3]


def _agent(payload: Path) -> str:
    try:
        said = json.loads((payload / _MANIFEST).read_bytes())["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return "unreleased"
    return str(said)
