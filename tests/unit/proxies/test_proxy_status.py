"""What every proxy was told, joined with the pods that have one."""

from __future__ import annotations

from contextlib import ExitStack
from threading import Event
from typing import Any

import pytest

from meshctl.actions.proxies import proxy_status
from meshctl.errors import AccessError, ConfigError, FailedError, UnreachableError
from meshctl.model.objects import Object, Ref
from meshctl.model.proxy import Carrier, Inventory, ProxyStatus, short_type
from meshctl.ports import World
from meshctl.stages.seeing import sync
from meshctl.stages.seeing.status_data import proxy_status_data
from tests.fakes import FakeClock, FakeFiles
from tests.istiods import AskedCluster, FakeIstiod, client_config, istiod_pod, proxied_pod, root_config_map


def look(
    istiods: dict[str, FakeIstiod],
    *objects: dict[str, Any],
    broken: dict[str, Any] | None = None,
    **asked: Any,
) -> ProxyStatus:
    """The status of a cluster with these istiods and objects."""
    with ExitStack() as stack:
        ports = {name: stack.enter_context(istiod).port for name, istiod in istiods.items()}
        pods = [istiod_pod(name, **asked.pop("pod", {})) for name in istiods]
        cluster = AskedCluster(root_config_map(), *pods, *objects, ports=ports, broken=broken)
        return proxy_status(
            World({"home": cluster}, {}, FakeClock(), FakeFiles()), **{"seconds": 5.0, **asked}
        )


def entry(namespace: str, istiod: str, *, connected: bool = True) -> dict[str, Any]:
    annotations = {"istio.io/workloadController": istiod}
    if connected:
        annotations["istio.io/connectedAt"] = "2026-03-01T12:00:00Z"
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadEntry",
        "metadata": {"namespace": namespace, "name": "vm-10.0.0.9", "annotations": annotations},
    }


def test_all_istiods_proxies_are_told_in_the_order_of_their_names() -> None:
    status = look(
        {
            "istiod-1": FakeIstiod(client_config("web-2"), client_config("api-1", "bank")),
            "istiod-2": FakeIstiod(client_config("web-1")),
        },
        *(proxied_pod("web-1"), proxied_pod("web-2"), proxied_pod("api-1", "bank")),
    )
    assert [(each.namespace, each.name, each.istiod) for each in status.proxies] == [
        ("bank", "api-1", "istiod-1"),
        ("shop", "web-1", "istiod-2"),
        ("shop", "web-2", "istiod-1"),
    ]
    assert [(each.name, each.proxies, each.version) for each in status.istiods] == [
        ("istiod-1", 2, "1.31.1"),
        ("istiod-2", 1, "1.31.1"),
    ]
    assert status.is_synced


@pytest.mark.parametrize("mood", ["silent", "hangs-up"])
def test_one_broken_istiod_takes_nothing_from_the_others(mood: str) -> None:
    status = look(
        {"istiod-1": FakeIstiod(client_config("web-1")), "istiod-2": FakeIstiod(mood=mood)},
        proxied_pod("web-1"),
        seconds=0.5,
    )
    assert [each.name for each in status.proxies] == ["web-1"]
    assert [each.name for each in status.failed] == ["istiod-2"]
    assert status.is_partial
    assert not status.is_synced


def test_an_istiod_that_cannot_be_reached_is_named() -> None:
    status = look(
        {"istiod-1": FakeIstiod(client_config("web-1"))}, istiod_pod("istiod-2"), proxied_pod("web-1")
    )
    assert [(each.name, each.error and each.error.code) for each in status.istiods] == [
        ("istiod-1", None),
        ("istiod-2", "pod-unreachable"),
    ]


def test_an_istiod_on_its_way_out_is_heard_and_not_waited_for() -> None:
    leaving = istiod_pod("istiod-2")
    leaving["metadata"]["finalizers"] = ["example.com/stays"]
    with FakeIstiod(client_config("web-1")) as istiod:
        cluster = AskedCluster(root_config_map(), istiod_pod(), leaving, ports={"istiod-1": istiod.port})
        cluster.delete(Ref("v1", "Pod", "istio-system", "istiod-2"))
        status = proxy_status(World({"home": cluster}, {}, FakeClock(), FakeFiles()), seconds=5)
    assert [each.name for each in status.istiods] == ["istiod-1"]
    assert not status.is_partial


def test_a_forward_that_never_opens_is_given_up() -> None:
    thawed = Event()

    class Frozen(AskedCluster):
        def forward(self, namespace: str, pod: str, port: int) -> Any:
            if pod == "istiod-2":
                thawed.wait(20)
            return super().forward(namespace, pod, port)

    with FakeIstiod(client_config("web-1")) as istiod:
        pods = [istiod_pod("istiod-1"), istiod_pod("istiod-2"), proxied_pod("web-1")]
        cluster = Frozen(root_config_map(), *pods, ports={"istiod-1": istiod.port})
        status = proxy_status(World({"home": cluster}, {}, FakeClock(), FakeFiles()), seconds=0.2)
        thawed.set()
    assert [each.name for each in status.proxies] == ["web-1"]
    assert [each.name for each in status.failed] == ["istiod-2"]


def test_a_pod_with_a_proxy_that_is_connected_nowhere_is_missing() -> None:
    status = look(
        {"istiod-1": FakeIstiod(client_config("web-1"))},
        *(proxied_pod("web-1"), proxied_pod("web-2"), proxied_pod("web-3", native=True)),
    )
    assert [(each.name, each.trouble) for each in status.missing] == [("web-2", ""), ("web-3", "")]
    assert not status.is_synced


def test_a_missing_pod_that_cannot_run_says_why() -> None:
    pod = proxied_pod("web-1", phase="Pending")
    waiting = {"name": "istio-proxy", "image": "x", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    pod["status"]["containerStatuses"] = [waiting]
    (lost,) = look({"istiod-1": FakeIstiod()}, pod).missing
    assert lost.trouble == "container 'istio-proxy' of pod 'web-1': ImagePullBackOff"


def test_pods_that_are_done_leaving_or_without_a_proxy_are_not_missing() -> None:
    leaving = proxied_pod("web-2")
    leaving["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    plain = proxied_pod("web-3")
    plain["spec"]["containers"] = [{"name": "app"}]
    seats = sync.seats(map(Object, (leaving, plain)), "Kubernetes")
    assert sync.missing((), [Inventory("Kubernetes", seats)]) == ()
    assert look({"istiod-1": FakeIstiod()}, proxied_pod("job-1", phase="Succeeded"), plain).missing == ()


def test_what_a_proxy_runs_in_is_told() -> None:
    names = ("web-1", "in-1", "way-1", "vm-1", "old-1")
    zt = proxied_pod("zt-1", "istio-system", role="ztunnel", app="ztunnel")
    del zt["metadata"]["labels"]["service.istio.io/canonical-name"]
    status = look(
        {
            "istiod-1": FakeIstiod(
                *(client_config(name) for name in names[:3]),
                client_config("zt-1", "istio-system"),
                client_config("vm-1", "hosts"),
                client_config("vm-2", "left"),
                client_config("old-1"),
                client_config("far-1", cluster="elsewhere"),
            )
        },
        *(
            proxied_pod("web-1"),
            proxied_pod("in-1", role="router"),
            proxied_pod("way-1", role="waypoint"),
            zt,
        ),
        *(entry("hosts", "istiod-1"), entry("left", "istiod-1", connected=False)),
    )
    assert {each.name: each.carrier for each in status.proxies} == {
        "web-1": Carrier.SIDECAR,
        "in-1": Carrier.GATEWAY,
        "way-1": Carrier.WAYPOINT,
        "zt-1": Carrier.ZTUNNEL,
        "vm-1": Carrier.VM,
        "vm-2": Carrier.GONE,
        "old-1": Carrier.GONE,
        "far-1": Carrier.UNKNOWN,
    }
    assert not status.is_synced


def test_without_the_right_to_list_pods_the_proxies_are_told_all_the_same() -> None:
    denied = AccessError("forbidden", "you may not list Pods")

    class NoPods(AskedCluster):
        def list(self, *kind: Any, labels: str = "", **scope: Any) -> Any:
            if "app=istiod" not in labels:
                raise denied
            return super().list(*kind, labels=labels, **scope)

    with FakeIstiod(client_config("web-1")) as istiod:
        cluster = NoPods(root_config_map(), istiod_pod(), ports={"istiod-1": istiod.port})
        status = proxy_status(World({"home": cluster}, {}, FakeClock(), FakeFiles()), seconds=5)
    assert [(each.name, each.carrier) for each in status.proxies] == [("web-1", Carrier.UNKNOWN)]
    assert status.unseen == (("home", denied),)
    assert status.is_partial


def test_a_namespace_leaves_out_all_others() -> None:
    istiod = FakeIstiod(client_config("web-1"), client_config("api-1", "bank"))
    status = look({"istiod-1": istiod}, proxied_pod("web-2"), proxied_pod("api-2", "bank"), namespace="shop")
    assert [each.name for each in status.proxies] == ["web-1"]
    assert [each.name for each in status.missing] == ["web-2"]


def test_a_revision_asks_its_istiods_only_and_misses_its_pods_only() -> None:
    istiod = FakeIstiod(client_config("web-1"), host="istiod-blue.istio-system.svc")
    status = look(
        {"istiod-blue-1": istiod},
        *(istiod_pod("istiod-1"), proxied_pod("web-1", revision="blue")),
        *(proxied_pod("web-2", revision="blue"), proxied_pod("web-3")),
        revision="blue",
        pod={"revision": "blue"},
    )
    assert [each.name for each in status.istiods] == ["istiod-blue-1"]
    assert [each.name for each in status.missing] == ["web-2"]


DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"namespace": "shop", "name": "web"},
    "spec": {"selector": {"matchLabels": {"app": "web"}}},
}


@pytest.mark.parametrize("workload", ["deployment/web", "deploy/web.shop", "deployments/web"])
def test_a_deployment_stands_for_its_pods(workload: str) -> None:
    istiod = FakeIstiod(client_config("web-1"), client_config("api-1"))
    pods = (proxied_pod("web-1", app="web"), proxied_pod("web-2", app="web"), proxied_pod("api-1", app="api"))
    status = look({"istiod-1": istiod}, *pods, DEPLOYMENT, workload=workload)
    assert ([each.name for each in status.proxies], [each.name for each in status.missing]) == (
        ["web-1"],
        ["web-2"],
    )


@pytest.mark.parametrize("workload", ["web-1", "web-1.shop", "pod/web-1.shop", "po/web-1"])
def test_a_pod_is_found_with_and_without_its_namespace(workload: str) -> None:
    istiod = FakeIstiod(client_config("web-1"), client_config("api-1"))
    status = look({"istiod-1": istiod}, proxied_pod("web-1"), proxied_pod("api-1"), workload=workload)
    assert [each.name for each in status.proxies] == ["web-1"]


def test_proxies_of_a_cluster_without_istiod_are_found_in_its_own_pods() -> None:
    far = AskedCluster(proxied_pod("web-1"), proxied_pod("web-2"), name="far")
    with FakeIstiod(client_config("web-1", cluster="far"), client_config("web-3", cluster="far")) as istiod:
        home = AskedCluster(root_config_map(), istiod_pod(), ports={"istiod-1": istiod.port})
        status = proxy_status(World({"home": home, "far": far}, {}, FakeClock(), FakeFiles()), seconds=5)
    assert [(each.name, each.carrier) for each in status.proxies] == [
        ("web-1", Carrier.SIDECAR),
        ("web-3", Carrier.GONE),
    ]
    assert [(each.cluster, each.name) for each in status.missing] == [("far", "web-2")]


def test_a_cluster_that_is_away_takes_nothing_from_the_others() -> None:
    away = UnreachableError("unreachable", "no answer")
    with FakeIstiod(client_config("web-1")) as istiod:
        pods = (istiod_pod(), proxied_pod("web-1"))
        home = AskedCluster(root_config_map(), *pods, ports={"istiod-1": istiod.port})
        far = AskedCluster(name="far", broken={"Pod": away})
        status = proxy_status(World({"home": home, "far": far}, {}, FakeClock(), FakeFiles()), seconds=5)
    assert [each.name for each in status.proxies] == ["web-1"]
    assert status.unseen == (("far", away),)


def test_a_workload_without_a_proxy_is_an_error_that_names_the_nearest() -> None:
    with pytest.raises(FailedError) as caught:
        look({"istiod-1": FakeIstiod(client_config("web-1"))}, proxied_pod("web-1"), workload="wob-1")
    assert (caught.value.code, caught.value.hint) == ("no-such-proxy", "did you mean web-1?")


def test_a_kind_without_pods_is_refused_before_anything_is_asked() -> None:
    with pytest.raises(ConfigError) as caught:
        look({}, workload="deploymnt/web")
    assert caught.value.hint == "did you mean deployment/web?"


def test_no_istiod_is_an_error_that_says_where_was_looked() -> None:
    with pytest.raises(FailedError) as caught:
        look({}, proxied_pod("web-1"), istio_namespace="mesh", revision="blue")
    assert caught.value.message == "no istiod of revision 'blue' runs in namespace 'mesh'"


def test_when_none_answers_the_one_reason_is_the_error() -> None:
    with pytest.raises(UnreachableError) as caught:
        look({}, istiod_pod("istiod-1"), istiod_pod("istiod-2"))
    assert caught.value.code == "pod-unreachable"


def test_when_none_answers_for_several_reasons_all_are_told() -> None:
    with pytest.raises(UnreachableError) as caught:
        look({"istiod-1": FakeIstiod(mood="hangs-up")}, istiod_pod("istiod-2"))
    assert caught.value.code == "no-istiod-answers"
    assert len(caught.value.details) == 2


def test_a_fault_of_ours_in_a_thread_is_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        look({"istiod-1": FakeIstiod()}, broken={"token": ZeroDivisionError()})


def test_the_json_form_is_stable() -> None:
    istiod = FakeIstiod(client_config("web-1", CDS="ERROR", LDS="NOT_SENT", error="no filter"))
    status = look({"istiod-1": istiod}, proxied_pod("web-1"), proxied_pod("web-2"), istiod_pod("istiod-2"))
    urls = [short_type(each["url"]) for each in proxy_status_data(status)["proxies"][0]["types"]]
    assert urls == ["CDS", "LDS"]
    data = proxy_status_data(status)
    for each in data["proxies"][0]["types"]:
        del each["url"]
    assert data == {
        "synced": False,
        "partial": True,
        "proxies": [
            {
                "name": "web-1", "namespace": "shop", "cluster": "Kubernetes", "carrier": "sidecar",
                "istiod": "istiod-1", "version": "1.31.0", "state": "error",
                "types": [
                    {"type": "CDS", "state": "error", "sent": "2026-03-01T12:00:00Z", "error": "no filter"},
                    {"type": "LDS", "state": "not-sent", "sent": None, "error": ""},
                ],
            }
        ],
        "missing": [
            {
                "name": "web-2", "namespace": "shop", "cluster": "Kubernetes", "carrier": "sidecar",
                "revision": "default", "version": "1.31.0", "trouble": "",
            }
        ],
        "istiods": [
            {
                "name": "istiod-1", "namespace": "istio-system", "cluster": "home", "revision": "default",
                "version": "1.31.1", "proxies": 1, "error": None,
            },
            {
                "name": "istiod-2", "namespace": "istio-system", "cluster": "home", "revision": "default",
                "version": "", "proxies": 0,
                "error": {
                    "code": "pod-unreachable",
                    "message": "nothing listens on port 15012 of Pod istio-system/istiod-2",
                    "details": [], "hint": "",
                },
            },
        ],
        "unseen": [],
    }  # fmt: skip


def test_selectors_are_written_as_the_api_server_takes_them() -> None:
    wants = [
        {"key": "tier", "operator": "In", "values": ["a", "b"]},
        {"key": "old", "operator": "DoesNotExist"},
        {"key": "new", "operator": "Exists"},
        {"key": "zone", "operator": "NotIn", "values": ["c"]},
    ]
    spec = {"selector": {"matchLabels": {"b": "2", "a": "1"}, "matchExpressions": wants}}
    assert (
        sync.selector(Object({**DEPLOYMENT, "spec": spec})) == "a=1,b=2,tier in (a,b),!old,new,zone notin (c)"
    )


@pytest.mark.parametrize(
    ("image", "tag"),
    [
        ("docker.io/istio/pilot:1.31.0", "1.31.0"),
        ("localhost:5000/istio/pilot", ""),
        ("localhost:5000/istio/pilot:1.31.0@sha256:ab", "1.31.0"),
        ("istio/pilot@sha256:ab", "sha256:ab"),
    ],
)
def test_a_version_is_read_from_the_tag_of_an_image(image: str, tag: str) -> None:
    assert sync.image_tag(image) == tag
