"""Inputs of many kinds, given to istioctl and to us alike. Files are those of tests/parity/inputs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """What both are given."""

    name: str
    files: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


UPSTREAM = (
    "ambient", "default", "demo", "empty", "minimal", "openshift", "openshift-ambient", "preview", "remote",
    "stable",
)  # fmt: skip
"""Profiles that upstream has under the same name."""

PROFILES = [Case(name, sets=(f"profile={name}",)) for name in UPSTREAM]

_FILES = {
    "kubernetes-settings": ("kubernetes-settings.yaml",),
    "overlays": ("overlays.yaml",),
    "several-gateways": ("gateways.yaml",),
    "revision-with-tags": ("mesh.yaml",),
    "many-values": ("values.yaml",),
    "remote-istiod": ("remote.yaml",),
    "unvalidated": ("free.yaml",),
    "two-files": ("mesh.yaml", "gateways.yaml"),
    "agents-and-their-objects": ("agents.yaml",),
    "agents-and-their-values": ("agents-values.yaml",),
    "agents-both": ("agents-values.yaml", "agents.yaml"),
    "openshift-with-gateways": ("openshift.yaml",),
}

_INGRESS = "values.gateways.istio-ingressgateway"
_REMOTE = "values.istiodRemote.enabled=true"
_CNI = "components.cni.enabled=true"
_BOTH = f"{_CNI} components.ztunnel.enabled=true"
_AMBIENT = "profile=ambient"
_AGENTS = {
    "cni": _CNI,
    "cni-alone": f"profile=empty {_CNI}",
    "cni-in-its-namespace": f"{_CNI} components.cni.namespace=kube-system",
    "cni-with-revision": f"{_CNI} revision=r1 values.global.networkPolicy.enabled=true",
    "cni-without-repair": f"{_CNI} values.cni.repair.enabled=false values.cni.repair.repairPods=false",
    "cni-labels-pods": f"{_CNI} values.cni.repair.repairPods=false values.cni.repair.labelPods=true",
    "cni-deletes-pods": f"{_CNI} values.cni.repair.repairPods=false values.cni.repair.deletePods=true",
    "cni-image": f"{_CNI} values.cni.image=example.com/cni:2 components.cni.tag=v2",
    "cni-logs": f"{_CNI} values.global.logAsJson=true values.global.logging.level=all:debug",
    "cni-of-demo": f"profile=demo {_BOTH}",
    "cni-by-any-word": "components.cni.namespace=other",
    "cni-resources": f"{_CNI} values.cni.resources.requests.cpu=1 values.cni.resources.limits.memory=1Gi",
    "cni-multus": f"{_CNI} values.cni.provider=multus values.pilot.cni.provider=multus",
    "cni-host-network": f"{_AMBIENT} values.cni.ambient.shareHostNetworkNamespace=true",
    "agents-of-the-cluster": f"{_AMBIENT} values.global.resourceScope=cluster "
    "values.global.networkPolicy.enabled=true",
    "agents-of-namespaces": f"{_AMBIENT} values.global.resourceScope=namespace",
    "agents-of-nothing": f"{_AMBIENT} values.global.resourceScope=undefined "
    "values.global.networkPolicy.enabled=true",
    "ambient-by-value": f"{_BOTH} values.profile=ambient",
    "ambient-over-demo": f"profile=demo {_BOTH} values.profile=ambient",
    "ambient-with-gateway": f"{_AMBIENT} components.ingressGateways[0].name=istio-ingressgateway "
    "components.ingressGateways[0].enabled=true",
    "ambient-with-revision": f"{_AMBIENT} revision=blue values.revisionTags[0]=prod",
    "ambient-with-networks": f"{_AMBIENT} values.global.network=n values.global.multiCluster.clusterName=c",
    "ambient-elsewhere": f"{_AMBIENT} values.global.istioNamespace=mesh components.ztunnel.namespace=tunnels",
    "ambient-of-1.28": f"{_AMBIENT} compatibilityVersion=1.28",
    "ambient-of-1.25": f"{_AMBIENT} compatibilityVersion=1.25",
    "ztunnel-name": f"{_AMBIENT} values.ztunnel.resourceName=zt values.pilot.trustedZtunnelName=zt",
    "ztunnel-cpu": f"{_AMBIENT} components.ztunnel.k8s.resources.limits.cpu=3",
    "ztunnel-trust-bundles": f"{_AMBIENT} values.ztunnel.env.ENABLE_CLUSTER_TRUST_BUNDLE_API=true",
    "ztunnel-metadata": f"{_AMBIENT} values.ztunnel.meshConfig.defaultConfig.proxyMetadata.A=b",
    "ztunnel-alone": "profile=empty components.ztunnel.enabled=true",
    "untainted-by-cni": f"{_CNI} values.pilot.taint.enabled=true values.pilot.taint.namespace=kube-system",
    "openshift-ambient-with-revision": "profile=openshift-ambient revision=r",
    "openshift-without-seclabel": "profile=openshift values.cni.seLinuxOptions.level=s0",
    "openshift-over-values": "profile=openshift values.profile=demo",
    "remote-by-profile": "profile=remote values.global.remotePilotAddress=192.0.2.1",
    "remote-with-configuration": "profile=remote values.global.configCluster=true",
    "preview-ambient": f"profile=preview {_BOTH}",
}
_AGENTS |= {
    f"{name}-with-agents": f"{_AMBIENT} values.global.platform={name}"
    for name in ("gke", "k3s", "k3d", "microk8s", "minikube", "openshift")
}
_SETS = {
    **_AGENTS,
    "revision": "revision=1-32",
    "revision-tag-and-policy": "revision=r1 values.revisionTags[0]=old "
    "values.global.networkPolicy.enabled=true",
    "namespace": "values.global.istioNamespace=mesh",
    "namespace-of-istiod": "components.pilot.namespace=control",
    "network-policy": "values.global.networkPolicy.enabled=true",
    "budget": f"values.pilot.autoscaleMin=3 {_INGRESS}.autoscaleMin=2",
    "no-budget": "values.global.defaultPodDisruptionBudget.enabled=false values.pilot.autoscaleMin=2",
    "no-autoscaler": "values.pilot.autoscaleEnabled=false values.pilot.replicaCount=2",
    "no-autoscaler-of-gateway": f"{_INGRESS}.autoscaleEnabled=false {_INGRESS}.replicaCount=4",
    "injected-gateway": f"{_INGRESS}.injectionTemplate=gateway",
    "injected-gateway-as-root": f"{_INGRESS}.injectionTemplate=gateway {_INGRESS}.runAsRoot=true revision=q",
    "egress": "components.egressGateways[0].name=out components.egressGateways[0].enabled=true",
    "egress-by-value": "values.gateways.istio-egressgateway.enabled=true",
    "gateway-with-label": "components.ingressGateways[0].name=x components.ingressGateways[0].label.foo=bar",
    "gateway-on-node-ports": f"{_INGRESS}.type=NodePort",
    "gateway-without-service": f"{_INGRESS}.customService=true",
    "gateway-by-architecture": "values.global.arch.amd64=3 values.global.defaultNodeSelector.disk=ssd",
    "no-telemetry": "values.telemetry.enabled=false meshConfig.rootNamespace=roots",
    "stackdriver": "values.telemetry.v2.stackdriver.enabled=true",
    "own-metrics-provider": "meshConfig.defaultProviders.metrics[0]=mine",
    "tracer-datadog": "values.global.proxy.tracer=datadog",
    "tracer-stackdriver": "values.global.proxy.tracer=stackdriver",
    "tracing-in-mesh": "meshConfig.defaultConfig.tracing.sampling=5 values.pilot.traceSampling=0.5",
    "no-prometheus-merge": "meshConfig.enablePrometheusMerge=false meshConfig.trustDomain=td",
    "multi-cluster": "values.global.meshID=m values.global.network=n "
    "values.global.multiCluster.clusterName=c",
    "external-istiod": "values.global.externalIstiod=true values.global.configCluster=true",
    "remote": _REMOTE,
    "remote-by-name": f"{_REMOTE} values.global.remotePilotAddress=istiod.example.com",
    "remote-by-address": f"{_REMOTE} values.global.remotePilotAddress=fd00::1",
    "remote-with-local-injector": f"{_REMOTE} values.istiodRemote.enabledLocalInjectorIstiod=true "
    "values.global.remotePilotAddress=192.0.2.4",
    "injection-elsewhere": "values.istiodRemote.injectionURL=https://x/inject "
    "values.istiodRemote.injectionCABundle=Zm9v",
    "validation-elsewhere": "values.base.validationURL=https://x/v values.base.validationCABundle=Zm9v",
    "openshift": "values.global.platform=openshift",
    "gke": "values.global.platform=gke",
    "cluster-scope": "values.global.resourceScope=cluster",
    "namespace-scope": "values.global.resourceScope=namespace",
    "no-validation": "values.global.configValidation=false values.global.operatorManageWebhooks=true",
    "no-injection": "values.global.omitSidecarInjectorConfigMap=true values.pilot.configMap=false",
    "injection-off": "values.global.proxy.autoInject=disabled "
    "values.sidecarInjectorWebhook.enableNamespacesByDefault=true",
    "compatibility-1.30": "compatibilityVersion=1.30",
    "compatibility-1.26": "compatibilityVersion=1.26",
    "stable-policy": "values.experimental.stableValidationPolicy=true",
    "trust-bundles": "values.pilot.env.ENABLE_CLUSTER_TRUST_BUNDLE_API=true",
    "external-authority": "values.pilot.env.EXTERNAL_CA=true values.pilot.env.MCS_API_GROUP=x.io",
    "fips": "values.pilot.env.COMPLIANCE_POLICY=fips-140-3 values.pilot.env.CA_TRUSTED_NODE_ACCOUNTS=a/b",
    "no-gateway-deployments": "values.pilot.env.PILOT_ENABLE_GATEWAY_API_DEPLOYMENT_CONTROLLER=false",
    "untaint": "values.pilot.taint.enabled=true values.pilot.trustedZtunnelNamespace=kube-system",
    "demo-with-settings": "profile=demo values.pilot.traceSampling=7 values.global.logAsJson=true",
    "demo-by-value": "values.profile=demo",
    "default-revision": "values.defaultRevision=canary",
    "no-reader": "values.global.enableReaderRBAC=false",
    "own-reader": "values.global.readerServiceAccount.name=a values.global.readerServiceAccount.namespace=b",
    "images": "values.pilot.image=example.com/p:2 values.global.proxy.image=example.com/x:1",
    "image-of-istiod": "components.pilot.hub=h.io components.pilot.tag=t1",
    "replicas": "components.pilot.k8s.replicaCount=4 components.pilot.k8s.hpaSpec.maxReplicas=9",
    "cpu": "components.pilot.k8s.resources.requests.cpu=250m",
    "no-base": "components.base.enabled=false",
    "no-istiod": "components.pilot.enabled=false",
}

VARIANTS = [Case(name, files=files) for name, files in _FILES.items()]
VARIANTS += [Case(name, sets=tuple(sets.split())) for name, sets in _SETS.items()]
