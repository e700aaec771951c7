"""Makes Istio's configuration fit an Envoy that lacks some extensions."""

from __future__ import annotations

import re
from collections import Counter
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError

from meshctl.agent.ads import places
from meshctl.agent.ads.extensions import ALPN, FILTER_STATE, METADATA_EXCHANGE, OBSERVING
from meshctl.agent.ads.replacements import (
    APPLICATION_PROTOCOLS,
    alpn_filter,
    mark_cluster,
    offers,
    without_wasm,
)

if TYPE_CHECKING:
    from meshctl.agent.ads.extensions import Extensions

CLUSTER: Final = "envoy.config.cluster.v3.Cluster"
LISTENER: Final = "envoy.config.listener.v3.Listener"
ROUTES: Final = "envoy.config.route.v3.RouteConfiguration"
EXTENSION: Final = "envoy.config.core.v3.TypedExtensionConfig"
RESOURCES: Final = frozenset({CLUSTER, LISTENER, ROUTES, EXTENSION})
"""Resources in which extensions stand."""

_STRUCTS: Final = frozenset({"udpa.type.v1.TypedStruct", "xds.type.v3.TypedStruct"})
_ROUTE_CONFIG: Final = "envoy.config.route.v3.FilterConfig"
_MATCHED: Final = "envoy.extensions.common.matching.v3.ExtensionWithMatcher"
_EXCHANGE_PROTOCOL: Final = "istio-peer-exchange"
_PREFIX: Final = b"type.googleapis.com/"
_TYPE_URL: Final = re.compile(re.escape(_PREFIX) + rb"([\w.]+)")
_WRAPPERS: Final = frozenset({*_STRUCTS, _ROUTE_CONFIG, _MATCHED})
_NEVER_LACKED: Final = frozenset({*_WRAPPERS, *RESOURCES})
"""Types that stand as type URLs and are no extensions of their own."""
_DEEPEST: Final = 32
"""Extensions within extensions beyond which nobody looks."""


class _Fate(Enum):
    """What becomes of an extension."""

    KEPT = "kept"
    CHANGED = "changed"
    REMOVED = "removed"


class Filtering:
    """What one Envoy can take of the resources that istiod sends.

    Attributes:
        removed: how often each extension was left out since the last `begin`.
        lacking: extensions that stayed though Envoy lacks them, since the last `begin`.
    """

    def __init__(self, has: Extensions, removable: frozenset[str]) -> None:
        """Begin with what Envoy has; one that says nothing of itself gets all as it came."""
        self.removed: Counter[str] = Counter()
        self.lacking: set[str] = set()
        self._has = has.types
        self._removable = removable
        self._exchanges = METADATA_EXCHANGE in has.types
        self._says_alpn = (
            ALPN not in has.types and FILTER_STATE in has.types and APPLICATION_PROTOCOLS in has.objects
        )
        self._offers = ""

    def begin(self) -> None:
        """Forget what was counted."""
        self.removed.clear()
        self.lacking.clear()

    def concerns(self, type_url: str) -> bool:
        """Whether resources of that type are to be looked at."""
        return bool(self._has) and _plain(type_url) in RESOURCES

    def fitted(self, type_url: str, resource: bytes) -> bytes | None:
        """A serialized resource as Envoy can take it; itself if nothing changes, None to leave it out.

        What cannot be read is given back as it is: Envoy says best what is wrong with it.
        """
        name = _plain(type_url)
        if name not in RESOURCES or not self._may_lack(name, resource):
            return resource
        try:
            message = places.classes()[name].FromString(resource)
            fate = self._extension(name, message, 0) if name == EXTENSION else self._resource(name, message)
        except DecodeError:
            return resource
        if fate is _Fate.REMOVED:
            return None
        return message.SerializeToString() if fate is _Fate.CHANGED else resource

    def _may_lack(self, name: str, resource: bytes) -> bool:
        """Whether to look closer, found out in a fraction of the time that looking takes."""
        found = {each.decode("ascii", "replace") for each in _TYPE_URL.findall(resource)}
        if not found - _NEVER_LACKED <= self._has:
            return True
        if name == EXTENSION:
            return b"wasm.v3.Wasm" in resource
        if self._says_alpn and name == CLUSTER and b"UpstreamTlsContext" in resource:
            return True
        return not self._exchanges and _EXCHANGE_PROTOCOL.encode() in resource

    def _resource(self, name: str, message: Any) -> _Fate:
        self._offers = ""
        fate = self._way(name, message, 0)
        if name == CLUSTER and self._offers and self._says_alpn and mark_cluster(message, self._offers):
            return _Fate.CHANGED
        return fate

    def _way(self, name: str, message: Any, depth: int) -> _Fate:
        """Follow all that leads from a message to extensions."""
        if name == places.TLS:
            return self._agreed(message)
        changed = False
        for way in places.ways(name):
            if way.holds == "named":
                changed |= self._named(getattr(message, way.field), depth)
            elif way.many:
                changed |= self._several(getattr(message, way.field), way, depth)
            elif message.HasField(way.field):
                changed |= self._single(message, way, depth)
        return _Fate.CHANGED if changed else _Fate.KEPT

    def _single(self, message: Any, way: places.Way, depth: int) -> bool:
        part = getattr(message, way.field)
        if way.holds == "message":
            return self._way(way.kind, part, depth) is not _Fate.KEPT
        fate = self._extension(way.kind, part, depth)
        if fate is _Fate.REMOVED:
            message.ClearField(way.field)
        return fate is not _Fate.KEPT

    def _several(self, parts: Any, way: places.Way, depth: int) -> bool:
        changed = False
        look = self._way if way.holds == "message" else self._extension
        for at in range(len(parts) - 1, -1, -1):
            fate = look(way.kind, parts[at], depth)
            if fate is _Fate.REMOVED:
                del parts[at]
            changed |= fate is not _Fate.KEPT
        return changed

    def _named(self, configs: Any, depth: int) -> bool:
        changed = False
        for name in list(configs):
            fate = self._config(configs[name], "", depth)
            if fate is _Fate.REMOVED:
                del configs[name]
            changed |= fate is not _Fate.KEPT
        return changed

    def _extension(self, name: str, holder: Any, depth: int) -> _Fate:
        """One extension: a message `name` that has its configuration, or says where that comes from."""
        config = getattr(holder, places.config_field(name))
        if config.type_url:
            return self._config(config, name, depth)
        if places.may_come_later(name) and holder.HasField("config_discovery"):
            return self._discovered(holder.config_discovery)
        return _Fate.KEPT

    def _config(self, config: Any, holder: str, depth: int) -> _Fate:
        """An extension's configuration, an `Any`."""
        if depth > _DEEPEST:
            return _Fate.KEPT
        name = _type_of(config)
        if name == ALPN and self._says_alpn and holder == places.HTTP_FILTER:
            config.type_url, config.value = alpn_filter()
            return _Fate.CHANGED
        if holder == EXTENSION and (stand_in := without_wasm(name, config.value, has_wasm=name in self._has)):
            self.removed[name] += 1
            config.type_url, config.value = stand_in
            return _Fate.CHANGED
        if name not in self._has:
            return self._lacked(name, holder)
        return self._within(config, depth)

    def _within(self, config: Any, depth: int) -> _Fate:
        """Extensions within an extension's configuration."""
        name = _plain(config.type_url)
        if name in _WRAPPERS or not places.leads(name):
            return _Fate.KEPT
        value = config.value
        if _PREFIX not in value and not name.startswith(places.TLS_PACKAGE):
            return _Fate.KEPT
        inner = places.classes()[name].FromString(value)
        fate = self._way(name, inner, depth + 1)
        if fate is _Fate.CHANGED:
            config.value = inner.SerializeToString()
        return fate

    def _lacked(self, name: str, holder: str) -> _Fate:
        """What becomes of an extension that Envoy does not have."""
        if name and holder != places.SOCKET and (name in self._removable or holder in OBSERVING):
            self.removed[name] += 1
            return _Fate.REMOVED
        self.lacking.add(name)
        return _Fate.KEPT

    def _discovered(self, source: Any) -> _Fate:
        """An extension whose configuration comes by itself: only its possible types are known."""
        lacked = [url for url in source.type_urls if _plain(url) not in self._has]
        if not lacked:
            return _Fate.KEPT
        if len(lacked) == len(source.type_urls):
            return self._lacked(_plain(lacked[0]), "")
        for url in lacked:
            source.type_urls.remove(url)
        return _Fate.CHANGED

    def _agreed(self, tls: Any) -> _Fate:
        """Protocols that are offered in TLS: none that only a lacking extension speaks.

        The other end would believe the offer, and send what the application takes for data.
        """
        self._offers = self._offers or offers(tls.alpn_protocols)
        if self._exchanges or _EXCHANGE_PROTOCOL not in tls.alpn_protocols:
            return _Fate.KEPT
        tls.alpn_protocols.remove(_EXCHANGE_PROTOCOL)
        return _Fate.CHANGED


def _type_of(config: Any) -> str:
    """Type of an extension, whatever it is wrapped in."""
    name = _plain(config.type_url)
    return _unwrapped(name, config.value) if name in _WRAPPERS else name


@lru_cache(maxsize=64)
def _unwrapped(name: str, value: bytes) -> str:
    """Type of what is within a wrapper; each of a thousand clusters has the same one."""
    for _ in range(_DEEPEST):
        if name not in _WRAPPERS:
            break
        wrapper = places.classes()[name].FromString(value)
        if name in _STRUCTS:
            return _plain(wrapper.type_url)
        inner = wrapper.config if name == _ROUTE_CONFIG else wrapper.extension_config.typed_config
        if not inner.type_url:
            break
        name, value = _plain(inner.type_url), inner.value
    return name


def _plain(type_url: str) -> str:
    """A message's name, of its type URL."""
    return type_url.rpartition("/")[2]
