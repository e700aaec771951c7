"""The agent's own metrics. Those that pilot-agent has, too, have its names, so that dashboards go on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from meshctl.agent.server.process import Usage

PREFIX: Final = "istio_agent_"

_LOG: Final = logging.getLogger(__name__)


@dataclass
class Scrapes:
    """What came of being asked for metrics.

    Attributes:
        total: how often it was.
        failures: how often those of `agent`, `application` and `envoy` could not be had.
    """

    total: int = 0
    failures: dict[str, int] = field(default_factory=lambda: {"agent": 0, "application": 0, "envoy": 0})


@dataclass(frozen=True)
class Moment:
    """What the metrics of one moment are made of.

    Attributes:
        now: epoch seconds.
        parts: what the parts of the agent say of themselves, by name: `identity`, `configuration`, `dns`,
            `envoy` and `health`, as `status` shows them. One that says nothing has no metrics.
        usage: what this process uses.
        scrapes: what came of being asked for metrics.
        version: of meshctl.
        took: seconds from the start until it was ready; None before.
    """

    now: float
    parts: Mapping[str, Mapping[str, Any]]
    usage: Usage
    scrapes: Scrapes
    version: str
    took: float | None


Samples = Iterable[tuple[Mapping[str, str], float]]
"""Labels and values."""


@dataclass(frozen=True)
class Metric:
    """A family of series, and how they are read off a moment.

    Attributes:
        name: without the prefix.
        kind: counter or gauge.
        help: one sentence.
        part: that it is read off; empty is the agent as a whole.
        samples: given the moment and what the part says.
    """

    name: str
    kind: str
    help: str
    part: str
    samples: Callable[[Moment, Mapping[str, Any]], Samples]


def text(moment: Moment) -> bytes:
    """All of them, in Prometheus' text format; one that cannot be had counts as a failure of `agent`."""
    return "".join(_family(metric, moment) for metric in METRICS).encode()


def _family(metric: Metric, moment: Moment) -> str:
    said = moment.parts.get(metric.part, {})
    if metric.part and not said:
        return ""
    try:
        samples = [
            f"{PREFIX}{metric.name}{_labels(of)} {_number(n)}\n" for of, n in metric.samples(moment, said)
        ]
    except (LookupError, TypeError, ValueError):
        moment.scrapes.failures["agent"] += 1
        _LOG.exception("no metric %s", metric.name)
        return ""
    if not samples:
        return ""
    name = f"{PREFIX}{metric.name}"
    return f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind}\n{''.join(samples)}"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    said = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{','.join(said)}}}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(float(value))


def _said(name: str) -> Callable[[Moment, Mapping[str, Any]], Samples]:
    """What a part has under a name."""
    return lambda _, said: [({}, said[name])]


def _used(name: str) -> Callable[[Moment, Mapping[str, Any]], Samples]:
    """What this process uses of something."""
    return lambda moment, _: [({}, getattr(moment.usage, name))]


def _by_type(name: str) -> Callable[[Moment, Mapping[str, Any]], Samples]:
    """What is counted for each type of resources."""
    return lambda _, said: [({"type": kind}, state[name]) for kind, state in said["types"].items()]


def _expiry(moment: Moment, said: Mapping[str, Any]) -> Samples:
    return [({"resource_name": "default"}, said["ends"] - moment.now)] if said["ends"] else []


def _startup(moment: Moment, _: Mapping[str, Any]) -> Samples:
    return [] if moment.took is None else [({}, moment.took)]


def _answers(_: Moment, said: Mapping[str, Any]) -> Samples:
    return [
        ({"result": result}, said[result])
        for result in ("failed", "forwarded", "mesh", "refused", "unsynced")
    ]


def _healthy(_: Moment, said: Mapping[str, Any]) -> Samples:
    return [] if said["healthy"] is None else [({}, said["healthy"])]


METRICS: Final = (
    Metric("build_info", "gauge", "The version that runs.", "", lambda m, _: [({"version": m.version}, 1)]),
    Metric(
        "startup_duration_seconds", "gauge", "Time from the start until the proxy was ready.", "", _startup
    ),
    Metric(
        "cert_expiry_seconds",
        "gauge",
        "Time until the certificate ends; negative when it has.",
        "identity",
        _expiry,
    ),
    Metric(
        "cert_renewals_total", "counter", "Certificates got since the start.", "identity", _said("renewals")
    ),
    Metric(
        "cert_failures", "gauge", "Tries in a row that brought no certificate.", "identity", _said("failures")
    ),
    Metric(
        "xds_connected",
        "gauge",
        "Whether istiod answers.",
        "configuration",
        lambda _, said: [({}, bool(said["server"]))],
    ),
    Metric(
        "xds_connections_total",
        "counter",
        "Streams to istiod that were answered.",
        "configuration",
        _said("connections"),
    ),
    Metric("xds_pushes_total", "counter", "Responses of istiod.", "configuration", _by_type("pushes")),
    Metric(
        "xds_accepted_total", "counter", "Responses that were taken.", "configuration", _by_type("accepted")
    ),
    Metric(
        "xds_rejected_total", "counter", "Responses that were refused.", "configuration", _by_type("rejected")
    ),
    Metric(
        "dns_requests_total",
        "counter",
        "DNS messages that came.",
        "dns",
        lambda _, said: [({}, said["udp"] + said["tcp"])],
    ),
    Metric(
        "dns_upstream_requests_total",
        "counter",
        "DNS questions that the host's resolvers were asked.",
        "dns",
        lambda _, said: [({}, said["forwarded"] + said["failed"])],
    ),
    Metric(
        "dns_upstream_failures_total",
        "counter",
        "DNS questions that no resolver answered.",
        "dns",
        _said("failed"),
    ),
    Metric("dns_answers_total", "counter", "DNS answers, by whose they were.", "dns", _answers),
    Metric("envoy_starts_total", "counter", "How often Envoy was started.", "envoy", _said("starts")),
    Metric("workload_healthy", "gauge", "Whether the workload's probe finds it healthy.", "health", _healthy),
    Metric(
        "scrapes_total",
        "counter",
        "How often metrics were asked for.",
        "",
        lambda m, _: [({}, m.scrapes.total)],
    ),
    Metric(
        "scrape_failures_total",
        "counter",
        "How often metrics could not be had, by whose they were.",
        "",
        lambda m, _: [({"type": whose}, count) for whose, count in m.scrapes.failures.items()],
    ),
    Metric("process_cpu_seconds_total", "counter", "Processor time used.", "", _used("cpu")),
    Metric("process_resident_memory_bytes", "gauge", "Memory used.", "", _used("resident")),
    Metric("process_virtual_memory_bytes", "gauge", "Addresses used.", "", _used("virtual")),
    Metric("process_open_fds", "gauge", "Files open.", "", _used("files")),
    Metric("process_max_fds", "gauge", "Files that may be open.", "", _used("most_files")),
    Metric("process_start_time_seconds", "gauge", "When it was started, since 1970.", "", _used("started")),
)
"""In the order of the text."""
