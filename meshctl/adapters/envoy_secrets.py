"""The mesh's certificates that an Envoy works with, as it got them from its agent; keys are not shown.

`/certs` tells but the first of several roots, and of a chain but its end; the dump of secrets tells all.

Source: Envoy's api/envoy/admin/v3/config_dump.proto (SecretsConfigDump); istio.io/istio
security/pkg/nodeagent (the names of the secrets).
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from meshctl import pki
from meshctl.adapters.envoy import ADMIN_PORT, get, silent
from meshctl.errors import FailedError
from meshctl.model.envoy import Identity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.ports import Cluster

_SECRETS: Final = "/config_dump?resource=dynamic_active_secrets"
_OWN, _ROOTS = "default", "ROOTCA"


def identity(
    cluster: Cluster, namespace: str, pod: str, *, port: int = ADMIN_PORT, seconds: float = 5.0
) -> Identity:
    """The identity that the Envoy in a pod shows, and whom it believes.

    Args:
        cluster: where the pod runs.
        namespace: of the pod.
        pod: its name.
        port: of the admin interface.
        seconds: how long the answer may take.

    Raises:
        UnreachableError: nothing answers there, or not as Envoy does.
        AccessError: we may not forward ports into the pod.
        FailedError: it has no certificate of the mesh.
    """
    place = f"{namespace}/{pod}"
    with cluster.forward(namespace, pod, port) as (host, local):
        dump = get(host, local, _SECRETS, place, seconds)
    try:
        secrets = {each["name"]: each.get("secret") or {} for each in dump.get("configs") or ()}
        chain = _inline(secrets, _OWN, "tls_certificate", "certificate_chain")
        roots = _inline(secrets, _ROOTS, "validation_context", "trusted_ca")
        if chain and roots:
            return Identity(pki.split(chain), pki.split(roots))
    except (AttributeError, KeyError, TypeError, ValueError) as fault:
        raise silent(place, f"its answer is not Envoy's: {fault!r}") from fault
    raise FailedError("no-identity", f"the Envoy of Pod {place} has no certificate of the mesh")


def _inline(secrets: Mapping[str, Any], name: str, kind: str, field: str) -> bytes:
    source = secrets.get(name, {}).get(kind, {}).get(field, {})
    return base64.b64decode(source.get("inline_bytes", ""), validate=True)
