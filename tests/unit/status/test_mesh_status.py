"""How a mesh stands, read from the API server alone."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from meshctl import pki
from meshctl.actions.status import status
from meshctl.errors import AccessError, UnreachableError
from meshctl.model.manifest import Manifest, Part
from meshctl.model.objects import Object
from meshctl.model.release import Release, Status
from meshctl.model.standing import DefaultOwner, MeshStatus, Standing
from meshctl.ports import World
from meshctl.stages.seeing.status_data import mesh_status_data
from tests.fakes import FakeClock, FakeFiles, FakeReleases
from tests.istiods import AskedCluster, proxied_pod, root_config_map

BORN = datetime(2026, 3, 1, tzinfo=UTC)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROOT = pki.new_authority(pki.Subject(common_name="root"), BORN, days=100)
ALL_READY = {
    "observedGeneration": 1,
    "desiredNumberScheduled": 2,
    "updatedNumberScheduled": 2,
    "numberAvailable": 2,
    "numberReady": 2,
}


def stand(
    *objects: Any, records: tuple[Release, ...] = (), now: datetime = NOON, **cluster: Any
) -> MeshStatus:
    home = AskedCluster(*objects, **cluster)
    return status(World({"home": home}, {"home": FakeReleases(*records)}, FakeClock(now), FakeFiles()))


def only(found: MeshStatus) -> Standing:
    (one,) = found.clusters
    return one


def codes(found: MeshStatus) -> list[str]:
    return [finding.rule.code for finding in found.findings]


def deployment(
    name: str = "istiod", *, ready: int = 1, tag: str = "1.31.1", router: bool = False, **labels: str
) -> dict[str, Any]:
    container = {"name": "discovery", "image": f"istio/pilot:{tag}"}
    if router:
        container = {"name": "istio-proxy", "image": f"istio/proxyv2:{tag}", "args": ["proxy", "router"]}
    given = {"istio": "ingressgateway"} if router else {"istio": "pilot", "app": "istiod"}
    state = {
        "observedGeneration": 1,
        "replicas": 1,
        "updatedReplicas": 1,
        "readyReplicas": ready,
        "availableReplicas": ready,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": "istio-system", "name": name, "uid": name, "labels": {**given, **labels}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": {"spec": {"containers": [container]}},
        },
        "status": state,
    }


def injector(
    name: str = "istio-sidecar-injector",
    *,
    revision: str = "default",
    service: str = "istiod",
    bundle: bytes | None = ROOT.root,
    selects: str = "enabled",
    **labels: str,
) -> dict[str, Any]:
    client: dict[str, Any] = {"service": {"namespace": "istio-system", "name": service, "path": "/inject"}}
    if bundle is not None:
        client["caBundle"] = base64.b64encode(bundle).decode()
    expression = {"key": "istio-injection", "operator": "In", "values": [selects]}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name, "labels": {"istio.io/rev": revision, **labels}},
        "webhooks": [
            {
                "name": "namespace.sidecar-injector.istio.io",
                "clientConfig": client,
                "failurePolicy": "Fail",
                "namespaceSelector": {"matchExpressions": [expression]},
            }
        ],
    }


def validator(service: str = "istiod", policy: str = "Fail") -> dict[str, Any]:
    made = injector("istiod-default-validator", service=service)
    made["kind"] = "ValidatingWebhookConfiguration"
    made["webhooks"][0] |= {"name": "validation.istio.io", "failurePolicy": policy, "namespaceSelector": {}}
    return made


def endpoints(service: str = "istiod", *, ready: bool = True) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": "istio-system",
            "name": f"{service}-1",
            "labels": {"kubernetes.io/service-name": service},
        },
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}],
    }


def ca_secret(name: str, **files: bytes) -> dict[str, Any]:
    data = {key.replace("_", "-") + ".pem": base64.b64encode(pem).decode() for key, pem in files.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": "istio-system", "name": name},
        "data": data,
    }


def release(stage: Status = Status.DEPLOYED, generation: int = 2, tag: str = "1.31.1") -> Release:
    part = Part("istiod", "istiod", objects=(Object(deployment(tag=tag)),))
    return Release(
        mesh="mesh",
        cluster="home",
        generation=generation,
        status=stage,
        version="1.31.1",
        revision="",
        profile="default",
        namespace="istio-system",
        created="2026-03-01T00:00:00Z",
        manifest=Manifest((part,)),
        values={},
    )


WHOLE = (deployment(), injector(), validator(), endpoints(), root_config_map(ROOT))


def test_a_whole_mesh_is_sound() -> None:
    found = stand(*WHOLE, records=(release(),))
    assert found.findings == ()
    assert found.is_sound
    assert only(found).default == DefaultOwner("default", "default")


def test_nothing_installed_is_told_as_that_and_is_no_finding() -> None:
    found = stand()
    assert not only(found).is_installed
    assert found.findings == ()
    assert not found.is_sound


@pytest.mark.parametrize(
    ("labels", "annotations", "by"),
    [
        ({"meshctl.dev/mesh": "mesh", "app.kubernetes.io/managed-by": "meshctl"}, {}, "meshctl"),
        ({"operator.istio.io/component": "Pilot", "app.kubernetes.io/managed-by": "Helm"}, {}, "istioctl"),
        ({"app.kubernetes.io/managed-by": "Helm"}, {"meta.helm.sh/release-name": "istiod"}, "helm"),
        ({"app.kubernetes.io/managed-by": "Sail"}, {}, "sail"),
        ({}, {}, ""),
    ],
)
def test_who_installed_the_control_plane_is_told(
    labels: dict[str, str], annotations: dict[str, str], by: str
) -> None:
    plane = deployment(**labels)
    plane["metadata"]["annotations"] = annotations
    assert [each.by for each in only(stand(plane)).installations] == [by]


def test_the_control_plane_comes_first_and_what_is_not_istios_is_left_out() -> None:
    theirs = deployment("istio-demo", istio="demo")
    del theirs["metadata"]["labels"]["app"]
    made = deployment(
        "shop-gateway", router=True, **{"gateway.istio.io/managed": "istio.io-gateway-controller"}
    )
    daemon = deployment("ztunnel")
    daemon |= {
        "kind": "DaemonSet",
        "status": {"desiredNumberScheduled": 2, "numberAvailable": 2, "numberReady": 2},
    }
    daemon["metadata"]["labels"] = {"app": "ztunnel"}
    daemon["spec"]["template"]["metadata"] = {"labels": {"app": "ztunnel"}}
    found = only(stand(deployment("a-gateway", router=True), made, theirs, daemon, *WHOLE)).installations
    assert [(each.ref.name, each.role.value, each.by, each.ready) for each in found] == [
        ("istiod", "control-plane", "", 1),
        ("a-gateway", "gateway", "", 1),
        ("shop-gateway", "gateway", "istiod", 1),
        ("ztunnel", "ztunnel", "", 2),
    ]


def test_a_control_plane_that_is_not_ready_says_why() -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": "istio-system", "name": "istiod-1", "labels": {"app": "istiod"}},
        "spec": {"containers": []},
        "status": {
            "phase": "Pending",
            "containerStatuses": [
                {"name": "discovery", "image": "x", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
            ],
        },
    }
    found = stand(deployment(ready=0), pod)
    assert [str(each.message) for each in found.findings] == [
        "0 of 1 replicas are available; container 'discovery' of pod 'istiod-1': ImagePullBackOff"
    ]
    assert not found.is_sound


def test_a_gateway_that_is_not_ready_is_found() -> None:
    assert codes(stand(*WHOLE, deployment("in", router=True, ready=0))) == ["data-plane-ready"]


def test_a_recorded_control_plane_that_is_gone_is_found() -> None:
    found = stand(records=(release(),))
    assert codes(found) == ["control-plane-present"]
    assert "generation 2 of mesh 'mesh'" in found.findings[0].message


def test_what_could_not_be_read_is_named_and_not_taken_for_missing() -> None:
    denied = AccessError("forbidden", "you may not list Deployments")
    found = stand(
        *WHOLE, records=(release(),), broken={"Deployment": denied, "Secret": denied, "Pod": denied}
    )
    assert dict(only(found).unread) == {"workloads": denied, "CA secrets": denied, "pods": denied}
    assert only(found).data_plane is None
    assert codes(found) == []
    assert not found.is_sound


@pytest.mark.parametrize("stage", [Status.PENDING, Status.FAILED, Status.UNINSTALLING])
def test_a_release_that_did_not_finish_is_found(stage: Status) -> None:
    found = stand(*WHOLE, records=(release(generation=1), release(stage)))
    assert codes(found) == ["release-settled"]
    assert [each.generation for each in only(found).releases] == [2]


def test_another_image_than_recorded_is_found() -> None:
    found = stand(*WHOLE, records=(release(tag="1.30.0"),))
    assert codes(found) == ["image-as-recorded"]
    assert found.findings[0].message == "it runs istio/pilot:1.31.1, and the record says istio/pilot:1.30.0"


def test_a_webhook_without_a_ready_endpoint_is_found() -> None:
    found = stand(deployment(), injector(), validator(policy="Ignore"), endpoints(ready=False))
    assert codes(found) == ["webhook-served", "webhook-served"]
    assert found.findings[1].message == (
        "Service istio-system/istiod has no ready endpoint (its failures are ignored)"
    )


def test_a_webhook_without_a_ca_bundle_is_found() -> None:
    assert codes(stand(injector(bundle=None), endpoints(), root_config_map(ROOT))) == ["webhook-trusted"]


def test_a_webhook_that_trusts_another_root_is_found() -> None:
    other = pki.new_authority(pki.Subject(common_name="other"), BORN).root
    assert codes(stand(injector(bundle=other), endpoints(), root_config_map(ROOT))) == ["webhook-root"]
    both = injector(bundle=other + ROOT.root)
    assert codes(stand(both, endpoints(), root_config_map(ROOT))) == []


def test_a_webhook_elsewhere_is_told_by_its_url() -> None:
    remote = injector()
    remote["webhooks"][0]["clientConfig"] = {"url": "https://istiod.example:15017/inject", "caBundle": "eA=="}
    (hook,) = only(stand(remote)).webhooks
    assert (hook.target, hook.is_alive) == ("https://istiod.example:15017/inject", None)


def test_other_peoples_webhooks_are_left_out() -> None:
    theirs = injector("cert-manager")
    theirs["webhooks"][0]["name"] = "webhook.cert-manager.io"
    assert only(stand(theirs)).webhooks == ()


def test_a_default_whose_validator_stayed_behind_is_found() -> None:
    tag = injector("istio-revision-tag-default", revision="blue", service="istiod-blue")
    old = injector()
    old["webhooks"][0]["namespaceSelector"]["matchLabels"] = {"istio.io/deactivated": "never-match"}
    found = stand(deployment(), tag, old, validator(), endpoints(), endpoints("istiod-blue"))
    assert only(found).default == DefaultOwner(injection="blue", validation="default")
    assert codes(found) == ["one-default-revision"]


def test_certificates_tell_how_much_of_their_life_is_left() -> None:
    ca = ROOT.intermediate(pki.Subject(common_name="ca"), BORN, days=50)
    chain = ca_secret(
        "cacerts", ca_cert=ca.pair.certificate, root_cert=ROOT.root, ca_key=b"not a key to look at"
    )
    unused = ca_secret("istio-ca-secret", ca_cert=ROOT.root)
    found = stand(*WHOLE, chain, unused, now=BORN + timedelta(days=45))
    ages = only(found).certificates
    assert [(age.name, age.place, round(age.left(found.now), 2)) for age in ages] == [
        ("mesh root", "ConfigMap istio-system/istio-ca-root-cert", 0.55),
        ("signing CA", "Secret istio-system/cacerts ca-cert.pem", 0.1),
        ("mesh root", "Secret istio-system/cacerts root-cert.pem", 0.55),
    ]
    assert codes(found) == ["ca-lasts"]
    assert found.is_sound  # a warning


def test_a_ca_that_has_ended_is_an_error() -> None:
    found = stand(*WHOLE, now=BORN + timedelta(days=101))
    assert codes(found) == ["ca-valid"]
    assert not found.is_sound


def test_a_broken_certificate_is_passed_over() -> None:
    assert only(stand(ca_secret("cacerts", ca_cert=b"nonsense"))).certificates == ()


def test_pods_with_a_proxy_are_counted_by_version() -> None:
    old = proxied_pod("web-3", "bank")
    old["spec"]["containers"][1]["image"] = "istio/proxyv2:1.30.0"
    plane = only(stand(proxied_pod("web-1"), proxied_pod("in-1", role="router"), old)).data_plane
    assert plane is not None
    assert (plane.sidecars, plane.gateways, plane.namespaces) == (2, 1, 2)
    assert plane.versions == {"1.30.0": 1, "1.31.0": 2}


def test_a_cluster_that_is_away_is_told_among_the_others() -> None:
    away = UnreachableError("unreachable", "no answer")
    world = World(
        {"home": AskedCluster(*WHOLE), "far": AskedCluster(name="far", broken={"version": away})},
        {},
        FakeClock(NOON),
        FakeFiles(),
    )
    found = status(world)
    assert [(each.cluster, each.unread) for each in found.clusters] == [
        ("home", ()),
        ("far", (("cluster", away),)),
    ]
    assert not found.is_sound


def test_when_no_cluster_answers_that_is_the_error() -> None:
    with pytest.raises(UnreachableError):
        stand(broken={"version": UnreachableError("unreachable", "no answer")})


def test_the_json_form_is_stable() -> None:
    data = mesh_status_data(
        stand(*WHOLE[:2], endpoints(), root_config_map(ROOT), records=(release(Status.FAILED),))
    )
    (cluster,) = data["clusters"]
    assert data["sound"] is True
    assert {key: value for key, value in cluster.items() if key not in ("installations", "webhooks")} == {
        "cluster": "home",
        "server": "https://home.example:6443",
        "version": "v1.34.4",
        "installed": True,
        "releases": [
            {
                "mesh": "mesh", "generation": 2, "status": "failed", "version": "1.31.1",
                "revision": "default", "profile": "default",
                "namespace": "istio-system", "created": "2026-03-01T00:00:00Z", "cause": "", "restores": None,
            }
        ],
        "default": {"injection": "default", "validation": ""},
        "certificates": [
            {
                "name": "mesh root", "place": "ConfigMap istio-system/istio-ca-root-cert",
                "begins": "2026-02-28T23:55:00Z", "ends": "2026-06-09T00:00:00Z", "left": 0.995,
            }
        ],
        "dataPlane": {"sidecars": 0, "gateways": 0, "namespaces": 0, "versions": {}},
        "findings": [
            {
                "code": "release-settled", "level": "warning", "subject": "release mesh 2",
                "message": "it is failed since 2026-03-01T00:00:00Z",
                "place": "",
                "hint": "run the same command again: it continues where it stopped",
            }
        ],
        "unread": [],
    }  # fmt: skip
    assert list(cluster["installations"][0]) == [
        "kind", "namespace", "name", "role", "revision", "version", "image", "by", "wanted", "ready",
        "trouble", "causes",
    ]  # fmt: skip
    assert cluster["webhooks"] == [
        {
            "kind": "MutatingWebhookConfiguration", "name": "istio-sidecar-injector", "revision": "default",
            "tag": "", "target": "Service istio-system/istiod", "alive": True, "bundle": True,
            "trustsRoot": True, "required": True,
        }
    ]  # fmt: skip


def test_no_private_part_of_a_secret_is_kept() -> None:
    secret = ca_secret("istio-ca-secret", ca_cert=ROOT.root, ca_key=b"the private part")
    found = replace(stand(secret), now=NOON)
    private = base64.b64encode(b"the private part").decode()
    assert private not in repr(found)
    assert private not in str(mesh_status_data(found))


def test_a_control_plane_scaled_to_nothing_is_found() -> None:
    plane = deployment(ready=0)
    plane["spec"]["replicas"] = 0
    plane["status"] = {"observedGeneration": 1}
    assert [finding.message for finding in stand(plane).findings] == ["it is scaled to 0 replicas"]


DOCUMENT = (Path(__file__).parents[3] / "docs" / "reference" / "json.md").read_text()


def test_every_key_of_the_json_form_is_documented() -> None:
    found = stand(
        *WHOLE, records=(release(Status.FAILED),), broken={"Secret": AccessError("forbidden", "no")}
    )

    def keys(data: Any) -> set[str]:
        if isinstance(data, dict):
            return set(data) | {key for each in data.values() for key in keys(each)}
        return {key for each in data for key in keys(each)} if isinstance(data, list) else set()

    undocumented = [
        key for key in sorted(keys(mesh_status_data(found))) if not re.search(rf"\W{key}\W", DOCUMENT)
    ]
    assert undocumented == []
