"""The agent's own metrics."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from meshctl.agent.ads.state import AdsState, TypeState
from meshctl.agent.dns.counters import Counters
from meshctl.agent.server import own
from meshctl.agent.server.process import age, usage

PARTS: Mapping[str, Mapping[str, Any]] = {
    "identity": {"ends": 1600.0, "renewals": 3, "failures": 1},
    "configuration": AdsState(
        server="10.0.0.1:15012", connections=2, types={"CDS": TypeState(pushes=5, accepted=4, rejected=1)}
    ).data(),
    "dns": asdict(Counters(udp=7, tcp=1, mesh=4, forwarded=3, failed=1)),
    "envoy": {"starts": 2},
    "health": {"healthy": False},
}


def told(
    parts: Mapping[str, Mapping[str, Any]] = PARTS, took: float | None = 1.5
) -> tuple[dict[tuple[str, ...], float], own.Scrapes]:
    scrapes = own.Scrapes(total=9)
    text = own.text(own.Moment(1000.0, parts, usage(), scrapes, '1.2.3"\\', took)).decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    found = {(each.name.removeprefix(own.PREFIX), *each.labels.values()): each.value for each in samples}
    assert len(found) == len(samples)
    return found, scrapes


def test_each_part_has_its_metrics() -> None:
    found, scrapes = told()
    assert (
        found.items()
        >= {
            ("build_info", '1.2.3"\\'): 1,
            ("startup_duration_seconds",): 1.5,
            ("cert_expiry_seconds", "default"): 600,
            ("cert_renewals_total",): 3,
            ("cert_failures",): 1,
            ("xds_connected",): 1,
            ("xds_connections_total",): 2,
            ("xds_pushes_total", "CDS"): 5,
            ("xds_accepted_total", "CDS"): 4,
            ("xds_rejected_total", "CDS"): 1,
            ("dns_requests_total",): 8,
            ("dns_upstream_requests_total",): 4,
            ("dns_upstream_failures_total",): 1,
            ("dns_answers_total", "mesh"): 4,
            ("envoy_starts_total",): 2,
            ("workload_healthy",): 0,
            ("scrapes_total",): 9,
            ("scrape_failures_total", "application"): 0,
        }.items()
    )
    assert scrapes.failures["agent"] == 0


def test_every_metric_says_what_it_is() -> None:
    families = list(
        text_string_to_metric_families(
            own.text(own.Moment(0, PARTS, usage(), own.Scrapes(), "1", 1)).decode()
        )
    )
    assert len(families) == len(own.METRICS)
    assert all(family.documentation.endswith(".") and family.type != "unknown" for family in families)
    assert all(metric.name.endswith("_total") == (metric.kind == "counter") for metric in own.METRICS)


def test_a_part_that_says_nothing_has_no_metrics() -> None:
    found, scrapes = told({}, took=None)
    assert not [name for name, *_ in found if not name.startswith(("process_", "scrape", "build_info"))]
    assert scrapes.failures["agent"] == 0


def test_a_host_without_a_certificate_and_a_probe_does_not_pretend() -> None:
    parts = {"identity": {"ends": 0.0, "renewals": 0, "failures": 0}, "health": {"healthy": None}}
    found, _ = told(parts)
    assert ("cert_renewals_total",) in found
    assert not [name for name, *_ in found if name in ("cert_expiry_seconds", "workload_healthy")]


def test_a_part_that_cannot_say_it_is_counted_and_spoils_no_other() -> None:
    found, scrapes = told({**PARTS, "envoy": {"begins": 2}})
    assert ("cert_failures",) in found
    assert scrapes.failures["agent"] == 1


@pytest.mark.parametrize(
    ("ours", "name"),
    [
        ("resident", "resident_memory_bytes"),
        ("virtual", "virtual_memory_bytes"),
        ("started", "start_time_seconds"),
        ("cpu", "cpu_seconds_total"),
        ("files", "open_fds"),
        ("most_files", "max_fds"),
    ],
)
def test_what_this_process_uses_is_what_others_measure(ours: str, name: str) -> None:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    theirs = registry.get_sample_value(f"process_{name}")
    assert getattr(usage(), ours) == pytest.approx(theirs, rel=0.1, abs=1.5)


def test_a_process_is_as_old_as_it_is() -> None:
    first = age()
    assert 0 < first < time.clock_gettime(time.CLOCK_BOOTTIME)
    assert age() >= first
