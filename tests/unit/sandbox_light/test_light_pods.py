"""A pod as a process: started, told about, started again, and gone with all that belongs to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from meshctl.errors import FailedError
from meshctl.sandbox import light_pods
from meshctl.sandbox.binaries import Binaries
from meshctl.sandbox.ledger import Ledger
from meshctl.sandbox.light_kubelet import follow_once
from meshctl.sandbox.light_launch import Launch, Surroundings
from meshctl.sandbox.light_places import Places
from meshctl.sandbox.light_pods import Kubelet, Pod
from meshctl.sandbox.light_ports import Ports
from meshctl.sandbox.process import alive
from meshctl.sandbox.versions import HUB
from tests.unit.sandbox_light.fake_api import FakeApi

PATH = "/api/v1/namespaces/istio-system/pods/istiod-1"
POD: dict[str, Any] = {
    "metadata": {"name": "istiod-1", "namespace": "istio-system", "uid": "u"},
    "spec": {"nodeName": "n", "containers": [{"name": "discovery", "image": f"{HUB}/pilot:1.32.0"}]},
}


def until(what: Callable[[], object]) -> bool:
    for _ in range(200):
        if what():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def api() -> FakeApi:
    return FakeApi({PATH: POD})


@pytest.fixture
def kubelet(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubelet]:
    """One that starts `sleep` for whatever it is given, in no time."""
    monkeypatch.setattr(light_pods, "_RETRY", 0.02)
    monkeypatch.setattr(light_pods, "_BACK_OFF", (0.02,))
    monkeypatch.setattr(light_pods, "is_free", lambda port: True)
    sleeping = Launch(("sh", "-c", "sleep 1000 & sleep 1000"), {"PATH": "/usr/bin:/bin"}, None)
    monkeypatch.setattr(light_pods, "prepare", lambda *_: sleeping)
    nowhere = tmp_path / "nowhere"
    binaries = Binaries(nowhere, {}, nowhere, None, None, nowhere, nowhere, nowhere)
    around = Surroundings(api, binaries, Ports(17_000), lambda _: None)
    ledger = Ledger(tmp_path / "ledger.jsonl")
    yield Kubelet(around, Places(IPv4Network("100.65.0.0/16")), ledger, "c1", "10.0.0.1", tmp_path / "pods")
    for process in ledger.processes():
        light_pods._stop(process)


def container(api: FakeApi) -> dict[str, Any]:
    statuses = [
        one["status"]["containerStatuses"][0] for path, one in api.patched if path == f"{PATH}/status"
    ]
    return dict(statuses[-1]) if statuses else {}


def test_it_runs_at_its_place_and_is_told_ready(kubelet: Kubelet, api: FakeApi) -> None:
    pod = Pod(kubelet, POD)
    pod.begin()
    assert until(lambda: container(api).get("ready"))
    assert kubelet.places.of("istio-system", "istiod-1") == 0
    assert [one.name for one in kubelet.ledger.processes()] == ["c1/pod/istio-system/istiod-1"]
    pod.end()


def test_a_process_that_ends_is_started_again_and_counted(kubelet: Kubelet, api: FakeApi) -> None:
    pod = Pod(kubelet, POD)
    pod.begin()
    assert until(lambda: container(api).get("ready"))
    light_pods._stop(kubelet.ledger.processes()[0])
    assert until(lambda: container(api).get("restartCount") == 1 and container(api).get("ready"))
    assert len(kubelet.ledger.processes()) == 2
    pod.end()


def test_what_keeps_it_from_starting_is_told_until_it_is_there(
    kubelet: Kubelet, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = light_pods.prepare

    def refuse(*_: object) -> Launch:
        raise FailedError("image-unknown", "no such image")

    monkeypatch.setattr(light_pods, "prepare", refuse)
    pod = Pod(kubelet, POD)
    pod.begin()
    assert until(
        lambda: container(api).get("state", {}).get("waiting", {}).get("reason") == "ImagePullBackOff"
    )
    monkeypatch.setattr(light_pods, "prepare", launch)
    assert until(lambda: container(api).get("ready"))
    pod.end()


def test_when_it_goes_its_process_place_and_object_go(kubelet: Kubelet, api: FakeApi) -> None:
    pod = Pod(kubelet, POD)
    pod.begin()
    assert until(lambda: container(api).get("ready"))
    api.objects[PATH] = {**POD, "metadata": {**POD["metadata"], "deletionTimestamp": "now"}}
    pod.end()
    assert until(lambda: api.deleted == [f"{PATH}?gracePeriodSeconds=0"])
    assert not any(map(alive, kubelet.ledger.processes()))
    assert kubelet.places.of("istio-system", "istiod-1") is None
    assert not (kubelet.folder / "u").exists()


def test_a_pod_that_was_deleted_while_nobody_looked_is_ended_by_the_next_list(
    kubelet: Kubelet, api: FakeApi
) -> None:
    running: dict[str, Pod] = {}
    api.objects["/pods"] = {"metadata": {"resourceVersion": "1"}, "items": [POD]}
    follow_once(kubelet, "/pods", running)
    assert until(lambda: container(api).get("ready"))
    api.objects["/pods"] = {"metadata": {"resourceVersion": "2"}, "items": []}
    follow_once(kubelet, "/pods", running)
    assert running == {}
    assert until(lambda: not any(map(alive, kubelet.ledger.processes())))
