"""The fields of a Pod, as Kubernetes declares them; the notation is that of `fields.py`.

Source: k8s.io/api core/v1 and k8s.io/apimachinery meta/v1, from Pod down, without its status.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from meshctl.stages.injecting.fields import types

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.stages.injecting.fields import Type

_TABLE = """
Pod: apiVersion=APIVersion kind metadata:ObjectMeta=ObjectMeta spec:PodSpec
ObjectMeta: name generateName namespace selfLink uid=UID resourceVersion generation:long
  creationTimestamp:time deletionTimestamp:*time deletionGracePeriodSeconds:*long labels:{} annotations:{}
  ownerReferences:[]OwnerReference@uid finalizers:[]@ managedFields:[]ManagedFieldsEntry
OwnerReference: apiVersion!=APIVersion kind! name! uid!=UID controller:*bool blockOwnerDeletion:*bool
ManagedFieldsEntry: manager operation apiVersion=APIVersion time:*time fieldsType fieldsV1:*any subresource
PodSpec: volumes:[]Volume@name initContainers:[]Container@name containers!:[]Container@name
  ephemeralContainers:[]EphemeralContainer@name restartPolicy terminationGracePeriodSeconds:*long
  activeDeadlineSeconds:*long dnsPolicy=DNSPolicy nodeSelector:{} serviceAccountName
  serviceAccount=DeprecatedServiceAccount automountServiceAccountToken:*bool nodeName hostNetwork:bool
  hostPID:bool hostIPC:bool shareProcessNamespace:*bool securityContext:*PodSecurityContext
  imagePullSecrets:[]LocalObjectReference@name hostname subdomain affinity:*Affinity schedulerName
  tolerations:[]Toleration hostAliases:[]HostAlias@ip priorityClassName priority:*int
  dnsConfig:*PodDNSConfig=DNSConfig readinessGates:[]PodReadinessGate runtimeClassName:*
  enableServiceLinks:*bool preemptionPolicy:* overhead:{}quantity
  topologySpreadConstraints:[]TopologySpreadConstraint@topologyKey setHostnameAsFQDN:*bool os:*PodOS=OS
  hostUsers:*bool schedulingGates:[]PodSchedulingGate@name resourceClaims:[]PodResourceClaim@name
  resources:*ResourceRequirements hostnameOverride:* schedulingGroup:*PodSchedulingGroup
Volume: name! hostPath:*HostPathVolumeSource emptyDir:*EmptyDirVolumeSource
  gcePersistentDisk:*GCEPersistentDiskVolumeSource=GCEPersistentDisk
  awsElasticBlockStore:*AWSElasticBlockStoreVolumeSource=AWSElasticBlockStore gitRepo:*GitRepoVolumeSource
  secret:*SecretVolumeSource nfs:*NFSVolumeSource=NFS iscsi:*ISCSIVolumeSource=ISCSI
  glusterfs:*GlusterfsVolumeSource persistentVolumeClaim:*PersistentVolumeClaimVolumeSource
  rbd:*RBDVolumeSource=RBD flexVolume:*FlexVolumeSource cinder:*CinderVolumeSource
  cephfs:*CephFSVolumeSource=CephFS flocker:*FlockerVolumeSource downwardAPI:*DownwardAPIVolumeSource
  fc:*FCVolumeSource=FC azureFile:*AzureFileVolumeSource configMap:*ConfigMapVolumeSource
  vsphereVolume:*VsphereVirtualDiskVolumeSource quobyte:*QuobyteVolumeSource
  azureDisk:*AzureDiskVolumeSource photonPersistentDisk:*PhotonPersistentDiskVolumeSource
  projected:*ProjectedVolumeSource portworxVolume:*PortworxVolumeSource scaleIO:*ScaleIOVolumeSource
  storageos:*StorageOSVolumeSource=StorageOS csi:*CSIVolumeSource=CSI ephemeral:*EphemeralVolumeSource
  image:*ImageVolumeSource
HostPathVolumeSource: path! type:*
EmptyDirVolumeSource: medium sizeLimit:*quantity
GCEPersistentDiskVolumeSource: pdName!=PDName fsType=FSType partition:int readOnly:bool
AWSElasticBlockStoreVolumeSource: volumeID! fsType=FSType partition:int readOnly:bool
GitRepoVolumeSource: repository! revision directory
SecretVolumeSource: secretName items:[]KeyToPath defaultMode:*int optional:*bool
KeyToPath: key! path! mode:*int
NFSVolumeSource: server! path! readOnly:bool
ISCSIVolumeSource: targetPortal! iqn!=IQN lun!:int iscsiInterface=ISCSIInterface fsType=FSType readOnly:bool
  portals:[] chapAuthDiscovery:bool=DiscoveryCHAPAuth chapAuthSession:bool=SessionCHAPAuth
  secretRef:*LocalObjectReference initiatorName:*
LocalObjectReference: name
GlusterfsVolumeSource: endpoints!=EndpointsName path! readOnly:bool
PersistentVolumeClaimVolumeSource: claimName! readOnly:bool
RBDVolumeSource: monitors!:[]=CephMonitors image!=RBDImage fsType=FSType pool=RBDPool user=RadosUser keyring
  secretRef:*LocalObjectReference readOnly:bool
FlexVolumeSource: driver! fsType=FSType secretRef:*LocalObjectReference readOnly:bool options:{}
CinderVolumeSource: volumeID! fsType=FSType readOnly:bool secretRef:*LocalObjectReference
CephFSVolumeSource: monitors!:[] path user secretFile secretRef:*LocalObjectReference readOnly:bool
FlockerVolumeSource: datasetName datasetUUID
DownwardAPIVolumeSource: items:[]DownwardAPIVolumeFile defaultMode:*int
DownwardAPIVolumeFile: path! fieldRef:*ObjectFieldSelector resourceFieldRef:*ResourceFieldSelector mode:*int
ObjectFieldSelector: apiVersion=APIVersion fieldPath!
ResourceFieldSelector: containerName resource! divisor:quantity
FCVolumeSource: targetWWNs:[] lun:*int fsType=FSType readOnly:bool wwids:[]=WWIDs
AzureFileVolumeSource: secretName! shareName! readOnly:bool
ConfigMapVolumeSource: name items:[]KeyToPath defaultMode:*int optional:*bool
VsphereVirtualDiskVolumeSource: volumePath! fsType=FSType storagePolicyName storagePolicyID
QuobyteVolumeSource: registry! volume! readOnly:bool user group tenant
AzureDiskVolumeSource: diskName! diskURI!=DataDiskURI cachingMode:* fsType:*=FSType readOnly:*bool kind:*
PhotonPersistentDiskVolumeSource: pdID! fsType=FSType
ProjectedVolumeSource: sources!:[]VolumeProjection defaultMode:*int
VolumeProjection: secret:*SecretProjection downwardAPI:*DownwardAPIProjection configMap:*ConfigMapProjection
  serviceAccountToken:*ServiceAccountTokenProjection clusterTrustBundle:*ClusterTrustBundleProjection
  podCertificate:*PodCertificateProjection
SecretProjection: name items:[]KeyToPath optional:*bool
DownwardAPIProjection: items:[]DownwardAPIVolumeFile
ConfigMapProjection: name items:[]KeyToPath optional:*bool
ServiceAccountTokenProjection: audience expirationSeconds:*long path!
ClusterTrustBundleProjection: name:* signerName:* labelSelector:*LabelSelector optional:*bool path!
LabelSelector: matchLabels:{} matchExpressions:[]LabelSelectorRequirement
LabelSelectorRequirement: key! operator! values:[]
PodCertificateProjection: signerName keyType maxExpirationSeconds:*int credentialBundlePath keyPath
  certificateChainPath userAnnotations:{}
PortworxVolumeSource: volumeID! fsType=FSType readOnly:bool
ScaleIOVolumeSource: gateway! system! secretRef!:*LocalObjectReference sslEnabled:bool=SSLEnabled
  protectionDomain storagePool storageMode volumeName fsType=FSType readOnly:bool
StorageOSVolumeSource: volumeName volumeNamespace fsType=FSType readOnly:bool
  secretRef:*LocalObjectReference
CSIVolumeSource: driver! readOnly:*bool fsType:*=FSType volumeAttributes:{}
  nodePublishSecretRef:*LocalObjectReference
EphemeralVolumeSource: volumeClaimTemplate:*PersistentVolumeClaimTemplate
PersistentVolumeClaimTemplate: metadata:ObjectMeta=ObjectMeta spec!:PersistentVolumeClaimSpec
PersistentVolumeClaimSpec: accessModes:[] selector:*LabelSelector resources:VolumeResourceRequirements
  volumeName storageClassName:* volumeMode:* dataSource:*TypedLocalObjectReference
  dataSourceRef:*TypedObjectReference volumeAttributesClassName:*
VolumeResourceRequirements: limits:{}quantity requests:{}quantity
TypedLocalObjectReference: apiGroup!:*=APIGroup kind! name!
TypedObjectReference: apiGroup!:*=APIGroup kind! name! namespace:*
ImageVolumeSource: reference pullPolicy
Container: name! image command:[] args:[] workingDir ports:[]ContainerPort@containerPort
  envFrom:[]EnvFromSource env:[]EnvVar@name resources:ResourceRequirements
  resizePolicy:[]ContainerResizePolicy restartPolicy:* restartPolicyRules:[]ContainerRestartRule
  volumeMounts:[]VolumeMount@mountPath volumeDevices:[]VolumeDevice@devicePath livenessProbe:*Probe
  readinessProbe:*Probe startupProbe:*Probe lifecycle:*Lifecycle terminationMessagePath
  terminationMessagePolicy imagePullPolicy securityContext:*SecurityContext stdin:bool stdinOnce:bool
  tty:bool=TTY
ContainerPort: name hostPort:int containerPort!:int protocol hostIP
EnvFromSource: prefix configMapRef:*ConfigMapEnvSource secretRef:*SecretEnvSource
ConfigMapEnvSource: name optional:*bool
SecretEnvSource: name optional:*bool
EnvVar: name! value valueFrom:*EnvVarSource
EnvVarSource: fieldRef:*ObjectFieldSelector resourceFieldRef:*ResourceFieldSelector
  configMapKeyRef:*ConfigMapKeySelector secretKeyRef:*SecretKeySelector fileKeyRef:*FileKeySelector
ConfigMapKeySelector: name key! optional:*bool
SecretKeySelector: name key! optional:*bool
FileKeySelector: volumeName! path! key! optional:*bool
ResourceRequirements: limits:{}quantity requests:{}quantity claims:[]ResourceClaim
ResourceClaim: name! request
ContainerResizePolicy: resourceName! restartPolicy!
ContainerRestartRule: action exitCodes:*ContainerRestartRuleOnExitCodes
ContainerRestartRuleOnExitCodes: operator values:[]int
VolumeMount: name! readOnly:bool recursiveReadOnly:* mountPath! subPath mountPropagation:* subPathExpr
VolumeDevice: name! devicePath!
Probe: exec:*ExecAction httpGet:*HTTPGetAction=HTTPGet tcpSocket:*TCPSocketAction=TCPSocket
  grpc:*GRPCAction=GRPC initialDelaySeconds:int timeoutSeconds:int periodSeconds:int successThreshold:int
  failureThreshold:int terminationGracePeriodSeconds:*long
ExecAction: command:[]
HTTPGetAction: path port!:intstr host scheme httpHeaders:[]HTTPHeader=HTTPHeaders
HTTPHeader: name! value!
TCPSocketAction: port!:intstr host
GRPCAction: port!:int service!:*
Lifecycle: postStart:*LifecycleHandler preStop:*LifecycleHandler stopSignal:*
LifecycleHandler: exec:*ExecAction httpGet:*HTTPGetAction=HTTPGet tcpSocket:*TCPSocketAction=TCPSocket
  sleep:*SleepAction
SleepAction: seconds!:long
SecurityContext: capabilities:*Capabilities privileged:*bool seLinuxOptions:*SELinuxOptions=SELinuxOptions
  windowsOptions:*WindowsSecurityContextOptions runAsUser:*long runAsGroup:*long runAsNonRoot:*bool
  readOnlyRootFilesystem:*bool allowPrivilegeEscalation:*bool procMount:* seccompProfile:*SeccompProfile
  appArmorProfile:*AppArmorProfile
Capabilities: add:[] drop:[]
SELinuxOptions: user role type level
WindowsSecurityContextOptions: gmsaCredentialSpecName:*=GMSACredentialSpecName
  gmsaCredentialSpec:*=GMSACredentialSpec runAsUserName:* hostProcess:*bool
SeccompProfile: type! localhostProfile:*
AppArmorProfile: type! localhostProfile:*
EphemeralContainer: name! image command:[] args:[] workingDir ports:[]ContainerPort@containerPort
  envFrom:[]EnvFromSource env:[]EnvVar@name resources:ResourceRequirements
  resizePolicy:[]ContainerResizePolicy restartPolicy:* restartPolicyRules:[]ContainerRestartRule
  volumeMounts:[]VolumeMount@mountPath volumeDevices:[]VolumeDevice@devicePath livenessProbe:*Probe
  readinessProbe:*Probe startupProbe:*Probe lifecycle:*Lifecycle terminationMessagePath
  terminationMessagePolicy imagePullPolicy securityContext:*SecurityContext stdin:bool stdinOnce:bool
  tty:bool=TTY targetContainerName
PodSecurityContext: seLinuxOptions:*SELinuxOptions=SELinuxOptions
  windowsOptions:*WindowsSecurityContextOptions runAsUser:*long runAsGroup:*long runAsNonRoot:*bool
  supplementalGroups:[]long supplementalGroupsPolicy:* fsGroup:*long=FSGroup sysctls:[]Sysctl
  fsGroupChangePolicy:*=FSGroupChangePolicy seccompProfile:*SeccompProfile appArmorProfile:*AppArmorProfile
  seLinuxChangePolicy:*=SELinuxChangePolicy
Sysctl: name! value!
Affinity: nodeAffinity:*NodeAffinity podAffinity:*PodAffinity podAntiAffinity:*PodAntiAffinity
NodeAffinity: requiredDuringSchedulingIgnoredDuringExecution:*NodeSelector
  preferredDuringSchedulingIgnoredDuringExecution:[]PreferredSchedulingTerm
NodeSelector: nodeSelectorTerms!:[]NodeSelectorTerm
NodeSelectorTerm: matchExpressions:[]NodeSelectorRequirement matchFields:[]NodeSelectorRequirement
NodeSelectorRequirement: key! operator! values:[]
PreferredSchedulingTerm: weight!:int preference!:NodeSelectorTerm
PodAffinity: requiredDuringSchedulingIgnoredDuringExecution:[]PodAffinityTerm
  preferredDuringSchedulingIgnoredDuringExecution:[]WeightedPodAffinityTerm
PodAffinityTerm: labelSelector:*LabelSelector namespaces:[] topologyKey! namespaceSelector:*LabelSelector
  matchLabelKeys:[] mismatchLabelKeys:[]
WeightedPodAffinityTerm: weight!:int podAffinityTerm!:PodAffinityTerm
PodAntiAffinity: requiredDuringSchedulingIgnoredDuringExecution:[]PodAffinityTerm
  preferredDuringSchedulingIgnoredDuringExecution:[]WeightedPodAffinityTerm
Toleration: key operator value effect tolerationSeconds:*long
HostAlias: ip!=IP hostnames:[]
PodDNSConfig: nameservers:[] searches:[] options:[]PodDNSConfigOption
PodDNSConfigOption: name value:*
PodReadinessGate: conditionType!
TopologySpreadConstraint: maxSkew!:int topologyKey! whenUnsatisfiable! labelSelector:*LabelSelector
  minDomains:*int nodeAffinityPolicy:* nodeTaintsPolicy:* matchLabelKeys:[]
PodOS: name!
PodSchedulingGate: name!
PodResourceClaim: name! resourceClaimName:* resourceClaimTemplateName:*
PodSchedulingGroup: podGroupName:*
"""


@cache
def pod_types() -> Mapping[str, Type]:
    """Every type below a Pod, by its name."""
    return types(_TABLE)
