"""An injector as the default profile installs it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from meshctl.actions.inject import settings_of_values
from meshctl.model.mesh import Inputs
from meshctl.stages.injecting.injector import Injector
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve


@pytest.fixture(scope="session")
def injector() -> Injector:
    asked = load(Inputs(version="1.32"))
    return settings_of_values(resolve(asked, asked.mesh.clusters[0]), None)


@pytest.fixture(scope="session")
def injectors(injector: Injector) -> list[Injector]:
    """The same, native, and with the CNI plugin."""
    values: dict[str, Any] = dict(injector.values)
    with_cni = {**values, "pilot": {**values["pilot"], "cni": {"enabled": True, "provider": "default"}}}
    return [injector, replace(injector, native=True), replace(injector, values=with_cni)]
