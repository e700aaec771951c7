"""The fields that the agent names are those of Envoy's and Istio's API."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

import pytest
from google.protobuf import descriptor, descriptor_pool

from meshctl.agent import messages
from meshctl.agent.ads import places
from meshctl.agent.ads.replacements import _FAIL_OPEN

TABLES = {**messages.MESSAGES, **places.PLACES}
KINDS = {"string": 9, "bytes": 12, "int64": 3, "bool": 8, "int32": 5, "uint32": 13}
ENUM = 14


@cache
def pool() -> descriptor_pool.DescriptorPool:
    """Of all of Envoy's API that the tables speak of."""
    wanted = {name.rpartition(".")[0] for name in TABLES if name.startswith("envoy.")}
    for package in sorted({*wanted, "udpa.type.v1", "xds.type.v3"}):
        found = importlib.import_module(package)
        for each in pkgutil.iter_modules(found.__path__, f"{package}."):
            if each.name.endswith("_pb2"):
                importlib.import_module(each.name)
    return descriptor_pool.Default()


@pytest.mark.parametrize("name", [name for name in TABLES if name.startswith(("envoy.", "udpa.", "xds."))])
def test_a_message_has_the_fields_of_the_api(name: str) -> None:
    package, _, short = name.rpartition(".")
    real = pool().FindMessageTypeByName(f"{package}.{short.replace('_', '.')}")
    for number, said in TABLES[name].items():
        field, kind = said.split(" ")
        theirs = real.fields_by_number[number]
        assert theirs.name == field
        assert _said(theirs) == kind or _is_raw(kind, theirs)


def _is_raw(kind: str, field: descriptor.FieldDescriptor) -> bool:
    """Whether a message is kept as bytes."""
    return kind == "bytes" and field.message_type is not None


def _said(field: descriptor.FieldDescriptor) -> str:
    if field.message_type and field.message_type.GetOptions().map_entry:
        key, value = field.message_type.fields
        return f"<{_plain(key)},{_plain(value)}>"
    return ("*" if field.is_repeated else "") + _plain(field)


def _plain(field: descriptor.FieldDescriptor) -> str:
    if field.message_type:
        name = field.message_type.full_name
        outer = field.message_type.containing_type
        return f"{outer.full_name}_{field.message_type.name}" if outer else name
    kinds = {number: kind for kind, number in KINDS.items()}
    return "int32" if field.type == ENUM else kinds.get(field.type, "?")


def test_the_failure_policy_that_opens_is_envoys() -> None:
    importlib.import_module("envoy.extensions.wasm.v3.wasm_pb2")
    policy = descriptor_pool.Default().FindEnumTypeByName("envoy.extensions.wasm.v3.FailurePolicy")
    assert policy.values_by_name["FAIL_OPEN"].number == _FAIL_OPEN
