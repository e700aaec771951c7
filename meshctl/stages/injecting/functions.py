"""The functions that istiod adds to its injection templates.

Source: istio.io/istio pkg/kube/inject/template.go.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from meshctl.gotemplate import as_json
from meshctl.gotemplate.printing import sprint
from meshctl.gotemplate.values import List, Map, Struct, is_nil
from meshctl.stages.injecting.mesh_structs import Message, proto_text
from meshctl.stages.injecting.pods import PodStruct, go_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROXY = "istio-proxy"
"""Name of the sidecar's container."""

_UNTAKEN = ("UDP", "SCTP")  # protocols that a sidecar does not take in
_ENRICHED = "OTEL_SEMANTIC_CONVENTIONS"
_RESOURCE = "resource.opentelemetry.io"


def functions(env: Mapping[str, str]) -> dict[str, Callable[..., object]]:
    """Istio's functions by name.

    Args:
        env: istiod's environment, for the function of that name.
    """

    def variable(key: str, default: str) -> str:
        return env.get(key) or default

    return {
        "annotation": _annotation,
        "appendMultusNetwork": _append_multus_network,
        "applicationPorts": _application_ports,
        "contains": _contains,
        "directory": _directory,
        "env": variable,
        "excludeInboundPort": _exclude_inbound_port,
        "excludeInterfaces": _same,
        "formatDuration": _format_duration,
        "fromJSON": _from_json,
        "includeInboundPorts": _include_inbound_ports,
        "indent": _indent,
        "isset": _is_set,
        "kubevirtInterfaces": _same,
        "mergeMaps": _merge_maps,
        "omit": _omit,
        "omitNil": _omit_nil,
        "otelResourceAttributes": _otel_resource_attributes,
        "protoToJSON": proto_text,
        "strdict": _strdict,
        "structToJSON": _struct_to_json,
        "toJSON": _to_json,
        "toJsonMap": _to_json_map,
        "toLower": _to_lower,
        "toYaml": _to_yaml,
        "valueOrDefault": _value_or_default,
    }


def plain(value: object) -> Any:
    """A value of a template as JSON has it; whole numbers without a point."""
    match value:
        case PodStruct() | Message():
            return value.as_json()
        case Struct():
            return {key: plain(each) for key, each in value.fields.items()}
        case bool() | str() | None:
            return value
        case float() if value.is_integer():
            return int(value)
        case _ if is_nil(value):
            return None
        case dict():
            return {key: plain(value[key]) for key in sorted(value)}
        case list() | tuple():
            return [plain(each) for each in value]
        case _:
            return value


def _annotation(meta: object, name: str, default: object) -> str:
    notes = meta.field("Annotations") if isinstance(meta, Struct) else {}
    return str(notes[name]) if isinstance(notes, dict) and name in notes else sprint([default])


def _append_multus_network(existing: str, network: str) -> str:
    if not existing:
        return network
    namespace, _, name = network.rpartition("/")
    at = existing.rfind("]")
    if at < 0:
        has = network in (each.strip() for each in existing.split(","))
        return existing if has else f"{existing}, {network}"
    try:
        known = json.loads(existing)
    except ValueError:
        return existing
    if not isinstance(known, list) or not all(isinstance(each, dict) for each in known):
        return existing
    if any(each.get("name") == name and (each.get("namespace") or "") == namespace for each in known):
        return existing
    place = f', "namespace": "{namespace}"' if namespace else ""
    return f'{existing[:at]}, {{"name": "{name}"{place}}}{existing[at:]}'


def _application_ports(containers: object) -> str:
    return _ports(containers, lambda name: name != PROXY)


def _include_inbound_ports(containers: object) -> str:
    return _ports(containers, lambda _: True)


def _ports(containers: object, wanted: Callable[[object], bool]) -> str:
    known = [plain(each) for each in containers] if isinstance(containers, list) else []
    return ",".join(
        str(port["containerPort"])
        for each in known
        if wanted(each["name"])
        for port in each.get("ports") or ()
        if port.get("protocol") not in _UNTAKEN
    )


def _contains(needle: str, haystack: str) -> bool:
    return needle in haystack


def _directory(path: str) -> str:
    return path[: path.rfind("/") + 1]


def _exclude_inbound_port(port: object, excluded: str) -> str:
    wanted = sprint([port]).strip()
    ports = excluded.split(",")
    if wanted in ("", "0") or wanted in ports:
        return excluded
    return ",".join([*(each.strip() for each in ports if each.strip()), wanted])


def _same(text: str) -> str:
    return text


def _format_duration(value: object) -> str:
    if not isinstance(value, Struct):
        return "0s"
    total = int(value.fields["Seconds"]) * 10**9 + int(value.fields["Nanos"])  # type: ignore[call-overload]
    return go_duration(total)


def go_duration(nanos: int) -> str:
    """A duration as Go prints it: `1m30s`, `1.5s`, `20ms`."""
    sign, nanos = ("-" if nanos < 0 else ""), abs(nanos)
    for unit, size in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
        if 0 < nanos < min(size * 1000, 10**9):
            return f"{sign}{nanos / size:.9g}{unit}"
    minutes, rest = divmod(nanos, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 10**9:.9f}".rstrip("0").rstrip(".") + "s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{sign}{hours}h{text}" if hours else sign + text


def _from_json(text: str) -> object:
    try:
        return as_json(json.loads(text))
    except ValueError:
        return "{}"


def _indent(spaces: int, text: str) -> str:
    return text.replace("\n", "\n" + " " * spaces)


def _is_set(notes: dict[str, str], key: str) -> bool:
    return key in notes


def _merge_maps(*maps: dict[str, str]) -> object:
    merged: dict[str, object] = {}
    for each in maps:
        merged |= each
    return Map(merged, "string", is_nil=not maps)


def _omit(items: dict[str, str], *keys: str) -> object:
    return Map({key: value for key, value in items.items() if key not in keys}, "string")


def _omit_nil(value: object) -> object:
    kept, _ = _without_nil(value)
    return kept


def _without_nil(value: object) -> tuple[object, bool]:
    """A value without nulls, and what becomes empty for want of them; and whether that changed it."""
    if value is None:
        return None, True
    if isinstance(value, dict) and not isinstance(value, Map):
        inner = {key: _without_nil(each) for key, each in value.items()}
        if not any(changed for _, changed in inner.values()):
            return value, False
        found = {key: each for key, (each, _) in inner.items() if each is not None}
        return found or None, True
    if isinstance(value, list) and not isinstance(value, List):
        items = [_without_nil(each) for each in value]
        if not any(changed for _, changed in items):
            return value, False
        return [each for each, _ in items if each is not None] or None, True
    return value, False


def _otel_resource_attributes(
    mesh: object, notes: dict[str, str], labels: dict[str, str], namespace: str, containers: object
) -> str:
    if not isinstance(mesh, Message) or not any(
        _is_enriched(each) for each in mesh.data.get("extensionProviders") or ()
    ):
        return ""
    known = [plain(each) for each in containers] if isinstance(containers, list) else []
    image = known[0].get("image", "") if len(known) == 1 else ""
    instance = f"{namespace}.$(POD_NAME).{known[0]['name']}" if known else ""
    attributes = {
        "service.namespace": notes.get(f"{_RESOURCE}/service.namespace") or namespace,
        "service.version": notes.get(f"{_RESOURCE}/service.version")
        or labels.get("app.kubernetes.io/version")
        or _image_version(image),
        "service.instance.id": notes.get(f"{_RESOURCE}/service.instance.id") or instance,
    }
    return ",".join(f"{name}={value}" for name, value in attributes.items() if value)


def _is_enriched(provider: Mapping[str, Any]) -> bool:
    telemetry = provider.get("opentelemetry")
    return isinstance(telemetry, dict) and telemetry.get("serviceAttributeEnrichment") == _ENRICHED


def _image_version(image: str) -> str:
    """Tag and digest of an image, as far as it has them."""
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2] if ":" in name.rpartition("/")[2] else ""
    return "@".join(part for part in (tag, digest) if part)


def _strdict(*words: str) -> object:
    pairs = zip(words[::2], [*words[1::2], *[""] * (len(words) % 2)], strict=True)
    return Map(dict(pairs), "string")


def _struct_to_json(value: object) -> str:
    return "{}" if value is None else go_text(plain(value))


def _to_json(items: dict[str, str]) -> str:
    return "{}" if is_nil(items) else go_text(plain(items))


def _to_json_map(*maps: dict[str, str]) -> str:
    return go_text(plain(_merge_maps(*maps)))


def _to_lower(text: str) -> str:
    return text.lower()


def _to_yaml(value: object) -> str:
    import yaml

    return yaml.safe_dump(plain(value), default_flow_style=False, allow_unicode=True, width=2**31)


def _value_or_default(value: object, default: object) -> object:
    return default if value is None or value == "" else value
