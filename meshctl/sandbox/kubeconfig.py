"""Kubeconfig files: one for the user with all contexts, one for each component of a cluster.

Written as JSON, which every reader of YAML reads: no YAML library is needed to write them, and the
same input gives the same bytes.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from meshctl.pki import Pair


@dataclass(frozen=True, slots=True)
class Access:
    """Who may reach which API server, and how.

    Attributes:
        context: name of the context, the cluster and the user alike.
        server: URL of the API server.
        authority: PEM of the authority to trust.
        client: certificate and key of the user.
    """

    context: str
    server: str
    authority: bytes
    client: Pair


def render(accesses: Iterable[Access]) -> str:
    """The kubeconfig with one context for each access; the first is current."""
    accesses = tuple(accesses)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": one.context,
                "cluster": {"server": one.server, "certificate-authority-data": _data(one.authority)},
            }
            for one in accesses
        ],
        "users": [
            {
                "name": one.context,
                "user": {
                    "client-certificate-data": _data(one.client.certificate),
                    "client-key-data": _data(one.client.key),
                },
            }
            for one in accesses
        ],
        "contexts": [
            {"name": one.context, "context": {"cluster": one.context, "user": one.context}}
            for one in accesses
        ],
        "current-context": accesses[0].context if accesses else "",
    }
    return json.dumps(config, indent=2) + "\n"


def write(path: Path, accesses: Iterable[Access]) -> None:
    """Write the kubeconfig to `path`, readable by its owner only, whole or not at all."""
    write_secret(path, render(accesses).encode())


def read_server(path: Path, context: str) -> str:
    """URL of the API server of a context in a kubeconfig that `write` wrote; empty when it has none."""
    try:
        clusters = json.loads(path.read_text())["clusters"]
    except (OSError, ValueError, KeyError):
        return ""
    return next((str(one["cluster"]["server"]) for one in clusters if one["name"] == context), "")


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    part.replace(path)


def _data(pem: bytes) -> str:
    return base64.b64encode(pem).decode()
