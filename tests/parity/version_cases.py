"""Inputs that every Istio minor is given, beside those of variants.py, which the newest alone is given.

Upstream's rendering of them is kept as digests in `recorded/`; whoever changes this list writes those
anew (see write_records.py).
"""

from __future__ import annotations

from tests.parity.variants import Case

_IN = "values.gateways.istio-ingressgateway"
_OUT = "values.gateways.istio-egressgateway"
_PROFILES = ("default", "minimal", "demo", "empty", "preview", "stable", "remote", "ambient", "openshift")
_FILES = ("kubernetes-settings", "overlays", "gateways", "mesh", "remote", "free")
_SETS = {
    "revision": "revision=canary",
    "tags": "revision=r2 values.revisionTags[0]=old values.revisionTags[1]=stable",
    "namespace": "values.global.istioNamespace=mesh-system",
    "policies": "values.global.networkPolicy.enabled=true profile=demo",
    "policies-and-a-revision": "values.global.networkPolicy.enabled=true revision=blue",
    "budgets": f"values.pilot.autoscaleMin=2 {_IN}.autoscaleMin=3",
    "no-budgets": "values.global.defaultPodDisruptionBudget.enabled=false values.pilot.autoscaleMin=2",
    "fixed-replicas": f"values.pilot.autoscaleEnabled=false values.pilot.replicaCount=3 "
    f"{_IN}.autoscaleEnabled=false {_IN}.replicaCount=2",
    "injected-gateway": f"{_IN}.injectionTemplate=gateway {_IN}.runAsRoot=true",
    "egress-on-node-ports": f"{_OUT}.enabled=true {_OUT}.type=NodePort",
    "gateway-addresses": f"{_IN}.loadBalancerIP=192.0.2.7 {_IN}.ipFamilyPolicy=PreferDualStack",
    "gateway-by-architecture": "values.global.arch.arm64=2 values.global.defaultNodeSelector.disk=ssd",
    "gateway-environment": f"{_IN}.env.ISTIO_META_ROUTER_MODE=sni-dnat {_IN}.env.ISTIO_META_ROUTER_NAME=edge",
    "network": "values.global.network=n1 values.global.meshID=m1 values.global.multiCluster.clusterName=c1",
    "external-istiod": "values.global.externalIstiod=true values.global.remotePilotAddress=192.0.2.1",
    "remote-by-name": "profile=remote values.global.remotePilotAddress=istiod.example.com",
    "local-injector": "profile=remote values.istiodRemote.enabledLocalInjectorIstiod=true",
    "configuration-cluster": "profile=remote values.global.configCluster=true values.pilot.configMap=true",
    "resource-scope-cluster": "values.global.resourceScope=cluster",
    "resource-scope-namespace": "values.global.resourceScope=namespace profile=demo",
    "no-reader": "values.global.enableReaderRBAC=false",
    "no-validation": "values.global.configValidation=false",
    "stable-policy": "values.experimental.stableValidationPolicy=true",
    "fips": "values.pilot.env.COMPLIANCE_POLICY=fips-140-3",
    "fips-of-before": "values.pilot.env.COMPLIANCE_POLICY=fips-140-2",
    "trust-bundles": "values.pilot.env.ENABLE_CLUSTER_TRUST_BUNDLE_API=true",
    "tracing": "values.global.proxy.tracer=zipkin values.pilot.traceSampling=12.5",
    "no-telemetry": "values.telemetry.enabled=false",
    "untaint": "values.pilot.taint.enabled=true values.pilot.taint.namespace=cni",
    "compatible-with-1.29": "compatibilityVersion=1.29",
    "compatible-with-1.28": "compatibilityVersion=1.28",
    "compatible-with-1.27": "compatibilityVersion=1.27",
    "compatible-with-1.25": "compatibilityVersion=1.25 profile=ambient",
    "gke": "values.global.platform=gke",
    "k3s": "values.global.platform=k3s profile=ambient",
    "openshift-by-value": "values.global.platform=openshift profile=minimal",
    "cni": "components.cni.enabled=true profile=minimal",
    "cni-alone": "profile=empty components.cni.enabled=true values.cni.excludeNamespaces[0]=a",
    "ztunnel-settings": "profile=ambient values.ztunnel.resources.limits.cpu=2 values.ztunnel.logLevel=debug",
    "ztunnel-without-cpu": "profile=ambient components.ztunnel.k8s.resources.requests.memory=1Gi",
    "ambient-revision": "profile=ambient revision=a1 values.global.network=n2",
    "gateway-alone": "profile=empty components.ingressGateways[0].enabled=true "
    "components.ingressGateways[0].name=istio-ingressgateway",
    "base-alone": "profile=empty components.base.enabled=true",
    "fewer-definitions": "values.base.excludedCRDs[0]=envoyfilters.networking.istio.io",
    "scaling-by-component": "components.pilot.k8s.hpaSpec.minReplicas=2 components.pilot.k8s.replicaCount=2",
    "images": "values.global.variant=distroless values.global.proxy.image=mine values.pilot.image=x.io/p:1",
    "own-injection-template": "values.sidecarInjectorWebhook.templates.extra=x "
    "values.sidecarInjectorWebhook.defaultTemplates[0]=extra",
}
_NEWER = {
    "own-reader": "values.global.readerServiceAccount.name=a values.global.readerServiceAccount.namespace=b",
    "termination-messages": "values.pilot.terminationMessagePolicy=FallbackToLogsOnError",
    "compatible-with-1.30": "compatibilityVersion=1.30",
}
"""What 1.30 does not know."""


def cases(minor: str) -> list[Case]:
    """The inputs of a minor; the profile `default` is the first."""
    profiles = [Case(name, sets=(f"profile={name}",)) for name in (*_PROFILES, "openshift-ambient")]
    files = [Case(f"file-{name}", files=(f"{name}.yaml",)) for name in _FILES]
    sets = _SETS if minor == "1.30" else {**_SETS, **_NEWER}
    return [*profiles, *files, *(Case(name, sets=tuple(each.split())) for name, each in sets.items())]
