"""Types that several kinds of Istio's API have in common."""

from __future__ import annotations

from meshctl.crds.declare import (
    PORT_MAX,
    array,
    boolean,
    choice,
    mapping,
    optional_boolean,
    port,
    record,
    string,
    string_map,
    strings,
    uint32,
)
from meshctl.crds.schema import IntOrString, Object

# Which workloads

SELECTOR = record(
    "Pods and VMs of this namespace by label; all where absent.",
    matchLabels=mapping(
        "Labels that a workload must all have.",
        string(longest=63).check('!self.contains("*")', "a label value has no wildcard"),
        most=4096,
    )
    .check('self.all(key, !key.contains("*"))', "a label key has no wildcard")
    .check("self.all(key, key.size() != 0)", "a label key is not empty"),
)

WORKLOAD_SELECTOR = record(
    "Pods and VMs of this namespace by label; all where absent.",
    labels=mapping(
        "Labels that a workload must all have.",
        string(longest=63).check('!self.contains("*")', "a label value has no wildcard"),
        most=256,
    ),
)

TARGET_REF = record(
    "One object to attach to, instead of a selector.",
    group=string(
        "API group of the object; empty for core kinds.",
        pattern=r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        longest=253,
    ),
    kind=string(
        "Kind of the object, such as Gateway or Service.",
        pattern="^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$",
        shortest=1,
        longest=63,
    ).required(),
    name=string("Name of the object.", shortest=1, longest=253).required(),
    namespace=string("Leave empty: only objects of this namespace can be meant.").check(
        "self.size() == 0", "another namespace cannot be referred to"
    ),
)

TARGET_REFS = array("Objects to attach to, such as Gateways, instead of a selector.", TARGET_REF, most=16)

EXPORT_TO = strings("Namespaces that see this: `.` for its own, `*` for all.")

# Matching

STRING_MATCH = record(
    "A test of text, in one of three ways.",
    exact=string("The whole text."),
    prefix=string("How the text begins."),
    regex=string("RE2 expression for the whole text."),
).one_of("exact", "prefix", "regex")

# Ports and destinations

PORT_SELECTOR = record(
    "A port of the service.",
    number=uint32("Port number, 1 to 65535."),
)

PORT_MATCH = array(
    "Ports of the workload; all where absent.",
    record(number=uint32("Port number.", smallest=1, largest=PORT_MAX).required()),
    keys=("number",),
)

DESTINATION = record(
    "A service, or a part of one.",
    host=string("Service name as Istio's registry knows it.").required(),
    subset=string("Subset declared by the host's DestinationRule."),
    port=PORT_SELECTOR.described("Service port; may be absent if there is only one."),
)

SIDECAR_PORT = record(
    "Port on which the listener accepts traffic.",
    number=uint32("Port number; 0 belongs to Unix sockets."),
    protocol=string("HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS."),
    name=string("What the port is called."),
    targetPort=uint32("No longer used."),
)

# Transport security

TLS_VERSIONS = ("TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3")

SERVER_TLS = (
    record(
        "How callers are served over TLS.",
        httpsRedirect=boolean("Answer plain HTTP with a 301 to HTTPS."),
        mode=choice(
            "Whether TLS ends here, and who must show a certificate.",
            "PASSTHROUGH",
            "SIMPLE",
            "MUTUAL",
            "AUTO_PASSTHROUGH",
            "ISTIO_MUTUAL",
            "OPTIONAL_MUTUAL",
        ),
        serverCertificate=string("File with our certificate chain."),
        privateKey=string("File with our private key."),
        caCertificates=string("File with authorities for client certificates."),
        caCrl=string("File with revoked client certificates."),
        credentialName=string("Secret with key and certificate, in the gateway's namespace."),
        credentialNames=strings("Two secrets at most, such as RSA and ECDSA.", fewest=1, most=2),
        caCertCredentialName=string("Secret or ConfigMap with authorities for client certificates."),
        tlsCertificates=array(
            "Two key pairs at most, such as RSA and ECDSA.",
            record(
                serverCertificate=string("Chain file of this pair."),
                privateKey=string("Key file of this pair."),
                caCertificates=string("Authorities file of this pair."),
            ),
            fewest=1,
            most=2,
        ),
        insecureSkipVerify=optional_boolean("Let a caller in although its certificate is not valid.").since(
            "1.31"
        ),
        subjectAltNames=strings("Names that a client certificate may carry."),
        verifyCertificateSpki=strings("Base64 SHA-256 of accepted public keys."),
        verifyCertificateHash=strings("Hex SHA-256 of accepted certificates."),
        minProtocolVersion=choice("Oldest TLS that is spoken.", *TLS_VERSIONS),
        maxProtocolVersion=choice("Newest TLS that is spoken.", *TLS_VERSIONS),
        cipherSuites=strings("Ciphers offered up to TLS 1.2; Envoy's default where empty."),
    )
    .at_most_one("tlsCertificates", "credentialNames")
    .at_most_one("credentialName", "credentialNames")
    .at_most_one("credentialNames", "tlsCertificates")
)

CLIENT_TLS = record(
    "How the sidecar or gateway opens connections to the destination.",
    mode=choice("No TLS, TLS, mutual, or Istio's own.", "DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"),
    clientCertificate=string("File with our certificate chain, for MUTUAL."),
    privateKey=string("File with our private key, for MUTUAL."),
    caCertificates=string("File with authorities for the server's certificate."),
    credentialName=string("Secret with key, certificate and authorities, instead of files."),
    subjectAltNames=strings("Names of which the server's certificate must carry one."),
    sni=string("Server name said in the handshake."),
    insecureSkipVerify=optional_boolean("Accept any server certificate."),
    caCrl=string("File with revoked server certificates."),
)

# Workloads outside Kubernetes


def workload(doc: str) -> Object:
    """One VM or other workload outside Kubernetes, or what all of a group have in common."""
    return record(
        doc,
        address=string("IP address, DNS name, or `unix://` socket path.", longest=256)
        .check(
            'self.startsWith("unix://") ? '
            '(self.substring(7, 8) == "/" || self.substring(7, 8) == "@") : true',
            "a Unix socket is an absolute path or an abstract name",
        )
        .check('self.startsWith("unix://") ? !self.endsWith("/") : true', "a Unix socket is not a folder"),
        ports=mapping(
            "Port numbers by the service's port names.",
            port(),
            most=128,
        ).check(
            'self.all(key, size(key) < 63 && key.matches("^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$"))',
            "a port name has letters, digits and inner hyphens, 62 at most",
        ),
        labels=string_map("Labels, for selectors and subsets.", most=256),
        network=string("Network where the address can be reached directly.", longest=2048),
        locality=string("Where it is, as `region/zone/subzone`.", longest=2048),
        weight=uint32("Share of traffic relative to its peers."),
        serviceAccount=string("Service account of this namespace that it runs as.", longest=253),
    )


SOCKET_WITHOUT_PORTS = (
    '(has(self.address) ? self.address : "").startsWith("unix://") ? !has(self.ports) : true'
)

WORKLOAD_TEMPLATE = workload("What all workloads of the group have in common.").check(
    SOCKET_WITHOUT_PORTS, "a Unix socket has no ports"
)

WORKLOAD = (
    workload("One workload outside Kubernetes, such as a VM.")
    .check("has(self.address) || has(self.network)", "address or network is needed")
    .check(SOCKET_WITHOUT_PORTS, "a Unix socket has no ports")
)

# What istiod reports

STATUS = record(
    "What istiod found and did about this object.",
    conditions=array(
        "States, such as whether proxies have received it.",
        record(
            type=string("Name of the state."),
            status=string("True, False or Unknown."),
            lastProbeTime=string("When it was last looked at.", format="date-time"),
            lastTransitionTime=string("When it last changed.", format="date-time"),
            reason=string("One word for programs."),
            message=string("A sentence for people."),
            observedGeneration=IntOrString(doc="Generation of the object this is about."),
        ),
    ),
    validationMessages=array(
        "Findings of istiod's analysis.",
        record(
            type=record(
                "Which finding it is.",
                name=string("Name of the finding."),
                code=string("Its code, such as IST0101."),
            ),
            level=choice("How bad it is.", "UNKNOWN", "ERROR", "WARNING", "INFO"),
            documentationUrl=string("Page that explains it."),
        ),
    ),
    observedGeneration=IntOrString(doc="Generation of the object this is about."),
).keep_unknown()
