"""Extension providers of the mesh configuration: services that proxies can be told to use.

Source: istio.io/api mesh/v1alpha1/config.proto.
"""

from __future__ import annotations

from meshctl.crds.declare import array, boolean, choice, int32, record, string, string_map, strings, uint32
from meshctl.crds.proxy_config import STACKDRIVER_LIMITS, TRACE_CONTEXTS, any_port, span
from meshctl.crds.schema import Object, Schema, Text

SERVICE: dict[str, Schema] = {
    "service": Text(doc="Its host, or `namespace/host`.", type_name="service"),
    "port": any_port("Its port."),
}
_TAG_LENGTH = uint32("Characters of a request's path that a span keeps.")

HEADERS = array(
    "Headers that are sent.",
    record(
        name=string("Name of the header."),
        value=string("Its value.").hidden(),
        envName=string("Variable of the proxy that holds its value."),
    ).one_of("value", "envName"),
)
HTTP = record(
    "Send by HTTP.", path=string("Path of the request."), timeout=span("Time allowed."), headers=HEADERS
)
GRPC = record("Send by gRPC.", timeout=span("Time allowed."), initialMetadata=HEADERS)

BODY = record(
    "How much of a request's body is sent along.",
    maxRequestBytes=uint32("Bytes at most."),
    allowPartialMessage=boolean("Send the beginning of a longer one."),
    packAsBytes=boolean("Send it as bytes, not as text."),
)
AUTHORIZER: dict[str, Schema] = {
    **SERVICE,
    "timeout": span("Time allowed for an answer."),
    "failOpen": boolean("Let requests through when it does not answer."),
    "clearRouteCache": boolean("Choose the route anew after it changed headers."),
    "statusOnError": Text(doc="HTTP status when it does not answer.", type_name="httpStatus"),
    "includeRequestBodyInCheck": BODY,
}
_HEADER_NAMES: dict[str, Schema] = {
    "includeHeadersInCheck": strings("See includeRequestHeadersInCheck."),
    "includeRequestHeadersInCheck": strings("Headers of the request that are sent."),
    "headersToUpstreamOnAllow": strings("Headers of its answer that go to the service."),
    "headersToDownstreamOnDeny": strings("Headers of its answer that go back on refusal."),
    "headersToDownstreamOnAllow": strings("Headers of its answer that go back on success."),
}


def _provider(doc: str, **fields: Schema) -> Object:
    """A provider that is a service, which must be named."""
    return record(doc, **{**SERVICE, **fields}).named("provider")


_LABELS = record("Fields of a log line, name to value.").keep_unknown()
_LOG_NAME = string("Name of the log.")
_FILTER_STATE = strings("Filter state that is logged.")

EXTENSION_PROVIDER = (
    record(
        "A service, and what it is used for.",
        name=string("Name that resources use.", shortest=1).required(),
        envoyExtAuthzHttp=_provider(
            "Asked over HTTP whether a request may pass.",
            **AUTHORIZER,
            **_HEADER_NAMES,
            pathPrefix=string("What its paths begin with.", pattern="^(/.*)?$"),
            includeAdditionalHeadersInCheck=string_map("Further headers that are sent."),
        ),
        envoyExtAuthzGrpc=_provider("Asked over gRPC whether a request may pass.", **AUTHORIZER),
        zipkin=_provider(
            "Takes traces as Zipkin does.",
            maxTagLength=_TAG_LENGTH,
            enable64bitTraceId=boolean("Short trace IDs."),
            path=string("Path of the request."),
            traceContextOption=choice("Headers that carry traces.", "USE_B3", "USE_B3_WITH_W3C_PROPAGATION"),
            timeout=span("Time allowed."),
            headers=HEADERS,
        ),
        lightstep=_provider(
            "Takes traces as Lightstep does.",
            accessToken=string("Token for it.").hidden(),
            maxTagLength=_TAG_LENGTH,
        ),
        datadog=_provider("Takes traces as Datadog does.", maxTagLength=_TAG_LENGTH),
        stackdriver=record(
            "Google Cloud's own.",
            **STACKDRIVER_LIMITS,
            maxTagLength=_TAG_LENGTH,
            logging=record("Its logs.", labels=string_map("Further labels of log lines.")),
        ),
        opencensus=_provider(
            "Takes traces as OpenCensus does.", context=TRACE_CONTEXTS, maxTagLength=_TAG_LENGTH
        ),
        skywalking=_provider(
            "Takes traces as SkyWalking does.", accessToken=string("Token for it.").hidden()
        ),
        opentelemetry=_provider(
            "Takes traces as OpenTelemetry does.",
            maxTagLength=_TAG_LENGTH,
            http=HTTP,
            grpc=GRPC,
            resourceDetectors=record(
                "What finds out where a span comes from.",
                environment=record("OTEL_RESOURCE_ATTRIBUTES."),
                dynatrace=record("Dynatrace's files."),
            ),
            serviceAttributeEnrichment=choice(
                "How the service is called.", "ISTIO_CANONICAL", "OTEL_SEMANTIC_CONVENTIONS"
            ),
            dynatraceSampler=record(
                "Dynatrace chooses what is traced.",
                tenant=string("Its tenant."),
                clusterId=int32("Its cluster."),
                rootSpansPerMinute=uint32("Traces a minute while it does not answer."),
                httpService=record("Where it answers.", **SERVICE, http=HTTP),
            ),
        ),
        prometheus=record("Scrapes metrics."),
        envoyFileAccessLog=record(
            "A file of access logs.",
            path=string("Its path."),
            logFormat=record("Form of a line.", text=string("Envoy's format string."), labels=_LABELS).one_of(
                "text", "labels"
            ),
            omitEmptyValues=boolean("Leave out what is not known."),
        ),
        envoyHttpAls=_provider(
            "Takes access logs of HTTP.",
            logName=_LOG_NAME,
            filterStateObjectsToLog=_FILTER_STATE,
            additionalRequestHeadersToLog=strings("Request headers that are logged."),
            additionalResponseHeadersToLog=strings("Response headers that are logged."),
            additionalResponseTrailersToLog=strings("Response trailers that are logged."),
        ),
        envoyTcpAls=_provider(
            "Takes access logs of TCP.", logName=_LOG_NAME, filterStateObjectsToLog=_FILTER_STATE
        ),
        envoyOtelAls=_provider(
            "Takes access logs as OpenTelemetry does.",
            logName=_LOG_NAME,
            logFormat=record("Form of a line.", text=string("Envoy's format string."), labels=_LABELS),
        ),
        sds=record("Serves secrets.", name=string("Its name."), **SERVICE),
    )
    .one_of(
        "envoyExtAuthzHttp",
        "envoyExtAuthzGrpc",
        "zipkin",
        "lightstep",
        "datadog",
        "stackdriver",
        "opencensus",
        "skywalking",
        "opentelemetry",
        "prometheus",
        "envoyFileAccessLog",
        "envoyHttpAls",
        "envoyTcpAls",
        "envoyOtelAls",
        "sds",
    )
    .named("extensionProvider")
)
