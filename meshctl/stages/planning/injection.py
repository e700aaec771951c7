"""Which control plane would inject which pods, and what changes when a tag moves. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from meshctl.model.labels import REVISION, TAG
from meshctl.model.tag import DEFAULT, Moved
from meshctl.stages.injecting.selection import IGNORED_NAMESPACES, INJECT, matches
from meshctl.stages.planning.tags import INJECTOR, revision_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from meshctl.model.objects import Object

_SUFFIX = "sidecar-injector.istio.io"
_OWN = frozenset({REVISION, INJECT})
"""Labels by which a pod has a say of its own."""
_CHOICES = frozenset({REVISION, "istio-injection"})
"""Labels of a namespace that leave its pods none."""
_MADE_BY_SET = re.compile(r"-[a-z0-9]{1,10}$")


def injectors(
    configurations: Iterable[Object], namespace: Mapping[str, str], pod: Mapping[str, str]
) -> tuple[Object, ...]:
    """The webhook configurations of Istio's that the API server would ask about a pod, by name.

    Args:
        configurations: mutating webhook configurations, anybody's.
        namespace: labels of the pod's namespace.
        pod: labels of the pod.
    """
    asked = [each for each in configurations if each.ref.kind == INJECTOR and _asks(each, namespace, pod)]
    return tuple(sorted(asked, key=lambda each: each.ref.name))


def injects(configuration: Object) -> bool:
    """Whether these are webhooks of Istio's that inject."""
    return any(hook.get("name", "").endswith(_SUFFIX) for hook in configuration.at("webhooks", ()))


def _asks(configuration: Object, namespace: Mapping[str, str], pod: Mapping[str, str]) -> bool:
    return any(
        matches(hook.get("namespaceSelector") or {}, namespace)
        and matches(hook.get("objectSelector") or {}, pod)
        for hook in configuration.at("webhooks", ())
        if hook.get("name", "").endswith(_SUFFIX)
    )


def moved(
    before: Collection[Object],
    after: Collection[Object],
    namespaces: Collection[Object],
    pods: Collection[Object] = (),
) -> tuple[Moved, ...]:
    """Whose next proxies come from another control plane, namespaces before the pods in them.

    Args:
        before: mutating webhook configurations as they are.
        after: the same as they will be.
        namespaces: of the cluster.
        pods: of the cluster; those that say nothing of their own go with their namespace.
    """
    found = []
    for name, workload, namespace, pod in _places(namespaces, pods):
        source = _revisions(injectors(before, namespace, pod))
        target = _revisions(injectors(after, namespace, pod))
        if source != target:
            found.append(Moved(name, workload, source, target))
    return tuple(sorted(set(found), key=lambda each: (each.namespace, each.workload)))


def doubled(
    configurations: Collection[Object], namespaces: Collection[Object], pods: Collection[Object] = ()
) -> tuple[tuple[str, tuple[Object, ...]], ...]:
    """Namespaces, or `namespace/workload`, that several webhook configurations would inject, and which.

    It is what `istioctl analyze` calls IST0139: which of them is asked last is left to their names.
    """
    found = {}
    for name, workload, namespace, pod in _places(namespaces, pods):
        asked = injectors(configurations, namespace, pod)
        if len(asked) > 1:
            found[f"{name}/{workload}" if workload else name] = asked
    return tuple(sorted(found.items(), key=lambda each: each[0]))


def users(
    name: str, configurations: Collection[Object], namespaces: Collection[Object], pods: Collection[Object]
) -> tuple[str, ...]:
    """Namespaces, or `namespace/workload`, that get their proxies by a tag, sorted."""
    found = set()
    for place, workload, namespace, pod in _places(namespaces, pods):
        if any(each.labels.get(TAG) == name for each in injectors(configurations, namespace, pod)):
            found.add(f"{place}/{workload}" if workload else place)
    return tuple(sorted(found))


def _places(
    namespaces: Collection[Object], pods: Collection[Object]
) -> Iterator[tuple[str, str, Mapping[str, str], Mapping[str, str]]]:
    """Namespace, workload, labels of both: every namespace, and each workload with a say of its own."""
    labels = {each.ref.name: each.labels for each in namespaces if each.ref.name not in IGNORED_NAMESPACES}
    for name in sorted(labels):
        yield name, "", labels[name], {}
    told: dict[tuple[str, ...], Mapping[str, str]] = {}
    for pod in pods:
        place, own = pod.ref.namespace, {key: pod.labels[key] for key in _OWN & pod.labels.keys()}
        if own and place in labels and not _CHOICES & labels[place].keys():
            told[(place, workload_of(pod), *sorted(own.values()))] = own
    for (place, workload, *_), say in told.items():
        yield place, workload, labels[place], say


def workload_of(pod: Object) -> str:
    """Name of what makes the pod, a Deployment for its ReplicaSet; its own where nothing does."""
    owner = next((each for each in pod.at("metadata.ownerReferences", ()) if each.get("controller")), None)
    if owner is None:
        return pod.ref.name
    name = str(owner.get("name", ""))
    return _MADE_BY_SET.sub("", name) if owner.get("kind") == "ReplicaSet" else name


def _revisions(configurations: Iterable[Object]) -> str:
    return ", ".join(sorted({revision_of(each) or DEFAULT for each in configurations}))
