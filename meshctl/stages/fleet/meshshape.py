"""The shape of a mesh.yaml, said once: for reading it strictly, and for a schema that editors use."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeAlias

from meshctl.model.mesh import Role, Source

if TYPE_CHECKING:
    from collections.abc import Mapping

API_VERSION = "meshctl.dev/v1alpha1"
KIND = "Mesh"

Type: TypeAlias = Literal[
    "map",
    "list",
    "text",
    "boolean",
    "port",
    "days",
    "address",
    "profile",
    "platform",
    "values",
    "meshConfig",
    "components",
]
"""What may stand at a place.

`text` is never a number; `port` is 1 to 65535; `days` are 1 to 36500; `address` is an IP address or a
host name; `profile` and `platform` are names of the catalogue. `values`, `meshConfig` and `components` are
what an IstioOperator takes under these names.
"""

_NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"
_LABEL = r"^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
_TRUST_DOMAIN = r"^[a-z0-9]([-a-z0-9._]{0,253}[a-z0-9])?$"
PATTERNS = {
    _NAME: "up to 63 lower-case letters, digits and dashes, none of them at an end",
    _LABEL: "up to 63 letters, digits, dashes, dots and underscores; the first and last is no sign",
    _TRUST_DOMAIN: "lower-case letters, digits, dashes, dots and underscores",
}
"""What each pattern asks for, in words."""


@dataclass(frozen=True)
class Shape:
    """What may stand at a place of a mesh.yaml.

    Attributes:
        type: see `Type`.
        doc: what it is for, in a sentence.
        required: whether it must be there.
        choices: the texts allowed; empty allows all.
        pattern: regular expression that text must match.
        keys: what a map holds.
        of: what each element of a list is.
        setting: whether it is a setting of an IstioOperator's `spec` under the same name.
    """

    type: Type
    doc: str
    required: bool = False
    choices: tuple[str, ...] = ()
    pattern: str = ""
    keys: Mapping[str, Shape] = field(default_factory=dict)
    of: Shape | None = None
    setting: bool = False


@cache
def shape() -> Shape:
    """A whole document of a mesh.yaml."""
    return Shape(
        "map",
        "One mesh; several documents in a file are meshes that trust each other.",
        keys={
            "apiVersion": Shape("text", f"Always {API_VERSION}.", required=True, choices=(API_VERSION,)),
            "kind": Shape("text", f"Always {KIND}.", required=True, choices=(KIND,)),
            "metadata": Shape(
                "map",
                "What the mesh is called.",
                required=True,
                keys={"name": Shape("text", "Name of the mesh, on all that it owns.", True, pattern=_NAME)},
            ),
            "spec": Shape("map", "The mesh: its clusters, and settings of all of them.", True, keys=_spec()),
        },
    )


def settings() -> dict[str, Shape]:
    """What is set for all clusters, and, over that, for one."""
    return {
        "profile": Shape("profile", "Profile to start from.", setting=True),
        "platform": Shape("platform", "Where the cluster runs; not given: what its nodes show."),
        "hub": Shape("text", "Registry of all images.", setting=True),
        "tag": Shape("text", "Tag of all images; not given: the version's.", setting=True),
        "namespace": Shape("text", "The mesh's own namespace.", pattern=_NAME, setting=True),
        "revision": Shape("text", "Control-plane revision; not given: the unnamed one.", setting=True),
        "meshConfig": Shape("meshConfig", "Istio's MeshConfig.", setting=True),
        "values": Shape("values", "Values, as Helm and istioctl take them.", setting=True),
        "components": Shape("components", "Components, as an IstioOperator has them.", setting=True),
    }


def _spec() -> dict[str, Shape]:
    return {
        "version": Shape("text", "Istio's minor or full version; not given: the default one."),
        "compatibilityVersion": Shape("text", "Behave by default as this minor did.", setting=True),
        **settings(),
        "meshID": Shape("text", "Istio's mesh ID; not given: the mesh's name.", pattern=_LABEL),
        "trust": Shape("map", "Whose identities are trusted, and what vouches for them.", keys=_trust()),
        "remoteSecrets": Shape("map", "How istiods read the clusters of others.", keys=_links()),
        "networks": Shape(
            "list",
            "Networks; not given: those that clusters name. Once given, clusters name only these.",
            of=Shape("map", "A network.", keys=_network()),
        ),
        "clusters": Shape(
            "list", "The clusters of the mesh.", required=True, of=Shape("map", "A cluster.", keys=_cluster())
        ),
    }


def _trust() -> dict[str, Shape]:
    return {
        "domain": Shape("text", "Trust domain of the mesh; not given: cluster.local.", pattern=_TRUST_DOMAIN),
        "aliases": Shape(
            "list",
            "Further trust domains that count as its own; those of the other meshes of the file do already.",
            of=Shape("text", "A trust domain.", pattern=_TRUST_DOMAIN),
        ),
        "ca": Shape(
            "text",
            "managed: an intermediate for each cluster, under the root of `meshctl ca init`; files: files of "
            "yours; self-signed: istiod makes its own; there: whatever the cluster has. Not given: there.",
            choices=tuple(each.value for each in Source),
        ),
        "root": Shape("text", "Of `managed`: folder of the root; not given: `ca` beside this file."),
        "files": Shape(
            "text",
            "Of `files`: folder of a cluster's files, `{cluster}` standing for its name: pki/{cluster}.",
        ),
        "days": Shape("days", "Of `managed`: days that an intermediate is valid; not given: 730."),
        "nameConstraints": Shape(
            "boolean", "Of `managed`: whether intermediates sign names of the mesh's trust domains only."
        ),
    }


def _links() -> dict[str, Shape]:
    return {
        "days": Shape(
            "days", "Days that the tokens are valid by which istiods read clusters; not given: 90."
        ),
        "longLived": Shape("boolean", "Whether these tokens never end."),
    }


def _network() -> dict[str, Shape]:
    gateway = {
        "address": Shape("address", "IP address or host name that other networks reach.", required=True),
        "port": Shape("port", "Its port for mTLS; not given: 15443."),
    }
    return {
        "name": Shape("text", "Name of the network.", required=True, pattern=_LABEL),
        "gateways": Shape(
            "list",
            "Where its traffic enters; not given: found by istiod from the east-west gateways' Services.",
            of=Shape("map", "A gateway.", keys=gateway),
        ),
    }


def _cluster() -> dict[str, Shape]:
    return {
        "name": Shape("text", "Name by which the whole mesh knows it.", required=True, pattern=_NAME),
        "context": Shape("text", "Context in the kubeconfig; not given: the current one."),
        "kubeconfig": Shape(
            "text", "File in which the context is, its path from this file; not given: as kubectl finds it."
        ),
        "server": Shape(
            "text", "URL of its API server as other clusters reach it; not given: the context's."
        ),
        "role": Shape(
            "text",
            "primary: an istiod of its own; remote: served by another cluster's; external: an istiod for "
            "others and no workloads; config: a remote that holds the configuration of an external istiod. "
            "Not given: primary.",
            choices=tuple(each.value for each in Role),
        ),
        "controlPlane": Shape("text", "Cluster whose istiod serves this one; not given: the only other one."),
        "network": Shape("text", "Clusters of one network reach each other's pods.", pattern=_LABEL),
        "address": Shape(
            "address", "Where the clusters it serves reach its istiod: address of its east-west gateway."
        ),
        "eastWestGateway": Shape(
            "boolean",
            "Whether it has an east-west gateway, or, for `external`, a load balancer that leads to istiod; "
            "not given: where the topology needs one.",
        ),
        **settings(),
    }
