"""Settings that each are right, but not together, and settings that have moved.

Source: istio.io/istio operator/pkg/apis/validation, and the notes of the istiod chart.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from meshctl.errors import ConfigError
from meshctl.model.mesh import Layer
from meshctl.model.values import is_missing, look, steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.model.values import Values

_CONFIG = "meshConfig.defaultConfig"
_TRACING = f"{_CONFIG}.tracing"
MOVED = {
    "global.outboundTrafficPolicy": "meshConfig.outboundTrafficPolicy",
    "global.certificates": "meshConfig.certificates",
    "global.localityLbSetting": "meshConfig.localityLbSetting",
    "global.enableTracing": "meshConfig.enableTracing",
    "global.proxy.accessLogFormat": "meshConfig.accessLogFormat",
    "global.proxy.accessLogFile": "meshConfig.accessLogFile",
    "global.proxy.concurrency": f"{_CONFIG}.concurrency",
    "global.proxy.envoyAccessLogService": f"{_CONFIG}.envoyAccessLogService",
    "global.proxy.envoyMetricsService": f"{_CONFIG}.envoyMetricsService",
    "global.proxy.protocolDetectionTimeout": "meshConfig.protocolDetectionTimeout",
    "global.proxy.holdApplicationUntilProxyStarts": f"{_CONFIG}.holdApplicationUntilProxyStarts",
    "global.mtls": "a PeerAuthentication resource, or meshConfig.enableAutoMtls",
    "global.meshExpansion": "Gateway resources",
    "global.tracer.lightstep.address": f"{_TRACING}.lightstep.address",
    "global.tracer.lightstep.accessToken": f"{_TRACING}.lightstep.accessToken",
    "global.tracer.zipkin.address": f"{_TRACING}.zipkin.address",
    "global.tracer.datadog.address": f"{_TRACING}.datadog.address",
    "pilot.ingress": "meshConfig.ingressService, ingressControllerMode and ingressClass",
    "istiocoredns": "the proxy's own DNS, ISTIO_META_DNS_CAPTURE",
}
"""Where a setting of older versions is now; some are still heeded."""

_GATEWAYS = {"ingressGateways": "istio-ingressgateway", "egressGateways": "istio-egressgateway"}


def warnings(values: Values) -> tuple[str, ...]:
    """What the user should know, though the work goes on."""
    found = (_foreign, _moved, _replicas, _bundles, _doubts, _distrusted)
    return tuple(said for each in found for said in each(values))


def _foreign(values: Values) -> Iterator[str]:
    for _, where in values.explain("installPackagePath")[:1]:
        yield f"{where}: installPackagePath changes nothing; meshctl renders from its own templates"


def _moved(values: Values) -> Iterator[str]:
    own = values.own()
    for old, new in MOVED.items():
        if look(own, steps(old)) not in ("", None) and not is_missing(look(own, steps(old))):
            (_, where), *_ = values.explain(old)
            yield f"{where}: {old} is on its way out; use {new} instead"


def _bundles(values: Values) -> Iterator[str]:
    """Bundles whose certificates an API server will not be able to read."""
    for path in ("base.validationCABundle", "istiodRemote.injectionCABundle"):
        if is_missing(look(values.own(), steps(path))) or not values.at(path):
            continue
        from meshctl import pki  # heavy, and wanted by few

        try:
            pki.split(base64.b64decode(values.at(path)))
        except ValueError:
            (_, where), *_ = values.explain(path)
            yield f"{where}: {path} holds no certificate, and API servers will refuse it"


def _doubts(values: Values) -> Iterator[str]:
    from meshctl.stages.settings import operator

    for overlay in values.overlays:
        if overlay.layer >= Layer.FILE and overlay.tree.get("components"):
            for each in operator.doubts(overlay):
                yield f"{each.where}: {each.message}, and API servers will refuse it"


def _replicas(values: Values) -> Iterator[str]:
    if (
        values.at("pilot.autoscaleEnabled")
        and (_k8s(values.at("components.pilot")).get("replicaCount") or 0) > 1
    ):
        yield (
            "components.pilot.k8s.replicaCount is changed by the autoscaler; "
            "set values.pilot.autoscaleEnabled to false to keep it"
        )
    for key in ("cni", "ztunnel"):
        if _k8s(values.at(f"components.{key}")).get("replicaCount"):
            yield f"components.{key}.k8s.replicaCount changes nothing: each node runs one pod of it"
    for key, name in _GATEWAYS.items():
        if not values.at(f"gateways.{name}.autoscaleEnabled"):
            continue
        for each in values.at(f"components.{key}") or ():
            if _k8s(each).get("replicaCount"):
                yield (
                    f"k8s.replicaCount of gateway {each.get('name') or name!r} is changed by the autoscaler; "
                    f"set values.gateways.{name}.autoscaleEnabled to false to keep it"
                )


def _distrusted(values: Values) -> Iterator[str]:
    """A ztunnel to which istiod will not give other pods' certificates."""
    said = values.at("components.ztunnel") or {}
    if values.at("components.ztunnel") is None or said.get("enabled") is False:
        return
    istiod = (values.at("components.pilot") or {}).get("namespace") or values.namespace
    for what, runs, trusted, setting in (
        (
            "in namespace",
            said.get("namespace") or values.namespace,
            values.at("pilot.trustedZtunnelNamespace") or values.at("trustedZtunnelNamespace") or istiod,
            "trustedZtunnelNamespace",
        ),
        (
            "with the account",
            values.at("ztunnel.resourceName") or "ztunnel",
            values.at("pilot.trustedZtunnelName") or "ztunnel",
            "trustedZtunnelName",
        ),
    ):
        if runs != trusted:
            yield f"istiod will not trust a ztunnel {what} {runs!r}; set values.pilot.{setting} to {runs}"


def faults(values: Values) -> Iterator[ConfigError]:
    """What cannot work: gateways that would have to bind a port below 1024 without being root."""
    for key, name in _GATEWAYS.items():
        if values.at(f"gateways.{name}.runAsRoot"):
            continue
        for index, each in enumerate(values.at(f"components.{key}") or ()):
            for port in (_k8s(each).get("service") or {}).get("ports") or ():
                target = port.get("targetPort") or port.get("port")
                if isinstance(target, int) and target < 1024:
                    (_, where), *_ = values.explain(f"components.{key}[{index}]")
                    yield ConfigError(
                        "port-needs-root",
                        f"port {port.get('port')} of gateway {each.get('name') or name!r} leads to {target}, "
                        "which only root may bind",
                        where=where,
                        hint=f"set its targetPort above 1023, or values.gateways.{name}.runAsRoot to true",
                    )


def _k8s(said: Any) -> dict[str, Any]:
    """The `k8s` of a component, possibly empty."""
    return (said or {}).get("k8s") or {} if isinstance(said, dict) else {}
