"""From an injected workload back to what it was before.

Most of it can be told from what an injector leaves behind: the names of what it added, the user's own
containers, where probes led, what Prometheus was to scrape. Where that is not enough (a label of the user's
that is just what the injector would have written), `remembered` writes down the rest, beside the pod's
template rather than in it, so that the pod is the webhook's to the letter.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError, MeshctlError, Where
from meshctl.stages.injecting import marks, pod_annotations, probes
from meshctl.stages.injecting.changes import difference, patched
from meshctl.stages.injecting.own_containers import AUTO, named, sidecar
from meshctl.stages.injecting.workloads import STATUS, at, put

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meshctl.stages.injecting.workloads import Workload

RECORD = "meshctl.dev/before-injection"
"""Annotation of a workload: the JSON patch that is left to make after what can be told from the pod alone."""

_NOTES = ("metadata", "annotations")
# Volumes whose source the templates leave to the pod.
_OPEN = ("workload-socket", "credential-socket", "workload-certs")


def is_injected(workload: Workload) -> bool:
    """Whether an injector has been at its pod."""
    return _status_text(workload) is not None


def uninjected(workload: Workload) -> dict[str, Any]:
    """The object as it was before it was injected; itself, if it was not.

    Raises:
        ConfigError: the marks of the injector cannot be read.
    """
    if not is_injected(workload):
        return dict(workload.content)
    told = _notes(workload.content).get(RECORD)
    bare = _derived(workload, _without_note(workload.content, RECORD))
    if told is None:
        return bare
    try:
        return dict(patched(bare, json.loads(told)))
    except (ValueError, TypeError, AttributeError, MeshctlError) as fault:
        raise ConfigError(
            "bad-annotation",
            f"{RECORD} no longer fits the object",
            where=Where("", None, "metadata.annotations"),
            hint="the object was changed since it was injected; remove the annotation to go by the pod alone",
        ) from fault


def remembered(workload: Workload, original: Mapping[str, Any]) -> dict[str, Any]:
    """An injected object that leads back to `original`: with a record, where it would not do so without."""
    content = dict(workload.content)
    if _derived(workload, content) == original:
        return content
    recorded = _with_note(content, RECORD, "")
    rest = difference(_derived(workload, _without_note(recorded, RECORD)), original)
    return _with_note(
        content, RECORD, json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    )


def _notes(content: Mapping[str, Any]) -> Mapping[str, Any]:
    found = at(content, _NOTES)
    return found if isinstance(found, dict) else {}


def _with_note(content: Mapping[str, Any], name: str, value: str) -> dict[str, Any]:
    return dict(put(content, _NOTES, {**_notes(content), name: value}))


def _without_note(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    kept = {key: value for key, value in _notes(content).items() if key != name}
    if kept or name not in _notes(content):
        return dict(put(content, _NOTES, kept)) if name in _notes(content) else dict(content)
    meta = {key: value for key, value in content["metadata"].items() if key != "annotations"}
    return {**content, "metadata": meta}


def _status_text(workload: Workload) -> str | None:
    found = at(workload.content, (*workload.pod_meta, "annotations"))
    text = found.get(STATUS) if isinstance(found, dict) else None
    return None if text is None else str(text)


def _derived(workload: Workload, content: Mapping[str, Any]) -> dict[str, Any]:
    """The object as its pod alone tells that it was."""
    spec, meta = at(content, (*workload.pod, "spec")), at(content, workload.pod_meta)
    bare = _bare({"metadata": meta, "spec": spec}, _status(workload), workload)
    result = put(content, (*workload.pod, "spec"), bare["spec"])
    if bare["metadata"]:
        return dict(put(result, workload.pod_meta, bare["metadata"]))
    above = at(result, workload.pod_meta[:-1])
    return dict(
        put(result, workload.pod_meta[:-1], {key: each for key, each in above.items() if key != "metadata"})
    )


def _status(workload: Workload) -> Mapping[str, Any]:
    try:
        found = json.loads(_status_text(workload) or "")
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ConfigError(
            "bad-annotation",
            f"{STATUS} is not what an injector writes",
            where=Where("", None, "metadata.annotations"),
            hint="remove it if the pod is not injected",
        )
    return found


def _bare(pod: Mapping[str, Any], status: Mapping[str, Any], workload: Workload) -> dict[str, Any]:
    proxy = sidecar(pod) or {}
    variables = {each["name"]: each.get("value", "") for each in proxy.get("env") or () if "name" in each}
    own = pod_annotations.overrides(pod["metadata"].get("annotations") or {})
    first = marks.Seen.of(pod, status, variables, workload)
    back = probes.restored(pod, variables.get(probes.PROBERS, ""))
    spec = _without_added(back["spec"], status, own)
    if marks.is_gateway(proxy) and spec.get("securityContext") == marks.GATEWAY_RIGHTS:
        del spec["securityContext"]
    return {"metadata": marks.metadata_before(first), "spec": spec}


def _without_added(
    spec: Mapping[str, Any], status: Mapping[str, Any], own: Mapping[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    """A pod's spec without what the status names, but with the user's own containers as they were."""
    result = dict(spec)
    for group in ("containers", "initContainers"):
        added = status.get(group) or ()
        kept = []
        for each in spec.get(group) or ():
            mine = named(each.get("name", ""), own.get(group, ()))
            if each.get("name") not in added:
                kept.append(each)
            elif mine is not None and not (group == "initContainers" and each["name"] == probes.PROXY):
                kept.append(_with_image(mine))
        result[group] = kept
    native = named(probes.PROXY, own.get("initContainers", ()))
    if native is not None:
        result["containers"] = [*result["containers"], _with_image(native)]
    for group in ("volumes", "imagePullSecrets"):
        result[group] = _others(spec.get(group) or (), status.get(group) or ())
    return {key: value for key, value in result.items() if value or (key in spec and not spec[key])}


def _with_image(container: Mapping[str, Any]) -> dict[str, Any]:
    """A container of the user's own; one that left its image to the template says so again."""
    name = {"name": container["name"]}
    return {**name, **({} if "image" in container else {"image": AUTO}), **container}


def _others(items: Iterable[Any], names: Iterable[str]) -> list[Any]:
    return [each for each in items if each.get("name") not in names or _is_own(each)]


def _is_own(volume: Mapping[str, Any]) -> bool:
    """Whether a volume that the template leaves open has a source of the user's."""
    return volume.get("name") in _OPEN and bool(volume.keys() - {"name", "emptyDir"})
