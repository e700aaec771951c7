"""Reads from Istio's objects in a cluster how the mesh stands there."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from meshctl.model.labels import GENERATED, PROXY, REVISION, TAG, installed_by
from meshctl.model.proxy import Carrier
from meshctl.model.standing import (
    CertificateAge,
    DataPlane,
    DefaultOwner,
    Installation,
    Role,
    Webhook,
    is_served,
)
from meshctl.stages.applying.readiness import troubles, unready
from meshctl.stages.removing.belongings import CA_SECRET
from meshctl.stages.seeing.sync import image_tag

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from meshctl.model.objects import Object
    from meshctl.model.proxy import Seat

_ORDER: Final = tuple(Role)
_DAEMONS: Final = {"istio-cni-node": Role.CNI, "ztunnel": Role.ZTUNNEL}
CA_FILES: Final = (
    ("cacerts", (("signing CA", "ca-cert.pem"), ("mesh root", "root-cert.pem"))),
    (CA_SECRET, (("signing CA", "ca-cert.pem"),)),
)
"""Secrets that istiod takes its CA from, and their public parts; where the first is, it is the one used."""


@dataclass(frozen=True)
class Around:
    """What is around a workload that is not ready: pods, ReplicaSets and events of its namespace."""

    pods: Collection[Object] = ()
    sets: Collection[Object] = ()
    events: Collection[Object] = field(default=())


def installations(workloads: Iterable[Object]) -> tuple[Installation, ...]:
    """Istio's own among the workloads, the control plane first, then by name; each at most once."""
    found = {each.ref: each for each in workloads}.values()
    made = [_installation(each, role) for each in found if (role := role_of(each)) is not None]
    return tuple(sorted(made, key=lambda each: (_ORDER.index(each.role), each.ref)))


def explained(installation: Installation, workload: Object, around: Around) -> Installation:
    """The installation with what keeps it from being ready."""
    found = troubles(workload, around.pods, around.sets, around.events)
    return replace(installation, causes=tuple(dict.fromkeys(each.cause for each in found)))


def role_of(workload: Object) -> Role | None:
    """What a Deployment or DaemonSet is for in a mesh; None when it is not Istio's."""
    if workload.ref.kind == "DaemonSet":
        label = workload.at("spec.template.metadata.labels", {})
        return _DAEMONS.get(label.get("k8s-app", "")) or _DAEMONS.get(label.get("app", ""))
    if workload.labels.get("app") == "istiod" or workload.labels.get("istio") == "pilot":
        return Role.CONTROL_PLANE
    if GENERATED in workload.labels:
        return Role.GATEWAY
    template = workload.at("spec.template.metadata.annotations", {})
    if template.get("inject.istio.io/templates") == "gateway":
        return Role.GATEWAY
    proxy = _container(workload, PROXY)
    return Role.GATEWAY if "router" in proxy.get("args", ()) else None


def services(configurations: Iterable[Object]) -> tuple[tuple[str, str], ...]:
    """`(namespace, name)` of the Services that Istio's webhook configurations lead to, sorted."""
    found = {
        _service(entry) for each in configurations if _is_istio(each) for entry in each.at("webhooks", ())
    }
    return tuple(sorted(place for place in found if place is not None))


def webhooks(
    configurations: Iterable[Object], endpoints: Mapping[tuple[str, str], Collection[Object]], root: str
) -> tuple[Webhook, ...]:
    """Istio's webhook configurations, by kind and name.

    Args:
        configurations: mutating and validating ones, anybody's.
        endpoints: EndpointSlices of each Service in `services`; one left out is not known.
        root: the mesh root, PEM; empty when it is not known.
    """
    found = [_webhook(each, endpoints, root) for each in configurations if _is_istio(each)]
    return tuple(sorted(found, key=lambda each: (each.ref.kind, each.ref.name)))


def default_owner(configurations: Iterable[Object]) -> DefaultOwner:
    """Who injects into `istio-injection: enabled` namespaces, and who validates unlabelled objects."""
    injection = validation = ""
    for each in configurations:
        for entry in each.at("webhooks", ()):
            if each.ref.kind == "MutatingWebhookConfiguration" and _serves_enabled(entry):
                injection = _revision(each)
            if entry.get("name") == "validation.istio.io":
                validation = _revision_of_service(entry) or _revision(each)
    return DefaultOwner(injection, validation)


def data_plane(seats: Collection[Seat]) -> DataPlane:
    """Counts of pods with a proxy, those on their way out left aside."""
    staying = [seat for seat in seats if not seat.is_leaving]
    versions = Counter(seat.version or "unknown" for seat in staying)
    return DataPlane(
        sidecars=sum(seat.carrier is Carrier.SIDECAR for seat in staying),
        gateways=sum(seat.carrier in (Carrier.GATEWAY, Carrier.WAYPOINT) for seat in staying),
        namespaces=len({seat.namespace for seat in staying}),
        versions=dict(sorted(versions.items())),
    )


def certificates(config_map: Object | None, secrets: Iterable[Object]) -> tuple[CertificateAge, ...]:
    """CA certificates in the mesh root's ConfigMap and in the CA's Secrets; keys are not looked at."""
    pems = []
    if config_map is not None:
        pems.append(("mesh root", str(config_map.ref), root_of(config_map)))
    by_name = {secret.ref.name: secret for secret in secrets}
    used = next(((by_name[name], files) for name, files in CA_FILES if name in by_name), None)
    if used is not None:
        secret, files = used
        data = secret.at("data", {})
        pems += [(name, f"{secret.ref} {file}", _decoded(data.get(file, ""))) for name, file in files]
    return tuple(age for name, place, pem in pems for age in _ages(name, place, pem))


def root_of(config_map: Object | None) -> str:
    """The mesh root, PEM, in its ConfigMap; empty when there is none."""
    return str(config_map.at("data.root-cert\\.pem", "")) if config_map is not None else ""


def _installation(workload: Object, role: Role) -> Installation:
    name = "discovery" if role is Role.CONTROL_PLANE else PROXY
    image = _container(workload, name).get("image") or workload.at(
        "spec.template.spec.containers[0].image", ""
    )
    is_set = workload.ref.kind == "DaemonSet"
    return Installation(
        ref=workload.ref,
        role=role,
        revision=_revision(workload),
        version="" if image == "auto" else image_tag(image),
        image=image,
        by=installed_by(workload),
        wanted=workload.at("status.desiredNumberScheduled", 0) if is_set else workload.at("spec.replicas", 1),
        ready=workload.at("status.numberReady" if is_set else "status.readyReplicas", 0),
        trouble=unready(workload),
    )


def _revision(obj: Object) -> str:
    return obj.labels.get(REVISION) or obj.at("spec.template.metadata.labels", {}).get(REVISION) or "default"


def _container(workload: Object, name: str) -> Mapping[str, Any]:
    containers = workload.at("spec.template.spec.containers", ())
    return next((each for each in containers if each.get("name") == name), {})


def _is_istio(configuration: Object) -> bool:
    return any(each.get("name", "").endswith(".istio.io") for each in configuration.at("webhooks", ()))


def _service(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    service = entry.get("clientConfig", {}).get("service")
    return (service["namespace"], service["name"]) if service else None


def _webhook(
    configuration: Object, endpoints: Mapping[tuple[str, str], Collection[Object]], root: str
) -> Webhook:
    entries = configuration.at("webhooks", ())
    place = _service(entries[0])
    bundles = [entry.get("clientConfig", {}).get("caBundle", "") for entry in entries]
    return Webhook(
        ref=configuration.ref,
        revision=_revision(configuration),
        tag=configuration.labels.get(TAG, ""),
        target=f"Service {place[0]}/{place[1]}"
        if place
        else entries[0].get("clientConfig", {}).get("url", ""),
        is_alive=is_served(endpoints[place]) if place and place in endpoints else None,
        has_bundle=all(bundles),
        trusts_root=all(_holds(_decoded(each), root) for each in bundles) if root and all(bundles) else None,
        is_required=any(entry.get("failurePolicy", "Fail") == "Fail" for entry in entries),
    )


def _serves_enabled(entry: Mapping[str, Any]) -> bool:
    selector = entry.get("namespaceSelector", {})
    if "istio.io/deactivated" in selector.get("matchLabels", {}):
        return False  # put out of service when another revision became the default
    return any(
        each.get("key") == "istio-injection" and "enabled" in (each.get("values") or ())
        for each in selector.get("matchExpressions", ())
    )


def _revision_of_service(entry: Mapping[str, Any]) -> str:
    place = _service(entry)
    if place is None:
        return ""
    name = place[1]
    if name.startswith("istiod-revision-tag-"):
        return ""  # a tag's own Service; the configuration's label names the revision
    return "default" if name == "istiod" else name.removeprefix("istiod-")


def _decoded(encoded: str) -> str:
    try:
        return base64.b64decode(encoded).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _holds(bundle: str, root: str) -> bool:
    from meshctl import pki

    try:
        return bool(set(pki.split(bundle.encode())) & set(pki.split(root.encode())))
    except ValueError:
        return False


def _ages(name: str, place: str, pem: str) -> list[CertificateAge]:
    from meshctl import pki

    try:
        pairs = [pki.validity(each) for each in pki.split(pem.encode())] if pem else []
    except ValueError:
        return []
    return [CertificateAge(name, place, *pair) for pair in pairs]
