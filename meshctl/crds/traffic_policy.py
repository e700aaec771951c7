"""DestinationRule: what happens to traffic after it was routed."""

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
    percent,
    record,
    string,
    string_map,
    strings,
    uint32,
    uint64,
    versions,
)
from meshctl.crds.schema import Column, Kind
from meshctl.crds.shared import CLIENT_TLS, EXPORT_TO, PORT_SELECTOR, SELECTOR

CONNECTION_POOL = record(
    "How many connections and requests may be open.",
    tcp=record(
        "Limits of every connection.",
        maxConnections=int32("Connections to the host at once."),
        connectTimeout=duration("Time allowed for the TCP handshake."),
        tcpKeepalive=record(
            "Probes that find dead peers.",
            probes=uint32("Unanswered probes after which the peer is dead."),
            time=duration("Silence before the first probe."),
            interval=duration("Time between probes."),
        ),
        maxConnectionDuration=duration("Age at which a connection is closed."),
        idleTimeout=string("Silence after which a connection is closed."),
    ),
    http=record(
        "Limits of HTTP traffic.",
        http1MaxPendingRequests=int32("Requests that may wait for a connection."),
        http2MaxRequests=int32("Requests in flight at once."),
        maxRequestsPerConnection=int32("Requests after which a connection is replaced; 0 never."),
        maxRetries=int32("Retries in flight at once."),
        idleTimeout=duration("Time without requests after which a connection is closed."),
        h2UpgradePolicy=choice(
            "Whether HTTP/1.1 is carried as HTTP/2.", "DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"
        ),
        useClientProtocol=boolean("Speak whichever HTTP version the caller speaks."),
        maxConcurrentStreams=int32("Streams at once on one HTTP/2 connection."),
        http2KeepAlive=record(
            "PING frames that find dead peers.",
            interval=duration("Time between PINGs."),
            timeout=duration("Time allowed for the answer."),
        ).since("1.31"),
    ),
)

FAILOVER = array(
    "Where traffic goes when a region has no healthy endpoint.",
    record(from_=string("Region that failed."), to=string("Region that takes over.")),
)

FAILOVER_PRIORITY = strings("Labels whose equality with the caller's ranks endpoints.")

LOAD_BALANCER = record(
    "How an endpoint is picked.",
    simple=choice(
        "Standard algorithm.",
        "UNSPECIFIED",
        "LEAST_CONN",
        "RANDOM",
        "PASSTHROUGH",
        "ROUND_ROBIN",
        "LEAST_REQUEST",
    ),
    consistentHash=record(
        "Same key, same endpoint.",
        httpHeaderName=string("Key is this request header."),
        httpCookie=record(
            "Key is a cookie, made if missing.",
            name=string("Cookie name.").required(),
            path=string("Cookie path."),
            ttl=string("Lifetime of a cookie that Envoy makes."),
            attributes=array(
                "More attributes of a cookie that Envoy makes.",
                record(name=string("Attribute name.").required(), value=string("Attribute value.")),
            ),
        ),
        useSourceIp=boolean("Key is the caller's address."),
        httpQueryParameterName=string("Key is this query parameter."),
        ringHash=record("Ring of points.", minimumRingSize=uint64("Points on the ring, at least.")),
        maglev=record("Maglev table.", tableSize=uint64("Entries, a prime number.")),
        minimumRingSize=uint64("Old place of `ringHash.minimumRingSize`."),
    )
    .one_of("httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName")
    .one_of("ringHash", "maglev"),
    localityLbSetting=record(
        "Preference between places, over what the mesh says.",
        distribute=array(
            "Fixed shares between places.",
            record(
                from_=string("Place of the caller, such as `region/zone/*`."),
                to=mapping("Percent by place; the sum is 100.", uint32()),
            ),
        ),
        failover=FAILOVER,
        failoverPriority=FAILOVER_PRIORITY,
        enabled=optional_boolean("Turn it on or off for this host."),
    ),
    zoneAwareLbSetting=record(
        "Even load with as little cross-zone traffic as possible.",
        enabled=optional_boolean("Turn it on or off for this host."),
        failover=FAILOVER,
        failoverPriority=FAILOVER_PRIORITY,
        minClusterSize=uint32("Endpoints below which zones are ignored.", smallest=1).nullable(),
    ).since("1.31"),
    warmupDurationSecs=duration("Old form of `warmup.duration`."),
    warmup=record(
        "Slow start of new endpoints.",
        duration=duration("Time until an endpoint gets its full share.").required(),
        minimumPercent=percent("Share of traffic at the start."),
        aggression=double("Shape of the growth; 1 is a straight line.", smallest=0).nullable(),
    ),
).one_of("simple", "consistentHash")

OUTLIER_DETECTION = record(
    "When an endpoint is left out for a while.",
    consecutiveErrors=int32("Without effect; say `consecutive5xxErrors`."),
    splitExternalLocalOriginErrors=boolean("Count failures to connect separately from bad answers."),
    consecutiveLocalOriginFailures=uint32("Failures to connect in a row, if separate.").nullable(),
    consecutiveGatewayErrors=uint32("Answers 502, 503 or 504 in a row.").nullable(),
    consecutive5xxErrors=uint32("Answers 5xx in a row.").nullable(),
    interval=duration("Time between looks."),
    baseEjectionTime=duration("Time out, multiplied by how often it happened."),
    maxEjectionPercent=int32("Share of endpoints that may be out at once."),
    minHealthPercent=int32("Healthy share below which nothing is left out."),
    outlierDetectionHttpErrorCodes=array(
        "Status codes that count as failures.", uint32(smallest=100, largest=599)
    ).since("1.31"),
)

TRAFFIC_POLICY = record(
    "Load balancing, connections, failures and TLS towards the host.",
    loadBalancer=LOAD_BALANCER,
    connectionPool=CONNECTION_POOL,
    outlierDetection=OUTLIER_DETECTION,
    tls=CLIENT_TLS,
    portLevelSettings=array(
        "Ports with a policy of their own, which replaces this one.",
        record(
            port=PORT_SELECTOR,
            loadBalancer=LOAD_BALANCER,
            connectionPool=CONNECTION_POOL,
            outlierDetection=OUTLIER_DETECTION,
            tls=CLIENT_TLS,
        ),
        most=4096,
    ),
    tunnel=record(
        "Carry TCP inside HTTP to a proxy.",
        protocol=string("CONNECT or POST."),
        targetHost=string("Host asked of the proxy.").required(),
        targetPort=uint32("Port asked of the proxy.").required(),
    ),
    proxyProtocol=record(
        "Tell the caller's address by PROXY protocol.", version=choice("Text or binary form.", "V1", "V2")
    ),
    retryBudget=record(
        "Retries as a share of live requests.",
        percent=percent("Retries per hundred live requests."),
        minRetryConcurrency=uint32("Retries that are always allowed."),
        budgetInterval=string("Time over which requests are counted.").since("1.31"),
    ),
)

DESTINATION_RULE = Kind(
    name="DestinationRule",
    group="networking.istio.io",
    doc="Policy for traffic to a service, after routing.",
    spec=record(
        "A host, its subsets and its policy.",
        host=string("Service name as Istio's registry knows it.").required(),
        trafficPolicy=TRAFFIC_POLICY,
        subsets=array(
            "Named parts of the service, such as versions.",
            record(
                name=string("Name that routes refer to.").required(),
                labels=string_map("Labels that its endpoints have."),
                trafficPolicy=TRAFFIC_POLICY.described("What differs from the policy of the host."),
            ),
        ),
        exportTo=EXPORT_TO,
        workloadSelector=SELECTOR.described("Callers the rule is for, by label; all where absent."),
    ),
    versions=versions("v1", "v1alpha3", "v1beta1", stored="v1"),
    short_names=("dr",),
    columns=(Column("Host", ".spec.host", "Service the rule is about."), AGE),
)
