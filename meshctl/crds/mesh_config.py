"""MeshConfig and MeshNetworks: what istiod reads about the whole mesh.

Source: istio.io/api mesh/v1alpha1/{config,network}.proto.
"""

from __future__ import annotations

from functools import cache

from meshctl.crds.declare import (
    array,
    boolean,
    choice,
    mapping,
    optional_boolean,
    port,
    record,
    string,
    strings,
)
from meshctl.crds.extension_providers import EXTENSION_PROVIDER
from meshctl.crds.kubernetes import shape
from meshctl.crds.minors import known, object_as_of
from meshctl.crds.proxy_config import KEEPALIVE, PROXY_CONFIG, any_port, span
from meshctl.crds.routing import RETRIES
from meshctl.crds.schema import Object, Text
from meshctl.crds.shared import CLIENT_TLS
from meshctl.crds.traffic_policy import CONNECTION_POOL, LOAD_BALANCER, OUTLIER_DETECTION

_SELECTOR = shape("LabelSelector")
_DOMAIN = Text(doc="Name at the root of identities, spiffe://NAME/….", type_name="trustDomain")
_TLS = record(
    "Limits of TLS.",
    minProtocolVersion=choice("Oldest TLS that is spoken.", "TLS_AUTO", "TLSV1_2", "TLSV1_3"),
    ecdhCurves=strings("Curves offered."),
    cipherSuites=strings("Ciphers offered up to TLS 1.2."),
)
_EXPORTED = strings("Namespaces that see what names none: `.` for its own, `*` for all.")
_VISIBILITY = choice("Who sees a ServiceEntry.", "VISIBILITY_UNSPECIFIED", "NONE", "NAMESPACE", "PUBLIC")

MESH_CONFIG = record(
    "Istio's MeshConfig.",
    proxyListenPort=any_port("Port on which proxies take outbound traffic."),
    proxyInboundListenPort=any_port("Port on which proxies take inbound traffic."),
    proxyHttpPort=any_port("Port of the HTTP proxy for applications; 0 is none."),
    connectTimeout=Text(
        doc="Time allowed for a connection, 1ms to 1h.", format="duration", type_name="connectTimeout"
    ),
    hboneIdleTimeout=span("Silence after which a tunnel is closed."),
    protocolDetectionTimeout=span("Time allowed to find out what is spoken; 0s is for ever."),
    tcpKeepalive=KEEPALIVE,
    ingressClass=string("Class of Ingresses that are served."),
    ingressService=string("Service whose address Ingresses report."),
    ingressControllerMode=choice("Which Ingresses are served.", "UNSPECIFIED", "OFF", "DEFAULT", "STRICT"),
    ingressSelector=string("Label `istio` of the gateway that serves Ingresses."),
    enableTracing=boolean("Trace requests."),
    accessLogFile=string("File of access logs, such as /dev/stdout; empty is none."),
    accessLogFormat=string("Format of their lines."),
    accessLogEncoding=choice("Their encoding.", "TEXT", "JSON"),
    enableEnvoyAccessLogService=boolean("Send access logs to a service."),
    disableEnvoyListenerLog=boolean("Do not log connections that fit no filter chain."),
    defaultConfig=PROXY_CONFIG,
    outboundTrafficPolicy=record(
        "Traffic to hosts that the mesh does not know.",
        mode=choice(
            "Refused, let through, or resolved by the proxy.",
            "REGISTRY_ONLY",
            "ALLOW_ANY",
            "ALLOW_ANY_DYNAMIC_DNS",
        ),
        tls=CLIENT_TLS,
    ),
    inboundTrafficPolicy=record(
        "Where a sidecar sends inbound traffic.",
        mode=choice("The pod's address or loopback.", "PASSTHROUGH", "LOCALHOST"),
    ),
    configSources=array(
        "Where istiod reads Istio's resources.",
        record(
            address=string("`xds://host:port`, `fs:///folder` or `k8s://`."),
            tlsSettings=CLIENT_TLS,
            subscribedResources=array("What is asked for.", choice("", "SERVICE_REGISTRY")),
        ),
    ),
    enableAutoMtls=optional_boolean("Use mutual TLS wherever the other side can."),
    trustDomain=_DOMAIN,
    trustDomainAliases=array("Further names that are trusted.", _DOMAIN),
    caCertificates=array(
        "Further roots of trust.",
        record(
            pem=string("The certificate, PEM."),
            spiffeBundleUrl=string("Address of a SPIFFE bundle."),
            certSigners=strings("Kubernetes signers it is for."),
            trustDomains=strings("Trust domains it is for."),
        ).one_of("pem", "spiffeBundleUrl"),
    ),
    defaultServiceExportTo=_EXPORTED,
    defaultVirtualServiceExportTo=_EXPORTED,
    defaultDestinationRuleExportTo=_EXPORTED,
    rootNamespace=string("Namespace whose resources are for the whole mesh."),
    localityLbSetting=LOAD_BALANCER.fields["localityLbSetting"].named("localities"),
    zoneAwareLbSetting=LOAD_BALANCER.fields["zoneAwareLbSetting"].named("zones"),
    dnsRefreshRate=span("How often Envoy resolves names."),
    h2UpgradePolicy=choice("Whether HTTP/1.1 is carried as HTTP/2.", "DO_NOT_UPGRADE", "UPGRADE"),
    inboundClusterStatName=string("Pattern of metric names of inbound clusters."),
    outboundClusterStatName=string("Pattern of metric names of outbound clusters."),
    certificates=array(
        "Without effect.",
        record(secretName=string("Without effect."), dnsNames=strings("Without effect.")),
    ),
    serviceSettings=array(
        "Settings of some services.",
        record(
            settings=record(
                "What they are.", clusterLocal=boolean("Traffic stays within the caller's cluster.")
            ),
            hosts=strings("Their hosts, `*.` allowed at the front.", Text(type_name="wildcardHost")),
        ),
    ),
    serviceScopeConfigs=array(
        "Which services are known in every cluster.",
        record(
            namespaceSelector=_SELECTOR,
            servicesSelector=_SELECTOR,
            scope=choice("This cluster, or all.", "LOCAL", "GLOBAL"),
        ),
    ),
    enablePrometheusMerge=optional_boolean("Agents serve the application's metrics with the proxy's."),
    verifyCertificateAtClient=optional_boolean("Without effect."),
    ca=record(
        "A certificate authority elsewhere.",
        address=string("Its address."),
        tlsSettings=CLIENT_TLS,
        requestTimeout=span("Time allowed for an answer."),
        istiodSide=boolean("istiod asks it, rather than agents."),
    ),
    extensionProviders=array("Services that proxies can be told to use, by name.", EXTENSION_PROVIDER).named(
        "extensionProviders"
    ),
    defaultProviders=record(
        "Providers used where no resource names any.",
        tracing=strings("For traces."),
        metrics=strings("For metrics."),
        accessLogging=strings("For access logs."),
    ),
    discoverySelectors=array("Namespaces that istiod looks at; all where absent.", _SELECTOR),
    pathNormalization=record(
        "What becomes of request paths before they are matched.",
        normalization=choice(
            "How far.", "DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"
        ),
    ),
    defaultHttpRetryPolicy=RETRIES,
    meshMTLS=_TLS.described("TLS between workloads of the mesh.").named("meshTLS"),
    tlsDefaults=_TLS.described("TLS of gateways, and to the outside."),
    defaultTrafficPolicy=record(
        "What DestinationRules start from.",
        connectionPool=CONNECTION_POOL,
        outlierDetection=OUTLIER_DETECTION,
    )
    .named("defaultTrafficPolicy")
    .since("1.31"),
    serviceEntryVisibility=record(
        "Who sees ServiceEntries.",
        defaultVisibility=_VISIBILITY,
        applyToSidecars=boolean("For sidecars too, not only in ambient mode."),
        policies=array(
            "In order; the first that matches decides.",
            record(
                visibility=_VISIBILITY,
                matchingRules=array("All must match.", record(namespaceSelector=_SELECTOR)),
            ),
        ),
    ).since("1.31"),
).named("MeshConfig")

NETWORK = record(
    "One network.",
    endpoints=array(
        "What is in it.",
        record(
            fromCidr=Text(doc="Endpoints of this range.", type_name="anyRange"),
            fromRegistry=Text(doc="Endpoints of this cluster.", type_name="dnsLabel"),
        ).one_of("fromCidr", "fromRegistry"),
    ),
    gateways=array(
        "How it is entered.",
        record(
            registryServiceName=Text(doc="A gateway's Service, by full name.", type_name="host"),
            address=string("A gateway's address."),
            port=port("Its port."),
            locality=string("Where it is, as `region/zone`."),
        )
        .one_of("registryServiceName", "address")
        .named("networkGateway"),
    ),
)
MESH_NETWORKS = mapping("Networks by name.", NETWORK)

RESERVED = frozenset(
    {
        "authPolicy", "disableMixerHttpReports", "disablePolicyChecks", "disableReportBatch",
        "enableClientSidePolicyCheck", "enableSdsTokenMount", "fileFlushInterval", "fileFlushMinSize",
        "mixerAddress", "mixerCheckServer", "mixerReportServer", "policyCheckFailOpen", "rdsRefreshDelay",
        "reportBatchMaxEntries", "reportBatchMaxTime", "sdsRefreshDelay", "sdsUdsPath", "sdsUseK8sSaJwt",
        "sidecarToTelemetrySessionAffinity", "terminationDrainDuration", "thriftConfig",
        "parentShutdownDuration",
    }
)  # fmt: skip
"""Fields of the mesh configuration that Istio once had."""


@cache
def mesh_config(minor: str = "1.32") -> Object:
    """MeshConfig as an Istio minor has it.

    Raises:
        UnsupportedError: it is none, or is older than the definitions reach back.
    """
    return object_as_of(MESH_CONFIG, known(minor))
