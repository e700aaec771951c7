"""Work whose failure is part of the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from meshctl.errors import MeshctlError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def attempt(work: Callable[[], T]) -> T | MeshctlError:
    """The result of `work`, or why there is none."""
    try:
        return work()
    except MeshctlError as error:
        return error
