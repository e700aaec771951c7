"""What may be set of the agent's server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from meshctl.agent.health.settings import Grpc, HttpGet, TcpSocket
from meshctl.agent.host import Host, Interface
from meshctl.agent.places import Places
from meshctl.agent.server.settings import Scrape, ServerSettings, annotated_applications, container_probes
from meshctl.agent.settings import load
from meshctl.errors import ConfigError, Where

HERE = Where("cluster.env", 3)


@pytest.mark.parametrize(
    ("url", "scrape"),
    [
        ("http://localhost:8080/metrics", Scrape("localhost", 8080, "/metrics")),
        ("http://127.0.0.1:8080", Scrape("127.0.0.1", 8080, "/metrics")),
        ("http://[::1]:9/a?b=c", Scrape("::1", 9, "/a?b=c")),
        ("http://app.local/m", Scrape("app.local", 80, "/m")),
    ],
)
def test_applications_are_urls(url: str, scrape: Scrape) -> None:
    assert ServerSettings(applications=(url,)).scrapes() == (scrape,)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://localhost:8080/metrics", "no URL"),
        ("localhost:8080", "no URL"),
        ("http://localhost:0/", "no URL"),
        ("http://localhost:70000/", "no URL"),
        ("http://local host/", "no URL"),
        ("http://localhost:8080/a b", "no URL"),
        ("http://user@localhost/", "no URL"),
        ("http://localhost:15020/metrics", "the agent itself"),
        ("http://localhost:015090/metrics", "no URL|Envoy"),
        ("http://localhost:15090/stats/prometheus", "Envoy's metrics"),
    ],
)
def test_what_would_not_work_or_ask_itself_is_refused(url: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ServerSettings(applications=(url,))


def test_an_own_port_that_was_moved_is_not_asked_either() -> None:
    with pytest.raises(ConfigError, match="the agent itself"):
        ServerSettings(port=16000, applications=("http://localhost:16000/",))


@pytest.mark.parametrize("port", [0, 65536])
def test_a_port_of_none_is_refused(port: int) -> None:
    with pytest.raises(ConfigError, match="no port"):
        ServerSettings(port=port)


@pytest.mark.parametrize(
    ("said", "urls"),
    [
        ({"scrape": "true", "port": "8080", "path": "/m"}, ["http://localhost:8080/m"]),
        ({}, ["http://localhost:80/metrics"]),
        ({"scrape": "", "path": "", "port": ""}, ["http://localhost:80/metrics"]),
        ({"scrape": "false", "port": "8080"}, []),
        (
            {"targets": [{"port": "1"}, {"port": "2", "path": "/b"}]},
            ["http://localhost:1/metrics", "http://localhost:2/b"],
        ),
    ],
)
def test_annotations_say_applications(said: object, urls: list[str]) -> None:
    assert annotated_applications(json.dumps(said), HERE) == tuple(urls)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"targets": 3}', '{"targets": [3]}', "[" * 100_000])
def test_annotations_that_are_none_are_refused_with_their_place(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        annotated_applications(text, HERE)
    assert refused.value.where == HERE


def test_probes_of_containers_are_read_by_their_paths() -> None:
    said = {
        "/app-health/web/livez": {
            "httpGet": {"path": "/h", "port": 80, "host": "evil", "scheme": "HTTPS"},
            "timeoutSeconds": 3,
        },
        "/app-health/web/readyz": {"tcpSocket": {"port": 81}},
        "/app-health/web/startupz": {"grpc": {"port": 82, "service": "a"}},
    }
    read = dict(container_probes("10.0.0.1", json.dumps(said), HERE))
    assert [probe.check for probe in read.values()] == [
        HttpGet(80, "/h", tls=True),
        TcpSocket(81),
        Grpc(82, "a"),
    ]
    assert {probe.host for probe in read.values()} == {"10.0.0.1"}
    assert read["/app-health/web/livez"].timeout == 3


@pytest.mark.parametrize(
    "said",
    [
        {"/healthz": {"tcpSocket": {"port": 81}}},
        {"/app-health/a/b/livez": {"tcpSocket": {"port": 81}}},
        {"/app-health/web/livez": {"exec": {"command": ["rm"]}}},
        {"/app-health/web/livez": {"httpGet": {"port": "named"}}},
        {"/app-health/web/livez": None},
        {"/app-health/web/livez": {}},
    ],
)
def test_probes_of_containers_that_are_none_are_refused(said: object) -> None:
    with pytest.raises(ConfigError):
        container_probes("10.0.0.1", json.dumps(said), HERE)


def loaded(root: Path, variables: str) -> ServerSettings:
    """Settings of a host with these variables in its cluster.env."""
    places = Places(root)
    places.settings.mkdir(parents=True)
    places.environment.write_text(f"POD_NAMESPACE='shop'\nSERVICE_ACCOUNT='db'\n{variables}\n")
    return load(places, Host("db-1", (Interface("eth0", used=True, addresses=("10.0.0.5",)),))).server


def test_variables_of_upstreams_agent_say_applications_and_probes(tmp_path: Path) -> None:
    probes = json.dumps({"/app-health/web/livez": {"tcpSocket": {"port": 81}}})
    annotations = '{"scrape":"true","port":"9102"}'
    read = loaded(
        tmp_path, f"ISTIO_PROMETHEUS_ANNOTATIONS='{annotations}'\nISTIO_KUBE_APP_PROBERS='{probes}'"
    )
    assert read.applications == ("http://localhost:9102/metrics",)
    [(path, probe)] = read.probes
    assert (path, probe.check, probe.host) == ("/app-health/web/livez", TcpSocket(81), "10.0.0.5")


@pytest.mark.parametrize(
    "line",
    [
        "ISTIO_PROMETHEUS_ANNOTATIONS='no json'",
        'ISTIO_PROMETHEUS_ANNOTATIONS=\'{"port":"15020"}\'',
        "ISTIO_KUBE_APP_PROBERS='{\"/x\":{}}'",
    ],
)
def test_variables_that_are_wrong_are_told_with_their_file(line: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, line)
    assert refused.value.where is not None
    assert refused.value.where.file.endswith("cluster.env")
