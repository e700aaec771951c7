"""Names of the top-level fields of Istio's MeshConfig (istio.io/api mesh/v1alpha1/config.proto)."""

from __future__ import annotations

MESH_FIELDS = frozenset({
    "accessLogEncoding", "accessLogFile", "accessLogFormat", "ca", "caCertificates", "certificates",
    "configSources", "connectTimeout", "defaultConfig", "defaultDestinationRuleExportTo",
    "defaultHttpRetryPolicy", "defaultProviders", "defaultServiceExportTo", "defaultTrafficPolicy",
    "defaultVirtualServiceExportTo", "disableEnvoyListenerLog", "discoverySelectors", "dnsRefreshRate",
    "enableAutoMtls", "enableEnvoyAccessLogService", "enablePrometheusMerge", "enableTracing",
    "extensionProviders", "h2UpgradePolicy", "hboneIdleTimeout", "inboundClusterStatName",
    "inboundTrafficPolicy", "ingressClass", "ingressControllerMode", "ingressSelector",
    "ingressService", "localityLbSetting", "meshMTLS", "outboundClusterStatName",
    "outboundTrafficPolicy", "pathNormalization", "protocolDetectionTimeout", "proxyHttpPort",
    "proxyInboundListenPort", "proxyListenPort", "rootNamespace", "serviceEntryVisibility",
    "serviceScopeConfigs", "serviceSettings", "tcpKeepalive", "tlsDefaults", "trustDomain",
    "trustDomainAliases", "verifyCertificateAtClient", "zoneAwareLbSetting",
})  # fmt: skip
