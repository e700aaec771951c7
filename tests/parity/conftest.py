"""The upstream programs that our output is compared with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def _given(variable: str) -> Path:
    if variable not in os.environ:
        pytest.skip(f"{variable} does not name an upstream program")
    return Path(os.environ[variable])


@pytest.fixture(scope="session")
def istioctl() -> Path:
    return _given("MESHCTL_ISTIOCTL")


@pytest.fixture(scope="session")
def injectjudge() -> Path:
    return _given("MESHCTL_INJECTJUDGE")
