"""`meshctl inject --offline` and `meshctl uninject`, as people call them."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

WEB = """\
# of shop
apiVersion: v1
kind: Service
metadata: {name: web}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata:
      labels: {app: web}
    spec:
      containers: [{name: web, image: "web:1"}]
"""
BAD = WEB.replace(
    "      labels: {app: web}\n",
    "      annotations:\n"
    "        sidecar.istio.io/proxyCPU: lots\n"
    "        traffic.sidecar.istio.io/excludeInboundPorts: http\n",
)

Call = Callable[..., Any]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "web.yaml"
    path.write_text(WEB)
    return path


def documents(text: str) -> list[Any]:
    return list(yaml.safe_load_all(text))


def containers(text: str) -> list[str]:
    return [each["name"] for each in documents(text)[1]["spec"]["template"]["spec"]["containers"]]


def test_workloads_are_injected_and_all_else_passes_through(meshctl: Call, file: Path) -> None:
    told = meshctl("inject", "--offline", "-f", str(file))
    assert told.code == 0
    assert documents(told.out)[0] == documents(WEB)[0]
    assert containers(told.out) == ["web", "istio-proxy"]
    assert told.err == f"{file}:6: Deployment shop/web: injected\n"


def test_standard_input_is_read(meshctl: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(WEB))
    assert containers(meshctl("inject", "--offline", "-").out) == ["web", "istio-proxy"]


def test_json_is_a_list_that_kubectl_takes(meshctl: Call, file: Path) -> None:
    told = json.loads(meshctl("inject", "--offline", str(file), "-o", "json").out)
    assert (told["apiVersion"], told["kind"], len(told["items"])) == ("v1", "List", 2)


def test_write_injects_in_place_and_uninject_undoes_it(meshctl: Call, file: Path) -> None:
    assert meshctl("inject", "--offline", "--write", str(file)).out == ""
    once = file.read_text()
    assert containers(once) == ["web", "istio-proxy"]
    told = meshctl("inject", "--offline", "--write", str(file))
    assert "Deployment shop/web: already injected" in told.err
    assert file.read_text() == once
    meshctl("uninject", "--write", str(file))
    assert documents(file.read_text()) == documents(WEB)


def test_a_file_without_a_change_is_not_written(meshctl: Call, file: Path) -> None:
    meshctl("uninject", "--write", str(file))
    assert file.read_text() == WEB


def test_a_folder_goes_to_a_folder_of_the_same_shape(meshctl: Call, file: Path, tmp_path: Path) -> None:
    (tmp_path / "k8s" / "deep").mkdir(parents=True)
    file.rename(tmp_path / "k8s" / "deep" / "web.yaml")
    (tmp_path / "k8s" / "pod.json").write_text(
        json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": []}})
    )
    (tmp_path / "k8s" / "README.md").write_text("# not YAML: {")
    meshctl("inject", "--offline", "-f", str(tmp_path / "k8s"), "--out", str(tmp_path / "out"))
    assert containers((tmp_path / "out" / "deep" / "web.yaml").read_text()) == ["web", "istio-proxy"]
    assert json.loads((tmp_path / "out" / "pod.json").read_text())["spec"]["containers"]
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == ["deep", "pod.json"]


def test_every_wrong_annotation_is_told_with_its_file_and_line(meshctl: Call, file: Path) -> None:
    file.write_text(BAD)
    told = meshctl("inject", "--offline", str(file))
    assert told.code == 2
    assert told.out == ""
    assert f"{file}:12  Deployment shop/web" in told.err
    assert "'lots' is no value for sidecar.istio.io/proxyCPU" in told.err
    assert "'http' is no value for traffic.sidecar.istio.io/excludeInboundPorts" in told.err


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("hostNetwork: true", "it uses the host's network"),
        ("# kube-system", "namespace kube-system is never injected"),
        ("# label", 'sidecar.istio.io/inject is "false"'),
    ],
)
def test_what_is_left_alone_is_told_with_the_reason(
    change: str, reason: str, meshctl: Call, file: Path
) -> None:
    text = WEB.replace("    spec:\n      containers", f"    spec:\n      {change}\n      containers")
    text = text.replace("namespace: shop", "namespace: kube-system") if "system" in change else text
    text = text.replace("app: web", 'sidecar.istio.io/inject: "false"') if "label" in change else text
    file.write_text(text)
    told = meshctl("inject", "--offline", str(file))
    assert told.err.endswith(f": left alone: {reason}\n")
    assert documents(told.out) == documents(text)


def test_settings_of_the_mesh_are_heeded(meshctl: Call, file: Path) -> None:
    words = ["--set", "meshConfig.defaultConfig.holdApplicationUntilProxyStarts=true", "-r", "canary"]
    told = meshctl("inject", "--offline", str(file), *words)
    assert containers(told.out) == ["istio-proxy", "web"]
    notes = documents(told.out)[1]["spec"]["template"]["metadata"]["annotations"]
    assert json.loads(notes["sidecar.istio.io/status"])["revision"] == "canary"


def test_sidecars_are_native_on_demand(meshctl: Call, file: Path) -> None:
    told = meshctl("inject", "--offline", str(file), "--native-sidecars")
    pod = documents(told.out)[1]["spec"]["template"]["spec"]
    assert [each["name"] for each in pod["initContainers"]] == ["istio-init", "istio-proxy"]


def test_config_maps_of_another_installer_are_evaluated(meshctl: Call, file: Path, tmp_path: Path) -> None:
    template = 'spec:\n  containers:\n  - {name: beside, image: "{{ .Values.image }}"}\n'
    config = json.dumps({"policy": "enabled", "templates": {"sidecar": template}})
    held = {"kind": "ConfigMap", "data": {"config": config, "values": json.dumps({"image": "x:1"})}}
    (tmp_path / "cm.yaml").write_text(json.dumps(held))
    told = meshctl("inject", "--offline", "--inject-config", str(tmp_path / "cm.yaml"), str(file))
    assert containers(told.out) == ["beside", "web"]


def test_a_configuration_without_values_is_refused(meshctl: Call, file: Path, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("templates: {sidecar: ''}\n")
    told = meshctl("inject", "--offline", "--inject-config", str(tmp_path / "config"), str(file))
    assert told.code == 2
    assert "there is no 'values' of an injector" in told.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "no file is named"),
        (["--offline", "nowhere.yaml"], "cannot read the file"),
        (["--offline", "--write", "-"], "--write and standard input do not go together"),
        (["--profile", "demo", "FILE"], "add --offline"),
        (["--offline", "--values", "FILE", "FILE"], "this goes with --inject-config only"),
        (["--offline", "--profile", "dmeo", "FILE"], "demo"),
        (["--offline", "--istio-version", "1.2", "FILE"], "1.2"),
        (["--offline", "--inject-config", "nowhere", "FILE"], "cannot read 'nowhere'"),
    ],
)
def test_what_does_not_go_together_is_refused(words: list[str], says: str, meshctl: Call, file: Path) -> None:
    told = meshctl("inject", *(str(file) if word == "FILE" else word for word in words))
    assert told.code != 0
    assert says in told.err
    assert told.out == ""


def test_an_unknown_template_is_refused_with_the_nearest(meshctl: Call, file: Path) -> None:
    file.write_text(WEB.replace("labels: {app: web}", "annotations: {inject.istio.io/templates: sidcar}"))
    told = meshctl("inject", "--offline", str(file))
    assert "there is no injection template 'sidcar'" in told.err
    assert "did you mean 'sidecar'?" in told.err


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2]",
        "just text",
        "null",
        "apiVersion: v1\nkind: Pod\n",
        "kind: Deployment\napiVersion: apps/v1\nspec:\n",
        "a: 1",
    ],
)
def test_what_is_no_workload_passes_through(text: str, meshctl: Call, file: Path) -> None:
    file.write_text(text)
    told = meshctl("inject", "--offline", str(file))
    assert told.code == 0
    assert [each for each in documents(told.out) if each] == [each for each in documents(text) if each]


def test_a_status_that_no_injector_wrote_is_refused(meshctl: Call, file: Path) -> None:
    file.write_text(WEB.replace("labels: {app: web}", "annotations: {sidecar.istio.io/status: mine}"))
    told = meshctl("uninject", str(file))
    assert told.code == 2
    assert "sidecar.istio.io/status is not what an injector writes" in told.err
