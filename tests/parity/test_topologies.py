"""Each cluster of a mesh.yaml against istioctl, given the IstioOperator files that upstream's guides write.

The guides: "Install Multicluster" and "Install Istio with an External Control Plane". Where they call
samples/multicluster of upstream's module, so does this.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshctl.model.mesh import Inputs
from meshctl.model.values import merge, put
from meshctl.registry import data
from meshctl.stages.rendering.fleet import rendered
from meshctl.stages.settings.load import load_all
from tests.parity.leaves import compare, documents, leaves
from tests.parity.test_crds import GO_MODULE
from tests.parity.test_profiles import IMAGES, LEAST, PINNED, reason

pytestmark = pytest.mark.parity

MESHES = Path(__file__).parent / "inputs" / "meshes"
WEBHOOKS = "https://istiod.example.com:15017"
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"


@dataclass(frozen=True)
class Case:
    """A cluster of a mesh.yaml, and what a reader of the guides does for it.

    Attributes:
        mesh: one of the starting files, or a file of tests/parity/inputs/meshes.
        cluster: its name.
        spec: of the IstioOperator that the guide writes.
        gateway: arguments of gen-eastwest-gateway.sh; empty: the guide makes no such gateway.
        exposed: files of samples/multicluster that the guide applies.
    """

    mesh: str
    cluster: str
    spec: dict[str, Any]
    gateway: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    namespace: str = field(default="istio-system", kw_only=True)

    def __str__(self) -> str:
        return f"{self.mesh}-{self.cluster}"


def member(name: str, network: str = "", mesh: str = "mesh", **more: Any) -> dict[str, Any]:
    """What every guide says of a cluster."""
    said: dict[str, Any] = {"meshID": mesh, "multiCluster": {"clusterName": name}}
    if network:
        said["network"] = network
    return {"profile": "default", "values": {"global": {**said, **more}}}


def remote(name: str, network: str, where: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What the guides say of a cluster whose istiod is elsewhere."""
    return merge({**member(name, network, **more), "profile": "remote"}, {"values": where})


def through_gateway(name: str, network: str, address: str) -> dict[str, Any]:
    """A remote that reaches its istiod through the primary's east-west gateway."""
    where = {"istiodRemote": {"injectionPath": f"/inject/cluster/{name}/net/{network}"}}
    return remote(name, network, where, remotePilotAddress=address)


def with_domain(spec: dict[str, Any], domain: str, alias: str) -> dict[str, Any]:
    return merge(spec, {"meshConfig": {"trustDomain": domain, "trustDomainAliases": [alias]}})


AMBIENT = put(("values", "pilot", "env", "AMBIENT_ENABLE_MULTI_NETWORK"), "true")
EXTERNAL: dict[str, Any] = {
    "profile": "empty",
    "meshConfig": {
        "defaultConfig": {
            "discoveryAddress": "istiod.example.com:15012",
            "proxyMetadata": {"XDS_ROOT_CA": AUTHORITIES, "CA_ROOT_CA": AUTHORITIES},
        },
    },
    "components": {"pilot": {"enabled": True}},
    "values": {
        "global": {
            "externalIstiod": True,
            "caAddress": "istiod.example.com:15012",
            "istioNamespace": "external-istiod",
            "operatorManageWebhooks": True,
            "configValidation": False,
            "meshID": "mesh",
            "multiCluster": {"clusterName": "west"},
            "network": "west",
        },
        "pilot": {
            "env": {
                "INJECTION_WEBHOOK_CONFIG_NAME": "",
                "VALIDATION_WEBHOOK_CONFIG_NAME": "",
                "EXTERNAL_ISTIOD": "true",
                "LOCAL_CLUSTER_SECRET_WATCHER": "true",
                "SHARED_MESH_CONFIG": "istio",
            },
            "volumes": [
                {"name": "config-volume", "configMap": {"name": "istio"}},
                {"name": "inject-volume", "configMap": {"name": "istio-sidecar-injector"}},
            ],
            "volumeMounts": [
                {"name": "config-volume", "mountPath": "/etc/istio/config"},
                {"name": "inject-volume", "mountPath": "/var/lib/istio/inject"},
            ],
        },
    },
}
"""The guide's, with values where it patches the Deployment; the Deployment comes out the same."""

CONFIG = merge(
    remote(
        "west",
        "west",
        {
            "istiodRemote": {"injectionURL": f"{WEBHOOKS}/inject/cluster/west/net/west"},
            "base": {"validationURL": f"{WEBHOOKS}/validate"},
            "pilot": {"configMap": True},
        },
        istioNamespace="external-istiod",
        configCluster=True,
    ),
    {"meshConfig": {"defaultConfig": {"discoveryAddress": "istiod.example.com:15012"}}},
)
SERVED = remote(
    "east",
    "east",
    {"istiodRemote": {"injectionURL": f"{WEBHOOKS}/inject/cluster/east/net/east"}},
    istioNamespace="external-istiod",
)
SERVICES, ISTIOD = "expose-services.yaml", "expose-istiod.yaml"

CASES = [
    Case("single", "one", member("one")),
    Case("multi-primary", "west", member("west", "shared")),
    Case("multi-primary", "east", member("east", "shared")),
    Case("multi-network", "west", member("west", "west"), ("--network", "west"), (SERVICES,)),
    Case("multi-network", "east", member("east", "east"), ("--network", "east"), (SERVICES,)),
    Case(
        "primary-remote",
        "west",
        member("west", "shared", externalIstiod=True),
        ("--network", "shared"),
        (ISTIOD,),
    ),
    Case("primary-remote", "east", through_gateway("east", "shared", "203.0.113.10")),
    Case(
        "primary-remote-networks",
        "west",
        member("west", "west", externalIstiod=True),
        ("--network", "west"),
        (SERVICES, ISTIOD),
    ),
    Case(
        "primary-remote-networks",
        "east",
        through_gateway("east", "east", "gw.example.com"),
        ("--network", "east"),
    ),
    Case(
        "revisions",
        "west",
        {**member("west", "shared", externalIstiod=True), "revision": "r1"},
        ("--network", "shared", "--revision", "r1"),
        ("expose-istiod-rev.yaml.tmpl",),
    ),
    Case("revisions", "east", {**through_gateway("east", "shared", "2001:db8::1"), "revision": "r1"}),
    Case("external", "control", EXTERNAL),
    Case("external", "west", CONFIG, ("--network", "west"), (SERVICES,), namespace="external-istiod"),
    Case("external", "east", SERVED, ("--network", "east"), namespace="external-istiod"),
    Case(
        "multi-mesh",
        "shop-west",
        with_domain(member("shop-west", "shop", "shop"), "shop.example", "bank.example"),
        ("--network", "shop"),
        (SERVICES,),
    ),
    Case(
        "ambient",
        "west",
        merge({**member("west", "west"), "profile": "ambient"}, AMBIENT),
        ("--network", "west", "--ambient"),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_cluster_of_a_mesh_renders_as_the_guides_of_upstream_have_it(
    case: Case, istioctl: Path, tmp_path: Path
) -> None:
    theirs = generated(istioctl, iop("main", case.spec), tmp_path) + gateway(case, istioctl, tmp_path)
    theirs += [each for name in case.exposed for each in sample(name, case)]
    ours = [dict(each.content) for each in our_manifest(case).objects]
    found = compare(leaves(ours, "1.32.0"), leaves(theirs, "1.32.0"))
    unexplained = [path for path in (*found.missing, *found.extra) if not reason(path)]
    print(f"{case}: {found.share:.4f}, {found.shared} leaves shared\n{found}")
    assert not unexplained, str(found)
    assert found.share >= LEAST, str(found)


def our_manifest(case: Case) -> Any:
    own = data("profiles") / "topologies" / f"{case.mesh}.yaml"
    file = own if own.is_file() else MESHES / f"{case.mesh}.yaml"
    # The guides leave certificates to others, and say nothing of roots that change.
    text = file.read_text().replace("ca: managed", "ca: there")
    asked = load_all(Inputs(files=("-",), sets=IMAGES, only=case.cluster, version=PINNED), stdin=text)
    ((_, manifest),) = rendered(asked)
    return manifest


def iop(name: str, spec: dict[str, Any]) -> str:
    head = {"apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "metadata": {"name": name}}
    return yaml.safe_dump({**head, "spec": spec})


def gateway(case: Case, istioctl: Path, tmp_path: Path) -> list[dict[str, Any]]:
    """What the script for east-west gateways makes, rendered where it is an IstioOperator."""
    if not case.gateway:
        return []
    script = samples() / "gen-eastwest-gateway.sh"
    written = subprocess.run(
        ["bash", script, *case.gateway], capture_output=True, text=True, check=True
    ).stdout
    if "--ambient" in case.gateway:
        return documents(written)
    told = yaml.safe_load(written)
    namespace = {"global": {"istioNamespace": case.namespace}}
    told["spec"] = merge(told["spec"], {"values": namespace})
    return generated(istioctl, yaml.safe_dump(told), tmp_path)


def sample(name: str, case: Case) -> list[dict[str, Any]]:
    """Objects of a file that a guide applies to the mesh's namespace."""
    text = (samples() / name).read_text().replace("{{.Revision}}", str(case.spec.get("revision", "")))
    return [merge(each, {"metadata": {"namespace": case.namespace}}) for each in documents(text)]


def generated(istioctl: Path, operator: str, tmp_path: Path) -> list[dict[str, Any]]:
    file = tmp_path / "operator.yaml"
    file.write_text(operator)
    arguments = [part for each in IMAGES for part in ("--set", each)]
    done = subprocess.run(
        [istioctl, "manifest", "generate", "--force", "-f", file, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return documents(done.stdout)


@cache
def samples() -> Path:
    """Folder samples/multicluster of upstream's module."""
    found = subprocess.run(
        ["go", "list", "-m", "-f", "{{.Dir}}", "istio.io/istio"],
        cwd=GO_MODULE, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return Path(found.stdout.strip()) / "samples" / "multicluster"
