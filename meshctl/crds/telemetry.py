"""telemetry.istio.io: what proxies measure, trace and log."""

from __future__ import annotations

from meshctl.crds.declare import (
    AGE,
    array,
    choice,
    duration,
    mapping,
    optional_boolean,
    percent,
    record,
    string,
    versions,
)
from meshctl.crds.schema import Kind
from meshctl.crds.shared import SELECTOR, TARGET_REF, TARGET_REFS

PROVIDERS = array(
    "Where it is sent; the mesh's default where absent.",
    record(name=string("Extension provider of the mesh configuration.", shortest=1).required()),
)

DIRECTION = choice("Calls made, calls served, or both.", "CLIENT_AND_SERVER", "CLIENT", "SERVER")
SIDE = record("Which traffic.", mode=DIRECTION)

FROM_REQUEST = record(
    "Value found at run time.",
    name=string("Where it is read.", shortest=1).required(),
    defaultValue=string("Value where there is none."),
)

FROM_HERE = record("Value said here.", value=string("The text.", shortest=1).required())

TRACING = record(
    "Traces.",
    match=SIDE,
    providers=PROVIDERS,
    randomSamplingPercentage=percent("Share of requests traced when the caller did not decide."),
    disableSpanReporting=optional_boolean("Make no spans, yet pass on the headers."),
    customTags=mapping(
        "Tags added to spans, by name.",
        record(
            literal=FROM_HERE,
            environment=FROM_REQUEST.described("Value of an environment variable of the proxy."),
            header=FROM_REQUEST.described("Value of a request header."),
            formatter=FROM_HERE.described("Value by Envoy's format string."),
        ).one_of("literal", "environment", "header", "formatter"),
    ),
    useRequestIdForTraceSampling=optional_boolean("Let the request ID carry the decision."),
    enableIstioTags=optional_boolean("Add Istio's own tags to spans."),
    disableContextPropagation=optional_boolean("Do not pass trace headers on."),
)

METRICS = (
    "ALL_METRICS",
    "REQUEST_COUNT",
    "REQUEST_DURATION",
    "REQUEST_SIZE",
    "RESPONSE_SIZE",
    "TCP_OPENED_CONNECTIONS",
    "TCP_CLOSED_CONNECTIONS",
    "TCP_SENT_BYTES",
    "TCP_RECEIVED_BYTES",
    "GRPC_REQUEST_MESSAGES",
    "GRPC_RESPONSE_MESSAGES",
)

METRIC = record(
    "Metrics.",
    providers=PROVIDERS,
    overrides=array(
        "Changes to metrics, in order.",
        record(
            match=record(
                "Which metrics.",
                metric=choice("One of Istio's, or all.", *METRICS),
                customMetric=string("Any other, by name.", shortest=1),
                mode=DIRECTION,
            ).one_of("metric", "customMetric"),
            disabled=optional_boolean("Do not make them."),
            tagOverrides=mapping(
                "Changes to labels, by label name.",
                record(
                    operation=choice("Set or drop the label.", "UPSERT", "REMOVE"),
                    value=string("CEL expression for the value, for UPSERT."),
                )
                .check(
                    '((has(self.operation) ? self.operation : "") == "UPSERT") ? (self.value != "") : true',
                    "UPSERT needs a value",
                )
                .check(
                    '((has(self.operation) ? self.operation : "") == "REMOVE") ? !has(self.value) : true',
                    "REMOVE has no value",
                ),
            ),
        ),
    ),
    reportingInterval=duration("Time between reports of TCP metrics."),
)

ACCESS_LOG = record(
    "Access logs.",
    match=SIDE,
    providers=PROVIDERS,
    disabled=optional_boolean("Do not log."),
    filter=record("Which requests are logged.", expression=string("CEL expression that must be true.")),
)

TELEMETRY = Kind(
    name="Telemetry",
    group="telemetry.istio.io",
    plural="telemetries",
    doc="Metrics, traces and access logs of workloads.",
    spec=record(
        "Workloads and what their proxies report.",
        selector=SELECTOR,
        targetRef=TARGET_REF,
        targetRefs=TARGET_REFS,
        tracing=array("Settings of traces.", TRACING),
        metrics=array("Settings of metrics.", METRIC),
        accessLogging=array("Settings of access logs.", ACCESS_LOG),
    ).at_most_one("selector", "targetRef", "targetRefs"),
    versions=versions("v1", "v1alpha1", stored="v1alpha1"),
    short_names=("telemetry",),
    columns=(AGE,),
    labels={"istio": "telemetry"},
)
