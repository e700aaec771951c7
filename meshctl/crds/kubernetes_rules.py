"""What the API server asks of Kubernetes' types beyond their schemas, as far as it can be told offline.

Source: pkg/apis/{core,apps,autoscaling,policy}/validation of Kubernetes 1.34.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from itertools import chain
from typing import TYPE_CHECKING, Any

from meshctl.crds.kubernetes import LABEL, LABEL_VALUE
from meshctl.crds.kubernetes_pod_rules import RULES as POD_RULES
from meshctl.crds.kubernetes_pod_rules import requirement
from meshctl.crds.rules import one_of, unique, wrong
from meshctl.model import quantity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from meshctl.crds.rules import Rule
    from meshctl.crds.structural import Path, Problem

_ANNOTATIONS_BYTES = 256 * 1024
_LONGEST_POLICY_PERIOD = 1800
_LONGEST_WINDOW = 3600
_METRICS = {"Resource": "resource", "ContainerResource": "containerResource", "Pods": "pods",
            "Object": "object", "External": "external"}  # fmt: skip
_TARGETS = {"Utilization": "averageUtilization", "Value": "value", "AverageValue": "averageValue"}


def anti_affinity(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Lists of label values and of namespaces, as their operator takes them."""
    values = [each for each in str(value.get("values") or "").split(",") if each or value.get("values")]
    yield from requirement({"operator": value["operator"], "values": values}, path)
    for name, kind in (("values", LABEL_VALUE), ("namespaces", LABEL)):
        for each in str(value.get(name) or "").split(",") if value.get(name) else ():
            if len(each) > 63 or not re.fullmatch(kind, each):
                yield wrong((*path, name), f"cannot have {each!r}", f"write {name} as a,b,c")


def webhook_url(value: str, path: Path) -> Iterator[Problem]:
    """What stands in brackets is an IPv6 address."""
    host = value.removeprefix("https://")
    if host.startswith("["):
        yield from ip(host[1:].partition("]")[0], path)


def amount(value: Any, path: Path) -> Iterator[Problem]:
    """Not a negative one."""
    if isinstance(value, int) and value < 0:
        yield wrong(path, f"cannot be {value}", "it is at least 0")


def strategy(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Settings of a rolling update are for that type, and let something happen."""
    rolling = value.get("rollingUpdate")
    if rolling is not None and value.get("type", "RollingUpdate") != "RollingUpdate":
        yield wrong(path, "has rollingUpdate", f"it is not for the type {value['type']}")


def is_zero(size: Any) -> bool:
    """Whether a number or a percentage of pods is none of them."""
    return not int(str(size).removesuffix("%"))


def rolling(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Some pod may be made or missing, and not more than all are missing."""
    sizes = [value.get(name, 1) for name in ("maxSurge", "maxUnavailable")]
    if all(is_zero(size) for size in sizes):
        yield wrong(path, "lets no pod be made and none be missing", "set one of them above 0")
    yield from _share(value.get("maxUnavailable"), (*path, "maxUnavailable"))


def rolling_daemons(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """On a node, the old pod goes first or the new one comes first."""
    surge, missing = value.get("maxSurge", 0), value.get("maxUnavailable", 1)
    none = [is_zero(size) for size in (surge, missing)]
    if none[0] == none[1]:
        what = f"has maxSurge {surge} and maxUnavailable {missing}"
        yield wrong(path, what, "one of them is 0, the other is not")
    for name in ("maxSurge", "maxUnavailable"):
        yield from _share(value.get(name), (*path, name))


def architectures(value: Mapping[str, int], path: Path) -> Iterator[Problem]:
    """Some architecture will do."""
    if value and not any(value.values()):
        yield wrong(path, "wants no architecture", "give one of them a weight above 0")


def _share(value: Any, path: Path) -> Iterator[Problem]:
    if isinstance(value, str) and value.endswith("%") and int(value[:-1]) > 100:
        yield wrong(path, f"cannot be {value!r}", "it is at most 100%")


def budget(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Either how many must be there, or how many may be missing."""
    yield from one_of(value, path, "minAvailable", "maxUnavailable", need=False)
    for name in ("minAvailable", "maxUnavailable"):
        yield from _share(value.get(name), (*path, name))


def autoscaler(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Fewest is not more than most."""
    fewest = value.get("minReplicas", 1)
    most = value.get("maxReplicas", fewest)
    if fewest > most:
        yield wrong(path, f"has minReplicas {fewest}, more than maxReplicas {most}", "make it less")


def scaling(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Windows of at most an hour; some policy, unless none may act."""
    window = value.get("stabilizationWindowSeconds", 0)
    if window > _LONGEST_WINDOW:
        yield wrong(
            (*path, "stabilizationWindowSeconds"), f"cannot be {window}", f"at most {_LONGEST_WINDOW}"
        )
    if value.get("policies") == []:
        yield wrong((*path, "policies"), "is empty", "leave it out, or say one")


def scaling_policy(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Periods of at most half an hour."""
    period = value["periodSeconds"]
    if period > _LONGEST_POLICY_PERIOD:
        yield wrong((*path, "periodSeconds"), f"cannot be {period}", f"at most {_LONGEST_POLICY_PERIOD}")


def metric(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """The source that the type names, and no other."""
    name = _METRICS[value["type"]]
    given = [each for each in _METRICS.values() if each in value]
    if given != [name]:
        yield wrong(path, f"has the type {value['type']}", f"set {name}, and nothing else beside it")
    target = value.get(name, {}).get("target", {})
    kinds = {
        "Pods": ("AverageValue",),
        "Object": ("Value", "AverageValue"),
        "External": ("Value", "AverageValue"),
    }
    allowed = kinds.get(value["type"], ("Utilization", "AverageValue"))
    if target and target["type"] not in allowed:
        where = (*path, name, "target", "type")
        yield wrong(where, f"cannot be {target['type']}", f"choose one of {', '.join(allowed)}")


def metric_target(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """The value that the type names, and no other."""
    name = _TARGETS[value["type"]]
    if [each for each in _TARGETS.values() if each in value] != [name]:
        yield wrong(path, f"has the type {value['type']}", f"set {name}, and nothing else beside it")
    elif name != "averageUtilization" and not quantity.amount(value[name]):
        yield wrong((*path, name), "is 0", "it is more than that")


def service(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """Ports that differ and are named; settings of load balancers only for those."""
    ports = value.get("ports") or []
    yield from service_ports(ports, (*path, "ports"))
    for index, each in enumerate(value.get("loadBalancerSourceRanges") or ()):
        yield from address_range(each, (*path, "loadBalancerSourceRanges", index))
    for index, each in enumerate(value.get("externalIPs") or ()):
        yield from ip(each, (*path, "externalIPs", index))


def service_ports(ports: list[Any], path: Path) -> Iterator[Problem]:
    """Ports with names of their own where there are several."""
    yield from unique(ports, path, "name")
    if len(ports) > 1:
        for index, each in enumerate(ports):
            if not each.get("name"):
                yield wrong((*path, index), "has no name", "with several ports each has one")
    pairs = [{"port": each.get("port"), "protocol": each.get("protocol", "TCP")} for each in ports]
    yield from unique(pairs, path, "port", "protocol")
    nodes = [
        {"nodePort": each.get("nodePort") or None, "protocol": each.get("protocol", "TCP")} for each in ports
    ]
    yield from unique(nodes, path, "nodePort", "protocol")


def ip(value: str, path: Path) -> Iterator[Problem]:
    """An IP address."""
    try:
        ip_address(value)
    except ValueError:
        yield wrong(path, f"is no IP address: {value!r}", "such as 10.0.0.1")


def address_range(value: str, path: Path) -> Iterator[Problem]:
    """A range of addresses."""
    try:
        ip_network(value.strip(), strict=False)
        good = "/" in value
    except ValueError:
        good = False
    if not good:
        yield wrong(path, f"is no range of addresses: {value!r}", "such as 10.0.0.0/8")


def annotation_sizes(value: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    """All of them together are not too long."""
    length = sum(len(text.encode()) for text in chain.from_iterable(value.items()))
    if length > _ANNOTATIONS_BYTES:
        yield wrong(path, f"has {length} bytes", f"annotations have {_ANNOTATIONS_BYTES} at most together")


RULES: dict[str, Rule] = {
    **POD_RULES,
    "AntiAffinity": anti_affinity,
    "webhookURL": webhook_url,
    "amount": amount,
    "DeploymentStrategy": strategy,
    "UpdateStrategy": strategy,
    "RollingUpdate": rolling,
    "RollingDaemonSet": rolling_daemons,
    "architectures": architectures,
    "ip": ip,
    "PodDisruptionBudget": budget,
    "HorizontalPodAutoscaler": autoscaler,
    "ScalingRules": scaling,
    "ScalingPolicy": scaling_policy,
    "Metric": metric,
    "MetricTarget": metric_target,
    "Service": service,
    "range": address_range,
    "annotations": annotation_sizes,
    "annotationTexts": annotation_sizes,
}
"""By type name; what is not here is said by the schema alone."""
