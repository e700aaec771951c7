"""VirtualService: where traffic goes."""

from __future__ import annotations

from meshctl.crds.declare import (
    AGE,
    array,
    boolean,
    choice,
    double,
    duration,
    int32,
    mapping,
    optional_boolean,
    record,
    string,
    string_map,
    strings,
    uint32,
    versions,
)
from meshctl.crds.schema import Column, Kind
from meshctl.crds.shared import DESTINATION, EXPORT_TO, STRING_MATCH

SHARE = record("Share of requests.", value=double("Percent, 0 to 100."))

CALLER_GATEWAYS = strings("Only traffic of these gateways; `mesh` means sidecars.")
CALLER_LABELS = string_map("Only callers with these labels.")
CALLER_NAMESPACE = string("Only callers of this namespace.")
SUBNETS = strings("Only connections to these addresses or ranges.")
PORT = uint32("Only traffic to this service port.")

HEADER_CHANGES = record(
    "Changes to headers.",
    set=string_map("Headers to overwrite, by name."),
    add=string_map("Headers to append, by name."),
    remove=strings("Names of headers to drop."),
)

HEADERS = record(
    "Changes to headers on the way.",
    request=HEADER_CHANGES.described("On the way to the service."),
    response=HEADER_CHANGES.described("On the way back."),
)

HTTP_MATCH = record(
    "Conditions that a request meets together.",
    name=string("Label in statistics and traces."),
    uri=STRING_MATCH.described("Path of the request."),
    scheme=STRING_MATCH.described("http or https."),
    method=STRING_MATCH.described("HTTP method."),
    authority=STRING_MATCH.described("Host header."),
    headers=mapping("Headers by lower-case name; an empty test asks for presence.", STRING_MATCH),
    port=PORT,
    sourceLabels=CALLER_LABELS,
    gateways=CALLER_GATEWAYS,
    queryParams=mapping("Query parameters by name.", STRING_MATCH),
    ignoreUriCase=boolean("Compare the path without case."),
    withoutHeaders=mapping("Headers that must not match, by name.", STRING_MATCH),
    sourceNamespace=CALLER_NAMESPACE,
    statPrefix=string("Prefix of this route's statistics."),
)

HTTP_ROUTE_DESTINATION = record(
    "A destination and its share.",
    destination=DESTINATION.required(),
    weight=int32("Share relative to the other destinations."),
    headers=HEADERS,
)

REDIRECT = record(
    "Send the caller elsewhere.",
    uri=string("New path."),
    prefixRewrite=string("New beginning for the path that was matched.").since("1.31"),
    authority=string("New host."),
    port=uint32("New port."),
    derivePort=choice("How to choose the new port.", "FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"),
    scheme=string("New scheme."),
    redirectCode=uint32("Status code; 301 where absent."),
).one_of("port", "derivePort")

DIRECT_RESPONSE = record(
    "Answer without asking any service.",
    status=uint32("Status code of the answer.").required(),
    body=record(
        "Content of the answer.",
        string=string("As text."),
        bytes=string("As bytes, in base64.", format="byte"),
    ).one_of("string", "bytes"),
)

FAULT = record(
    "Faults put in on purpose, for tests.",
    delay=record(
        "Wait before forwarding.",
        percent=int32("Old form of `percentage`."),
        fixedDelay=duration("How long to wait."),
        exponentialDelay=duration("Not implemented by Istio."),
        percentage=SHARE,
    ).one_of("fixedDelay", "exponentialDelay"),
    abort=record(
        "Answer with an error instead of forwarding.",
        httpStatus=int32("HTTP status to answer with."),
        grpcStatus=string("gRPC status to answer with, by name."),
        http2Error=string("Not implemented by Istio."),
        percentage=SHARE,
    ).one_of("httpStatus", "grpcStatus", "http2Error"),
)

CORS = record(
    "Which web pages may call from a browser.",
    allowOrigin=strings("Old form of `allowOrigins`."),
    allowOrigins=array("Origins that may call.", STRING_MATCH),
    allowMethods=strings("Methods they may use."),
    allowHeaders=strings("Headers they may send."),
    exposeHeaders=strings("Headers their scripts may read."),
    maxAge=duration("How long browsers may remember the answer."),
    allowCredentials=optional_boolean("Whether cookies and authorization may be sent."),
    unmatchedPreflights=choice(
        "What becomes of preflights from other origins.", "UNSPECIFIED", "FORWARD", "IGNORE"
    ),
)

RETRIES = record(
    "When and how often a failed request is repeated.",
    attempts=int32("Repetitions, at most; 0 turns retries off."),
    perTryTimeout=duration("Time allowed for each try."),
    retryOn=string("Envoy's retry conditions or status codes, by comma."),
    retryRemoteLocalities=optional_boolean("Whether other localities may be tried."),
    retryIgnorePreviousHosts=optional_boolean("Avoid endpoints that already failed."),
    backoff=duration("Wait before a repetition; grows with each."),
)

HTTP_ROUTE = record(
    "One rule; the first that matches decides.",
    name=string("Label in access logs."),
    match=array("Alternatives, any of which is enough; all traffic where absent.", HTTP_MATCH),
    route=array("Destinations and their shares.", HTTP_ROUTE_DESTINATION),
    redirect=REDIRECT,
    directResponse=DIRECT_RESPONSE,
    delegate=record(
        "Another VirtualService that holds the finer rules.",
        name=string("Its name."),
        namespace=string("Its namespace; this one where empty."),
    ),
    rewrite=record(
        "Changes to the request before it is forwarded.",
        uri=string("New path, or new beginning of a matched prefix."),
        authority=string("New Host header."),
        uriRegexRewrite=record(
            "New path by expression.",
            match=string("RE2 expression on the path."),
            rewrite=string(r"Replacement, with `\1` for groups."),
        ),
    ),
    timeout=duration("Time allowed for the whole request."),
    retries=RETRIES,
    fault=FAULT,
    mirror=DESTINATION.described("Service that gets a copy of requests."),
    mirrors=array(
        "Services that get a copy of requests.",
        record(destination=DESTINATION.required(), percentage=SHARE),
    ),
    mirrorPercent=uint32("Old form of `mirrorPercentage`.").nullable(),
    mirror_percent=uint32("Older form of `mirrorPercentage`.").nullable(),
    mirrorPercentage=SHARE.described("Share of requests that `mirror` gets."),
    corsPolicy=CORS,
    headers=HEADERS,
)

CONNECTION_ROUTES = array(
    "Destinations and their shares.",
    record(
        destination=DESTINATION.required(),
        weight=int32("Share relative to the other destinations."),
    ),
)

TLS_ROUTE = record(
    "One rule for TLS that is passed through.",
    match=array(
        "Alternatives, any of which is enough.",
        record(
            sniHosts=strings("Server names, `*.` prefix allowed.").required(),
            destinationSubnets=SUBNETS,
            port=PORT,
            sourceLabels=CALLER_LABELS,
            gateways=CALLER_GATEWAYS,
            sourceNamespace=CALLER_NAMESPACE,
        ),
    ).required(),
    route=CONNECTION_ROUTES,
)

TCP_ROUTE = record(
    "One rule for other TCP connections.",
    match=array(
        "Alternatives, any of which is enough; all where absent.",
        record(
            destinationSubnets=SUBNETS,
            port=PORT,
            sourceSubnet=string("Not implemented by Istio."),
            sourceLabels=CALLER_LABELS,
            gateways=CALLER_GATEWAYS,
            sourceNamespace=CALLER_NAMESPACE,
        ),
    ),
    route=CONNECTION_ROUTES,
)

VIRTUAL_SERVICE = Kind(
    name="VirtualService",
    group="networking.istio.io",
    doc="Rules that route traffic to services.",
    spec=record(
        "Hosts and the rules for them.",
        hosts=strings("Names that callers use; short names are of this namespace."),
        gateways=strings("Gateways that follow the rules; sidecars where empty."),
        http=array("Rules for HTTP and gRPC, in order.", HTTP_ROUTE),
        tls=array("Rules for TLS that is passed through, in order.", TLS_ROUTE),
        tcp=array("Rules for other TCP connections, in order.", TCP_ROUTE),
        exportTo=EXPORT_TO,
    ),
    versions=versions("v1", "v1alpha3", "v1beta1", stored="v1"),
    short_names=("vs",),
    columns=(
        Column("Gateways", ".spec.gateways", "Gateways that follow the rules."),
        Column("Hosts", ".spec.hosts", "Names the rules are for."),
        AGE,
    ),
)
