"""Sidecars into files of workloads, and out of them: as the cluster's injector says, or by its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meshctl.adapters import injector as webhook
from meshctl.errors import ConfigError, Where
from meshctl.model.objects import Ref
from meshctl.stages.injecting import configuration, documents, webhooks
from meshctl.stages.injecting.inject import inject, uninject
from meshctl.stages.rendering.render import render

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from meshctl.model.objects import Object
    from meshctl.model.values import Values
    from meshctl.ports import Cluster
    from meshctl.stages.injecting.documents import Changed, File
    from meshctl.stages.injecting.inject import Ask, Injected, LeftAlone
    from meshctl.stages.injecting.injector import Injector, Job
    from meshctl.stages.injecting.workloads import Workload

_CONFIG_MAPS = (configuration.INJECTOR, configuration.MESH)


def inject_files(files: Iterable[File], ask: Ask, namespace: str) -> Iterator[Changed]:
    """Each file with sidecars in its workloads.

    Args:
        files: what was read.
        ask: who says what belongs into a pod: `asking_webhook`, or `by_configuration` of an injector.
        namespace: where an object goes that names no namespace.
    """
    for file in files:
        yield documents.changed(file, lambda workload: inject(workload, ask, namespace))


def uninject_files(files: Iterable[File]) -> Iterator[Changed]:
    """Each file without the sidecars in its workloads."""
    for file in files:
        yield documents.changed(file, uninject)


def asking_webhook(cluster: Cluster, revision: str) -> Ask:
    """The cluster's own injector.

    Args:
        cluster: the cluster.
        revision: a control-plane revision or a tag; empty: the one that the API server would ask.
    """
    configurations = cluster.list(webhooks.API_VERSION, webhooks.KIND)
    labels: dict[str, dict[str, str]] = {}

    def ask(job: Job, workload: Workload) -> Injected | LeftAlone:
        if job.namespace not in labels:
            found = cluster.get(Ref("v1", "Namespace", "", job.namespace))
            labels[job.namespace] = dict(found.labels) if found else {}
        pod = (job.pod.get("metadata") or {}).get("labels") or {}
        chosen = webhooks.chosen(configurations, revision, labels[job.namespace], pod)
        question, sent = webhooks.review(job, workload)
        return webhooks.answered(job, sent, webhook.ask(cluster, chosen.client, question))

    return ask


def settings_of_values(values: Values, native: bool | None) -> Injector:
    """The injector that a mesh with these values would have; `native` overrides what they say of sidecars."""
    targets = "scrape_targets" in values.version.features
    objects = render(values).objects
    return configuration.from_objects(objects, values.revision, native=native, scrape_targets=targets)


def settings_of_cluster(cluster: Cluster, namespace: str, revision: str, native: bool | None) -> Injector:
    """The injector that a cluster has, by its ConfigMaps.

    Args:
        cluster: the cluster.
        namespace: namespace of istiod.
        revision: control-plane revision; empty: the unnamed one.
        native: whether sidecars are native; None: as istiod decides by its environment and the nodes.

    Raises:
        ConfigError: there are no such ConfigMaps.
    """
    maps = [each for each in cluster.list("v1", "ConfigMap", namespace=namespace) if _is_ours(each)]
    deployment = cluster.get(
        Ref("apps/v1", "Deployment", namespace, configuration.named(configuration.ISTIOD, revision))
    )
    if native is None:
        kubelets = [str(each.at("status.nodeInfo.kubeletVersion", "")) for each in cluster.list("v1", "Node")]
        native = configuration.native_by_nodes(configuration.environment(deployment), kubelets)
    objects = [
        *maps,
        *cluster.list(webhooks.API_VERSION, webhooks.KIND),
        *cluster.list("v1", "Namespace"),
        *([deployment] if deployment else []),
    ]
    targets = configuration.knows_targets(deployment)
    return configuration.from_objects(objects, revision, native=native, scrape_targets=targets)


def settings_of_files(
    config: tuple[str, str], values: tuple[str, str] | None, mesh: tuple[str, str] | None, **more: Any
) -> Injector:
    """The injector that exported ConfigMaps tell of, or the texts in them.

    Args:
        config: text and file of the injector's configuration, or of its whole ConfigMap.
        values: text and file of its values; None where the ConfigMap has them.
        mesh: text and file of the mesh configuration; None: Istio's defaults.
        more: further fields of `Injector`.

    Raises:
        ConfigError: something is missing, or is not what it should be.
    """
    told = configuration.exported(*config, "config")
    valued = configuration.exported(*(values or config), "values")
    meshed = configuration.exported(*mesh, "mesh") if mesh else None
    if told is None:
        raise _missing("config", config[1])
    if valued is None or valued.text == config[0]:
        raise _missing("values", values[1] if values else "--values")
    return configuration.from_texts(told, valued, meshed, **more)


def _missing(key: str, origin: str) -> ConfigError:
    return ConfigError(
        "no-injection-config",
        f"there is no {key!r} of an injector",
        where=Where(origin),
        hint="export ConfigMap istio-sidecar-injector; it has both `config` and `values`",
    )


def _is_ours(config_map: Object) -> bool:
    return config_map.ref.name.startswith(_CONFIG_MAPS)
