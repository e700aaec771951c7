"""What the API server asks of pods beyond their schemas, as far as it can be told offline.

Source: pkg/apis/core/validation of Kubernetes 1.34.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from meshctl.crds.rules import one_of, unique, wrong
from meshctl.model import quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.crds.rules import Rule
    from meshctl.crds.structural import Path, Problem

_FIELD_PATHS = (
    "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
    "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
)  # fmt: skip
_FILE_FIELD_PATHS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "metadata.labels",
    "metadata.annotations",
)
_RESOURCES = tuple(
    f"{kind}.{name}" for kind in ("limits", "requests") for name in ("cpu", "memory", "ephemeral-storage")
)
_SHORTEST_TOKEN = 600
_MOST_NAMESERVERS = 3


def _size(value: Any) -> Decimal:
    return quantity.amount(value) or Decimal(0)


def toleration(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """A toleration of everything says so, and times are for NoExecute."""
    exists = value.get("operator") == "Exists"
    if not value.get("key") and not exists:
        yield wrong(path, "has no key", "a toleration without a key has the operator Exists")
    if exists and value.get("value"):
        yield wrong(path, "has a value, though its operator is Exists", "leave the value out")
    if "tolerationSeconds" in value and value.get("effect") != "NoExecute":
        yield wrong(path, "has tolerationSeconds", "they are for the effect NoExecute")


def requirement(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Operators take the values that they need."""
    operator, values = value["operator"], value.get("values") or []
    if operator in ("In", "NotIn") and not values:
        yield wrong(path, "has no values", f"{operator} needs at least one")
    if operator in ("Exists", "DoesNotExist") and values:
        yield wrong(path, "has values", f"{operator} takes none")
    if operator in ("Gt", "Lt") and not (len(values) == 1 and values[0].lstrip("-").isdigit()):
        yield wrong(path, "has no number", f"{operator} takes one whole number, as text")


def node_field(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """A field of a node is one name."""
    if len(value["values"]) != 1:
        yield wrong((*path, "values"), "is not one name", "name one node")


def node_selector(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Some term has to be able to match."""
    if not value["nodeSelectorTerms"]:
        yield wrong((*path, "nodeSelectorTerms"), "is empty", "say which nodes")


def _label_keys(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    matching, others = value.get("matchLabelKeys") or [], value.get("mismatchLabelKeys") or []
    selector = value.get("labelSelector")
    if (matching or others) and selector is None:
        yield wrong(path, "has label keys but no labelSelector", "say a labelSelector")
    told = {*(selector or {}).get("matchLabels", {})} | {
        each.get("key") for each in (selector or {}).get("matchExpressions", ())
    }
    for key in matching:
        if key in others or key in told:
            yield wrong((*path, "matchLabelKeys"), f"names {key!r} again", "name it once")
    for key in others:
        if key in told:
            yield wrong((*path, "mismatchLabelKeys"), f"names {key!r} again", "name it once")


def affinity_term(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """A term says within what the pods are together, or apart."""
    if not value.get("topologyKey"):
        yield wrong(path, "has no topologyKey", "such as kubernetes.io/hostname")
    yield from _label_keys(value, path)


def spread(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Fewest domains only where scheduling can be refused."""
    if "minDomains" in value and value["whenUnsatisfiable"] != "DoNotSchedule":
        yield wrong(path, "has minDomains", "it is for whenUnsatisfiable: DoNotSchedule")
    yield from _label_keys(value, path)


def variable(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """A variable has a value or a source of one."""
    if value.get("value") and "valueFrom" in value:
        yield wrong(path, "has value and valueFrom, which exclude each other", "keep one of them")


def variable_source(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """One source, of what can be a variable."""
    yield from one_of(value, path, "configMapKeyRef", "secretKeyRef", "fieldRef", "resourceFieldRef")
    if "fieldRef" in value:
        yield from _field_path(value["fieldRef"], (*path, "fieldRef"), _FIELD_PATHS)
    if "resourceFieldRef" in value:
        yield from _resource_path(value["resourceFieldRef"], (*path, "resourceFieldRef"))


def _field_path(value: Mapping[str, Any], path: Path, known: tuple[str, ...]) -> Iterator[Problem]:
    said = value["fieldPath"]
    inside = [f"metadata.{map}['" for map in ("labels", "annotations")]
    if said not in known and not (said.endswith("']") and any(said.startswith(each) for each in inside)):
        hint = f"choose one of {', '.join(known)}, or metadata.labels['KEY']"
        yield wrong((*path, "fieldPath"), f"cannot be {said!r}", hint)


def _resource_path(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    said = value["resource"]
    if said not in _RESOURCES and ".hugepages-" not in said:
        yield wrong((*path, "resource"), f"cannot be {said!r}", f"choose one of {', '.join(_RESOURCES)}")
    divisors = ("1m", "1", "0", 1, 0) if said.endswith(".cpu") else None
    if divisors and value.get("divisor", "0") not in divisors:
        yield wrong((*path, "divisor"), f"cannot be {value['divisor']!r}", "of CPU it is 1 or 1m")


def projected_file(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """A file of the downward API holds a field or a resource."""
    yield from one_of(value, path, "fieldRef", "resourceFieldRef")
    if "fieldRef" in value:
        yield from _field_path(value["fieldRef"], (*path, "fieldRef"), _FILE_FIELD_PATHS)
    if "resourceFieldRef" in value:
        yield from _resource_path(value["resourceFieldRef"], (*path, "resourceFieldRef"))
        if "containerName" not in value["resourceFieldRef"]:
            yield wrong((*path, "resourceFieldRef"), "has no containerName", "say whose resources")


def probe(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """One way of asking."""
    yield from one_of(value, path, "exec", "httpGet", "tcpSocket", "grpc")


def handler(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """One thing to do."""
    yield from one_of(value, path, "exec", "httpGet", "tcpSocket", "sleep")


def command(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """There is something to run."""
    if not value["command"]:
        yield wrong((*path, "command"), "is empty", "say what to run")


def port_or_name(value: Any, path: Path) -> Iterator[Problem]:
    """A port number, or a port name of at most 15 characters."""
    if isinstance(value, int) and not 1 <= value <= 65535:
        yield wrong(path, f"cannot be {value}", "a port is 1 to 65535")
    if isinstance(value, str) and (
        not 1 <= len(value) <= 15 or value.isdigit() or "--" in value or not any(map(str.isalpha, value))
    ):
        hint = "a port's name has up to 15 lower-case letters, digits and dashes; a number has no quotes"
        yield wrong(path, f"cannot be {value!r}", hint)


def container(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Probes that may only succeed once, mounts and names of ports that differ."""
    for name in ("livenessProbe", "startupProbe"):
        if value.get(name, {}).get("successThreshold", 1) not in (0, 1):
            yield wrong((*path, name, "successThreshold"), "is not 1", "leave it out")
    yield from unique(value.get("ports") or [], (*path, "ports"), "name")
    for index, mount in enumerate(value.get("volumeMounts") or ()):
        if mount.get("mountPropagation") == "Bidirectional" and not value.get("securityContext", {}).get(
            "privileged"
        ):
            where = (*path, "volumeMounts", index, "mountPropagation")
            yield wrong(where, "cannot be Bidirectional", "only privileged containers may do that")
    if value["image"] != value["image"].strip():
        yield wrong((*path, "image"), "has blanks around it", "take them away")


def init_container(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """What is asked only of containers that go on running."""
    yield from container(value, path)
    if value.get("restartPolicy") == "Always":
        return
    for name in ("livenessProbe", "readinessProbe", "startupProbe", "lifecycle"):
        if name in value:
            hint = "an init container has it only with restartPolicy: Always"
            yield wrong((*path, name), "cannot be set here", hint)


def mount(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """One kind of sub-path, and what reads recursively only reads."""
    yield from one_of(value, path, "subPath", "subPathExpr", need=False)
    for name in ("subPath", "subPathExpr"):
        yield from relative(value.get(name, ""), (*path, name))
    if value.get("recursiveReadOnly", "Disabled") != "Disabled":
        if not value.get("readOnly"):
            yield wrong(path, "has recursiveReadOnly, but not readOnly", "set readOnly to true")
        if value.get("mountPropagation", "None") != "None":
            yield wrong(path, "has recursiveReadOnly and mountPropagation", "keep one of them")


def relative(value: str, path: Path) -> Iterator[Problem]:
    """A path that stays where it is."""
    if ".." in value.split("/"):
        yield wrong(path, f"cannot be {value!r}", "a relative path may not lead up by ..")


def resources(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Known resources, and no request above its limit."""
    limits, requests = value.get("limits") or {}, value.get("requests") or {}
    for kind, sizes in (("limits", limits), ("requests", requests)):
        for name, size in sizes.items():
            if name not in ("cpu", "memory", "ephemeral-storage") and "/" not in name:
                if not name.startswith("hugepages-"):
                    hint = "choose cpu, memory or ephemeral-storage, or name another as domain/name"
                    yield wrong((*path, kind, name), "is no resource of a container", hint)
            elif "/" in name and _size(size) != _size(size).to_integral_value():
                yield wrong((*path, kind, name), f"cannot be {size}", "it is counted in whole numbers")
    for name, size in requests.items():
        extended = "/" in name or name.startswith("hugepages-")
        if name in limits and _size(size) > _size(limits[name]):
            what = f"is {size}, more than the limit {limits[name]}"
            yield wrong((*path, "requests", name), what, "ask for less, or allow more")
        elif extended and (name not in limits or _size(size) != _size(limits[name])):
            yield wrong((*path, "requests", name), "is not its limit", "set both to the same")


def security(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Who may not gain privileges is not privileged."""
    added = (value.get("capabilities") or {}).get("add") or ()
    if value.get("allowPrivilegeEscalation") is False and (
        value.get("privileged") or "CAP_SYS_ADMIN" in added
    ):
        yield wrong(path, "is privileged, though allowPrivilegeEscalation is false", "say one or the other")


def security_profile(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """A profile of the node's own has a name, others have none."""
    local, name = value["type"] == "Localhost", value.get("localhostProfile")
    if local and not name:
        yield wrong(path, "has no localhostProfile", "name the profile")
    if not local and name is not None:
        yield wrong(path, "has a localhostProfile", "it is for the type Localhost")
    yield from relative(name or "", (*path, "localhostProfile"))


def volume(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """One source."""
    yield from one_of({key: below for key, below in value.items() if key != "name"}, path, need=False)


def claim(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """A way of access, and one for a single pod on its own."""
    modes = value["accessModes"]
    if not modes or ("ReadWriteOncePod" in modes and len(set(modes)) > 1):
        hint = "say one at least, and none beside ReadWriteOncePod"
        yield wrong((*path, "accessModes"), "cannot be so", hint)


def storage(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Some storage."""
    if not _size(value["storage"]):
        yield wrong((*path, "storage"), "is 0", "it is more than that")


def fibre_channel(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """World-wide names with a unit, or identifiers."""
    names, ids = value.get("targetWWNs"), value.get("wwids")
    if bool(names) == bool(ids):
        yield wrong(path, "has targetWWNs and wwids" if names else "says nothing", "set one of them")
    elif names and "lun" not in value:
        yield wrong(path, "has no lun", "set lun")


def azure_disk(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Managed disks are in a subscription, others have an address."""
    begins = "/subscriptions/" if value.get("kind") == "Managed" else "https://"
    if not value["diskURI"].startswith(begins):
        yield wrong((*path, "diskURI"), f"cannot be {value['diskURI']!r}", f"it begins with {begins}")


def projection(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """One source."""
    names = ("configMap", "secret", "downwardAPI", "serviceAccountToken", "clusterTrustBundle")
    yield from one_of(value, path, *names)


def token(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """A token lives ten minutes at least."""
    seconds = value.get("expirationSeconds", _SHORTEST_TOKEN)
    if not _SHORTEST_TOKEN <= seconds <= 2**32:
        yield wrong((*path, "expirationSeconds"), f"cannot be {seconds}", f"at least {_SHORTEST_TOKEN}")


def dns(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Three name servers at most."""
    if len(value.get("nameservers") or ()) > _MOST_NAMESERVERS:
        yield wrong((*path, "nameservers"), "has too many", f"{_MOST_NAMESERVERS} at most")


RULES: dict[str, Rule] = {
    "Toleration": toleration,
    "LabelSelectorRequirement": requirement,
    "NodeSelectorRequirement": requirement,
    "NodeFieldRequirement": node_field,
    "NodeSelector": node_selector,
    "PodAffinityTerm": affinity_term,
    "TopologySpreadConstraint": spread,
    "EnvVar": variable,
    "EnvVarSource": variable_source,
    "DownwardAPIFile": projected_file,
    "EnvFromSource": lambda value, path: one_of(value, path, "configMapRef", "secretRef"),
    "Probe": probe,
    "LifecycleHandler": handler,
    "ExecAction": command,
    "portOrName": port_or_name,
    "Container": container,
    "InitContainer": init_container,
    "VolumeMount": mount,
    "relative": relative,
    "folder": relative,
    "ResourceRequirements": resources,
    "SecurityContext": security,
    "SecurityProfile": security_profile,
    "Volume": volume,
    "ClaimSpec": claim,
    "Storage": storage,
    "FibreChannel": fibre_channel,
    "AzureDisk": azure_disk,
    "Projection": projection,
    "TokenProjection": token,
    "PodDNSConfig": dns,
}
"""By type name."""
