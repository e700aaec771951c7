"""security.istio.io: who is who, and who may do what."""

from __future__ import annotations

from meshctl.crds.declare import (
    AGE,
    array,
    boolean,
    choice,
    duration,
    mapping,
    record,
    string,
    strings,
    versions,
)
from meshctl.crds.schema import Array, Column, Kind
from meshctl.crds.shared import SELECTOR, TARGET_REF, TARGET_REFS

GROUP = "security.istio.io"
VERSIONS = versions("v1", "v1beta1", stored="v1")
LABELS = {"istio": "security"}


def accounts(doc: str) -> Array:
    """Service accounts, as `namespace/name` or a name of this namespace."""
    return strings(doc, string(longest=320), most=16)


SOURCE = record(
    "Who calls; all conditions must hold.",
    principals=strings("Identities from mTLS certificates, without `spiffe://`."),
    notPrincipals=strings("Identities that are excluded."),
    requestPrincipals=strings("Identities from tokens, as `issuer/subject`."),
    notRequestPrincipals=strings("Token identities that are excluded."),
    namespaces=strings("Namespaces from mTLS certificates."),
    notNamespaces=strings("Namespaces that are excluded."),
    serviceAccounts=accounts("Service accounts from mTLS certificates."),
    notServiceAccounts=accounts("Service accounts that are excluded."),
    trustDomains=strings("Trust domains from mTLS certificates."),
    notTrustDomains=strings("Trust domains that are excluded."),
    ipBlocks=strings("Addresses or ranges of the peer."),
    notIpBlocks=strings("Peer addresses that are excluded."),
    remoteIpBlocks=strings("Addresses of the first client, by X-Forwarded-For or PROXY."),
    notRemoteIpBlocks=strings("First-client addresses that are excluded."),
).check(
    "(has(self.serviceAccounts) || has(self.notServiceAccounts)) ? (!has(self.principals) &&\n"
    "!has(self.notPrincipals) && !has(self.namespaces) && !has(self.notNamespaces)) : true",
    "service accounts go without principals and namespaces",
)

OPERATION = record(
    "What is asked; all conditions must hold.",
    hosts=strings("Host headers, without case."),
    notHosts=strings("Hosts that are excluded."),
    ports=strings("Port numbers, as text."),
    notPorts=strings("Ports that are excluded."),
    methods=strings("HTTP methods; gRPC is always POST."),
    notMethods=strings("Methods that are excluded."),
    paths=strings("Paths, with `*` at one end or path templates."),
    notPaths=strings("Paths that are excluded."),
)

AUTHORIZATION_POLICY = Kind(
    name="AuthorizationPolicy",
    group=GROUP,
    plural="authorizationpolicies",
    doc="Which requests a workload lets in.",
    spec=record(
        "Rules and what to do with requests that match.",
        selector=SELECTOR,
        targetRef=TARGET_REF,
        targetRefs=TARGET_REFS,
        rules=array(
            "Any of these is enough; none means no request matches.",
            record(
                from_=array(
                    "Callers, any of which is enough; everybody where absent.",
                    record(source=SOURCE),
                    most=512,
                ),
                to=array(
                    "Operations, any of which is enough; everything where absent.",
                    record(operation=OPERATION),
                ),
                when=array(
                    "Further conditions, all of which must hold.",
                    record(
                        key=string("Attribute, such as `request.headers[x-token]`.").required(),
                        values=strings("Accepted values."),
                        notValues=strings("Values that are excluded."),
                    ),
                ),
            ),
            most=512,
        ),
        action=choice("Let in, refuse, log, or ask a provider.", "ALLOW", "DENY", "AUDIT", "CUSTOM"),
        provider=record(
            "Who decides, for CUSTOM.", name=string("Extension provider of the mesh configuration.")
        ),
    )
    .one_of("provider")
    .at_most_one("selector", "targetRef", "targetRefs"),
    versions=VERSIONS,
    short_names=("ap",),
    columns=(Column("Action", ".spec.action", "What happens to requests that match."), AGE),
    labels=LABELS,
)

MTLS = record(
    "Whether callers must use mutual TLS.",
    mode=choice("Inherit, never, either way, or always.", "UNSET", "DISABLE", "PERMISSIVE", "STRICT"),
)

PEER_AUTHENTICATION = Kind(
    name="PeerAuthentication",
    group=GROUP,
    doc="Whether a workload asks callers for mutual TLS.",
    spec=record(
        "Workloads and their mutual TLS.",
        selector=SELECTOR,
        mtls=MTLS,
        portLevelMtls=mapping("Workload ports that differ, by number.", MTLS, fewest=1).check(
            "self.all(key, 0 < int(key) && int(key) <= 65535)", "a port is 1 to 65535"
        ),
    ).check(
        "has(self.portLevelMtls) ? (((has(self.selector) && has(self.selector.matchLabels)) ? "
        "self.selector.matchLabels : {}).size() > 0) : true",
        "portLevelMtls needs a selector",
    ),
    versions=VERSIONS,
    short_names=("pa",),
    columns=(Column("Mode", ".spec.mtls.mode", "What is asked of callers."), AGE),
    labels=LABELS,
)

JWKS_URI = string("Where the issuer's public keys are fetched.", shortest=1, longest=2048).check(
    'url(self).getScheme() in ["http", "https"]', "an address begins with http:// or https://"
)

JWT_RULE = record(
    "An issuer whose tokens are accepted.",
    issuer=string("Issuer, as in the token's `iss`.", shortest=1),
    audiences=strings("Audiences of which the token must have one.", string(shortest=1)),
    jwksUri=JWKS_URI,
    jwks_uri=JWKS_URI.described("Old spelling of `jwksUri`."),
    jwks=string("The issuer's public keys themselves, as JSON."),
    fromHeaders=array(
        "Headers that may hold the token.",
        record(
            name=string("Header name.", shortest=1).required(),
            prefix=string("Text before the token, such as `Bearer `."),
        ),
    ),
    fromParams=strings("Query parameters that may hold the token.", string(shortest=1)),
    fromCookies=strings("Cookies that may hold the token.", string(shortest=1)),
    outputPayloadToHeader=string("Header that passes on the checked payload, in base64."),
    forwardOriginalToken=boolean("Leave the token in the request."),
    outputClaimToHeaders=array(
        "Claims passed on as headers.",
        record(
            header=string("Header name.", shortest=1, pattern="^[-_A-Za-z0-9]+$").required(),
            claim=string("Claim name, with dots for nesting.", shortest=1).required(),
        ),
    ),
    timeout=duration("Time allowed to fetch the keys."),
    spaceDelimitedClaims=strings(
        "Claims whose text is a list parted by blanks.", string(shortest=1), most=64
    ),
).at_most_one("jwksUri", "jwks_uri", "jwks")

REQUEST_AUTHENTICATION = Kind(
    name="RequestAuthentication",
    group=GROUP,
    doc="Which JSON web tokens a workload accepts.",
    spec=record(
        "Workloads and the issuers they trust.",
        selector=SELECTOR,
        targetRef=TARGET_REF,
        targetRefs=TARGET_REFS,
        jwtRules=array("Issuers; a request with another token is refused.", JWT_RULE, most=4096),
    ).at_most_one("selector", "targetRef", "targetRefs"),
    versions=VERSIONS,
    short_names=("ra",),
    labels=LABELS,
)
