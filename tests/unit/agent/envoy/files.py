"""Settings of a host, for tests of Envoy's room."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from meshctl.agent.envoy.bootstrap import bootstrap
from meshctl.agent.host import Host, Interface
from meshctl.agent.places import Places
from meshctl.agent.settings import Settings, load

IPV4 = ("10.0.0.5",)
LEAST = "POD_NAMESPACE='shop'\nSERVICE_ACCOUNT='db'\n"


def settings(
    root: Path,
    variables: str = "",
    *,
    proxy: dict[str, Any] | None = None,
    addresses: tuple[str, ...] = IPV4,
    **envoy: Any,
) -> Settings:
    """Settings as two files say them; `envoy` are those of Envoy, in camelCase."""
    places = Places(root)
    for folder in (places.settings, places.state, places.running):
        folder.mkdir(parents=True, exist_ok=True)
    places.environment.write_text(LEAST + variables)
    places.proxy.write_text(json.dumps({"proxyConfig": proxy or {}, "agent": {"envoy": envoy}}))
    return load(places, Host("db-1", (Interface("eth0", used=True, addresses=addresses),)))


def made(root: Path, variables: str = "", **said: Any) -> dict[str, Any]:
    """The bootstrap of such settings."""
    return bootstrap(settings(root, variables, **said), Places(root))
