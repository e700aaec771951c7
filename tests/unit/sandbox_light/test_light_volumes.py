"""Volumes of a pod that runs as a process, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from meshctl.errors import FailedError
from meshctl.sandbox.light_volumes import Volumes
from tests.unit.sandbox_light.fake_api import FakeApi

MESH = "/api/v1/namespaces/istio-system/configmaps/istio"


def volumes(root: Path, api: FakeApi, *of: dict[str, Any], **mount: str) -> Volumes:
    pod = {
        "metadata": {
            "name": "istiod-1",
            "namespace": "istio-system",
            "uid": "u",
            "labels": {"app": "istiod"},
        },
        "spec": {"volumes": list(of), "serviceAccountName": "istiod"},
    }
    mounts = [{"name": one["name"], "mountPath": f"/etc/{one['name']}", **mount} for one in of]
    return Volumes(api, pod, {"volumeMounts": mounts}, root)


def test_a_config_map_becomes_files_that_follow_its_changes(tmp_path: Path) -> None:
    api = FakeApi({MESH: {"data": {"mesh": "a: 1", "old": "x"}}})
    of = volumes(tmp_path, api, {"name": "config", "configMap": {"name": "istio"}})
    of.write()
    assert (tmp_path / "etc/config/mesh").read_text() == "a: 1"
    api.objects[MESH] = {"data": {"mesh": "a: 2"}}
    of.write()
    assert {path.name: path.read_text() for path in (tmp_path / "etc/config").iterdir()} == {"mesh": "a: 2"}


def test_files_are_for_their_owner_alone_and_left_when_they_are_the_same(tmp_path: Path) -> None:
    api = FakeApi({"/api/v1/namespaces/istio-system/secrets/cacerts": {"data": {"key": "c2VjcmV0"}}})
    of = volumes(tmp_path, api, {"name": "cacerts", "secret": {"secretName": "cacerts"}})
    of.write()
    before = (tmp_path / "etc/cacerts/key").stat()
    of.write()
    after = (tmp_path / "etc/cacerts/key").stat()
    assert before.st_mode & 0o777 == 0o600
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_only_the_items_asked_for_are_written_where_they_are_asked_for(tmp_path: Path) -> None:
    api = FakeApi({MESH: {"data": {"mesh": "m", "other": "o"}}})
    source = {"name": "istio", "items": [{"key": "mesh", "path": "deep/mesh.yaml"}]}
    volumes(tmp_path, api, {"name": "config", "configMap": source}).write()
    files = [path for path in (tmp_path / "etc").rglob("*") if path.is_file()]
    assert files == [tmp_path / "etc/config/deep/mesh.yaml"]


def test_a_sub_path_is_one_file(tmp_path: Path) -> None:
    api = FakeApi({MESH: {"data": {"mesh": "m"}}})
    volumes(tmp_path, api, {"name": "config", "configMap": {"name": "istio"}}, subPath="mesh").write()
    assert (tmp_path / "etc/config").read_text() == "m"


def test_what_is_optional_may_be_missing_and_what_is_not_is_told_as_a_kubelet_does(tmp_path: Path) -> None:
    optional = {"name": "remote", "secret": {"secretName": "none", "optional": True}}
    volumes(tmp_path, FakeApi({}), optional).write()
    assert list((tmp_path / "etc/remote").iterdir()) == []
    with pytest.raises(FailedError, match='configmap "istio" not found'):
        volumes(tmp_path, FakeApi({}), {"name": "config", "configMap": {"name": "istio"}}).write()


def test_an_empty_folder_keeps_what_the_program_puts_there(tmp_path: Path) -> None:
    of = volumes(tmp_path, FakeApi({}), {"name": "data", "emptyDir": {}})
    of.write()
    (tmp_path / "etc/data/mine").touch()
    of.write()
    assert (tmp_path / "etc/data/mine").exists()


def test_a_token_is_bound_to_the_pod_and_kept_for_half_its_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("meshctl.sandbox.light_volumes.clock", lambda: now[0])
    api = FakeApi({})
    asked = {"audience": "istio-ca", "expirationSeconds": 600, "path": "istio-token"}
    of = volumes(
        tmp_path, api, {"name": "tokens", "projected": {"sources": [{"serviceAccountToken": asked}]}}
    )
    token = tmp_path / "etc/tokens/istio-token"
    of.write()
    now[0] += 299
    of.write()
    assert token.read_text() == "token-1"
    now[0] += 2
    of.write()
    assert token.read_text() == "token-2"
    assert api.asked[0]["path"] == "/api/v1/namespaces/istio-system/serviceaccounts/istiod/token"
    assert api.asked[0]["audiences"] == ["istio-ca"]
    assert api.asked[0]["boundObjectRef"]["uid"] == "u"


def test_a_pod_is_told_its_labels_by_a_file(tmp_path: Path) -> None:
    items = [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
    volumes(tmp_path, FakeApi({}), {"name": "pod", "downwardAPI": {"items": items}}).write()
    assert (tmp_path / "etc/pod/labels").read_text() == 'app="istiod"'
