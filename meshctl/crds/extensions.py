"""extensions.istio.io: code of the user's in the proxies."""

from __future__ import annotations

from meshctl.crds.declare import AGE, array, choice, int32, opaque, record, string, versions
from meshctl.crds.schema import Kind, Object, Text
from meshctl.crds.shared import PORT_MATCH, SELECTOR, TARGET_REF, TARGET_REFS

GROUP = "extensions.istio.io"

TRAFFIC_MATCH = array(
    "Traffic that passes through it; all where absent.",
    record(
        mode=choice(
            "Whether the workload sends, receives, or both.",
            "UNDEFINED",
            "CLIENT",
            "SERVER",
            "CLIENT_AND_SERVER",
        ),
        ports=PORT_MATCH,
    ),
)

PRIORITY = int32("Order within a phase; higher runs first.").nullable()

VM_CONFIG = record(
    "The WebAssembly machine.",
    env=array(
        "Environment variables of the module.",
        record(
            name=string("Variable name.", shortest=1, longest=256).required(),
            valueFrom=choice("Whether it is given here or by the proxy.", "INLINE", "HOST"),
            value=string("Its text, for INLINE.", longest=2048),
        ).check(
            '(has(self.valueFrom) ? self.valueFrom : "") != "HOST" || !has(self.value)',
            "a variable from HOST has no value",
        ),
        keys=("name",),
        most=256,
    ),
)


def phase(nothing: str) -> Text:
    """The place in the filter chain; the two kinds name the empty value differently."""
    return choice(
        "Run before authentication, authorization or statistics.", nothing, "AUTHN", "AUTHZ", "STATS"
    )


def module_url(*schemes: str) -> Text:
    """Where a module is loaded from; a bare name means an image in a registry."""
    allowed = ", ".join(f'"{scheme}"' for scheme in ("", *schemes))
    return string("Image, HTTP address or file of the module.", shortest=1).check(
        f"isURL(self) ? (url(self).getScheme() in [{allowed}]) : "
        f'(isURL("http://" + self) &&\nurl("http://" + self).getScheme() in [{allowed}])',
        "a module comes by http, https, file or oci",
    )


def wasm(doc: str, url: Text) -> Object:
    """A WebAssembly module and how it is run."""
    return record(
        doc,
        url=url.required(),
        sha256=string("Checksum that the module must have, in hex.", pattern="(^$|^[a-f0-9]{64}$)"),
        imagePullPolicy=choice(
            "Whether a known image is pulled again.", "UNSPECIFIED_POLICY", "IfNotPresent", "Always"
        ),
        imagePullSecret=string("Secret for the image registry, in this namespace.", shortest=1, longest=253),
        verificationKey=string("Public key that must have signed the image."),
        pluginConfig=opaque("Settings passed to the module."),
        pluginName=string("Name the module uses for itself in Envoy.", shortest=1, longest=256),
        failStrategy=choice(
            "What happens to traffic when the module fails.", "FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"
        ),
        vmConfig=VM_CONFIG,
        type=choice(
            "Whether it filters HTTP requests or TCP connections.",
            "UNSPECIFIED_PLUGIN_TYPE",
            "HTTP",
            "NETWORK",
        ),
    )


TRAFFIC_EXTENSION = Kind(
    name="TrafficExtension",
    group=GROUP,
    doc="Runs a WebAssembly module or Lua code on traffic.",
    spec=record(
        "What runs, and on which traffic.",
        selector=SELECTOR,
        targetRefs=TARGET_REFS,
        phase=phase("UNSPECIFIED"),
        priority=PRIORITY,
        match=TRAFFIC_MATCH,
        wasm=wasm("A WebAssembly module.", module_url("http", "https", "file", "oci")),
        lua=record(
            "Lua code.",
            inlineCode=string("The code itself.", shortest=1, longest=65536).required(),
        ),
    )
    .one_of("wasm", "lua")
    .at_most_one("selector", "targetRefs")
    .check("has(self.wasm) != has(self.lua)", "set one of wasm and lua")
    .required(),
    versions=versions("v1alpha1", stored="v1alpha1"),
    columns=(AGE,),
)

MODULE = wasm("What runs, and on which traffic.", module_url("http", "https", "oci", "file"))

WASM_PLUGIN = Kind(
    name="WasmPlugin",
    group=GROUP,
    doc="Runs a WebAssembly module on traffic.",
    spec=record(
        MODULE.doc,
        selector=SELECTOR,
        targetRef=TARGET_REF,
        targetRefs=TARGET_REFS,
        **MODULE.fields,
        phase=phase("UNSPECIFIED_PHASE"),
        priority=PRIORITY,
        match=TRAFFIC_MATCH,
    )
    .at_most_one("selector", "targetRef", "targetRefs")
    .required(),
    versions=versions("v1alpha1", stored="v1alpha1"),
    columns=(AGE,),
)
