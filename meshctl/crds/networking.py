"""networking.istio.io, apart from routing and traffic policy: edges, outside services, VMs, proxies."""

from __future__ import annotations

from meshctl.crds.declare import (
    AGE,
    array,
    choice,
    int32,
    port,
    record,
    string,
    string_map,
    strings,
    uint32,
    versions,
)
from meshctl.crds.schema import Column, Kind
from meshctl.crds.shared import (
    DESTINATION,
    EXPORT_TO,
    SELECTOR,
    SERVER_TLS,
    SIDECAR_PORT,
    WORKLOAD,
    WORKLOAD_SELECTOR,
    WORKLOAD_TEMPLATE,
)
from meshctl.crds.traffic_policy import CONNECTION_POOL

GROUP = "networking.istio.io"
VERSIONS = versions("v1", "v1alpha3", "v1beta1", stored="v1")

GATEWAY = Kind(
    name="Gateway",
    group=GROUP,
    doc="Ports that a proxy at the edge of the mesh opens.",
    spec=record(
        "Ports, hosts and TLS of edge proxies.",
        servers=array(
            "Ports to open, each with its hosts.",
            record(
                port=record(
                    "Port to open.",
                    number=uint32("Port number, 1 to 65535.").required(),
                    protocol=string("HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS.").required(),
                    name=string("What the port is called; unique in its list.").required(),
                    targetPort=uint32("Not used."),
                ).required(),
                bind=string("Address or Unix socket to listen on."),
                hosts=strings("Names served here, as `namespace/name` or `*.name`.").required(),
                tls=SERVER_TLS,
                defaultEndpoint=string("Not implemented by Istio."),
                name=string("What the server is called; unique in the mesh."),
            ),
        ),
        selector=string_map("Labels of the proxies; their namespace does not matter."),
    ),
    versions=VERSIONS,
    short_names=("gw",),
)

PROXY_CONFIG = Kind(
    name="ProxyConfig",
    group=GROUP,
    doc="Start-up settings of proxies.",
    spec=record(
        "Settings that a proxy reads when it starts.",
        selector=SELECTOR,
        concurrency=int32("Worker threads of Envoy; 0 means one per core.", smallest=0).nullable(),
        environmentVariables=string_map("Environment of the proxy, by name.", string(longest=2048)),
        image=record("Image of the proxy.", imageType=string("Variant, such as distroless or debug.")),
    ),
    versions=versions("v1beta1", stored="v1beta1"),
)

SERVICE_ENTRY = Kind(
    name="ServiceEntry",
    group=GROUP,
    plural="serviceentries",
    doc="A service that Kubernetes does not know.",
    spec=record(
        "Names, ports and endpoints of the service.",
        hosts=strings(
            "Names of the service, `*.` prefix allowed.",
            string().check('self != "*"', "a bare * is no host"),
            fewest=1,
            most=256,
        ).required(),
        addresses=strings("Virtual addresses or ranges of the service.", string(longest=64), most=256),
        ports=array(
            "Ports of the service.",
            record(
                number=port("Port number, 1 to 65535.").required(),
                protocol=string("HTTP, HTTPS, GRPC, HTTP2, MONGO, TCP or TLS.", longest=256),
                name=string("What the port is called; unique in its list.", longest=256).required(),
                targetPort=port("Port of the endpoints; the same number where absent."),
            ),
            keys=("name",),
            most=256,
        ).check("self.all(l1, self.exists_one(l2, l1.number == l2.number))", "a port number is said once"),
        location=choice("Inside the mesh, with mTLS, or outside.", "MESH_EXTERNAL", "MESH_INTERNAL"),
        resolution=choice(
            "How the proxy finds endpoints.", "NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"
        ),
        endpoints=array("Endpoints, named here.", WORKLOAD, most=4096),
        workloadSelector=WORKLOAD_SELECTOR.described("Endpoints, by label among pods and WorkloadEntries."),
        exportTo=EXPORT_TO,
        subjectAltNames=strings("Names of which an endpoint's certificate must carry one."),
    )
    .at_most_one("workloadSelector", "endpoints")
    .check(
        '!((has(self.addresses) ? self.addresses : []).exists(k, k.contains("/")) && '
        '!((has(self.resolution) ? self.resolution : "NONE") in ["STATIC", "NONE"]))',
        "address ranges need resolution NONE or STATIC",
    )
    .check(
        '((has(self.resolution) ? self.resolution : "NONE") == "NONE") ? !has(self.endpoints) : true',
        "resolution NONE has no endpoints",
    )
    .check(
        '((has(self.resolution) ? self.resolution : "") == "DNS_ROUND_ROBIN") ? '
        "((has(self.endpoints) ? self.endpoints : []).size() <= 1) : true",
        "resolution DNS_ROUND_ROBIN has one endpoint at most",
    )
    .required(),
    versions=VERSIONS,
    short_names=("se",),
    columns=(
        Column("Hosts", ".spec.hosts", "Names of the service."),
        Column("Location", ".spec.location", "Inside or outside the mesh."),
        Column("Resolution", ".spec.resolution", "How endpoints are found."),
        AGE,
    ),
)

CAPTURE_MODE = choice("How traffic reaches the listener.", "DEFAULT", "IPTABLES", "NONE")

SIDECAR = Kind(
    name="Sidecar",
    group=GROUP,
    doc="What a sidecar accepts, and which services it sees.",
    spec=record(
        "Listeners of sidecars and the services they know.",
        workloadSelector=WORKLOAD_SELECTOR,
        ingress=array(
            "Ports served to callers; taken from the workload where absent.",
            record(
                port=SIDECAR_PORT.required(),
                bind=string("Address to listen on; the workload's where empty."),
                captureMode=CAPTURE_MODE,
                defaultEndpoint=string("Where the application listens, as `127.0.0.1:PORT` or socket."),
                tls=SERVER_TLS,
                connectionPool=CONNECTION_POOL.described("Limits towards the application on this port."),
            ),
        ),
        egress=array(
            "Services the workload may see; all where absent.",
            record(
                port=SIDECAR_PORT,
                bind=string("Address or Unix socket to listen on."),
                captureMode=CAPTURE_MODE,
                hosts=strings("Services seen, as `namespace/name`; `.` and `*` allowed.").required(),
            ),
        ),
        inboundConnectionPool=CONNECTION_POOL.described("Limits towards the application."),
        outboundTrafficPolicy=record(
            "What becomes of traffic to unknown hosts.",
            mode=choice("Refuse it or let it pass.", "REGISTRY_ONLY", "ALLOW_ANY"),
            egressProxy=DESTINATION.described("Gateway through which it leaves."),
        ),
    ),
    versions=VERSIONS,
)

WORKLOAD_ENTRY = Kind(
    name="WorkloadEntry",
    group=GROUP,
    plural="workloadentries",
    doc="One VM or other workload outside Kubernetes.",
    spec=WORKLOAD.described("Where the workload is and how it is known.").required(),
    versions=VERSIONS,
    short_names=("we",),
    columns=(AGE, Column("Address", ".spec.address", "Where the workload is.")),
)

PROBE_SECONDS_AND_COUNTS = {
    "initialDelaySeconds": int32("Wait before the first probe.", smallest=0),
    "timeoutSeconds": int32("Time allowed for an answer; 1 where absent.", smallest=0),
    "periodSeconds": int32("Time between probes; 10 where absent.", smallest=0),
    "successThreshold": int32("Good probes in a row that make it healthy.", smallest=0),
    "failureThreshold": int32("Bad probes in a row that make it unhealthy.", smallest=0),
}

WORKLOAD_GROUP = Kind(
    name="WorkloadGroup",
    group=GROUP,
    doc="What VMs of one kind share; they register by it.",
    spec=record(
        "Template of the group's WorkloadEntries and their health probe.",
        metadata=record(
            "Given to each WorkloadEntry of the group.",
            labels=string_map("Labels by key.", most=256),
            annotations=string_map("Annotations by key.", most=256),
        ),
        template=WORKLOAD_TEMPLATE.required(),
        probe=record(
            "How the agent finds out whether the workload is healthy.",
            **PROBE_SECONDS_AND_COUNTS,
            httpGet=record(
                "Healthy if a GET is answered 2xx or 3xx.",
                path=string("Path to ask for."),
                port=port("Port to ask.").required(),
                host=string("Host to ask; the workload itself where empty."),
                scheme=string("HTTP or HTTPS.").check(
                    'self in ["", "HTTP", "HTTPS"]', "a scheme is HTTP or HTTPS"
                ),
                httpHeaders=array(
                    "Headers to send.",
                    record(
                        name=string("Header name.", pattern="^[-_A-Za-z0-9]+$"),
                        value=string("Header value."),
                    ),
                ),
            ),
            tcpSocket=record(
                "Healthy if a connection opens.",
                host=string("Host to connect to; the workload itself where empty."),
                port=port("Port to connect to.").required(),
            ),
            exec_=record(
                "Healthy if a command ends with 0.",
                command=strings("Program and arguments, without a shell.", string(shortest=1)).required(),
            ),
            grpc=record(
                "Healthy if the gRPC health service says so.",
                port=port("Port to ask."),
                service=string("Service name in the question."),
            ),
        ).one_of("httpGet", "tcpSocket", "exec", "grpc"),
    ).required(),
    versions=VERSIONS,
    short_names=("wg",),
    columns=(AGE,),
)
