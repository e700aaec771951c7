"""Extensions: which ones an Envoy has, and which ones may be left out where it lacks them.

Istio's control plane counts on Istio's own build of Envoy. The upstream build lacks a few of its
extensions, which observe traffic and do not decide about it: those are left out. Any other that Envoy lacks
stays where it is, so that Envoy rejects what holds it, as it would without this agent: nothing that may
guard traffic ever goes missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent import messages
from meshctl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

ALPN: Final = "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig"
"""Says to servers of the mesh, in TLS, that HTTP is spoken; upstream's `FILTER_STATE` can say so as well."""
METADATA_EXCHANGE: Final = "envoy.tcp.metadataexchange.config.MetadataExchange"
"""Tells the two ends of a TCP connection about each other, where they agree in TLS to do so."""
FILTER_STATE: Final = "envoy.extensions.filters.http.set_filter_state.v3.Config"

REMOVABLE: Final = frozenset(
    {
        ALPN,
        METADATA_EXCHANGE,
        "envoy.extensions.network_filters.peer_metadata.Config",
        "envoy.extensions.network_filters.peer_metadata.UpstreamConfig",
        "io.istio.http.peer_metadata.Config",
        "stats.PluginConfig",
    }
)
"""Extensions of Istio's Envoy that only observe."""

OBSERVING: Final = frozenset({"envoy.config.accesslog.v3.AccessLog", "envoy.config.trace.v3.Tracing_Http"})
"""Messages whose extension, of whatever type, only observes."""

_GUARDING: Final = (
    "envoy.extensions.filters.http.api_key_auth.",
    "envoy.extensions.filters.http.basic_auth.",
    "envoy.extensions.filters.http.csrf.",
    "envoy.extensions.filters.http.ext_authz.",
    "envoy.extensions.filters.http.jwt_authn.",
    "envoy.extensions.filters.http.oauth2.",
    "envoy.extensions.filters.http.rbac.",
    "envoy.extensions.filters.network.ext_authz.",
    "envoy.extensions.filters.network.rbac.",
    "envoy.extensions.transport_sockets.",
)
"""What the types of extensions begin with that decide who may do what."""

_OBJECTS: Final = "filter_state.object"


@dataclass(frozen=True, slots=True)
class Extensions:
    """What an Envoy was built with, as it says of itself.

    Attributes:
        types: names of the messages that its extensions are configured by.
        objects: names of the objects that filters can make for others.
    """

    types: frozenset[str]
    objects: frozenset[str]

    @classmethod
    @lru_cache(maxsize=1)
    def of(cls, node: bytes) -> Extensions:
        """Of what Envoy says of itself, a serialized `Node`; it says the same each time it connects.

        Raises:
            google.protobuf.message.DecodeError: it is none.
        """
        said: Any = messages.Node.FromString(node).extensions
        return cls(
            types=frozenset(url for each in said for url in each.type_urls),
            objects=frozenset(each.name for each in said if each.category.endswith(_OBJECTS)),
        )


def removable(further: Iterable[str]) -> frozenset[str]:
    """What may be left out, with what the operator adds by type or type URL.

    Raises:
        ConfigError: one of them guards traffic.
    """
    added = frozenset(url.rpartition("/")[2] for url in further)
    for name in sorted(added):
        if name.startswith(_GUARDING):
            raise ConfigError(
                "extension-guards", f"extension {name} guards traffic and is never left out",
                hint="take it out of `removable`, or use an Envoy that has it",
            )  # fmt: skip
    return REMOVABLE | added
