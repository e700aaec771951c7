"""What istiod is told besides the mesh's own configuration: where proxies listen.

A gateway in a pod listens on all addresses of its pod, and istiod knows no other. A process has the
machine's, where nobody beyond the machine may reach it: its listeners are moved to loopback. A sidecar
whose traffic nobody redirects listens on the port of each service: here those are everybody's ports,
which the next sandbox wants too, so its listeners are there and listen on none. Both is said by one
EnvoyFilter, which is nowhere in the cluster: istiod reads it from a folder besides.

Source: Istio's MeshConfig, `configSources`; EnvoyFilter; istiod's variable SHARED_MESH_CONFIG, which
names a ConfigMap with a mesh configuration that is read before the file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

MESH: Final = "sandbox/mesh"
"""Our part of the mesh's configuration, relative to the root of istiod's pod."""

_SHARED = "SHARED_MESH_CONFIG"
_FOLDER = "sandbox/config"


def write(root: Path, namespace: str, env: dict[str, str]) -> dict[str, str]:
    """Write both files, and give the variables with which istiod reads the ConfigMap besides.

    Args:
        root: folder that is the root of istiod's pod.
        namespace: where istiod runs.
        env: variables of the pod.
    """
    folder = root / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    sources = [{"address": "k8s://"}, {"address": f"fs://{folder}"}]
    (root / MESH).write_text(json.dumps({"configSources": sources}) + "\n")
    (folder / "listeners.yaml").write_text(json.dumps(listeners(namespace), indent=2) + "\n")
    # Without a file istiod reads this ConfigMap alone; with one it has to be told of it.
    revision = env.get("REVISION", "")
    own = "istio" if revision in ("", "default") else f"istio-{revision}"
    return {_SHARED: env.get(_SHARED) or own}


def listeners(namespace: str) -> dict[str, Any]:
    """An EnvoyFilter for all proxies; `namespace` is the mesh's root namespace."""
    loopback = {"address": {"socket_address": {"address": "127.0.0.1"}}}
    nowhere = {"bind_to_port": False}
    patches = {"GATEWAY": loopback, "SIDECAR_INBOUND": nowhere, "SIDECAR_OUTBOUND": nowhere}
    return {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": "sandbox-listeners", "namespace": namespace},
        "spec": {
            "configPatches": [
                {
                    "applyTo": "LISTENER",
                    "match": {"context": context},
                    "patch": {"operation": "MERGE", "value": value},
                }
                for context, value in patches.items()
            ]
        },
    }
