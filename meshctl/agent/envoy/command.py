"""Envoy's command line and environment. Source: Envoy's operations/cli, Istio's pkg/envoy/proxy.go."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from meshctl.agent.envoy import launch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.agent.envoy.settings import EnvoySettings, LogLevels

LOG_FORMAT: Final = "%l\t%n\t%j"
"""Level, component, message: a line for each, whatever is in the message."""
_PUBLIC: Final = re.compile(
    r"ISTIO_META(JSON)?_\w+|POD_\w+|CANONICAL_\w+|SERVICE_ACCOUNT|TRUST_DOMAIN|INSTANCE_IP|HOST_IP"
)
"""Variables of cluster.env that istiod is told, too; tags of traces may name them."""


def command(settings: EnvoySettings, bootstrap: Path, *, levels: LogLevels, only_ipv6: bool) -> list[str]:
    """What starts Envoy: the launcher, and what it becomes."""
    limits = [str(os.getpid()), str(settings.open_files), str(int(settings.core_dumps))]
    launcher = [sys.executable, "-I", "-S", launch.__file__, *limits]
    return [
        *launcher,
        settings.path,
        *arguments(settings, bootstrap, levels=levels, only_ipv6=only_ipv6),
    ]


def arguments(settings: EnvoySettings, bootstrap: Path, *, levels: LogLevels, only_ipv6: bool) -> list[str]:
    """Envoy's arguments."""
    found = [
        *("-c", str(bootstrap)),
        *("--drain-time-s", str(int(settings.drain_time))),
        *("--drain-strategy", "immediate"),
        *("--local-address-ip-version", "v6" if only_ipv6 else "v4"),
        *("--file-flush-interval-msec", str(max(1, round(settings.flush_interval * 1000)))),
        "--disable-hot-restart",
        "--allow-unknown-static-fields",
        *("--log-format", LOG_FORMAT),
        *("-l", levels.general or "warning"),
    ]
    if levels.components:
        found += ["--component-log-level", ",".join(f"{name}:{level}" for name, level in levels.components)]
    if settings.flush_size:
        found += ["--file-flush-min-size-kb", str(settings.flush_size)]
    if settings.skip_deprecated_logs:
        found.append("--skip-deprecated-logs")
    if settings.core_dumps:
        found.append("--enable-core-dump")
    if settings.concurrency:
        found += ["--concurrency", str(settings.concurrency)]
    return found


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Envoy's environment: of cluster.env what is no secret, and nothing of the agent's own."""
    return {name: value for name, value in sorted(variables.items()) if _PUBLIC.fullmatch(name)}
