"""Which of a cluster's webhooks would inject a pod, what it is sent, and what its answer means.

Source: istio.io/istio istioctl/pkg/kubeinject; Kubernetes' admission.k8s.io/v1.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshctl.errors import FailedError, listed, nearest
from meshctl.stages.injecting.changes import patched
from meshctl.stages.injecting.inject import Injected, LeftAlone
from meshctl.stages.injecting.pods import canonical, go_json
from meshctl.stages.injecting.selection import matches, reason_against

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meshctl.model.objects import Object
    from meshctl.stages.injecting.injector import Job
    from meshctl.stages.injecting.workloads import Workload

KIND = "MutatingWebhookConfiguration"
API_VERSION = "admissionregistration.k8s.io/v1"
_SUFFIX = "sidecar-injector.istio.io"
_REVISION, _TAG = "istio.io/rev", "istio.io/tag"
_DEFAULT = "default"
_ALLOWED_WITHOUT = "the injector's policy and selectors leave it out"


@dataclass(frozen=True)
class Webhook:
    """A way to an injector.

    Attributes:
        configuration: name of the webhook configuration.
        client: its `clientConfig`.
    """

    configuration: str
    client: Mapping[str, Any]


def chosen(
    configurations: Sequence[Object],
    revision: str,
    namespace: Mapping[str, str],
    pod: Mapping[str, str],
) -> Webhook:
    """The webhook that is to inject a pod.

    With a revision, or a tag, it is that one's. Without, it is the one that the API server would ask, or else
    the default one, or else the only one.

    Args:
        configurations: the cluster's mutating webhook configurations.
        revision: a control-plane revision or a tag; empty: not said.
        namespace: labels of the pod's namespace.
        pod: labels of the pod.

    Raises:
        FailedError: there is no such injector, or there are several.
    """
    known = [
        (each, hook)
        for each in sorted(configurations, key=lambda each: each.ref.name)
        for hook in each.at("webhooks", ())
        if hook.get("name", "").endswith(_SUFFIX)
    ]
    if revision:
        wanted = [pair for pair in known if revision in _names(pair[0])]
    else:
        asked = [pair for pair in known if _asks(pair[1], namespace, pod)]
        default = [pair for pair in known if _DEFAULT in _names(pair[0])]
        wanted = asked or default or (known if len({_names(each) for each, _ in known}) == 1 else [])
    if not wanted:
        raise _no_injector(revision, [each for each, _ in known])
    configuration, hook = wanted[0]
    return Webhook(configuration.ref.name, hook.get("clientConfig") or {})


def review(job: Job, workload: Workload) -> tuple[dict[str, Any], dict[str, Any]]:
    """The AdmissionReview for a pod, and the pod in it.

    A pod of a workload is sent as its controller would make it, so that the injector knows its workload.
    """
    meta = dict(job.pod.get("metadata") or {})
    if workload.pod:
        meta["generateName"] = f"{workload.name}-"
        controller = {
            "apiVersion": workload.content["apiVersion"],
            "kind": workload.kind,
            "name": workload.name,
            "uid": "",
            "controller": True,
        }
        meta["ownerReferences"] = [controller]
    pod = go_json(
        {"apiVersion": "v1", "kind": "Pod", **job.pod, "metadata": {**meta, "namespace": job.namespace}},
        "Pod",
    )
    request = {
        "uid": "meshctl",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "operation": "CREATE",
        "name": meta.get("name", ""),
        "namespace": job.namespace,
        "userInfo": {},
        "object": pod,
        "oldObject": None,
        "dryRun": True,
        "options": None,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}, pod


def answered(job: Job, sent: Mapping[str, Any], reply: Any) -> Injected | LeftAlone:
    """What an injector's answer makes of the pod it was sent.

    Raises:
        FailedError: it refuses the pod, in its own words, or the answer makes no sense.
    """
    response = reply.get("response") if isinstance(reply, dict) else None
    if not isinstance(response, dict):
        raise FailedError(
            "bad-answer", "the injector's answer is no AdmissionReview", details=(str(reply)[:500],)
        )
    if not response.get("allowed"):
        words = (response.get("status") or {}).get("message") or "it gave no reason"
        raise FailedError(
            "injector-refuses",
            "the injector refuses this pod",
            details=(words,),
            hint="mend what it says; `inject --offline` names the annotation",
        )
    if not response.get("patch"):
        return LeftAlone(reason_against(job.pod, job.namespace, {"policy": "enabled"}) or _ALLOWED_WITHOUT)
    result = canonical(patched(sent, json.loads(base64.b64decode(response["patch"]))))
    own = job.pod.get("metadata") or {}
    meta = dict(result.get("metadata") or {})
    for field in ("namespace", "generateName", "ownerReferences"):
        meta.pop(field, None)
        if field in own:
            meta[field] = own[field]
    pod = {key: value for key, value in result.items() if key in ("apiVersion", "kind") and key in job.pod}
    return Injected({**pod, "metadata": meta, "spec": result.get("spec") or {}})


def _names(configuration: Object) -> frozenset[str]:
    """Revision and tag of a configuration; one with a tag goes by that alone."""
    tag = configuration.labels.get(_TAG)
    name = tag or configuration.labels.get(_REVISION) or _DEFAULT
    return frozenset({name})


def _asks(hook: Mapping[str, Any], namespace: Mapping[str, str], pod: Mapping[str, str]) -> bool:
    return matches(hook.get("namespaceSelector") or {}, namespace) and matches(
        hook.get("objectSelector") or {}, pod
    )


def _no_injector(revision: str, known: Sequence[Object]) -> FailedError:
    names = sorted({name for each in known for name in _names(each)})
    if not names:
        return FailedError(
            "no-injector",
            "the cluster has no webhook that injects sidecars",
            hint="install a mesh first, or say --offline to go by its settings",
        )
    if revision:
        near = nearest(revision, names)
        return FailedError(
            "no-injector",
            f"the cluster has no injector of revision or tag {revision!r}",
            hint=f"did you mean {near!r}?" if near else f"it has {listed(names)}",
        )
    return FailedError(
        "several-injectors",
        f"the cluster has injectors of several revisions, and none is the default: {listed(names)}",
        hint="choose one with --revision",
    )
