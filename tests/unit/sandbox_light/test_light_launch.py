"""From a container of Istio to a process: nothing listens beyond loopback, nothing secret is an argument."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshctl.errors import FailedError
from meshctl.sandbox.binaries import Binaries
from meshctl.sandbox.light_launch import Surroundings, chosen_container, prepare
from meshctl.sandbox.light_ports import Ports
from meshctl.sandbox.versions import HUB
from tests.unit.sandbox_light.fake_api import FakeApi

PORTS = Ports(17_000)
ISTIOD = {
    "name": "discovery",
    "image": f"{HUB}/pilot:1.32.0",
    "args": ["discovery", "--monitoringAddr=:15014", "--domain", "$(DOMAIN)"],
    "env": [{"name": "DOMAIN", "value": "cluster.local"}],
    "readinessProbe": {"httpGet": {"path": "/ready", "port": 8080}},
}
PROXY = {
    "name": "istio-proxy",
    "image": f"{HUB}/proxyv2:1.32.0",
    "args": ["proxy", "sidecar"],
    "restartPolicy": "Always",
    "ports": [{"name": "status", "containerPort": 15021}],
    "env": [
        {"name": "PROXY_CONFIG", "value": '{"concurrency": 2}'},
        {"name": "CA_ADDR", "value": "istiod-canary.istio-system.svc:15012"},
    ],
    "startupProbe": {"httpGet": {"path": "/healthz/ready", "port": "status"}},
}
APP = {"name": "app", "image": "app:1"}
JOB = {"name": "istio-init", "image": f"{HUB}/proxyv2:1.32.0"}


def pod(*containers: dict[str, Any], first: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    meta = {"name": "x", "namespace": "y", "uid": "z"}
    return {"metadata": meta, "spec": {"containers": list(containers), "initContainers": list(first)}}


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    template = tmp_path / "bootstrap.json"
    template.write_text('{"address": "{{ .wildcard }}"}')
    nowhere = tmp_path / "nowhere"
    binaries = Binaries(
        kubernetes=nowhere,
        istio={"1.32.0": Path("/programs/1.32.0")},
        istioctl=nowhere,
        coredns=None,
        kwok=None,
        etcd=nowhere,
        envoy=Path("/programs/envoy"),
        bootstrap=template,
    )
    known = {"istiod-canary.istio-system.svc:15012": 17_021}
    return Surroundings(FakeApi({}), binaries, PORTS, known.get)


def test_the_container_that_runs_is_istios_wherever_it_stands() -> None:
    assert chosen_container(pod(APP, PROXY)) == PROXY
    assert chosen_container(pod(APP, first=(JOB, PROXY))) == PROXY
    assert chosen_container(pod(APP, first=(JOB,))) is None


def test_istiod_keeps_its_arguments_and_gets_ports_on_loopback_that_win(
    around: Surroundings, tmp_path: Path
) -> None:
    launch = prepare(around, pod(ISTIOD), ISTIOD, 0, tmp_path)
    assert launch.argv[:5] == (
        "/programs/1.32.0/pilot-discovery",
        "discovery",
        "--monitoringAddr=:15014",
        "--domain",
        "cluster.local",
    )
    ours = launch.argv[5:]
    assert f"--monitoringAddr=127.0.0.1:{PORTS.stand_in(0, 15014)}" in ours
    assert all("127.0.0.1" in one for one in ours if "ddr" in one)
    assert launch.probe == (PORTS.stand_in(0, 8080), "/ready")


def test_istiod_talks_to_the_api_server_with_the_token_in_its_volume(
    around: Surroundings, tmp_path: Path
) -> None:
    prepare(around, pod(ISTIOD), ISTIOD, 0, tmp_path)
    config = yaml.safe_load((tmp_path / "kubeconfig").read_text())
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:17000"
    token = tmp_path / "var/run/secrets/kubernetes.io/serviceaccount/token"
    assert config["users"][0]["user"] == {"tokenFile": str(token)}


def test_a_proxy_finds_its_istiod_on_loopback_and_checks_its_name(
    around: Surroundings, tmp_path: Path
) -> None:
    launch = prepare(around, pod(APP, PROXY), PROXY, 1, tmp_path)
    config = yaml.safe_load(launch.env["PROXY_CONFIG"])
    assert config["discoveryAddress"] == "127.0.0.1:17021"
    assert config["concurrency"] == 2
    assert config["binaryPath"] == "/programs/envoy"
    assert config["proxyAdminPort"] == PORTS.stand_in(1, 15000)
    assert launch.env["ISTIOD_SAN"] == "istiod-canary.istio-system.svc"
    assert launch.env["CA_ADDR"] == ""
    assert launch.probe == (PORTS.stand_in(1, 15021), "/healthz/ready")
    assert "127.0.0.1" in (tmp_path / config["proxyBootstrapTemplatePath"]).read_text()


def test_istiod_is_told_where_proxies_listen_and_still_reads_the_mesh_of_its_revision(
    around: Surroundings, tmp_path: Path
) -> None:
    revised = {**ISTIOD, "env": [*ISTIOD["env"], {"name": "REVISION", "value": "canary"}]}
    launch = prepare(around, pod(revised), revised, 0, tmp_path)
    assert "--meshConfig=sandbox/mesh" in launch.argv
    assert launch.env["SHARED_MESH_CONFIG"] == "istio-canary"
    sources = [one["address"] for one in json.loads((tmp_path / "sandbox/mesh").read_text())["configSources"]]
    assert sources == ["k8s://", f"fs://{tmp_path}/sandbox/config"]
    moved = json.loads((tmp_path / "sandbox/config/listeners.yaml").read_text())
    values = {one["match"]["context"]: one["patch"]["value"] for one in moved["spec"]["configPatches"]}
    assert values["GATEWAY"] == {"address": {"socket_address": {"address": "127.0.0.1"}}}
    assert values["SIDECAR_INBOUND"] == values["SIDECAR_OUTBOUND"] == {"bind_to_port": False}


def test_envoy_answers_for_its_readiness_itself(around: Surroundings, tmp_path: Path) -> None:
    around.binaries.bootstrap.write_text(
        '{"match": {"prefix": "/healthz/ready"}, "route": {"cluster": "agent"}, '
        '"port": {{ .config.StatusPort }}}'
    )
    launch = prepare(around, pod(APP, PROXY), PROXY, 1, tmp_path)
    template = tmp_path / yaml.safe_load(launch.env["PROXY_CONFIG"])["proxyBootstrapTemplatePath"]
    assert template.read_text() == (
        '{"match": {"prefix": "/healthz/ready"}, "route": {"prefix_rewrite": "/ready", "cluster": "agent"}, '
        '"port": {{ .config.ProxyAdminPort }}}'
    )


def test_a_proxy_waits_while_its_istiod_does_not_run(around: Surroundings, tmp_path: Path) -> None:
    container = {**PROXY, "env": []}
    with pytest.raises(FailedError, match=r"no istiod runs for istiod\.istio-system\.svc:15012"):
        prepare(around, pod(container), container, 0, tmp_path)


@pytest.mark.parametrize("image", [f"{HUB}/pilot:1.0.0", "docker.io/istio/pilot:1.32.0"])
def test_an_image_the_sandbox_does_not_have_cannot_be_pulled(
    around: Surroundings, tmp_path: Path, image: str
) -> None:
    container = {**ISTIOD, "image": image}
    with pytest.raises(FailedError, match=f'pulling image "{image}"') as told:
        prepare(around, pod(container), container, 0, tmp_path)
    assert told.value.code == "image-unknown"
