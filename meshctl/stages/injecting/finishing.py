"""What no template can say: after the merge, istiod puts a pod in order.

Source: istio.io/istio pkg/kube/inject/webhook.go, `postProcessPod`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.stages.injecting import prometheus
from meshctl.stages.injecting.own_containers import named, sidecar, with_container
from meshctl.stages.injecting.pod_annotations import boolean
from meshctl.stages.injecting.pods import go_text
from meshctl.stages.injecting.probes import PROBERS, PROXY, probers, rewritten
from meshctl.stages.injecting.workloads import STATUS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.stages.injecting.injector import Settled

NETWORK = "topology.istio.io/network"
STATUS_PORT = "status.sidecar.istio.io/port"
REWRITE = "sidecar.istio.io/rewriteAppHTTPProbers"
_STATUS_LISTS = ("initContainers", "containers", "volumes", "imagePullSecrets")


def finished(merged: Mapping[str, Any], template: Mapping[str, Any], settled: Settled) -> dict[str, Any]:
    """The injected pod.

    Args:
        merged: the pod with the template and its own containers in it.
        template: what the template alone says.
        settled: the injector and the job.

    Raises:
        ConfigError: the pod wants Prometheus to scrape a port that cannot be scraped.
    """
    meta = dict(merged.get("metadata") or {})
    meta = {**meta, "annotations": meta.get("annotations") or {}, "labels": meta.get("labels") or {}}
    pod: dict[str, Any] = {**merged, "metadata": meta}
    pod = _with_place(pod, settled.variables)
    pod = _with_metrics(pod, settled.injector.mesh, targets=settled.injector.scrape_targets)
    pod = _with_probes(pod, settled)
    pod = _with_marks(pod, template, settled)
    return _in_order(pod, settled)


def _with_variable(pod: dict[str, Any], name: str, value: str) -> dict[str, Any]:
    there = sidecar(pod)
    if there is None:
        return pod
    return with_container(pod, {**there, "env": [*(there.get("env") or ()), {"name": name, "value": value}]})


def _with_notes(pod: dict[str, Any], notes: Mapping[str, str]) -> dict[str, Any]:
    return {**pod, "metadata": {**pod["metadata"], "annotations": dict(notes)}}


def _with_place(pod: dict[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """Cluster and network stand last in the sidecar's environment, whoever else named them."""
    there = sidecar(pod)
    if there is None or not variables:
        return pod
    kept = [each for each in there.get("env") or () if each["name"] not in variables]
    said = [{"name": name, "value": variables[name]} for name in sorted(variables)]
    return with_container(pod, {**there, "env": [*kept, *said]})


def _with_metrics(pod: dict[str, Any], mesh: Mapping[str, Any], *, targets: bool) -> dict[str, Any]:
    notes = pod["metadata"]["annotations"]
    if prometheus.is_merged(notes, mesh):
        port = mesh["defaultConfig"].get("statusPort", 0)
        told = prometheus.scraped(notes, port, targets=targets)
        if told:
            pod = _with_variable(pod, prometheus.SCRAPED, told)
        pod = _with_notes(pod, prometheus.merged_notes(notes, port, targets=targets))
    if not targets:
        return pod
    notes = pod["metadata"]["annotations"]
    secure = prometheus.secure_port(notes, (sidecar(pod) or {}).get("env") or [])
    return _with_notes(pod, {**notes, prometheus.SECURE_PORT: secure}) if secure else pod


def _with_probes(pod: dict[str, Any], settled: Settled) -> dict[str, Any]:
    if sidecar(pod) is None:
        return pod
    notes = pod["metadata"]["annotations"]
    webhook = settled.injector.values.get("sidecarInjectorWebhook") or {}
    said = boolean(notes.get(REWRITE, ""))
    if not (bool(webhook.get("rewriteAppHTTPProbe")) if said is None else said):
        return pod
    port = settled.injector.mesh["defaultConfig"].get("statusPort", 0)
    told = probers(pod, port)
    if told:
        pod = _with_variable(pod, PROBERS, told)
    chosen = notes.get(STATUS_PORT)
    return rewritten(pod, port if chosen is None else int(chosen) if chosen.isdigit() else 0)


def _with_marks(pod: dict[str, Any], template: Mapping[str, Any], settled: Settled) -> dict[str, Any]:
    injector = settled.injector
    meta = pod["metadata"]
    labels, network = meta["labels"], settled.variables.get("ISTIO_META_NETWORK")
    if network is not None:
        labels = {**labels, NETWORK: network}
    names = {
        field: [each.get("name", "") for each in template["spec"].get(field) or ()] or None
        for field in _STATUS_LISTS
    }
    status = go_text({**names, "revision": injector.revision or "default"})
    notes = {**meta["annotations"], STATUS: status, **(injector.config.get("injectedAnnotations") or {})}
    return {**pod, "metadata": {**meta, "labels": labels, "annotations": notes}}


def _in_order(pod: dict[str, Any], settled: Settled) -> dict[str, Any]:
    """The sidecar behind the applications, or before them; what sets up its traffic at the right moment."""
    world = (settled.injector.values.get("global") or {}).get("proxy") or {}
    holds = settled.proxy.get("holdApplicationUntilProxyStarts") or world.get(
        "holdApplicationUntilProxyStarts"
    )
    spec = dict(pod["spec"])
    spec["containers"] = _placed(spec.get("containers"), PROXY, is_first=bool(holds))
    inits = spec.get("initContainers")
    if named(PROXY, inits or ()):
        # A native sidecar comes before all other init containers, so that they are in the mesh.
        for name in ("enable-core-dump", PROXY, "istio-validation", "istio-init"):
            inits = _placed(inits, name, is_first=True)
    else:
        # Validation keeps the others back; redirection comes last, so that the others reach the network.
        inits = _placed(inits, "istio-validation", is_first=True)
        for name in ("istio-init", "enable-core-dump"):
            inits = _placed(inits, name, is_first=False)
    if inits:
        spec["initContainers"] = inits
    return {**pod, "spec": spec}


def _placed(containers: list[Any] | None, name: str, *, is_first: bool) -> list[Any]:
    """Containers with the one of a name first or last; of several of that name, the last stays."""
    others = [each for each in containers or () if each["name"] != name]
    mine = [each for each in containers or () if each["name"] == name][-1:]
    return [*mine, *others] if is_first else [*others, *mine]
