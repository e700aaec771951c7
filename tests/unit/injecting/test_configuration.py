"""The injector's configuration, from the objects of a control plane."""

from __future__ import annotations

import json
from typing import Any

import pytest

from meshctl.errors import ConfigError
from meshctl.model.objects import Object
from meshctl.stages.injecting.configuration import Text, from_objects, from_texts, knows_targets


def config_map(name: str, **data: str) -> Object:
    return Object({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})


def istiod(image: str = "pilot:1.32.0", **env: str) -> Object:
    variables = [{"name": name, "value": value} for name, value in env.items()]
    container = {"name": "discovery", "image": image, "env": variables}
    spec = {"template": {"spec": {"containers": [container]}}}
    return Object(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "istiod"}, "spec": spec}
    )


def namespace(name: str, **notes: str) -> Object:
    notes = {f"openshift.io/sa.scc.{key.replace('_', '-')}": value for key, value in notes.items()}
    return Object({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "annotations": notes}})


def webhook(path: str) -> Object:
    hook = {"name": "x", "clientConfig": {"service": {"name": "istiod", "path": path}}}
    meta = {"name": "istio-sidecar-injector", "labels": {"istio.io/rev": "default"}}
    kind = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration"}
    return Object({**kind, "metadata": meta, "webhooks": [hook]})


CONFIG = json.dumps({"policy": "disabled", "templates": {"sidecar": "x: y"}})
MAPS = (
    config_map("istio-sidecar-injector", config=CONFIG, values="{}"),
    config_map("istio", mesh="defaultConfig: {statusPort: 15099}\n"),
)


def test_the_config_maps_say_how_pods_are_injected() -> None:
    found = from_objects(MAPS, "")
    assert found.config["policy"] == "disabled"
    assert found.mesh["defaultConfig"]["statusPort"] == 15099
    assert found.mesh["defaultConfig"]["drainDuration"] == "45s"


def test_istiod_s_environment_and_webhook_have_their_say() -> None:
    env = {"ENABLE_NATIVE_SIDECARS": "true", "COMPLIANCE_POLICY": "fips-140-2"}
    found = from_objects([*MAPS, istiod(**env), webhook("/inject/cluster/east")], "default")
    assert (found.native, found.compliance, found.revision) == (True, "fips-140-2", "")
    assert found.variables == {"ISTIO_META_CLUSTER_ID": "east"}


def test_on_openshift_the_proxy_s_user_is_the_last_of_the_namespace_s_range() -> None:
    spaces = [
        namespace("a", uid_range="1000710000/10000"),
        namespace("b", uid_range="100-199", supplemental_groups="5000/10,7000/10"),
        namespace("c"),
    ]
    found = from_objects([*MAPS, istiod(PLATFORM="openshift"), *spaces], "")
    assert found.users == {"a": (1000719999, 1000719999), "b": (199, 5009)}
    assert from_objects([*MAPS, istiod(), *spaces], "").users == {}


def test_an_unknown_revision_is_refused_with_the_config_maps_that_are_there() -> None:
    with pytest.raises(ConfigError, match="there is no ConfigMap 'istio-sidecar-injector-canary'") as caught:
        from_objects(MAPS, "canary")
    assert "istio-sidecar-injector" in caught.value.hint


@pytest.mark.parametrize(
    ("image", "knows"),
    [("r.io:5000/pilot:1.30.3", False), ("pilot:1.31.0-debug", True), ("pilot@sha256:00", True)],
)
def test_an_older_istiod_scrapes_one_port_only(image: str, knows: bool) -> None:
    assert knows_targets(istiod(image)) is knows


@pytest.mark.parametrize(
    ("mesh", "fault"),
    [
        ("defaultConfig: {concurrency: two}", "concurrency"),
        ("defaultConfig: {proxyMetadata: {A: true}}", "proxyMetadata.A"),
        ("- a list", "no map"),
        ("{", "not YAML"),
    ],
)
def test_a_wrong_mesh_configuration_is_refused_with_its_origin(mesh: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_texts(Text(CONFIG, "a"), Text("{}", "b"), Text(mesh, "mesh.yaml"))
    assert fault in caught.value.message
    assert str(caught.value.where) == "mesh.yaml"


def test_a_bare_template_is_the_sidecar_s() -> None:
    template = "spec:\n  {{ if true }}\n  priority: 1\n  {{ end }}\n"
    found: Any = from_texts(Text(template, "a"), Text("{}", "b"), None)
    assert found.config["templates"] == {"sidecar": template}
