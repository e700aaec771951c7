"""Which statistics Envoy keeps, and which parts of their names are tags.

Istio names statistics so that these rules fit: what is a tag ends in `;.`, `component.`, `tag.` and the like.
Source: Istio's tools/packaging/common/envoy_bootstrap.json and pkg/bootstrap.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent.reading.texts import go_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meshctl.agent.envoy.parts import Json
    from meshctl.agent.settings import Settings

_WORD: Final = r"(?:[_.[:digit:]]*|[_\[\]aAbBcCdDeEfF[:digit:]]*)"
_PREFIX: Final = r"(?:[_.[:digit:]\w]*|[_\[\]aAbBcCdDeEfF[:digit:]\w\:]*)"
_BEFORE: Final = (
    ("cluster_name", r"^cluster(\.(.+);)"),
    ("http_conn_manager_prefix", rf"^http\.(({_PREFIX});\.)"),
    ("thread_name", r"^server(\.(.+))\.watchdog"),
    ("tcp_prefix", r"^tcp\.((.*?)\.)\w+?$"),
    ("response_code", r"_rq(_(\d{3}))$"),
    ("response_code_class", r"_rq(_(\dxx))$"),
    ("http_conn_manager_listener_prefix", rf"^listener(?=\.).*?\.http\.(({_WORD})\.)"),
    ("listener_address", rf"^listener\.(({_WORD})\.)"),
    ("mongo_prefix", r"^mongo\.(.+?)\.(collection|cmd|cx_|op_|delays_|decoding_)(.*?)$"),
)
_AFTER: Final = (
    ("cache", r"(cache\.(.+?)\.)"),
    ("component", r"(component\.(.+?)\.)"),
    ("tag", r"(tag\.(.+?);\.)"),
    ("wasm_filter", r"(wasm_filter\.(.+?)\.)"),
    ("authz_enforce_result", r"rbac(\.(allowed|denied))"),
    ("authz_dry_run_action", r"(\.istio_dry_run_(allow|deny)_)"),
    ("authz_dry_run_result", r"(\.shadow_(allowed|denied))"),
)
"""Tags by name; the first group is taken out of the statistic's name, the second is the tag's value."""

_PREFIXES: Final = ("cluster_manager", "listener_manager", "server", "cluster.xds-grpc", "wasm")
_SUFFIXES: Final = ("rbac.allowed", "rbac.denied", "shadow_allowed", "shadow_denied")
_CONNECTIONS: Final = "downstream_cx_active"
_REGEXES: Final = (r"vhost\..*\.route\..*",)
_OUTER: Final = ("component", "istio")
_ANNOTATION: Final = "sidecar.istio.io/"
_FLUSH: Final = 5.0
"""Seconds between two flushes, unless said otherwise."""


def settings(of: Settings) -> Json:
    """The `stats_…` fields of a bootstrap."""
    annotations = _annotations(of)
    made: Json = {
        "stats_config": {
            "use_all_default_tags": False,
            "stats_tags": [
                {"tag_name": name, "regex": regex}
                for name, regex in (*_BEFORE, *_extra(of, annotations), *_AFTER)
            ],
            "stats_matcher": {"inclusion_list": {"patterns": _patterns(of, annotations)}},
            **_buckets(annotations),
        }
    }
    flush = go_seconds(annotations.get("statsFlushInterval", ""))
    if flush:
        made["stats_flush_interval"] = f"{flush:.9g}s"
    evicted = go_seconds(annotations.get("statsEvictionInterval", ""))
    if evicted and math.isclose(evicted % (flush or _FLUSH), 0, abs_tol=1e-6):
        made["stats_eviction_interval"] = f"{evicted:.9g}s"
    return made


def _annotations(of: Settings) -> dict[str, str]:
    """The workload's annotations that are about statistics, without what their names begin with."""
    said = of.workload.metadata.get("ANNOTATIONS")
    return {
        name[len(_ANNOTATION) :]: value
        for name, value in (said.items() if isinstance(said, dict) else ())
        if name.startswith(_ANNOTATION) and isinstance(value, str)
    }


def _extra(of: Settings, annotations: Mapping[str, str]) -> list[tuple[str, str]]:
    names = [*of.proxy.data.get("extraStatTags", ()), *annotations.get("extraStatTags", "").split(",")]
    return [(name, rf"({name}=\.=(.*?);\.;)") for name in dict.fromkeys(names) if name]


def _patterns(of: Settings, annotations: Mapping[str, str]) -> list[Json]:
    said = of.proxy.data.get("proxyStatsMatcher", {})
    suffixes = (*_SUFFIXES, _CONNECTIONS) if of.envoy.wait_for_connections else _SUFFIXES

    def wanted(kind: str, always: Iterable[str]) -> list[str]:
        annotated = annotations.get(f"statsInclusion{kind}", "")
        chosen = annotated.split(",") if annotated else said.get(f"inclusion{kind}", ())
        return _with_addresses([*chosen, *always], of.workload.addresses)

    return [
        {"prefix": "reporter="},
        *({"prefix": each} for each in wanted("Prefixes", _PREFIXES)),
        *({"suffix": each} for each in wanted("Suffixes", suffixes)),
        *({"safe_regex": {"regex": each}} for each in wanted("Regexps", _REGEXES)),
        *({"prefix": each} for each in _OUTER),
    ]


def _with_addresses(patterns: Iterable[str], addresses: Iterable[str]) -> list[str]:
    """The patterns; one with `{pod_ip}` once for each address."""
    mark = "{pod_ip}"
    return [
        pattern.replace(mark, address)
        for pattern in patterns
        for address in (addresses if mark in pattern else ("",))
        if pattern
    ]


def _buckets(annotations: Mapping[str, str]) -> Json:
    """Histogram buckets by prefix of a statistic's name; what is no such JSON is left out."""
    try:
        said: Any = json.loads(annotations.get("statsHistogramBuckets", "{}"))
        made = [
            {"match": {"prefix": prefix}, "buckets": [float(each) for each in buckets]}
            for prefix, buckets in sorted(said.items())
        ]
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return {"histogram_bucket_settings": made} if made else {}
