"""What a WorkloadGroup's probe means."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.agent.health.settings import Exec, Grpc, HealthSettings, HttpGet, TcpSocket, health_settings
from meshctl.errors import ConfigError, Where


def test_without_a_probe_nothing_is_checked() -> None:
    assert health_settings(None, host="10.0.0.1") == HealthSettings(check=None, host="10.0.0.1")


def test_what_is_not_said_is_as_istio_has_it() -> None:
    read = health_settings({"tcpSocket": {"port": 80}})
    assert (read.delay, read.timeout, read.period, read.successes, read.failures) == (0, 1, 10, 1, 1)


@pytest.mark.parametrize("zero", [0, "0", 0.0, None])
def test_zero_is_what_is_not_said(zero: object) -> None:
    timings = dict.fromkeys(("timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"), zero)
    assert health_settings({"tcpSocket": {"port": 80}, **timings}) == health_settings(
        {"tcpSocket": {"port": 80}}
    )


@pytest.mark.parametrize(
    "probe",
    [
        {
            "initialDelaySeconds": 5,
            "timeoutSeconds": 2,
            "periodSeconds": 3,
            "successThreshold": 4,
            "failureThreshold": 6,
        },
        {
            "initial_delay_seconds": "5",
            "timeout_seconds": 2.0,
            "period_seconds": 3,
            "success_threshold": 4,
            "failure_threshold": 6,
        },
    ],
)
def test_timings_are_read_in_both_spellings_and_as_text(probe: dict[str, Any]) -> None:
    read = health_settings({**probe, "exec": {"command": ["true"]}})
    assert (read.delay, read.timeout, read.period, read.successes, read.failures) == (5, 2, 3, 4, 6)


@pytest.mark.parametrize(
    ("said", "check"),
    [
        ({"httpGet": {"port": 80}}, HttpGet(80)),
        (
            {
                "httpGet": {
                    "path": "/h?x",
                    "port": "8443",
                    "host": "[::1]",
                    "scheme": "HTTPS",
                    "httpHeaders": [{"name": "A", "value": "b"}, {"name": "A"}],
                }
            },
            HttpGet(8443, "/h?x", "::1", tls=True, headers=(("A", "b"), ("A", ""))),
        ),
        ({"http_get": {"port": 80, "http_headers": []}, "tcpSocket": None}, HttpGet(80)),
        ({"tcpSocket": {"host": "db", "port": 5432}}, TcpSocket(5432, "db")),
        ({"exec": {"command": ["sh", "-c", ""]}}, Exec(("sh", "-c", ""))),
        ({"grpc": {"port": 50051, "service": "shop.Cart"}}, Grpc(50051, "shop.Cart")),
    ],
)
def test_each_kind_of_check_is_read(said: dict[str, Any], check: object) -> None:
    assert health_settings(said).check == check


@pytest.mark.parametrize(
    ("said", "place", "words"),
    [
        ([], (), "object"),
        ({}, (), "none"),
        ({"periodSeconds": 3}, (), "one of httpGet"),
        ({"tcpSocket": {"port": 1}, "exec": {"command": ["a"]}}, (), "tcpSocket and exec"),
        ({"tcpSockets": {"port": 1}}, ("tcpSockets",), "no field"),
        ({"tcpSocket": {"port": 0}}, ("tcpSocket", "port"), "no port"),
        ({"tcpSocket": {}}, ("tcpSocket", "port"), "no port"),
        ({"tcpSocket": {"port": 65536}}, ("tcpSocket", "port"), "no port"),
        ({"tcpSocket": {"port": True}}, ("tcpSocket", "port"), "whole number"),
        ({"tcpSocket": {"port": "http"}}, ("tcpSocket", "port"), "whole number"),
        ({"tcpSocket": {"port": "9" * 5000}}, ("tcpSocket", "port"), "whole number"),
        ({"tcpSocket": {"port": 80, "host": "a b"}}, ("tcpSocket", "host"), "host"),
        ({"tcpSocket": {"port": 80}, "periodSeconds": -1}, ("periodSeconds",), "whole number"),
        ({"tcpSocket": {"port": 80}, "timeoutSeconds": 0.5}, ("timeoutSeconds",), "whole number"),
        ({"tcpSocket": {"port": 80}, "timeoutSeconds": float("nan")}, ("timeoutSeconds",), "whole number"),
        ({"httpGet": {"port": 80, "scheme": "ftp"}}, ("httpGet", "scheme"), "neither"),
        ({"httpGet": {"port": 80, "path": 3}}, ("httpGet", "path"), "string"),
        ({"httpGet": {"port": 80, "httpHeaders": {"A": "b"}}}, ("httpGet", "httpHeaders"), "array"),
        (
            {"httpGet": {"port": 80, "httpHeaders": [{"name": "A b"}]}},
            ("httpGet", "httpHeaders", 0, "name"),
            "header",
        ),
        (
            {"httpGet": {"port": 80, "httpHeaders": [{"name": "A", "value": "x\r\nB: y"}]}},
            ("httpGet", "httpHeaders", 0, "value"),
            "characters",
        ),
        ({"exec": {"command": []}}, ("exec", "command"), "command"),
        ({"exec": {"command": [""]}}, ("exec", "command"), "command"),
        ({"exec": {"command": "ls"}}, ("exec", "command"), "array"),
        ({"exec": {"command": ["a\0b"]}}, ("exec", "command"), "strings"),
        ({"grpc": {"port": 1, "service": 2}}, ("grpc", "service"), "string"),
    ],
)
def test_what_is_no_probe_is_refused_with_its_place(
    said: object, place: tuple[str | int, ...], words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        health_settings(said, where=lambda *path: Where("f", path=repr(path)))
    assert refused.value.where == Where("f", path=repr(place))


def test_a_near_miss_is_offered() -> None:
    with pytest.raises(ConfigError) as refused:
        health_settings({"tcpSocket": {"port": 1}, "periodSecond": 3})
    assert "periodSeconds" in refused.value.hint
    assert str(refused.value.where) == "proxy.json  proxyConfig.readinessProbe.periodSecond"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["httpGet", "tcpSocket", "exec", "grpc", "port", "host", "command", "path", "periodSeconds"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(_JSON)
def test_whatever_json_is_said_it_is_a_probe_or_an_error(said: object) -> None:
    try:
        assert health_settings(said).period > 0
    except ConfigError as refused:
        assert refused.where is not None
