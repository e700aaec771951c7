"""What an operator may set of Envoy, beside the mesh's ProxyConfig."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from meshctl.agent.reading.texts import is_ip
from meshctl.errors import ConfigError

LEVELS: Final = ("trace", "debug", "info", "warning", "error", "critical", "off")
_COMPONENT: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
EVERYWHERE: Final = "*"


@dataclass(frozen=True)
class LogLevels:
    """From which levels on Envoy logs.

    Attributes:
        general: one of `LEVELS`; empty leaves it as it is.
        components: levels of single components, by name.
    """

    general: str
    components: tuple[tuple[str, str], ...] = ()

    def then(self, newer: LogLevels) -> LogLevels:
        """What holds after newer levels were set; a general one is for every component."""
        if newer.general:
            return newer
        return LogLevels(
            self.general, tuple(sorted({**dict(self.components), **dict(newer.components)}.items()))
        )


def log_levels(text: str) -> LogLevels:
    """Read levels as Istio writes them: `info`, or `info,upstream:debug,misc:error`.

    Raises:
        ConfigError: there is no such level, or a component's name is none.
    """
    general, components = "", {}
    for each in text.split(","):
        name, colon, level = each.strip().rpartition(":")
        level = {"warn": "warning", "fatal": "critical", "none": "off"}.get(level.lower(), level.lower())
        if level not in LEVELS or (colon and not _COMPONENT.fullmatch(name)):
            raise ConfigError(
                "unknown-level",
                f"{each.strip()!r} is no log level of Envoy",
                hint=f"use one of {', '.join(LEVELS)}, or component:level, separated by commas",
            )
        if colon:
            components[name] = level
        else:
            general = level
    return LogLevels(general, tuple(sorted(components.items())))


@dataclass(frozen=True)
class EnvoySettings:
    """How Envoy runs; times are in seconds.

    Attributes:
        path: of the program.
        log_level: from which level on it logs: `info`, or with levels of components `info,upstream:debug`.
        concurrency: worker threads; 0 is one for each of the host's.
        memory: MiB of heap near which it refuses work, so that it need not be killed; 0 is no limit.
        open_files: file descriptors; 0 is as many as the host lets it have.
        connections: that clients may have at once; 0 is no limit.
        access_log: file that gets what Envoy writes to its standard output; empty is the agent's own output.
        prometheus_address: where it gives its own metrics; `*` is every address of the host.
        prometheus_port: there.
        ready_address: where it says whether it is ready, to load balancers; `*` is every address of the host.
        ready_port: there.
        secure_metrics_port: where it gives its own metrics by the mesh's mutual TLS; 0 is nowhere.
        secure_merged_metrics_port: where it gives the merged ones so; 0 is nowhere.
        delta: whether configuration comes as changes, or each time as a whole.
        dual_stack: whether both families of addresses are listened on, when the host has both.
        drain_time: for how long connections are asked to close one after the other, once they drain.
        termination: for how long connections may go on when Envoy is to end.
        wait_for_connections: whether to wait, up to the drain time, until all of them are closed instead.
        minimum_drain: until the first look whether they are.
        stop_timeout: until a process that was asked to end is killed.
        first_wait: until Envoy is started again after a first failure; doubled by each further one.
        longest_wait: up to which that grows.
        steady: after which earlier failures no longer count.
        flush_interval: until access logs are written.
        flush_size: KiB of them that are written at once; 0 leaves it to Envoy.
        skip_deprecated_logs: whether to be silent about deprecated fields.
        core_dumps: whether to leave one when it crashes.
    """

    path: str = "/opt/meshctl-agent/current/envoy"
    log_level: str = "warning"
    concurrency: int = 0
    memory: int = 0
    open_files: int = 0
    connections: int = 0
    access_log: str = ""
    prometheus_address: str = "127.0.0.1"
    prometheus_port: int = 15090
    ready_address: str = EVERYWHERE
    ready_port: int = 15021
    secure_metrics_port: int = 0
    secure_merged_metrics_port: int = 0
    delta: bool = True
    dual_stack: bool = False
    drain_time: float = 45.0
    termination: float = 5.0
    wait_for_connections: bool = False
    minimum_drain: float = 5.0
    stop_timeout: float = 5.0
    first_wait: float = 0.1
    longest_wait: float = 10.0
    steady: float = 60.0
    flush_interval: float = 1.0
    flush_size: int = 0
    skip_deprecated_logs: bool = True
    core_dumps: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigError: with the JSON name of the field in its message.
        """
        log_levels(self.log_level)
        self._refuse_ports()
        for name, address in (("prometheus", self.prometheus_address), ("ready", self.ready_address)):
            if address != EVERYWHERE and not is_ip(address):
                raise _refused(f"{name}Address", address, "an IP address, or '*'")
        if not self.path.startswith("/") or "\0" in self.path:
            raise _refused("path", self.path, "an absolute path")
        if self.access_log and not self.access_log.startswith("/"):
            raise _refused("accessLog", self.access_log, "an absolute path")
        if self.memory and self.memory < 32:
            raise _refused("memory", self.memory, "at least 32 MiB, or 0")
        if self.open_files and self.open_files < 256:
            raise _refused("openFiles", self.open_files, "at least 256, or 0")
        if max(self.concurrency, self.connections, self.flush_size) > 2**31 - 1:
            raise _refused(
                "concurrency", self.concurrency, "at most 2147483647, as connections and flushSize"
            )
        if not 0 < self.first_wait <= self.longest_wait:
            raise _refused("firstWait", self.first_wait, "above 0, and not above longestWait")

    def _refuse_ports(self) -> None:
        taken: dict[int, str] = {}
        for name, port, optional in (
            ("prometheusPort", self.prometheus_port, False),
            ("readyPort", self.ready_port, False),
            ("secureMetricsPort", self.secure_metrics_port, True),
            ("secureMergedMetricsPort", self.secure_merged_metrics_port, True),
        ):
            if not (1 <= port <= 65535 or (optional and port == 0)):
                raise _refused(name, port, "a port, from 1 to 65535")
            if port in taken:
                raise _refused(name, port, f"another port than {taken[port]}'s")
            if port:
                taken[port] = name


def _refused(name: str, value: object, wanted: str) -> ConfigError:
    return ConfigError("bad-setting", f"{name} is {value!r}, and has to be {wanted}")
