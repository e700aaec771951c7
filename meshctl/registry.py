"""Finds what people add as files: data folders at the project's root, and plug-ins."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from meshctl.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


@cache
def data(folder: str) -> Path:
    """The folder `templates`, `profiles` or `playbooks`, in a checkout or as installed.

    In a checkout they stand beside the package; the wheel carries them as `meshctl/_data/<folder>`.
    """
    package = Path(__file__).resolve().parent
    for place in (package / "_data" / folder, package.parent / folder):
        if place.is_dir():
            return place
    raise InternalError("data-missing", f"the data folder {folder!r} is not part of this installation")


def plugins(package: str, kind: type[T]) -> tuple[T, ...]:
    """Top-level objects of type `kind` defined in the modules of `package`, in module order.

    Importing a plug-in has no side effect, so nothing is registered: what is found is what is there.
    """
    return tuple(_found(package, kind))


def _found(package: str, kind: type[T]) -> Iterator[T]:
    root = importlib.import_module(package)
    for info in sorted(pkgutil.iter_modules(root.__path__), key=lambda each: each.name):
        module = importlib.import_module(f"{package}.{info.name}")
        for thing in vars(module).values():
            if isinstance(thing, kind) and getattr(thing, "__module__", info.name) in (
                module.__name__,
                kind.__module__,
            ):
                yield thing
