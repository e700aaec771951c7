"""What stands in for extensions of Istio's Envoy that an upstream Envoy can do without them.

HTTP within the mesh. Where a server is told by no port's name what it is called with, it takes a connection
for HTTP when the client offers one of Istio's names for it in TLS. The extension `istio.alpn` offers them.
In its place stand a filter that upstream's Envoy has, which offers what a mark on the chosen cluster says,
and that mark on clusters of the mesh. Where requests decide between HTTP/1.1 and HTTP/2, nothing is offered
that names one of them: servers then tell them by their first bytes.

WebAssembly. Istio's own agent fetches modules, and lets a filter that allows or refuses everything stand
for a module that cannot be had, as the plug-in's failure policy says. This agent does not fetch modules: it
does the same at once.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent.ads import places
from meshctl.agent.ads.extensions import FILTER_STATE

if TYPE_CHECKING:
    from collections.abc import Sequence

HTTP_WASM: Final = "envoy.extensions.filters.http.wasm.v3.Wasm"
NETWORK_WASM: Final = "envoy.extensions.filters.network.wasm.v3.Wasm"
APPLICATION_PROTOCOLS: Final = "envoy.network.application_protocols"
"""An object that filters leave for TLS connections to servers: the protocols to offer."""

_PREFIX: Final = "type.googleapis.com/"
_MARK: Final = "meshctl"
_MESH: Final = "istio"
_HTTP: Final = "istio-http/1.1,istio"
_HTTP2: Final = "istio-h2,istio,h2"
_HTTP_RBAC: Final = "envoy.extensions.filters.http.rbac.v3.RBAC"
_NETWORK_RBAC: Final = "envoy.extensions.filters.network.rbac.v3.RBAC"
_FAIL_OPEN: Final = 3
"""Of Envoy's `FailurePolicy`."""


@cache
def alpn_filter() -> tuple[str, bytes]:
    """Type URL and configuration of a filter that offers what the mark of the chosen cluster says."""
    config = places.classes()[FILTER_STATE]()
    value = config.on_request_headers.add(object_key=APPLICATION_PROTOCOLS, skip_if_empty=True)
    value.format_string.text_format_source.inline_string = f"%METADATA(CLUSTER:{_MARK}:alpn)%"
    value.format_string.omit_empty_values = True
    return _PREFIX + FILTER_STATE, config.SerializeToString()


def offers(protocols: Sequence[str]) -> str:
    """What to offer for HTTP in place of what istiod has a cluster offer; nothing outside of the mesh."""
    if _MESH not in protocols:
        return ""
    return _HTTP2 if "h2" in protocols else _HTTP


def mark_cluster(cluster: Any, offered: str) -> bool:
    """Mark what a cluster offers, unless istiod says that HTTP is not to be offered; whether it was."""
    metadata = cluster.metadata.filter_metadata
    said = metadata["istio"].fields if "istio" in metadata else {}
    if "alpn_override" in said and said["alpn_override"].string_value == "false":
        return False
    metadata[_MARK].fields["alpn"].string_value = offered
    return True


def without_wasm(name: str, config: bytes, *, has_wasm: bool) -> tuple[str, bytes] | None:
    """What stands for a WebAssembly plug-in that cannot run: allows or refuses all; None when it can run.

    Args:
        name: type of its configuration.
        config: serialized.
        has_wasm: whether Envoy runs WebAssembly at all.

    Raises:
        google.protobuf.message.DecodeError: it cannot be read.
    """
    if name not in {HTTP_WASM, NETWORK_WASM}:
        return None
    plugin = places.classes()[name].FromString(config).config
    if has_wasm and not plugin.vm_config.code.remote:
        return None
    policy = plugin.failure_policy
    is_open = policy == _FAIL_OPEN if policy else plugin.fail_open
    rbac = places.classes()[_HTTP_RBAC if name == HTTP_WASM else _NETWORK_RBAC]()
    prefix = f"wasm-default-{'allow' if is_open else 'deny'}"
    setattr(rbac, "rules_stat_prefix" if name == HTTP_WASM else "stat_prefix", prefix)
    if not is_open:
        rbac.rules.SetInParent()  # rules that match nothing allow nothing
    return _PREFIX + rbac.DESCRIPTOR.full_name, rbac.SerializeToString()
