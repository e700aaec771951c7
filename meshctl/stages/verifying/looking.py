"""Looks at one cluster of a fleet; only reads, and asks by dry runs."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from meshctl import pki
from meshctl.errors import MeshctlError
from meshctl.model.labels import INJECTED, NETWORK, REVISION
from meshctl.model.objects import Ref
from meshctl.model.verification import Authority, ClusterSeen, ProxyPlace, Trusted
from meshctl.stages.gating import probe
from meshctl.stages.gating.pods import has_envoy
from meshctl.stages.removing.belongings import CA_SECRET
from meshctl.stages.seeing.standing import root_of
from meshctl.stages.seeing.sync import ALIVE, image_tag, proxy_container
from meshctl.stages.trusting import cacerts
from meshctl.stages.verifying.clocks import ahead, nodes_ahead
from meshctl.stages.verifying.networks import gateways, has_six, ranges, services
from meshctl.stages.verifying.workloads import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from meshctl.model import mesh as model
    from meshctl.model.objects import Object
    from meshctl.ports import Clock, Cluster

_ASKED: Final = 24  # Envoys of one cluster
_AT_ONCE: Final = 8
_ROOTS: Final = "istio-ca-root-cert"
_SYSTEM: Final = "kube-system"


def look(
    door: Cluster,
    cluster: model.Cluster,
    clock: Clock,
    *,
    mesh: str,
    namespace: str = "istio-system",
    revision: str = "",
    ask: Callable[[Object], Trusted] | None = None,
) -> ClusterSeen:
    """What can be seen of a cluster through its API server; what cannot be read says so.

    Args:
        door: the way there.
        cluster: as the mesh.yaml has it.
        clock: ours, with which its clock is compared.
        mesh: name of its mesh.
        namespace: of its control plane.
        revision: of its control plane; empty for the unnamed one.
        ask: asks the Envoy of a pod for the roots that it trusts; some of every namespace are asked.
    """
    seen = ClusterSeen(cluster, mesh, namespace, revision)
    try:
        system, home = (door.get(Ref("v1", "Namespace", "", name)) for name in (_SYSTEM, namespace))
    except MeshctlError as error:
        return replace(seen, why=error.message)
    if home is None:
        return replace(seen, why=f"there is no mesh in it: it has no Namespace {namespace}")
    parts = _parts(door, clock, namespace, revision, ask)
    with ThreadPoolExecutor(len(parts)) as pool:
        running = {what: pool.submit(read) for what, read in parts.items()}
    found: dict[str, Any] = {"uid": system.uid if system else "", "network_label": home.labels.get(NETWORK)}
    unread = []
    for what, future in running.items():
        try:
            found |= future.result()
        except MeshctlError as error:
            unread.append((what, error.message))
    return replace(seen, unread=tuple(unread), **found)


def _parts(
    door: Cluster, clock: Clock, namespace: str, revision: str, ask: Callable[[Object], Trusted] | None
) -> Mapping[str, Callable[[], Mapping[str, Any]]]:
    """What is read each by itself, by what people call it: fields of what is seen."""
    return {
        "clock": partial(_clock, door, clock, namespace),
        "clocks of nodes": lambda: {"nodes_ahead": nodes_ahead(door)},
        "namespaces": partial(_namespaces, door),
        "injection": partial(_injection, door, namespace, revision),
        "pods": partial(_pods, door, namespace, ask),
        "authority": lambda: {"authority": _authority(door, namespace)},
        "mesh root": lambda: {"published": _published(door, namespace)},
        "gateways": lambda: {"gateways": gateways(door)},
        "discovery": lambda: {"discovery": _discovery(door, namespace, revision)},
    }


def _clock(door: Cluster, clock: Clock, namespace: str) -> Mapping[str, Any]:
    seconds, blur = ahead(door, clock, namespace)
    return {"ahead": seconds, "blur": blur}


def _namespaces(door: Cluster) -> Mapping[str, Any]:
    names = frozenset(each.ref.name for each in door.list("v1", "Namespace"))
    return {"namespaces": names, "six": has_six(door)}


def _injection(door: Cluster, namespace: str, revision: str) -> Mapping[str, Any]:
    """What the injector does to a pod that is made now, asked by a dry run."""
    name = revision or "default"
    place = probe.home(door, revision=revision, istio_namespace=namespace)
    if not place:
        return {
            "injection_fault": f"no namespace lets the injector of revision {name!r} choose pods by label"
        }
    try:
        asking = {REVISION: name, "sidecar.istio.io/inject": "true"}
        made = door.create(probe.probe_pod(place, asking), dry_run=True)
    except MeshctlError as error:
        return {"injection_fault": "; ".join(error.details) or error.message}
    told = place_of(made, "new pods")
    if told is None:
        return {"injection_fault": f"no injector gives a proxy to a pod with the label {REVISION}={name}"}
    return {"injected": told}


def _pods(door: Cluster, namespace: str, ask: Callable[[Object], Trusted] | None) -> Mapping[str, Any]:
    found = door.list("v1", "Pod", labels=INJECTED, fields=ALIVE)
    pods = [each for each in found if not each.is_leaving and each.ref.namespace != NAMESPACE]
    places = sorted(
        (told for pod in pods if (told := place_of(pod, str(pod.ref)))), key=lambda told: told.subject
    )
    return {
        "proxies": tuple(places),
        "trusted": _asked(pods, ask) if ask else (),
        "ranges": ranges(door, pods),
        "services": services(door, {pod.ref.namespace for pod in pods} - {namespace}),
    }


def _asked(pods: Collection[Object], ask: Callable[[Object], Trusted]) -> tuple[Trusted, ...]:
    """What Envoys trust: one of every namespace first, then others."""
    able = [pod for pod in pods if has_envoy(pod) and pod.at("status.phase") == "Running"]
    turns = Counter[str]()
    queued = []
    for pod in sorted(able, key=lambda each: each.ref):
        queued.append((turns[pod.ref.namespace], pod.ref.place, pod))
        turns[pod.ref.namespace] += 1
    chosen = [pod for _, _, pod in sorted(queued, key=lambda each: each[:2])[:_ASKED]]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return tuple(pool.map(ask, chosen))


def place_of(pod: Object, subject: str) -> ProxyPlace | None:
    """Where in the mesh the proxy of a pod was told to be; None where it has no proxy that was."""
    proxy = proxy_container(pod)
    told = {each["name"]: str(each.get("value", "")) for each in (proxy or {}).get("env") or ()}
    if proxy is None or "ISTIO_META_CLUSTER_ID" not in told:
        return None
    image = str(proxy.get("image", ""))
    return ProxyPlace(
        subject,
        told["ISTIO_META_CLUSTER_ID"],
        told.get("ISTIO_META_NETWORK", ""),
        told.get("ISTIO_META_MESH_ID", ""),
        told.get("TRUST_DOMAIN", ""),
        image_tag(image),
        image,
    )


def _authority(door: Cluster, namespace: str) -> Authority | None:
    for ref in (cacerts.ref(namespace), Ref("v1", "Secret", namespace, CA_SECRET)):
        secret = door.get(ref)
        if secret is None:
            continue
        held = cacerts.held(secret)
        root = pki.fingerprint(held.root) if held.root else ""
        ends = pki.validity(held.certificate)[1] if held.certificate else None
        return Authority(str(secret.ref), root, frozenset(cacerts.fingerprints(held.roots)), ends)
    return None


def _published(door: Cluster, namespace: str) -> Trusted | None:
    found = door.get(Ref("v1", "ConfigMap", namespace, _ROOTS))
    if found is None:
        return None
    return trusted(str(found.ref), root_of(found).encode())


def trusted(subject: str, bundle: bytes) -> Trusted:
    """Who trusts the roots of a PEM bundle."""
    try:
        return Trusted(subject, frozenset(cacerts.fingerprints(pki.split(bundle))))
    except ValueError:
        return Trusted(subject, frozenset(), "it holds no certificate")


def _discovery(door: Cluster, namespace: str, revision: str) -> Mapping[str, str]:
    """Labels that bring a namespace among those that istiod looks at; none where it looks at all."""
    import yaml

    name = f"istio-{revision}" if revision else "istio"
    found = door.get(Ref("v1", "ConfigMap", namespace, name))
    try:
        config = yaml.safe_load(found.at("data.mesh", "")) if found else None
    except yaml.YAMLError:
        return {}
    selectors = (config or {}).get("discoverySelectors") or [{}]
    return _meeting(selectors[0])


def _meeting(selector: Mapping[str, Any]) -> Mapping[str, str]:
    """Labels that a label selector chooses."""
    wanted = {**(selector.get("matchLabels") or {})}
    for each in selector.get("matchExpressions") or ():
        values: Collection[str] = each.get("values") or ("",)
        if each.get("operator") in ("In", "Exists"):
            wanted.setdefault(each["key"], next(iter(values)))
    return wanted
