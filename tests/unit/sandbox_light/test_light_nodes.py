"""Simulated nodes: kwok's configuration says what the documents of its API say."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import yaml

from meshctl.sandbox import kwok
from meshctl.sandbox.light_pods import SELECTORS
from meshctl.sandbox.light_ports import PLACES, Ports
from meshctl.sandbox.versions import NODE_LABEL

NODES = kwok.Nodes(
    "c1",
    "cluster c1",
    Path("/state/c1"),
    "box",
    "box-c1",
    3,
    IPv4Address("10.128.0.11"),
    IPv4Network("100.65.0.0/17"),
    Ports(17_000),
)


def documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(kwok.configuration(NODES)))


def test_the_first_node_has_the_clusters_name_and_the_others_a_number() -> None:
    assert NODES.names == ("box-c1", "box-c1-2", "box-c1-3")
    assert kwok.node("box-c1", "box")["metadata"]["labels"][NODE_LABEL] == "box"


def test_kwok_listens_on_loopback_and_its_nodes_name_the_kubelet_port() -> None:
    [options] = [one["options"] for one in documents() if one["kind"] == "KwokConfiguration"]
    assert options["serverAddress"] == "127.0.0.1:17005"
    assert options["nodePort"] == kwok.KUBELET_PORT


def test_every_place_has_its_forwards_to_loopback() -> None:
    forwards = [one for one in documents() if one["kind"] == "ClusterPortForward"]
    assert len(forwards) == PLACES
    targets = [each["target"] for one in forwards for each in one["spec"]["forwards"]]
    assert {one["address"] for one in targets} == {"127.0.0.1"}
    assert len({one["port"] for one in targets}) == len(targets)


def test_the_stages_leave_pods_alone_that_run_as_processes() -> None:
    stages = [one for one in documents() if one["kind"] == "Stage"]
    starting = [one for one in stages if one["metadata"]["name"] in ("pod-run", "pod-gone")]
    assert len(starting) == 2
    for stage in starting:
        rules = stage["spec"]["selector"]["matchExpressions"]
        keys = " ".join(rule["jq"]["key"] for rule in rules)
        for selector in SELECTORS:
            assert f'["{re.split("[=,]", selector)[0]}"]' in keys
