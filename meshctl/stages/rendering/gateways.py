"""Gateways: which there are, and what follows for each from its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.model.labels import INJECTED, REVISION
from meshctl.model.mesh import TRUST_DOMAIN
from meshctl.model.values import look, merge
from meshctl.stages.rendering.templates import contents

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.model.values import Tree
    from meshctl.stages.settings.catalogue import Component, Variant


def words(values: Tree, gateway: Tree, variant: Variant, revision: str, namespace: str) -> dict[str, Any]:
    """What templates of one gateway may name, besides the words of every component.

    Args:
        values: the component's values, every known setting filled.
        gateway: the gateway's own settings among them.
        variant: ingress or egress.
        revision: control-plane revision, possibly empty.
        namespace: the gateway's namespace.
    """
    rest, mesh = values["global"], values["meshConfig"]
    canonical = f"istio-{variant.name}gateway"
    name = gateway["name"] or canonical
    return {
        "name": name,
        "canonical": canonical,
        "direction": canonical.removeprefix("istio-"),
        "account": f"{name}-service-account",
        "gateway": gateway,
        "ports": [*gateway["ports"], *_more_ports(gateway, variant)],
        "replicas": gateway["autoscaleMin" if gateway["autoscaleEnabled"] else "replicaCount"] or 0,
        "pod_labels": _pod_labels(gateway, name, revision, namespace),
        "trust_domain": mesh.get("trustDomain", TRUST_DOMAIN),
        "proxy_metadata": (mesh.get("defaultConfig") or {}).get("proxyMetadata") or {},
        "trust_bundles": values["pilot"]["env"].get("ENABLE_CLUSTER_TRUST_BUNDLE_API") is True,
        "affinity": affinity(gateway, rest),
    }


def labels(component: Component, variant: Variant, said: Tree) -> dict[str, Any]:
    """The labels that select a gateway's pods: the usual ones, and those of its instance.

    What the values say of labels counts for nothing, as with upstream's installer.
    """
    usual: dict[str, Any] = look(component.overlay.tree, ("values", *variant.root, "labels"))
    return {**usual, **(said.get("label") or {})}


def made(component: Component, said: Tree, context: Mapping[str, Any]) -> list[Tree]:
    """Objects of one gateway; one that is like another has those of the other, then its own.

    Args:
        component: the gateway's component.
        said: the instance among `components`. Of an east-west gateway it tells what it `exposes`, whether
            it is `ambient`: then istiod makes it from a Gateway resource; and whether it is `direct`: a
            Service that leads to istiod, without proxies.
        context: the words that templates may name.
    """
    if not component.like:
        return contents(component.name, context)
    own = {"exposes": said.get("exposes") or ()}
    own |= {key: said.get(key, False) for key in ("ambient", "direct")}
    proxies = [] if own["ambient"] or own["direct"] else contents(component.like, context)
    return [*proxies, *contents(component.name, {**context, **own})]


def needs(component: Component, gateway: Tree) -> tuple[str, ...]:
    """Components that stand before a gateway's.

    Pods whose proxy the injector puts in need the tag `default`, where there is one: made before it
    answers, they would run outside the mesh, with no image.
    """
    return (*component.needs, "tag") if gateway["injectionTemplate"] else component.needs


def _more_ports(gateway: Tree, variant: Variant) -> list[dict[str, Any]]:
    return [{"port": each["port"], "name": each["name"]} for each in gateway[f"{variant.name}Ports"]]


def _pod_labels(gateway: Tree, name: str, revision: str, namespace: str) -> dict[str, str | None]:
    labels = gateway["labels"]
    version = labels.get("app.kubernetes.io/version") or labels.get("version") or revision or "latest"
    found: dict[str, str | None] = {
        INJECTED: name,
        "service.istio.io/canonical-revision": version,
    }
    if namespace == "istio-system":  # labels of installations from before Helm 3, still selected by some
        found |= {"heritage": "Tiller", "release": "istio", "chart": "gateways"}
    if gateway["injectionTemplate"]:
        return {**found, "sidecar.istio.io/inject": "true", REVISION: revision or None}
    return {**found, "sidecar.istio.io/inject": "false", "istio.io/dataplane-mode": "none"}


def affinity(gateway: Tree, rest: Tree) -> Tree | None:
    """Where the pods may and would rather run; None where nothing is said."""
    weights = {arch: int(weight or 0) for arch, weight in sorted(rest["arch"].items())}
    wanted = {arch: weight for arch, weight in weights.items() if weight > 0}
    selector = gateway["nodeSelector"] or rest["defaultNodeSelector"]
    must = [_one_of("kubernetes.io/arch", list(wanted))] if weights else []
    must += [_one_of(key, [str(value)]) for key, value in sorted(selector.items())]
    rather = [
        {"weight": weight, "preference": {"matchExpressions": [_one_of("kubernetes.io/arch", [arch])]}}
        for arch, weight in wanted.items()
    ]
    node: Tree = {}
    if must:
        node["requiredDuringSchedulingIgnoredDuringExecution"] = {
            "nodeSelectorTerms": [{"matchExpressions": must}]
        }
    if rather:
        node["preferredDuringSchedulingIgnoredDuringExecution"] = rather
    found = {"nodeAffinity": node} if node else {}
    return merge(found, _apart(gateway)) or None


def _one_of(key: str, values: list[str]) -> Tree:
    return {"key": key, "operator": "In", "values": values}


def _apart(gateway: Tree) -> Tree:
    never = [_term(each) for each in gateway["podAntiAffinityLabelSelector"]]
    rarely = [
        {"weight": 100, "podAffinityTerm": _term({**each, "namespaces": ""})}
        for each in gateway["podAntiAffinityTermLabelSelector"]
    ]
    found: Tree = {}
    if never:
        found["requiredDuringSchedulingIgnoredDuringExecution"] = never
    if rarely:
        found["preferredDuringSchedulingIgnoredDuringExecution"] = rarely
    return {"podAntiAffinity": found} if found else {}


def _term(said: Mapping[str, Any]) -> Tree:
    """A term of an affinity, from key, operator, topologyKey, and lists separated by commas."""
    expression: Tree = {"key": said["key"], "operator": said["operator"]}
    if said.get("values"):
        expression["values"] = str(said["values"]).split(",")
    term: Tree = {"labelSelector": {"matchExpressions": [expression]}, "topologyKey": said["topologyKey"]}
    if said.get("namespaces"):
        term["namespaces"] = str(said["namespaces"]).split(",")
    return term
