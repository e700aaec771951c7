"""The upstream programs that our output is compared with, built once and kept in the sandbox's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from meshctl.sandbox import cache, wheels
from meshctl.sandbox.build import Target, istio
from meshctl.sandbox.paths import gomod
from tests import upstream


@pytest.fixture(scope="session")
def istioctl() -> Path:
    """The istioctl of the pinned Istio."""
    return upstream.istioctl()


@pytest.fixture(scope="session")
def injectjudge() -> Path:
    """Istiod's injector as a program, or the one MESHCTL_INJECTJUDGE names."""
    if given := os.environ.get("MESHCTL_INJECTJUDGE"):
        return Path(given)
    module = gomod("istio")
    target = Target("injectjudge", "istio", ("./injectjudge",), tags=istio("", istioctl=False).tags)
    sources = [module / name for name in ("go.mod", "go.sum", "injectjudge/main.go")]
    folder = cache.entry("bin", cache.key(*(path.read_bytes() for path in sources), *target.flags()))
    if not folder.is_dir():
        go = shutil.which("go") or wheels.go()
        if go is None:
            pytest.skip("there is no Go to build the judge with")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with cache.filling(folder) as part:
            subprocess.run(
                [str(go), "build", *target.flags(), "-o", f"{part}/", *target.packages],
                cwd=module,
                env={
                    **os.environ,
                    "CGO_ENABLED": "0",
                    "GOFLAGS": "",
                    "GOWORK": "off",
                    "GOTOOLCHAIN": "local",
                },
                check=True,
            )
    return folder / "injectjudge"
