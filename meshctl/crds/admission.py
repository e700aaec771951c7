"""What istiod refuses of an object on its own, though the definitions allow it.

istiod's webhook knows rules that no schema says. Here are those that a person breaks by leaving something
out or saying it twice; each is about one object, and none is stricter than istiod.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.crds.structural import Path, Problem, named
from meshctl.errors import listed, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

CODE = "refused-by-istiod"
_PROTOCOLS = ("HTTP", "HTTPS", "HTTP2", "GRPC", "GRPC-WEB", "TLS", "TCP", "UDP", "MONGO", "REDIS", "MYSQL")
_INTERNAL_PROTOCOLS = ("HTTP_PROXY", "GRPC-WEB-TEXT", "HBONE", "DOUBLE-HBONE")
_ENCRYPTED = ("HTTPS", "TLS")
_ACTIONS = ("route", "redirect", "directResponse", "delegate")


def refusals(content: Mapping[str, Any]) -> Iterator[Problem]:
    """What istiod would refuse of an object, whatever else is wrong with it.

    Args:
        content: JSON, with text for `kind`.
    """
    look = _KINDS.get(content["kind"])
    spec = content.get("spec")
    if look and isinstance(spec, dict | None):
        yield from look(spec or {})


def _problem(path: Path, message: str, hint: str) -> Problem:
    return Problem(path, CODE, message, hint)


def _items(within: Any, name: str) -> list[Any]:
    """A list of a map; empty for whatever else stands there."""
    found = within.get(name) if isinstance(within, dict) else None
    return found if isinstance(found, list) else []


def _maps(within: Any, name: str, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The maps in a list of a map, with their places."""
    for index, each in enumerate(_items(within, name)):
        if isinstance(each, dict):
            yield (*path, name, index), each


def _has(within: Mapping[str, Any], name: str) -> bool:
    """Whether something stands there that is not empty."""
    found = within.get(name)
    return found is not None and found not in ([], "")


def _repeated(texts: list[Any], path: Path, what: str) -> Iterator[Problem]:
    """Texts that were there before in a list."""
    for index, each in enumerate(texts):
        if isinstance(each, str) and each in texts[:index]:
            yield _problem((*path, index), f"{what} {each!r} is said twice", "keep one of them")


def _virtual_service(spec: Mapping[str, Any]) -> Iterator[Problem]:
    at: Path = ("spec",)
    if not any(_has(spec, name) for name in ("http", "tcp", "tls")):
        yield _problem(at, "the VirtualService has no http, tcp or tls routes", "add one of them")
    if not _has(spec, "hosts"):
        for name in ("gateways", "tcp", "tls"):
            if _has(spec, name):
                what = f"{name} is for a VirtualService with hosts; without, others delegate to it"
                yield _problem((*at, name), what, f"set hosts, or leave {name} out")
    yield from _repeated(_items(spec, "hosts"), (*at, "hosts"), "host")
    for path, route in _maps(spec, "http", at):
        yield from _http_route(route, path)
    for name in ("tcp", "tls"):
        for path, route in _maps(spec, name, at):
            if not _has(route, "route"):
                yield _problem(path, f"{named(path)} has no route", "add a destination under route")
    for path, route in _maps(spec, "tls", at):
        if not _has(route, "match"):
            yield _problem(path, f"{named(path)} has no match", "match at least on sniHosts")


def _http_route(route: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    given = [name for name in _ACTIONS if _has(route, name)]
    if not given:
        what = f"{named(path)} does nothing with its requests"
        yield _problem(path, what, f"set one of {listed(_ACTIONS)}")
    if len(given) > 1:
        what = f"{named(path)} has {' and '.join(given)}, which exclude each other"
        yield _problem(path, what, f"keep one of {listed(given)}")
    shares = _items(route, "route")
    if len(shares) > 1 and not any(isinstance(each, dict) and each.get("weight") for each in shares):
        what = f"no destination of {named(path)} has a weight, so that none gets a request"
        yield _problem((*path, "route"), what, "give each a weight")


def _gateway(spec: Mapping[str, Any]) -> Iterator[Problem]:
    at: Path = ("spec",)
    if not _has(spec, "servers"):
        yield _problem(at, "the Gateway has no servers", "add one with port and hosts")
    names: set[str] = set()
    for path, server in _maps(spec, "servers", at):
        port = server.get("port")
        if not _has(server, "hosts"):
            yield _problem(path, f"{named(path)} has no hosts", "name hosts; * stands for all")
        if not isinstance(port, dict):
            continue
        below = (*path, "port")
        name = port.get("name")
        if not name:
            yield _problem(below, f"the port of {named(path)} has no name", "set name, such as http")
        elif isinstance(name, str):
            if name in names:
                what = f"the port name {name!r} is used by an earlier server"
                yield _problem((*below, "name"), what, "give each server's port a name of its own")
            names.add(name)
        yield from _protocol(port.get("protocol"), server, below)


def _protocol(said: Any, server: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    if not isinstance(said, str):
        return
    protocol = said.upper()
    if protocol not in (*_PROTOCOLS, *_INTERNAL_PROTOCOLS):
        near = nearest(protocol, _PROTOCOLS)
        guess = f"; did you mean {near!r}?" if near else ""
        what = f"protocol cannot be {said!r}{guess}"
        yield _problem((*path, "protocol"), what, f"choose one of {listed(_PROTOCOLS)}")
    elif protocol in _ENCRYPTED and server.get("tls") is None:
        yield _problem((*path, "protocol"), f"a server for {protocol} has no tls", "set tls with a mode")


def _destination_rule(spec: Mapping[str, Any]) -> Iterator[Problem]:
    names = [each.get("name") if isinstance(each, dict) else None for each in _items(spec, "subsets")]
    yield from _repeated(names, ("spec", "subsets"), "subset")
    yield from _repeated(_items(spec, "exportTo"), ("spec", "exportTo"), "namespace")


def _sidecar(spec: Mapping[str, Any]) -> Iterator[Problem]:
    lists = any(_has(spec, name) for name in ("egress", "ingress"))
    if not lists and not any(
        spec.get(name) is not None for name in ("outboundTrafficPolicy", "inboundConnectionPool")
    ):
        yield _problem(("spec",), "the Sidecar says nothing", "set egress, ingress or outboundTrafficPolicy")


def _authorization_policy(spec: Mapping[str, Any]) -> Iterator[Problem]:
    at: Path = ("spec",)
    action = spec.get("action")
    provider = spec.get("provider")
    if action in ("DENY", "CUSTOM") and not _has(spec, "rules"):
        what = f"{action} without rules never applies"
        yield _problem(at, what, "add the rule {} to mean every request")
    elif action == "CUSTOM" and not (isinstance(provider, dict) and provider.get("name")):
        yield _problem(at, "CUSTOM has no provider", "set provider.name")
    if action != "CUSTOM" and provider is not None:
        yield _problem((*at, "provider"), "a provider is for the action CUSTOM", "set action: CUSTOM")
    for path, rule in _maps(spec, "rules", at):
        for name, inner in (("from", "source"), ("to", "operation")):
            for below, each in _maps(rule, name, path):
                if not _says_something(each.get(inner)):
                    hint = f"say what the {inner} is, or leave {name} out to mean any"
                    yield _problem(below, f"{named(below)} has no {inner}, or an empty one", hint)


def _says_something(value: Any) -> bool:
    if value is None:
        return False
    return not isinstance(value, dict) or any(_has(value, name) for name in value)


_KINDS: dict[str, Callable[[Mapping[str, Any]], Iterator[Problem]]] = {
    "AuthorizationPolicy": _authorization_policy,
    "DestinationRule": _destination_rule,
    "Gateway": _gateway,
    "Sidecar": _sidecar,
    "VirtualService": _virtual_service,
}
