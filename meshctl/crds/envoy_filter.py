"""EnvoyFilter: changes to the configuration that istiod makes for Envoy."""

from __future__ import annotations

from meshctl.crds.declare import (
    array,
    choice,
    int32,
    opaque,
    port,
    record,
    string,
    string_map,
    uint32,
    versions,
)
from meshctl.crds.schema import Choice, Kind
from meshctl.crds.shared import TARGET_REFS, WORKLOAD_SELECTOR

PORT_NUMBER = uint32("Port of the service or gateway.")

FILTER = record(
    "A filter of the chain.",
    name=string("Filter name in Envoy."),
    subFilter=record("A filter inside it, such as an HTTP filter.", name=string("Filter name in Envoy.")),
)

LISTENER = record(
    "Listeners.",
    portNumber=PORT_NUMBER,
    portName=string("Not implemented by Istio."),
    filterChain=record(
        "One chain of the listener.",
        name=string("Chain name."),
        sni=string("Server name the chain asks for."),
        transportProtocol=string("`raw_buffer` or `tls`."),
        applicationProtocols=string("ALPN names, by comma."),
        filter=FILTER,
        destinationPort=uint32("Original port the chain asks for."),
    ),
    listenerFilter=string("Name of a listener filter."),
    name=string("Listener name."),
)

ROUTE_CONFIGURATION = record(
    "Route tables.",
    portNumber=PORT_NUMBER,
    portName=string("Port name of the Gateway."),
    gateway=string("Gateway as `namespace/name`."),
    vhost=record(
        "One virtual host of the table.",
        name=string("Virtual host name, such as `host:port`."),
        route=record(
            "A route in it.",
            name=string("Route name."),
            action=choice("What the route does.", "ANY", "ROUTE", "REDIRECT", "DIRECT_RESPONSE"),
        ),
        domainName=string("One of its domains."),
    ),
    name=string("Table name."),
)

CLUSTER = record(
    "Clusters.",
    portNumber=PORT_NUMBER,
    service=string("Service name with its domain."),
    subset=string("Subset that its DestinationRule declares."),
    name=string("Cluster name; overrides the other conditions."),
)

WAYPOINT = record(
    "Filters and routes of a waypoint.",
    portNumber=port("Port of the service."),
    filter=FILTER,
    route=record("A route.", name=string("Route name.")),
)

MATCH = (
    record(
        "Where the patch goes.",
        context=choice(
            "Which proxies and direction.",
            "ANY",
            "SIDECAR_INBOUND",
            "SIDECAR_OUTBOUND",
            "GATEWAY",
            "WAYPOINT",
        ),
        proxy=record(
            "Which proxies.",
            proxyVersion=string("RE2 expression on the proxy's version."),
            metadata=string_map("Node metadata that must be equal."),
        ),
        listener=LISTENER,
        routeConfiguration=ROUTE_CONFIGURATION,
        cluster=CLUSTER,
        waypoint=WAYPOINT,
    )
    .one_of("listener", "routeConfiguration", "cluster", "waypoint")
    .check(
        'has(self.context) ? ((self.context == "WAYPOINT") ? has(self.waypoint) : !has(self.waypoint)) : '
        "!has(self.waypoint)",
        "waypoint goes with context WAYPOINT",
    )
)

ENVOY_FILTER = Kind(
    name="EnvoyFilter",
    group="networking.istio.io",
    doc="Patches to Envoy's configuration; can break proxies.",
    spec=record(
        "Patches and the proxies they are for.",
        workloadSelector=WORKLOAD_SELECTOR,
        targetRefs=TARGET_REFS,
        configPatches=array(
            "Patches, in order.",
            record(
                applyTo=choice(
                    "Part of the configuration.",
                    "INVALID",
                    "LISTENER",
                    "FILTER_CHAIN",
                    "NETWORK_FILTER",
                    "HTTP_FILTER",
                    "ROUTE_CONFIGURATION",
                    "VIRTUAL_HOST",
                    "HTTP_ROUTE",
                    "CLUSTER",
                    "EXTENSION_CONFIG",
                    "BOOTSTRAP",
                    "LISTENER_FILTER",
                ),
                match=MATCH,
                patch=record(
                    "What to change.",
                    operation=choice(
                        "How the value is put in.",
                        "INVALID",
                        "MERGE",
                        "ADD",
                        "REMOVE",
                        "INSERT_BEFORE",
                        "INSERT_AFTER",
                        "INSERT_FIRST",
                        "REPLACE",
                        Choice("MERGE_AND_REPLACE_LIST", "1.31"),
                    ),
                    value=opaque("Envoy configuration, in its JSON form."),
                    filterClass=choice("Place of an added filter.", "UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"),
                ),
            ),
        ),
        priority=int32("Order among EnvoyFilters; lower comes first."),
    ).at_most_one("workloadSelector", "targetRefs"),
    versions=versions("v1alpha3", stored="v1alpha3"),
)
