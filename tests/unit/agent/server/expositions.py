"""Texts of metrics for tests, and what Prometheus' own library reads in one."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

FUZZING = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
"""How much is tried."""
_VALUES = st.sampled_from(["0", "7", "-1099511627776", "0.5", "1e-7", "+Inf", "-Inf", "-2.25e+10"])
_TEXTS = st.sampled_from(["", "x", "yz", '"', "\\", "\n", "a,b", "{}", " # {", "ü", '\\"n'])
_LABELS = st.dictionaries(st.sampled_from(["a", "le_", "zone"]), _TEXTS, max_size=2)


def seen(text: str) -> dict[str, tuple[str, str, dict[tuple[Any, ...], float]]]:
    """What another program reads: by family its kind, its help, and its samples."""
    found: dict[str, tuple[str, str, dict[tuple[Any, ...], float]]] = {}
    for family in text_string_to_metric_families(text):
        samples = {
            (each.name, *sorted(each.labels.items()), each.timestamp): each.value for each in family.samples
        }
        assert len(samples) == len(family.samples), "a series is there twice"
        assert family.name not in found, "a family is there twice"
        found[family.name] = family.type, family.documentation, samples
    return found


def labelled(labels: dict[str, str]) -> str:
    escaped = {
        name: said.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        for name, said in labels.items()
    }
    return "{" + ",".join(f'{name}="{said}"' for name, said in escaped.items()) + "}" if labels else ""


@st.composite
def expositions(draw: st.DrawFn, names: tuple[str, ...] = ("apples", "pears", "plums_total")) -> str:
    """A right text: each family once, each series once."""
    lines = []
    for name in draw(st.lists(st.sampled_from(names), unique=True)):
        kind = draw(st.sampled_from(["counter", "gauge", "untyped", "histogram"]))
        if draw(st.booleans()):
            lines.append(f"# HELP {name} About {name}.")
        lines.append(f"# TYPE {name} {kind}")
        for labels in draw(
            st.lists(_LABELS, min_size=1, max_size=3, unique_by=lambda each: tuple(sorted(each.items())))
        ):
            lines += _samples(draw, name, kind, labels)
    return "".join(f"{line}\n" for line in lines)


def _samples(draw: st.DrawFn, name: str, kind: str, labels: dict[str, str]) -> list[str]:
    if kind != "histogram":
        moment = draw(st.sampled_from(["", " 1700000000000"]))
        return [f"{name}{labelled(labels)} {draw(_VALUES)}{moment}"]
    count = draw(st.integers(0, 100))
    buckets = [f"{name}_bucket{labelled({**labels, 'le': end})} {count}" for end in ("0.5", "+Inf")]
    return [
        *buckets,
        f"{name}_sum{labelled(labels)} {draw(_VALUES)}",
        f"{name}_count{labelled(labels)} {count}",
    ]
