"""The certificates that a ztunnel works with, one for each identity on its node.

Source: istio.io/istio istioctl/pkg/writer/ztunnel (the form of its dump).
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from meshctl import pki
from meshctl.adapters.envoy import ADMIN_PORT, get, silent
from meshctl.model.envoy import Identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meshctl.ports import Cluster

_DUMP: Final = "/config_dump"


def identities(
    cluster: Cluster, namespace: str, pod: str, *, port: int = ADMIN_PORT, seconds: float = 10.0
) -> tuple[Identity, ...]:
    """The identities for which a ztunnel has a certificate, and whom it believes.

    Args:
        cluster: where the pod runs.
        namespace: of the pod.
        pod: its name.
        port: of the admin interface.
        seconds: how long the answer may take.

    Raises:
        UnreachableError: nothing answers there, or not as a ztunnel does.
        AccessError: we may not forward ports into the pod.
    """
    place = f"{namespace}/{pod}"
    with cluster.forward(namespace, pod, port) as (host, local):
        dump = get(host, local, _DUMP, place, seconds)
    try:
        told = dump.get("certificates") or ()
        return tuple(_identity(each) for each in told if each.get("certChain"))  # others are not there yet
    except (AttributeError, KeyError, TypeError, ValueError) as fault:
        raise silent(place, f"its answer is not a ztunnel's: {fault!r}") from fault


def _identity(told: Mapping[str, Any]) -> Identity:
    return Identity(_pems(told["certChain"]), _pems(told.get("rootCerts") or ()))


def _pems(told: Iterable[Mapping[str, Any]]) -> tuple[bytes, ...]:
    texts = (each["pem"].encode() for each in told)
    plain = (text if text.startswith(b"-----") else base64.b64decode(text) for text in texts)
    return tuple(one for each in plain for one in pki.split(each))
