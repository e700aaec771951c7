"""The fields of ProxyConfig and MeshConfig; the notation is that of `fields.py`.

Source: istio.io/api mesh/v1alpha1/config.proto and proxy.proto. Parts of MeshConfig that no sidecar is told
of are `any`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from meshctl.stages.injecting.fields import types

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.stages.injecting.fields import Type

_TABLE = """
ProxyConfig: configPath binaryPath serviceCluster|cluster_name
  tracingServiceName:enum.TracingServiceName|cluster_name drainDuration:duration discoveryAddress
  discoveryRefreshDelay:duration zipkinAddress statsdUdpAddress envoyMetricsServiceAddress
  proxyAdminPort:int availabilityZone controlPlaneAuthPolicy:enum.AuthenticationPolicy customConfigFile
  statNameLength:int concurrency:intvalue proxyBootstrapTemplatePath
  interceptionMode:enum.InboundInterceptionMode tracing:Tracing sds:SDS envoyAccessLogService:RemoteService
  envoyMetricsService:RemoteService proxyMetadata:{} runtimeValues:{} statusPort:int extraStatTags:[]
  gatewayTopology:Topology terminationDrainDuration:duration meshId readinessProbe:ReadinessProbe
  proxyStatsMatcher:ProxyStatsMatcher holdApplicationUntilProxyStarts:boolvalue caCertificatesPem:[]
  image:ProxyImage privateKeyProvider:PrivateKeyProvider proxyHeaders:ProxyHeaders
  fileFlushInterval:duration fileFlushMinSizeKb:int statsCompression:boolvalue
  connectionSettings:ConnectionSettings
Tracing: zipkin:Tracing.Zipkin|tracer lightstep:Tracing.Lightstep|tracer datadog:Tracing.Datadog|tracer
  stackdriver:Tracing.Stackdriver|tracer openCensusAgent:Tracing.OpenCensusAgent|tracer
  customTags:{}Tracing.CustomTag maxPathTagLength:int sampling:double tlsSettings:ClientTLSSettings
  enableIstioTags:boolvalue
Tracing.Zipkin: address
Tracing.Lightstep: address accessToken
Tracing.Datadog: address
Tracing.Stackdriver: debug:bool maxNumberOfAttributes:longvalue maxNumberOfAnnotations:longvalue
  maxNumberOfMessageEvents:longvalue
Tracing.OpenCensusAgent: address context:[]enum.Tracing.OpenCensusAgent.TraceContext
Tracing.CustomTag: literal:Tracing.Literal|type environment:Tracing.Environment|type
  header:Tracing.RequestHeader|type
Tracing.Literal: value
Tracing.Environment: name defaultValue
Tracing.RequestHeader: name defaultValue
ClientTLSSettings: mode:enum.ClientTLSSettings.TLSmode clientCertificate privateKey caCertificates
  credentialName subjectAltNames:[] sni insecureSkipVerify:boolvalue caCrl
SDS: enabled:bool k8sSaJwtPath
RemoteService: address tlsSettings:ClientTLSSettings
  tcpKeepalive:ConnectionPoolSettings.TCPSettings.TcpKeepalive
ConnectionPoolSettings.TCPSettings.TcpKeepalive: probes:int time:duration interval:duration
Topology: numTrustedProxies:int forwardClientCertDetails:enum.ForwardClientCertDetails
  proxyProtocol:Topology.ProxyProtocolConfiguration
Topology.ProxyProtocolConfiguration:
ReadinessProbe: initialDelaySeconds:int timeoutSeconds:int periodSeconds:int successThreshold:int
  failureThreshold:int httpGet:HTTPHealthCheckConfig|health_check_method
  tcpSocket:TCPHealthCheckConfig|health_check_method exec:ExecHealthCheckConfig|health_check_method
  grpc:GrpcHealthCheckConfig|health_check_method
HTTPHealthCheckConfig: path port:int host scheme httpHeaders:[]HTTPHeader
HTTPHeader: name value
TCPHealthCheckConfig: host port:int
ExecHealthCheckConfig: command:[]
GrpcHealthCheckConfig: port:int service
ProxyStatsMatcher: inclusionPrefixes:[] inclusionSuffixes:[] inclusionRegexps:[]
ProxyImage: imageType
PrivateKeyProvider: cryptomb:PrivateKeyProvider.CryptoMb|provider qat:PrivateKeyProvider.QAT|provider
PrivateKeyProvider.CryptoMb: pollDelay:duration fallback:boolvalue
PrivateKeyProvider.QAT: pollDelay:duration fallback:boolvalue
ProxyHeaders: forwardedClientCert:enum.ForwardClientCertDetails
  setCurrentClientCertDetails:ProxyHeaders.SetCurrentClientCertDetails requestId:ProxyHeaders.RequestId
  server:ProxyHeaders.Server attemptCount:ProxyHeaders.AttemptCount
  envoyDebugHeaders:ProxyHeaders.EnvoyDebugHeaders
  metadataExchangeHeaders:ProxyHeaders.MetadataExchangeHeaders preserveHttp1HeaderCase:boolvalue
  xForwardedHost:ProxyHeaders.XForwardedHost xForwardedPort:ProxyHeaders.XForwardedPort
ProxyHeaders.SetCurrentClientCertDetails: subject:boolvalue cert:boolvalue chain:boolvalue dns:boolvalue
  uri:boolvalue
ProxyHeaders.RequestId: disabled:boolvalue
ProxyHeaders.Server: disabled:boolvalue value
ProxyHeaders.AttemptCount: disabled:boolvalue
ProxyHeaders.EnvoyDebugHeaders: disabled:boolvalue
ProxyHeaders.MetadataExchangeHeaders: mode:enum.ProxyHeaders.MetadataExchangeMode
ProxyHeaders.XForwardedHost: enabled:boolvalue
ProxyHeaders.XForwardedPort: enabled:boolvalue
ConnectionSettings: profile:enum.ConnectionSettings.Profile listenerPerConnectionBufferLimitBytes:intvalue
  clusterPerConnectionBufferLimitBytes:intvalue httpIdleTimeout:duration httpMaxConnectionDuration:duration
  httpDrainTimeout:duration httpRequestTimeout:duration httpRequestHeadersTimeout:duration
  httpStreamIdleTimeout:duration httpMaxStreamDuration:duration httpMaxConcurrentStreams:intvalue
  http2InitialStreamWindowSize:intvalue http2InitialConnectionWindowSize:intvalue
  httpHeadersWithUnderscoresAction:enum.ConnectionSettings.HeadersWithUnderscoresAction
  httpMergeSlashes:boolvalue
  httpPathWithEscapedSlashesAction:enum.ConnectionSettings.PathWithEscapedSlashesAction
  listenerConnectionLimit:intvalue globalDownstreamConnectionLimit:intvalue
MeshConfig: proxyListenPort:int proxyInboundListenPort:int proxyHttpPort:int connectTimeout:duration
  hboneIdleTimeout:duration protocolDetectionTimeout:duration
  tcpKeepalive:ConnectionPoolSettings.TCPSettings.TcpKeepalive ingressClass ingressService
  ingressControllerMode:enum.IngressControllerMode ingressSelector enableTracing:bool accessLogFile
  accessLogFormat accessLogEncoding:enum.AccessLogEncoding enableEnvoyAccessLogService:bool
  disableEnvoyListenerLog:bool defaultConfig:ProxyConfig outboundTrafficPolicy:OutboundTrafficPolicy
  inboundTrafficPolicy:InboundTrafficPolicy configSources:[]any enableAutoMtls:boolvalue trustDomain
  trustDomainAliases:[] caCertificates:[]any defaultServiceExportTo:[] defaultVirtualServiceExportTo:[]
  defaultDestinationRuleExportTo:[] rootNamespace localityLbSetting:any zoneAwareLbSetting:any
  dnsRefreshRate:duration h2UpgradePolicy:enum.H2UpgradePolicy inboundClusterStatName
  outboundClusterStatName certificates:[]any serviceSettings:[]any serviceScopeConfigs:[]any
  enablePrometheusMerge:boolvalue verifyCertificateAtClient:boolvalue ca:CA
  extensionProviders:[]ExtensionProvider defaultProviders:DefaultProviders discoverySelectors:[]any
  pathNormalization:any defaultHttpRetryPolicy:any meshMTLS:any tlsDefaults:any defaultTrafficPolicy:any
  serviceEntryVisibility:any
OutboundTrafficPolicy: mode:enum.OutboundTrafficPolicy.Mode tls:ClientTLSSettings
InboundTrafficPolicy: mode:enum.InboundTrafficPolicy.Mode
DefaultProviders: tracing:[] metrics:[] accessLogging:[]
ExtensionProvider: name envoyExtAuthzHttp:any|provider envoyExtAuthzGrpc:any|provider zipkin:any|provider
  lightstep:any|provider datadog:any|provider stackdriver:any|provider opencensus:any|provider
  skywalking:any|provider opentelemetry:ExtensionProvider.OpenTelemetryTracingProvider|provider
  prometheus:any|provider envoyFileAccessLog:any|provider envoyHttpAls:any|provider envoyTcpAls:any|provider
  envoyOtelAls:any|provider sds:any|provider
ExtensionProvider.OpenTelemetryTracingProvider: service port:int maxTagLength:int http:any grpc:any
  resourceDetectors:any serviceAttributeEnrichment:enum.ExtensionProvider.ServiceAttributeEnrichment
  dynatraceSampler:any|sampling
CA: address tlsSettings:ClientTLSSettings requestTimeout:duration istiodSide:bool
"""

# Values count from 0 unless one says its number.
_ENUMS = """
TracingServiceName: APP_LABEL_AND_NAMESPACE CANONICAL_NAME_ONLY CANONICAL_NAME_AND_NAMESPACE
AuthenticationPolicy: NONE MUTUAL_TLS INHERIT=1000
InboundInterceptionMode: REDIRECT TPROXY NONE
Tracing.OpenCensusAgent.TraceContext: UNSPECIFIED W3C_TRACE_CONTEXT GRPC_BIN CLOUD_TRACE_CONTEXT B3
ClientTLSSettings.TLSmode: DISABLE SIMPLE MUTUAL ISTIO_MUTUAL
ForwardClientCertDetails: UNDEFINED SANITIZE FORWARD_ONLY APPEND_FORWARD SANITIZE_SET ALWAYS_FORWARD_ONLY
ProxyHeaders.MetadataExchangeMode: UNDEFINED IN_MESH
ConnectionSettings.Profile: SIDECAR EDGE
ConnectionSettings.HeadersWithUnderscoresAction: HEADERS_WITH_UNDERSCORES_UNSPECIFIED
  HEADERS_WITH_UNDERSCORES_ALLOW HEADERS_WITH_UNDERSCORES_REJECT_REQUEST
  HEADERS_WITH_UNDERSCORES_DROP_HEADER
ConnectionSettings.PathWithEscapedSlashesAction: PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED KEEP_UNCHANGED
  REJECT_REQUEST UNESCAPE_AND_REDIRECT UNESCAPE_AND_FORWARD
IngressControllerMode: UNSPECIFIED OFF DEFAULT STRICT
AccessLogEncoding: TEXT JSON
H2UpgradePolicy: DO_NOT_UPGRADE UPGRADE
OutboundTrafficPolicy.Mode: REGISTRY_ONLY ALLOW_ANY ALLOW_ANY_DYNAMIC_DNS=3
InboundTrafficPolicy.Mode: PASSTHROUGH LOCALHOST
ExtensionProvider.ServiceAttributeEnrichment: ISTIO_CANONICAL OTEL_SEMANTIC_CONVENTIONS
"""


@cache
def mesh_types() -> Mapping[str, Type]:
    """Every message, by its name."""
    return types(_TABLE)


@cache
def enums() -> Mapping[str, Mapping[str, int]]:
    """Every enumeration, by its name: its values and their numbers."""
    found: dict[str, dict[str, int]] = {}
    for line in _ENUMS.replace("\n  ", " ").strip().splitlines():
        name, _, words = line.partition(": ")
        pairs = [word.partition("=") for word in words.split()]
        found[name] = {value: int(number) if number else at for at, (value, _, number) in enumerate(pairs)}
    return found
