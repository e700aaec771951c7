"""ProxyConfig: what the mesh configuration, and pods by annotation, say about their proxies.

Source: istio.io/api mesh/v1alpha1/proxy.proto.
"""

from __future__ import annotations

from meshctl.crds.declare import (
    PORT_MAX,
    array,
    boolean,
    choice,
    double,
    int32,
    mapping,
    optional_boolean,
    record,
    string,
    string_map,
    strings,
    uint32,
)
from meshctl.crds.networking import WORKLOAD_GROUP
from meshctl.crds.schema import Number, Object, Schema, Text
from meshctl.crds.shared import CLIENT_TLS
from meshctl.crds.traffic_policy import CONNECTION_POOL


def span(doc: str) -> Text:
    """A time such as `1h30m`; zero is one too."""
    return Text(doc=doc, format="duration", type_name="span")


def address(doc: str) -> Text:
    """`host:port`; empty is none."""
    return Text(doc=doc, type_name="address")


def any_port(doc: str) -> Number:
    """A port; 0 leaves it to Istio."""
    return uint32(doc, largest=PORT_MAX)


_TCP = CONNECTION_POOL.fields["tcp"]
assert isinstance(_TCP, Object)
KEEPALIVE = _TCP.fields["tcpKeepalive"].described("Probes that find dead peers.")
_PROBE = WORKLOAD_GROUP.spec.fields["probe"].described("How the agent finds out whether a VM is healthy.")

TRACE_CONTEXTS = array(
    "Headers that carry traces, in order.",
    choice("", "UNSPECIFIED", "W3C_TRACE_CONTEXT", "GRPC_BIN", "CLOUD_TRACE_CONTEXT", "B3"),
)

STACKDRIVER_LIMITS: dict[str, Schema] = {
    "debug": boolean("Also write spans to standard output."),
    "maxNumberOfAttributes": Number(doc="Attributes of a span, at most.", type="integer"),
    "maxNumberOfAnnotations": Number(doc="Annotations of a span, at most.", type="integer"),
    "maxNumberOfMessageEvents": Number(doc="Message events of a span, at most.", type="integer"),
}

TRACING = record(
    "Where and how requests are traced.",
    zipkin=record("A Zipkin collector.", address=address("Its `host:port`.")),
    lightstep=record(
        "Lightstep satellites.",
        address=address("Their `host:port`."),
        accessToken=string("Token for them.").hidden(),
    ),
    datadog=record("A Datadog agent.", address=address("Its `host:port`.")),
    stackdriver=record("Google Cloud Trace.", **STACKDRIVER_LIMITS),
    openCensusAgent=record(
        "An OpenCensus agent.", address=string("Its address, as gRPC names it."), context=TRACE_CONTEXTS
    ),
    customTags=mapping(
        "Tags added to spans, by name.",
        record(
            literal=record("Value said here.", value=string("The text.")),
            environment=record(
                "Value of a variable of the proxy.",
                name=string("Name of the variable."),
                defaultValue=string("Value where there is none."),
            ),
            header=record(
                "Value of a request header.",
                name=string("Name of the header."),
                defaultValue=string("Value where there is none."),
            ),
        ).one_of("literal", "environment", "header"),
    ),
    maxPathTagLength=uint32("Characters of a request's path that a span keeps."),
    sampling=double("Share of requests traced, in percent.", smallest=0, largest=100),
    tlsSettings=CLIENT_TLS,
    enableIstioTags=optional_boolean("Add Istio's own tags to spans."),
).one_of("zipkin", "lightstep", "datadog", "stackdriver", "openCensusAgent")

FORWARDED_CERT = choice(
    "What becomes of the header with the client's certificate.",
    "UNDEFINED",
    "SANITIZE",
    "FORWARD_ONLY",
    "APPEND_FORWARD",
    "SANITIZE_SET",
    "ALWAYS_FORWARD_ONLY",
)


def _switch(doc: str, name: str = "disabled") -> Object:
    return record(doc, **{name: optional_boolean("Whether it is.")})


PROXY_HEADERS = record(
    "Headers that proxies add, and what they look like.",
    forwardedClientCert=FORWARDED_CERT,
    setCurrentClientCertDetails=record(
        "Parts of the client's certificate that are passed on.",
        subject=optional_boolean("Its subject."),
        cert=optional_boolean("All of it."),
        chain=optional_boolean("Its chain."),
        dns=optional_boolean("Its DNS names."),
        uri=optional_boolean("Its URIs."),
    ),
    requestId=_switch("x-request-id."),
    server=record(
        "server.", disabled=optional_boolean("Leave it alone."), value=string("What it says; istio-envoy.")
    ),
    attemptCount=_switch("x-envoy-attempt-count."),
    envoyDebugHeaders=_switch("Envoy's headers for debugging."),
    metadataExchangeHeaders=record(
        "x-envoy-peer-metadata.", mode=choice("Who gets it.", "UNDEFINED", "IN_MESH")
    ),
    preserveHttp1HeaderCase=optional_boolean("Keep capitals of HTTP/1.1 headers."),
    xForwardedHost=_switch("x-forwarded-host.", "enabled"),
    xForwardedPort=_switch("x-forwarded-port.", "enabled"),
)

_BUFFER = {"smallest": 0}
_WINDOW = {"smallest": PORT_MAX}

CONNECTION_SETTINGS = record(
    "Buffers, time-outs and limits of connections to the proxy.",
    profile=choice("A set of defaults.", "SIDECAR", "EDGE"),
    listenerPerConnectionBufferLimitBytes=int32("Buffer of a connection to a listener, in bytes.", **_BUFFER),
    clusterPerConnectionBufferLimitBytes=int32("Buffer of a connection to a cluster, in bytes.", **_BUFFER),
    httpIdleTimeout=span("Time without requests after which a connection is closed."),
    httpMaxConnectionDuration=span("Age at which a connection is closed."),
    httpDrainTimeout=span("Time between the first and the last GOAWAY."),
    httpRequestTimeout=span("Time allowed for a whole request to arrive."),
    httpRequestHeadersTimeout=span("Time allowed for the headers to arrive."),
    httpStreamIdleTimeout=span("Silence after which a stream ends."),
    httpMaxStreamDuration=span("Age at which a stream ends."),
    httpMaxConcurrentStreams=int32("Streams at once on one connection.", smallest=1),
    http2InitialStreamWindowSize=int32("Window of a stream, in bytes.", **_WINDOW),
    http2InitialConnectionWindowSize=int32("Window of a connection, in bytes.", **_WINDOW),
    httpHeadersWithUnderscoresAction=choice(
        "What becomes of headers with an underscore in their name.",
        "HEADERS_WITH_UNDERSCORES_UNSPECIFIED",
        "HEADERS_WITH_UNDERSCORES_ALLOW",
        "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST",
        "HEADERS_WITH_UNDERSCORES_DROP_HEADER",
    ),
    httpMergeSlashes=optional_boolean("Make one slash of several."),
    httpPathWithEscapedSlashesAction=choice(
        "What becomes of paths with escaped slashes.",
        "PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED",
        "KEEP_UNCHANGED",
        "REJECT_REQUEST",
        "UNESCAPE_AND_REDIRECT",
        "UNESCAPE_AND_FORWARD",
    ),
    listenerConnectionLimit=int32("Connections to one listener at once.", smallest=1),
    globalDownstreamConnectionLimit=int32("Connections to all listeners at once.", smallest=1),
).since("1.31")

REMOTE_SERVICE = record(
    "A gRPC service that proxies send to.",
    address=address("Its `host:port`."),
    tlsSettings=CLIENT_TLS,
    tcpKeepalive=KEEPALIVE,
)


def _accelerator(doc: str) -> Object:
    return record(
        doc,
        pollDelay=span("How long requests are gathered."),
        fallback=optional_boolean("Go on without it where there is none."),
    ).named("accelerator")


PROXY_CONFIG = (
    record(
        "Settings of proxies.",
        configPath=string("Folder of generated configuration."),
        binaryPath=string("Path of Envoy."),
        serviceCluster=string("Name in traces and in Envoy's own service cluster."),
        tracingServiceName=choice(
            "How that name is made.",
            "APP_LABEL_AND_NAMESPACE",
            "CANONICAL_NAME_ONLY",
            "CANONICAL_NAME_AND_NAMESPACE",
        ),
        drainDuration=Text(
            doc="Time in which old connections drain, in whole seconds.",
            format="duration",
            type_name="wholeSeconds",
        ),
        discoveryAddress=address("`host:port` of istiod."),
        discoveryRefreshDelay=span("Without effect."),
        zipkinAddress=string("Without effect; see tracing.zipkin."),
        statsdUdpAddress=address("`host:port` of a statsd."),
        envoyMetricsServiceAddress=address("See envoyMetricsService."),
        proxyAdminPort=any_port("Port of Envoy's administration, on loopback."),
        availabilityZone=string("Without effect."),
        controlPlaneAuthPolicy=choice("How proxies speak to istiod.", "NONE", "MUTUAL_TLS"),
        customConfigFile=string("File used in place of the generated bootstrap."),
        statNameLength=int32("Longest name of a metric."),
        concurrency=int32("Worker threads; 0 is one a core, absent follows the CPU limit.", smallest=0),
        proxyBootstrapTemplatePath=string("Template of the bootstrap."),
        interceptionMode=choice("How inbound traffic is redirected.", "REDIRECT", "TPROXY", "NONE"),
        tracing=TRACING,
        sds=record(
            "Without effect.", enabled=boolean("Without effect."), k8sSaJwtPath=string("Without effect.")
        ),
        envoyAccessLogService=REMOTE_SERVICE.described("Where access logs are sent."),
        envoyMetricsService=REMOTE_SERVICE.described("Where metrics are sent."),
        proxyMetadata=string_map("Environment of the proxy, name to value."),
        runtimeValues=string_map("Envoy's runtime settings, name to value."),
        statusPort=any_port("Port of the agent's health."),
        extraStatTags=strings("Further labels of metrics."),
        gatewayTopology=record(
            "What stands before a gateway.",
            numTrustedProxies=uint32("Trusted proxies between clients and the gateway."),
            forwardClientCertDetails=FORWARDED_CERT,
            proxyProtocol=record("Expect the PROXY protocol."),
        ),
        terminationDrainDuration=span("How long a stopping proxy drains."),
        meshId=string("Name of the mesh."),
        readinessProbe=_PROBE,
        proxyStatsMatcher=record(
            "Metrics of Envoy that are kept besides Istio's own.",
            inclusionPrefixes=strings("By how their name begins."),
            inclusionSuffixes=strings("By how their name ends."),
            inclusionRegexps=strings("By RE2 expression.", Text(type_name="regex")),
        ),
        holdApplicationUntilProxyStarts=optional_boolean("Start applications after their proxy."),
        caCertificatesPem=strings("Further authorities, PEM."),
        image=record("Image of the proxy.", imageType=string("Variant, such as distroless or debug.")),
        privateKeyProvider=record(
            "Hardware that signs.",
            cryptomb=_accelerator("Intel CryptoMB."),
            qat=_accelerator("Intel QuickAssist."),
        ).one_of("cryptomb", "qat"),
        proxyHeaders=PROXY_HEADERS,
        fileFlushInterval=span("How often access logs are written out."),
        fileFlushMinSizeKb=uint32("Size at which they are written out anyway, in KiB."),
        statsCompression=optional_boolean("Compress metrics for scrapers that ask for it."),
        connectionSettings=CONNECTION_SETTINGS,
    )
    .one_of("serviceCluster", "tracingServiceName")
    .named("ProxyConfig")
)
