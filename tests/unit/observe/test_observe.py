"""Observation reads what is asked, and never writes."""

from __future__ import annotations

import pytest

from meshctl.errors import ConfigError
from meshctl.model.objects import Ref
from meshctl.stages.seeing.observe import Detection, inventory, look, observe
from tests.fakes import FakeCluster, FakeReleases

NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "n1", "labels": {"meshctl.dev/sandbox": "true"}},
}
MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "default"}}
EVENT = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"}}
REF = Ref("v1", "ConfigMap", "default", "a")
ABSENT = Ref("v1", "ConfigMap", "default", "absent")


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster("east", NODE, MAP, EVENT)


def test_an_observation_holds_what_was_asked_for(cluster: FakeCluster) -> None:
    seen = observe(cluster, FakeReleases(), "m", refs=[REF, ABSENT])
    assert (seen.cluster, seen.version, seen.kinds) == ("east", "v1.34.4", cluster.kinds())
    assert list(seen.objects) == [REF]
    assert seen.releases == ()


def test_observing_writes_nothing(cluster: FakeCluster) -> None:
    observe(cluster, FakeReleases(), "m", refs=[REF], detections=[Detection("sandbox", labels=("a=b",))])
    inventory(cluster)
    assert cluster.writes == []


def test_looking_for_nothing_asks_nothing(cluster: FakeCluster) -> None:
    assert look(cluster, []) == {}


@pytest.mark.parametrize(
    ("detection", "fits"),
    [
        (Detection("p", labels=("meshctl.dev/sandbox=true",)), True),
        (Detection("p", labels=("meshctl.dev/sandbox",)), True),
        (Detection("p", labels=("meshctl.dev/sandbox=false",)), False),
        (Detection("p", versions=("-gke.",)), False),
        (Detection("p", versions=("v1.34",)), True),
        (Detection("p", groups=("route.openshift.io",)), False),
        (Detection("p", groups=("apps",)), True),
        (Detection("p", labels=("none=x",), groups=("apps",)), True),
        (Detection("p"), False),
    ],
)
def test_one_sign_is_enough_to_tell_a_platform(
    cluster: FakeCluster, detection: Detection, fits: bool
) -> None:
    seen = observe(cluster, FakeReleases(), detections=[detection])
    assert seen.platforms == (("p",) if fits else ())


def test_platforms_keep_the_order_of_their_profiles(cluster: FakeCluster) -> None:
    both = [Detection("z", groups=("apps",)), Detection("a", versions=("v1",))]
    assert observe(cluster, FakeReleases(), detections=both).platforms == ("z", "a")


def test_a_detection_is_read_from_a_profile() -> None:
    assert Detection.of(
        "gke", {"versions": ["-gke."], "nodeLabels": ["cloud.google.com/gke-nodepool"]}
    ) == Detection("gke", labels=("cloud.google.com/gke-nodepool",), versions=("-gke.",))


@pytest.mark.parametrize("content", [{"version": ["x"]}, {"versions": "x"}])
def test_an_unknown_sign_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="cannot be detected by"):
        Detection.of("gke", content)


def test_an_inventory_names_all_but_what_churns(cluster: FakeCluster) -> None:
    names = [str(ref) for ref in inventory(cluster)]
    assert "ConfigMap default/a" in names
    assert "Namespace default" in names
    assert "Event default/e" not in names
    assert names == [str(ref) for ref in sorted(inventory(cluster))]
