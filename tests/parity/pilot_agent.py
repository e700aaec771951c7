"""Upstream's agent, started as its package does, with a program in place of Envoy that only looks."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests import upstream

_ENVOY = """#!/bin/sh
folder=$(dirname "$0")
printf '%s\\n' "$@" > "$folder/arguments"
cp "$2" "$folder/bootstrap.part"
mv "$folder/bootstrap.part" "$folder/bootstrap"
exec sleep 600
"""
"""Envoy's configuration is its second argument."""
_PATIENCE = 60.0


@dataclass(frozen=True)
class Started:
    """What Envoy was started with: its bootstrap and its arguments."""

    bootstrap: dict[str, Any]
    arguments: list[str]


def started(folder: Path, variables: Mapping[str, str], proxy: Mapping[str, Any]) -> Started:
    """Run upstream's agent until it starts Envoy.

    Args:
        folder: empty; the agent's working directory.
        variables: of cluster.env, and those that the package's script sets.
        proxy: the ProxyConfig of the mesh file.
    """
    envoy = folder / "bin" / "envoy"
    _prepare(folder, envoy, proxy)
    fixed = {"CLOUD_PLATFORM": "none", "PROV_CERT": "./etc/certs", "CA_ADDR": "127.0.0.1:1"}
    log = (folder / "log").open("w")
    agent = subprocess.Popen(
        [upstream.pilot_agent(), "proxy"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **fixed, **variables},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        _await(envoy.with_name("bootstrap"), agent, folder / "log")
    finally:
        os.killpg(agent.pid, signal.SIGKILL)
        agent.wait()
        log.close()
    arguments = envoy.with_name("arguments").read_text().splitlines()
    return Started(json.loads(envoy.with_name("bootstrap").read_text()), arguments)


def _prepare(folder: Path, envoy: Path, proxy: Mapping[str, Any]) -> None:
    for name in ("bin", "var/lib/istio/envoy", "etc/certs", "etc/istio/config", "var/run/secrets/tokens"):
        (folder / name).mkdir(parents=True)
    shutil.copy(upstream.bootstrap_template(), folder / "var/lib/istio/envoy/envoy_bootstrap_tmpl.json")
    envoy.write_text(_ENVOY)
    envoy.chmod(0o755)
    mesh = {"defaultConfig": {"binaryPath": str(envoy), **proxy}}
    (folder / "etc/istio/config/mesh").write_text(yaml.safe_dump(mesh))
    (folder / "etc/certs/root-cert.pem").write_bytes(_root())
    (folder / "var/run/secrets/tokens/istio-token").write_text("none")


def _await(path: Path, agent: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + _PATIENCE
    while not path.exists():
        assert agent.poll() is None, log.read_text()
        assert time.monotonic() < ends, log.read_text()
        time.sleep(0.02)


def _root() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)
