"""Kubernetes' own types, as far as values and the `k8s` of components may hold them.

A line of `TYPES` is a type: `field=kind`, where a kind is a word of `WORDS`, another type, `A|B` for one of
these words, `[kind]` for a list, `[kind]{key}` for a list whose items differ in these keys, `{kind}` for a
map; `!` marks a field that must be there. What a line cannot say is a rule in `kubernetes_rules`.

Source: the OpenAPI of Kubernetes 1.34, and pkg/apis/{core,apps,autoscaling,policy}/validation beside it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from meshctl.crds.declare import PORT_MAX, array, choice, mapping
from meshctl.crds.schema import Array, Boolean, IntOrString, Map, Number, Object, Text

if TYPE_CHECKING:
    from meshctl.crds.schema import Schema

INT32_MAX = 2**31 - 1
MADE_TEXT = frozenset({"labelTexts", "annotationTexts", "environment"})
"""Maps whose numbers, true and false become text on the way into an object."""
_DIRECTIVES = frozenset({"$patch", "$retainKeys"})
LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
LABEL_VALUE = r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
QUANTITY = r"[+]?([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?"


def _text(doc: str, pattern: str, longest: int | None = None) -> Text:
    return Text(doc=doc, pattern=f"^({pattern})$", longest=longest)


def _whole(smallest: int, largest: int = INT32_MAX) -> Number:
    return Number(type="integer", smallest=smallest, largest=largest)


_KEY = _text(
    "a label key: letters, digits, -, _ and . up to 63, possibly after a DNS name and a slash",
    rf"({SUBDOMAIN}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{{0,61}}[A-Za-z0-9])?",
    317,
)
_VALUE = _text("a label value: up to 63 letters, digits, -, _ and .", LABEL_VALUE, 63)
_ANNOTATION_KEY = replace(_KEY, doc=_KEY.doc.replace("a label", "an annotation"))

_ENV_NAME = _text("the name of a variable: printable characters, but no =", r"[ -<>-~]+")
_QUANTITY = IntOrString(doc="a quantity, such as 500m or 1Gi", pattern=f"^{QUANTITY}$", type_name="quantity")

WORDS: dict[str, Schema] = {
    "text": Text(),
    "pullPolicy": choice("", "Always", "IfNotPresent", "Never"),
    "given": Text(shortest=1),
    "secret": Text(secret=True),
    "flag": Boolean(),
    "int": _whole(-(2**31)),
    "int64": Number(type="integer", smallest=-(2**63), largest=2**63 - 1),
    "count": _whole(0),
    "positive": _whole(1),
    "port": _whole(1, PORT_MAX),
    "hostPort": _whole(0, PORT_MAX),
    "nodePort": _whole(0, PORT_MAX),
    "weight": _whole(1, 100),
    "byte": _whole(0, 255),
    "medium": _text("Memory, HugePages, or empty for the disk", r"(Memory|HugePages(-[0-9]+[KMG]i)?)?"),
    "iqn": _text(
        "a name of iSCSI", r"(iqn\.[0-9]{4}-[0-9]{2}\.[a-z0-9.-]+(:[^\s]*)?|(eui\.|naa\.)[0-9A-F]{16})"
    ),
    "hostPath": Text(doc="a path without ..", shortest=1, type_name="folder"),
    "mode": _whole(0, 0o777),
    "portOrName": IntOrString(
        doc="a port, or the name of one", pattern=rf"^{LABEL}$", type_name="portOrName"
    ),
    "amount": IntOrString(
        doc="a whole number, or a percentage such as 25%", pattern=r"^[0-9]+%$", type_name="amount"
    ),
    "quantity": _QUANTITY,
    "label": _text("a DNS label: up to 63 lower-case letters, digits and inner dashes", LABEL, 63),
    "name": _text("a DNS name: lower-case letters, digits, dashes and dots, up to 253", SUBDOMAIN, 253),
    "portName": _text(
        "up to 15 lower-case letters, digits and inner dashes, with a letter",
        r"[a-z0-9]*[a-z][a-z0-9]*|[a-z0-9]+(-[a-z0-9]+)*-[a-z0-9]*[a-z][a-z0-9]*(-[a-z0-9]+)*"
        r"|[a-z0-9]*[a-z][a-z0-9]*(-[a-z0-9]+)+",
        15,
    ),
    "envName": _ENV_NAME,
    "key": _KEY,
    "value": _VALUE,
    "labels": Map(doc="labels", values=_VALUE, keys=_KEY, type_name="labels"),
    "annotations": Map(doc="annotations", values=Text(), keys=_ANNOTATION_KEY, type_name="annotations"),
    "texts": Map(values=Text()),
    # where templates make text of numbers, true and false
    "labelTexts": Map(
        doc="labels, whose numbers become text", values=_VALUE, keys=_KEY, type_name="labelTexts"
    ),
    "annotationTexts": Map(
        doc="annotations, whose numbers become text",
        values=Text(),
        keys=_ANNOTATION_KEY,
        type_name="annotationTexts",
    ),
    "environment": Map(doc="variables by name", values=Text(), keys=_ENV_NAME, type_name="environment"),
    "configEnvironment": Map(
        doc="variables by name",
        values=Text(),
        keys=_text("a name", r"[-._a-zA-Z0-9]+", 253),
        type_name="environment",
    ),  # by way of a ConfigMap
    "ipFamily": choice("", "IPv4", "IPv6"),
    "serviceName": _text(
        "the name of a Service: a lower-case letter, then letters, digits and inner dashes, up to 63",
        r"[a-z]([-a-z0-9]*[a-z0-9])?",
        63,
    ),
    "tag": _text("a revision tag: up to 43 lower-case letters, digits and inner dashes", LABEL, 43),
    "revision": _text(
        "a revision: up to 56 lower-case letters, digits and inner dashes", LABEL, 56
    ),  # after `istiod-` it is the name of a Service
    "webhookURL": Text(
        doc="an address without a query, https://host/path",
        pattern=r"^https://([A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(:[0-9]{1,5})?"
        r"(/[-A-Za-z0-9._~/+:@]*)?$",
        type_name="webhookURL",
    ),
    "webhookPath": _text("the path of a webhook, /name/name", rf"/|(/{SUBDOMAIN})+/?"),
    "caBundle": Text(doc="certificates as PEM, in base64", format="byte", type_name="caBundle"),
    "folder": Text(doc="the absolute path of a folder, without ..", pattern="^/", type_name="folder"),
    "image": _text("the name of an image, without blanks", r"\S+"),
    "architectures": Map(
        doc="weights of architectures, 0 to 100",
        values=_whole(0, 100),
        keys=replace(_VALUE, shortest=1),
        type_name="architectures",
    ),
    "ip": Text(doc="an IP address", type_name="ip"),
    "range": Text(doc="a range of addresses, such as 10.0.0.0/8", type_name="range"),
    "replicas": IntOrString(doc="a whole number", pattern="^[0-9]+$", type_name="amount"),
    "listed": IntOrString(doc="texts separated by commas"),
    "fileKey": _text("letters, digits, -, _ and .", r"[-._a-zA-Z0-9]+", 253),
    "sysctl": _text(
        "the name of a kernel parameter",
        r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?",
        253,
    ),
    "relative": Text(doc="a relative path without ..", pattern="^[^/]", type_name="relative"),
    "header": _text("the name of an HTTP header", r"[-A-Za-z0-9]+"),
    "user": _whole(0),
    "sizes": mapping("", _QUANTITY),
    "object": Object(open=True),
}

_OPERATORS = "In|NotIn|Exists|DoesNotExist"
_MOUNT = "fsType=text readOnly=flag"
_PROBE_TIMES = "failureThreshold=count initialDelaySeconds=count periodSeconds=count timeoutSeconds=count"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"

_CONTAINER = (
    "name=label! image=given! command=[text] args=[text] workingDir=text env=[EnvVar]{name}"
    " envFrom=[EnvFromSource] imagePullPolicy=Always|IfNotPresent|Never lifecycle=Lifecycle"
    " livenessProbe=Probe readinessProbe=Probe startupProbe=Probe resources=ResourceRequirements"
    " ports=[ContainerPort]{containerPort,protocol} resizePolicy=[ContainerResizePolicy]{resourceName}"
    " securityContext=SecurityContext stdin=flag stdinOnce=flag tty=flag"
    " terminationMessagePath=text terminationMessagePolicy=File|FallbackToLogsOnError"
    " volumeDevices=[VolumeDevice]{devicePath} volumeMounts=[VolumeMount]{mountPath}"
)

TYPES: dict[str, str] = {
    # where pods run
    "Toleration": "key=key operator=Exists|Equal value=value tolerationSeconds=int64"
    " effect=NoSchedule|PreferNoSchedule|NoExecute",
    "LabelSelector": "matchLabels=labels matchExpressions=[LabelSelectorRequirement]",
    "LabelSelectorRequirement": f"key=key! operator={_OPERATORS}! values=[value]",
    "Affinity": "nodeAffinity=NodeAffinity podAffinity=PodAffinity podAntiAffinity=PodAffinity",
    "NodeAffinity": f"{_REQUIRED}=NodeSelector {_PREFERRED}=[PreferredSchedulingTerm]",
    "NodeSelector": "nodeSelectorTerms=[NodeSelectorTerm]!",
    "NodeSelectorTerm": "matchExpressions=[NodeSelectorRequirement] matchFields=[NodeFieldRequirement]",
    "NodeSelectorRequirement": f"key=key! operator={_OPERATORS}|Gt|Lt! values=[value]",
    "NodeFieldRequirement": "key=metadata.name! operator=In|NotIn! values=[name]!",
    "PreferredSchedulingTerm": "weight=weight! preference=NodeSelectorTerm!",
    "PodAffinity": f"{_REQUIRED}=[PodAffinityTerm] {_PREFERRED}=[WeightedPodAffinityTerm]",
    "WeightedPodAffinityTerm": "weight=weight! podAffinityTerm=PodAffinityTerm!",
    "PodAffinityTerm": "topologyKey=key! labelSelector=LabelSelector namespaceSelector=LabelSelector"
    " namespaces=[label] matchLabelKeys=[key] mismatchLabelKeys=[key]",
    "TopologySpreadConstraint": "maxSkew=positive! topologyKey=key! labelSelector=LabelSelector"
    " whenUnsatisfiable=DoNotSchedule|ScheduleAnyway! minDomains=positive matchLabelKeys=[key]"
    " nodeAffinityPolicy=Honor|Ignore nodeTaintsPolicy=Honor|Ignore",
    # containers
    "Container": _CONTAINER,
    "InitContainer": f"{_CONTAINER} restartPolicy=Always",
    "ContainerPort": "containerPort=port! name=portName protocol=TCP|UDP|SCTP hostPort=hostPort hostIP=text",
    "ContainerResizePolicy": "resourceName=cpu|memory! restartPolicy=NotRequired|RestartContainer!",
    "EnvVar": "name=envName! value=text valueFrom=EnvVarSource",
    "EnvVarSource": "configMapKeyRef=KeyRef secretKeyRef=KeyRef fieldRef=ObjectFieldSelector"
    " resourceFieldRef=ResourceFieldSelector",
    "KeyRef": "name=name! key=fileKey! optional=flag",
    "ObjectFieldSelector": "apiVersion=v1 fieldPath=given!",
    "ResourceFieldSelector": "resource=given! containerName=label divisor=quantity",
    "EnvFromSource": "prefix=envName configMapRef=OptionalReference secretRef=OptionalReference",
    "OptionalReference": "name=name! optional=flag",
    "Lifecycle": "preStop=LifecycleHandler postStart=LifecycleHandler",
    "LifecycleHandler": "exec=ExecAction httpGet=HTTPGetAction tcpSocket=TCPSocketAction sleep=SleepAction",
    "ExecAction": "command=[text]!",
    "HTTPGetAction": "path=text port=portOrName! host=text scheme=HTTP|HTTPS httpHeaders=[HTTPHeader]",
    "HTTPHeader": "name=header! value=text!",
    "TCPSocketAction": "port=portOrName! host=text",
    "SleepAction": "seconds=positive!",
    "GRPCAction": "port=port! service=text",
    "Probe": "exec=ExecAction httpGet=HTTPGetAction tcpSocket=TCPSocketAction grpc=GRPCAction"
    f" {_PROBE_TIMES} successThreshold=count terminationGracePeriodSeconds=positive",
    "ResourceRequirements": "limits=sizes requests=sizes",
    "SecurityContext": "allowPrivilegeEscalation=flag appArmorProfile=SecurityProfile"
    " capabilities=Capabilities privileged=flag procMount=Default readOnlyRootFilesystem=flag"
    " runAsUser=user runAsGroup=user runAsNonRoot=flag seLinuxOptions=SELinuxOptions"
    " seccompProfile=SecurityProfile windowsOptions=WindowsOptions",
    "Capabilities": "add=[text] drop=[text]",
    "SecurityProfile": "type=RuntimeDefault|Localhost|Unconfined! localhostProfile=relative",
    "SELinuxOptions": "level=text role=text type=text user=text",
    "WindowsOptions": "gmsaCredentialSpec=text gmsaCredentialSpecName=name hostProcess=flag"
    " runAsUserName=given",
    "PodSecurityContext": "appArmorProfile=SecurityProfile fsGroup=user runAsUser=user runAsGroup=user"
    " runAsNonRoot=flag fsGroupChangePolicy=OnRootMismatch|Always seLinuxOptions=SELinuxOptions"
    " seLinuxChangePolicy=Recursive|MountOption seccompProfile=SecurityProfile supplementalGroups=[user]"
    " supplementalGroupsPolicy=Merge|Strict sysctls=[Sysctl] windowsOptions=WindowsOptions",
    "Sysctl": "name=sysctl! value=text!",
    "VolumeDevice": "name=label! devicePath=given!",
    "VolumeMount": "name=label! mountPath=given! readOnly=flag subPath=relative subPathExpr=relative"
    " mountPropagation=None|HostToContainer|Bidirectional recursiveReadOnly=Disabled|IfPossible|Enabled",
    "PodDNSConfig": "nameservers=[ip] searches=[name] options=[DNSOption]",
    "DNSOption": "name=given! value=text",
    "LocalObjectReference": "name=given!",
    # volumes
    "Volume": "name=label! configMap=ConfigMapVolume secret=SecretVolume emptyDir=EmptyDir hostPath=HostPath"
    " persistentVolumeClaim=Claim projected=Projected downwardAPI=DownwardAPI csi=CSIVolume nfs=NFSVolume"
    " ephemeral=EphemeralVolume image=ImageVolume awsElasticBlockStore=BlockStore azureDisk=AzureDisk"
    " azureFile=AzureFile cephfs=CephFS cinder=Cinder fc=FibreChannel flexVolume=FlexVolume"
    " gcePersistentDisk=GCEDisk iscsi=ISCSI portworxVolume=Portworx rbd=RBD vsphereVolume=Vsphere",
    "KeyToPath": "key=fileKey! path=relative! mode=mode",
    "ConfigMapVolume": "name=name! items=[KeyToPath] optional=flag defaultMode=mode",
    "SecretVolume": "secretName=name! items=[KeyToPath] optional=flag defaultMode=mode",
    "EmptyDir": "medium=medium sizeLimit=quantity",
    "HostPath": "path=hostPath!"
    " type=DirectoryOrCreate|Directory|FileOrCreate|File|Socket|CharDevice|BlockDevice",
    "Claim": "claimName=name! readOnly=flag",
    "Projected": "sources=[Projection] defaultMode=mode",
    "Projection": "configMap=ConfigMapProjection secret=ConfigMapProjection downwardAPI=DownwardAPIItems"
    " serviceAccountToken=TokenProjection clusterTrustBundle=TrustBundle",
    "ConfigMapProjection": "name=name! items=[KeyToPath] optional=flag",
    "TokenProjection": "path=relative! audience=text expirationSeconds=int64",
    "TrustBundle": "path=relative! name=text signerName=text labelSelector=LabelSelector optional=flag",
    "DownwardAPI": "items=[DownwardAPIFile] defaultMode=mode",
    "DownwardAPIItems": "items=[DownwardAPIFile]",
    "DownwardAPIFile": "path=relative! mode=mode fieldRef=ObjectFieldSelector"
    " resourceFieldRef=ResourceFieldSelector",
    "CSIVolume": f"driver=name! {_MOUNT} volumeAttributes=texts nodePublishSecretRef=LocalObjectReference",
    "NFSVolume": "server=given! path=folder! readOnly=flag",
    "EphemeralVolume": "volumeClaimTemplate=ClaimTemplate!",
    "ClaimTemplate": "metadata=ClaimMetadata spec=ClaimSpec!",
    "ClaimMetadata": "labels=labels annotations=annotations",
    "ClaimSpec": "accessModes=[ReadWriteOnce|ReadOnlyMany|ReadWriteMany|ReadWriteOncePod]!"
    " resources=ClaimSize! storageClassName=name volumeMode=Filesystem|Block volumeName=name"
    " selector=LabelSelector volumeAttributesClassName=name",
    "ClaimSize": "requests=Storage!",
    "Storage": "storage=quantity!",
    "ImageVolume": "reference=given! pullPolicy=Always|IfNotPresent|Never",
    "BlockStore": f"volumeID=given! partition=byte {_MOUNT}",
    "AzureDisk": f"diskName=given! diskURI=given! kind=Shared|Dedicated|Managed {_MOUNT}"
    " cachingMode=None|ReadOnly|ReadWrite",
    "AzureFile": "secretName=given! shareName=given! readOnly=flag",
    "CephFS": "monitors=[given]! path=text user=text secretFile=text secretRef=LocalObjectReference"
    " readOnly=flag",
    "Cinder": f"volumeID=given! {_MOUNT} secretRef=LocalObjectReference",
    "FibreChannel": f"lun=count targetWWNs=[given] wwids=[given] {_MOUNT}",
    "FlexVolume": f"driver=given! {_MOUNT} options=texts secretRef=LocalObjectReference",
    "GCEDisk": f"pdName=given! partition=byte {_MOUNT}",
    "ISCSI": f"targetPortal=given! iqn=iqn! lun=byte! {_MOUNT} initiatorName=text iscsiInterface=text"
    " portals=[given] chapAuthDiscovery=flag chapAuthSession=flag secretRef=LocalObjectReference",
    "Portworx": f"volumeID=given! {_MOUNT}",
    "RBD": f"monitors=[given]! image=given! pool=text user=text keyring=text {_MOUNT}"
    " secretRef=LocalObjectReference",
    "Vsphere": "volumePath=given! fsType=text storagePolicyID=text storagePolicyName=text",
    # workloads, and what is beside them
    "DeploymentStrategy": "type=RollingUpdate|Recreate rollingUpdate=RollingUpdate",
    "DaemonSetUpdateStrategy": "type=RollingUpdate|OnDelete rollingUpdate=RollingDaemonSet",
    "UpdateStrategy": "type=RollingUpdate|Recreate|OnDelete rollingUpdate=RollingUpdate",
    "RollingDaemonSet": "maxSurge=amount maxUnavailable=amount",
    "EnablementSelector": "podSelector=LabelSelector namespaceSelector=LabelSelector",
    "RollingUpdate": "maxSurge=amount maxUnavailable=amount",
    "Service": "type=ClusterIP|NodePort|LoadBalancer|ExternalName ports=[ServicePort]{port,protocol}"
    " selector=labels clusterIP=text clusterIPs=[text] externalIPs=[text] externalName=text"
    " externalTrafficPolicy=Cluster|Local internalTrafficPolicy=Cluster|Local"
    " allocateLoadBalancerNodePorts=flag healthCheckNodePort=nodePort loadBalancerClass=key"
    " loadBalancerIP=text loadBalancerSourceRanges=[text] ipFamilies=[IPv4|IPv6]"
    " ipFamilyPolicy=SingleStack|PreferDualStack|RequireDualStack publishNotReadyAddresses=flag"
    " sessionAffinity=None|ClientIP sessionAffinityConfig=SessionAffinityConfig"
    " trafficDistribution=PreferClose|PreferSameZone|PreferSameNode",
    "ServicePort": "port=port! name=label protocol=TCP|UDP|SCTP targetPort=portOrName nodePort=nodePort"
    " appProtocol=key",
    "SessionAffinityConfig": "clientIP=ClientIPConfig",
    "ClientIPConfig": "timeoutSeconds=positive",
    "HorizontalPodAutoscaler": "minReplicas=positive maxReplicas=positive! behavior=AutoscaleBehavior"
    " metrics=[Metric] scaleTargetRef=ObjectReference",
    "ObjectReference": "apiVersion=text kind=given! name=given!",
    "AutoscaleBehavior": "scaleUp=ScalingRules scaleDown=ScalingRules",
    "ScalingRules": "policies=[ScalingPolicy] selectPolicy=Max|Min|Disabled tolerance=quantity"
    " stabilizationWindowSeconds=count",
    "ScalingPolicy": "type=Pods|Percent! value=positive! periodSeconds=positive!",
    "Metric": "type=Resource|ContainerResource|Pods|Object|External! resource=ResourceMetric"
    " containerResource=ContainerMetric pods=NamedMetric external=NamedMetric object=ObjectMetric",
    "ResourceMetric": "name=given! target=MetricTarget!",
    "ContainerMetric": "name=given! container=label! target=MetricTarget!",
    "NamedMetric": "metric=MetricIdentifier! target=MetricTarget!",
    "ObjectMetric": "describedObject=ObjectReference! metric=MetricIdentifier! target=MetricTarget!",
    "MetricIdentifier": "name=given! selector=LabelSelector",
    "MetricTarget": "type=Utilization|Value|AverageValue! averageUtilization=positive averageValue=quantity"
    " value=quantity",
    # as values have them
    "Budget": "minAvailable=amount maxUnavailable=amount"
    " unhealthyPodEvictionPolicy=IfHealthyBudget|AlwaysAllow",
    "Utilization": "targetAverageUtilization=replicas",
    "GatewayPort": "port=port! name=label protocol=TCP|UDP|SCTP targetPort=port nodePort=nodePort"
    " appProtocol=key",
    "FurtherPort": "port=port! name=label! protocol=TCP|UDP|SCTP targetPort=portOrName nodePort=nodePort",
    "SecretMount": "name=label! secretName=name! mountPath=given!",
    "ConfigMount": "name=label! configMapName=name! mountPath=given",
    "AntiAffinity": f"key=key! operator={_OPERATORS}! topologyKey=key! values=listed namespaces=listed",
    "PodDisruptionBudget": "minAvailable=amount maxUnavailable=amount selector=LabelSelector"
    " unhealthyPodEvictionPolicy=IfHealthyBudget|AlwaysAllow",
}

_KIND = re.compile(r"(\w+)=(\{?\[?)([^\]\}!{]+)(\]?)(?:\{([\w,]+)\})?(\}?)(!?)\Z")


def knows(name: str) -> bool:
    """Whether this is a type or a word of ours."""
    return name in TYPES or name in WORDS


@cache
def shape(name: str) -> Schema:
    """The schema of a type or a word.

    Raises:
        KeyError: there is none of that name.
    """
    if name in WORDS:
        return WORDS[name]
    fields = dict(_field(said) for said in TYPES[name].split())
    return Object(fields=fields, type_name=name)


def _field(said: str) -> tuple[str, Schema]:
    found = _KIND.match(said)
    if found is None:
        raise KeyError(said)
    name, opening, kind, _, keys, _, mandatory = found.groups()
    node: Schema = shape(kind) if knows(kind) else choice("", *kind.split("|"))
    if "[" in opening:
        node = array("", node, keys=tuple((keys or "").split(",")) if keys else ())
    return name, node.required() if mandatory else node


def is_map(name: str) -> bool:
    """Whether values of a type or a word are maps."""
    return name in TYPES or isinstance(WORDS.get(name), (Map, Object))


def plain(schema: Schema, value: Any) -> Any:
    """A value as the API server reads it: nulls, empty choices and a patch's directives say nothing."""
    match schema, value:
        case Object(), dict():
            return {
                key: plain(schema.fields[key], below) if key in schema.fields else below
                for key, below in value.items()
                if not _says_nothing(schema.fields.get(key), below) and key not in _DIRECTIVES
            }
        case Map(), dict():
            kept = {
                key: plain(schema.values, below)
                for key, below in value.items()
                if not _says_nothing(schema.values, below)
            }
            texts = schema.type_name in MADE_TEXT
            return {key: _as_text(below) for key, below in kept.items()} if texts else kept
        case Array(), list():
            return [plain(schema.items, each) for each in value]
        case IntOrString(type_name="quantity"), float():
            return str(value)
        case _:
            return value


def _says_nothing(schema: Schema | None, value: Any) -> bool:
    empty = (isinstance(schema, Text) and schema.choices) or isinstance(schema, IntOrString)
    return value is None or (value == "" and bool(empty))


def _as_text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (int, float)) else value
