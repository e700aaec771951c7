"""A mesh whose default is `old`, with `new` beside it and the tag `prod` on `old`."""

from __future__ import annotations

import pytest

from tests.unit.moving.mesh import Mesh, injector


@pytest.fixture
def mesh() -> Mesh:
    return Mesh(
        injector("old"),
        injector("new"),
        injector("old", "default", unnamed=True),
        injector("old", "prod"),
    )
