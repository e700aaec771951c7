"""A record says the same after it was written and read."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshctl.adapters.release_codec import decode, encode, to_json
from meshctl.errors import UnsupportedError
from meshctl.model.manifest import Manifest, Part
from meshctl.model.mesh import Cluster, Layer, Mesh, Network, NetworkGateway, Role
from meshctl.model.objects import Object, Ref
from meshctl.model.release import Asked, Release, Status

words = st.text(max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
refs = st.builds(Ref, words, words, words, words)
objects = st.builds(
    lambda name, spec: Object({"apiVersion": "v1", "kind": "K", "metadata": {"name": name}, "spec": spec}),
    words,
    json_values,
)
parts = st.builds(
    Part,
    words,
    words,
    st.lists(words, max_size=2).map(tuple),
    st.lists(objects, max_size=2).map(tuple),
    st.lists(refs, max_size=2).map(tuple),
    st.lists(st.tuples(words, words), max_size=2).map(tuple),
)
manifests = st.builds(
    Manifest, st.lists(parts, max_size=2).map(tuple), st.lists(words, max_size=2).map(tuple)
)
pairs = st.lists(st.tuples(words, words), max_size=2).map(tuple)
networks = st.builds(
    Network,
    words,
    st.lists(st.builds(NetworkGateway, words, st.integers(1, 65535)), max_size=2).map(tuple),
)
clusters = st.builds(
    Cluster,
    name=words,
    role=st.sampled_from(Role),
    network=words,
    control_plane=words,
    address=words,
    gateway=st.none() | st.booleans(),
)
meshes = st.builds(
    Mesh,
    name=words,
    clusters=st.lists(clusters, min_size=1, max_size=2).map(tuple),
    identifier=words,
    trust_domain=words,
    trusted=st.lists(words, max_size=2).map(tuple),
    networks=st.lists(networks, max_size=2).map(tuple),
    beside=st.lists(words, max_size=2).map(tuple),
)
settings_given = st.lists(
    st.tuples(st.sampled_from(Layer), st.dictionaries(words, json_values, max_size=2)), max_size=3
).map(tuple)
releases = st.builds(
    Release,
    mesh=words,
    cluster=words,
    generation=st.integers(1, 10**6),
    status=st.sampled_from(Status),
    version=words,
    revision=words,
    profile=words,
    namespace=words,
    created=words,
    manifest=manifests,
    values=st.dictionaries(words, json_values, max_size=3),
    inventory=st.lists(refs, max_size=4).map(tuple),
    labelled=st.lists(st.tuples(words, pairs), max_size=2).map(tuple),
    asked=st.none() | st.builds(Asked, meshes, settings_given),
    cause=words,
    restores=st.integers(0, 100),
)


def a_release(**rest: Any) -> Release:
    fields: dict[str, Any] = {
        "mesh": "m",
        "cluster": "c1",
        "generation": 1,
        "status": Status.PENDING,
        "version": "1.31.1",
        "revision": "",
        "profile": "default",
        "namespace": "istio-system",
        "created": "2026-01-01T12:00:00Z",
        "manifest": Manifest(),
        "values": {},
    }
    return Release(**{**fields, **rest})


@settings(max_examples=60, deadline=None)
@given(releases)
def test_what_is_read_is_what_was_written(release: Release) -> None:
    read = decode(encode(release), "r")
    assert read == release
    assert read.manifest.warnings == release.manifest.warnings


def test_the_same_release_gives_the_same_bytes() -> None:
    values = {"b": 1, "a": {"d": 2, "c": 3}}
    turned = {"a": {"c": 3, "d": 2}, "b": 1}
    assert encode(a_release(values=values)) == encode(a_release(values=turned))


def test_a_large_inventory_stays_small() -> None:
    inventory = tuple(Ref("v1", "ConfigMap", "a-namespace", f"name-{number:05}") for number in range(20000))
    assert len(encode(a_release(inventory=inventory))) < 100_000


DAMAGED = {
    "nothing": b"",
    "not compressed": b"nonsense",
    "not JSON": gzip.compress(b"{"),
    "a list": gzip.compress(b"[]"),
    "nothing but a format": gzip.compress(b'{"format": 1}'),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_record_is_named(data: bytes) -> None:
    with pytest.raises(UnsupportedError, match=r"'meshctl\.m\.v1' cannot be read"):
        decode(data, "meshctl.m.v1")


def test_a_newer_format_is_refused() -> None:
    newer = gzip.compress(json.dumps({**to_json(a_release()), "format": 2}).encode())
    with pytest.raises(UnsupportedError, match="has format 2; this meshctl knows 1"):
        decode(newer, "meshctl.m.v1")
