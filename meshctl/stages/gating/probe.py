"""Whether the webhooks of a revision answer, asked of the API server by dry runs: nothing is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from meshctl.errors import FailedError, MeshctlError
from meshctl.model.labels import REVISION
from meshctl.model.objects import Object
from meshctl.stages.gating.pods import has_proxy
from meshctl.stages.seeing.sync import revision_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.ports import Cluster

NAME: Final = "meshctl-probe"
_UNTOUCHED: Final = frozenset({"istio-injection", REVISION})
"""Labels of a namespace that keep the injector from choosing pods by their own labels."""
_WITHOUT_INJECTION: Final = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})
_TRIES: Final = 5  # namespaces whose policies may be in the way
_ADMISSION: Final = "admissionregistration.k8s.io/v1"


def webhook_answers(
    cluster: Cluster, *, revision: str, istio_namespace: str = "istio-system", namespace: str = ""
) -> str:
    """Why the webhooks of a revision cannot be relied upon; empty when they can.

    Its injector must put a proxy of this revision into a pod that asks for one by its labels; and its
    validator, where it has one, must refuse a resource that only istiod knows to be wrong, and take
    one that is right.

    Args:
        cluster: whose API server is asked.
        revision: of the control plane; empty for the unnamed one.
        istio_namespace: where it runs.
        namespace: for the pod, where its labels allow; else another.

    Raises:
        AccessError: we may not create pods or Istio's resources there.
        UnreachableError: the API server does not answer.
    """
    name = revision or "default"
    return _injector_fault(cluster, name, (namespace, istio_namespace, "default")) or _validator_fault(
        cluster, name, istio_namespace
    )


def home(cluster: Cluster, *, revision: str, istio_namespace: str = "istio-system") -> str:
    """The namespace in which the injector of a revision is tried first; empty where none fits. Only reads."""
    return next(iter(_namespaces(cluster, revision or "default", (istio_namespace, "default"))), "")


def _injector_fault(cluster: Cluster, revision: str, preferred: tuple[str, ...]) -> str:
    # Where every namespace asks another revision, nobody can be asked; the gate of the first batch will tell.
    fault = ""
    for namespace in _namespaces(cluster, revision, preferred)[:_TRIES]:
        try:
            asking = {REVISION: revision, "sidecar.istio.io/inject": "true"}
            made = cluster.create(probe_pod(namespace, asking), dry_run=True)
        except FailedError as refused:
            if refused.code == "webhook-unavailable":
                return _words("the injector does not answer", refused)
            if "istio-" in " ".join(refused.details):
                return ""  # a policy refuses containers that only the injector can have put there
            # A quota or a policy of this namespace: what the injector would have said is not known.
            fault = _words(f"a pod in namespace {namespace!r} could not be tried", refused)
            continue
        return _injected_fault(made, revision)
    return fault


def _namespaces(cluster: Cluster, revision: str, preferred: tuple[str, ...]) -> list[str]:
    """Namespaces whose pods the injector of a revision chooses, the best to try first."""

    def rank(home: Object) -> tuple[bool, bool, int, str]:
        name = home.ref.name
        place = preferred.index(name) if name in preferred else len(preferred)
        return (not _UNTOUCHED.isdisjoint(home.labels), place == len(preferred), place, name)

    asks = [{REVISION: revision}] + [{"istio-injection": "enabled"}] * (revision == "default")
    found = [
        home
        for home in cluster.list("v1", "Namespace")
        if not home.is_leaving and home.ref.name not in _WITHOUT_INJECTION
        if {key: home.labels[key] for key in _UNTOUCHED & home.labels.keys()} in [{}, *asks]
    ]
    return [home.ref.name for home in sorted(found, key=rank)]


def _injected_fault(made: Object, revision: str) -> str:
    if not has_proxy(made):
        return f"no injector gives a proxy to a pod with the label {REVISION}={revision}"
    told = revision_of(made)
    return "" if told == revision else f"the injector of revision {told!r} answers for revision {revision!r}"


def _validator_fault(cluster: Cluster, revision: str, namespace: str) -> str:
    if not _has_validator(cluster, revision):
        return ""
    try:
        cluster.create(_virtual_service(namespace, revision, "probe.invalid"), dry_run=True)
    except MeshctlError as refused:
        _raise_if_nobody_answers(refused)
        return _words("the validator refuses a resource that is right", refused)
    try:
        # A host of all names may be bound to a gateway only; no definition says so, but istiod does.
        cluster.create(_virtual_service(namespace, revision, "*"), dry_run=True)
    except MeshctlError as refused:
        _raise_if_nobody_answers(refused)
        denied = "denied the request" in " ".join(refused.details)
        return "" if denied else _words("the validator gives no answer", refused)
    return "the validator lets a resource pass that is wrong"


def _has_validator(cluster: Cluster, revision: str) -> bool:
    configurations = cluster.list(
        _ADMISSION, "ValidatingWebhookConfiguration", labels=f"{REVISION}={revision},app=istiod"
    )
    return any(each.at("webhooks", ()) and not each.is_leaving for each in configurations)


def _raise_if_nobody_answers(refused: MeshctlError) -> None:
    """Let through what is not the webhook's doing: no rights, or no answer of the API server."""
    if not isinstance(refused, FailedError):
        raise refused


def _words(what: str, error: MeshctlError) -> str:
    return f"{what}: {'; '.join(error.details) or error.message}"


def probe_pod(namespace: str, labels: Mapping[str, str]) -> Object:
    """A pod that even a strict policy admits, before the injector adds to it; for a dry run."""
    limits = {"cpu": "1m", "memory": "1Mi"}
    container = {
        "name": "probe",
        "image": "probe.invalid/probe",
        "resources": {"limits": limits, "requests": limits},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    return _object("v1", "Pod", namespace, labels, {"containers": [container]})


def _virtual_service(namespace: str, revision: str, host: str) -> Object:
    route = [{"destination": {"host": "probe.invalid"}}]
    spec = {"hosts": [host], "http": [{"route": route}]}
    return _object("networking.istio.io/v1", "VirtualService", namespace, {REVISION: revision}, spec)


def _object(
    api_version: str, kind: str, namespace: str, labels: Mapping[str, str], spec: dict[str, Any]
) -> Object:
    meta = {"name": NAME, "namespace": namespace, "labels": dict(labels)}
    return Object({"apiVersion": api_version, "kind": kind, "metadata": meta, "spec": spec})
