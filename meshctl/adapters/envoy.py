"""Envoy's admin interface, which listens on the pod's loopback and is reached by port-forward."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from meshctl.errors import UnreachableError
from meshctl.model.envoy import Certificate, EnvoyReport, TlsContext

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.ports import Cluster

ADMIN_PORT: Final = 15000
"""Where Istio has Envoy's admin interface, unless the mesh configuration says another."""

_REJECTED: Final = "/stats?filter=update_rejected$&format=json"
_CERTIFICATES: Final = "/certs"


def report(
    cluster: Cluster, namespace: str, pod: str, *, port: int = ADMIN_PORT, seconds: float = 5.0
) -> EnvoyReport:
    """What the Envoy in a pod says of its certificates, and of configuration that it refused.

    Args:
        cluster: where the pod runs.
        namespace: of the pod.
        pod: its name.
        port: of the admin interface.
        seconds: how long each of two answers may take.

    Raises:
        UnreachableError: nothing answers there, or not as Envoy does.
        AccessError: we may not forward ports into the pod.
    """
    with cluster.forward(namespace, pod, port) as (host, local):
        stats = get(host, local, _REJECTED, f"{namespace}/{pod}", seconds)
        certificates = get(host, local, _CERTIFICATES, f"{namespace}/{pod}", seconds)
    try:
        return EnvoyReport(_counters(stats), tuple(map(_context, certificates.get("certificates", ()))))
    except (AttributeError, KeyError, TypeError, ValueError) as fault:
        raise silent(f"{namespace}/{pod}", f"its answer is not Envoy's: {fault!r}") from fault


def get(host: str, port: int, path: str, place: str, seconds: float) -> Any:
    """JSON that an Envoy answers on its forwarded admin port; `place` names its pod.

    Raises:
        UnreachableError: nothing answers there, or not as Envoy does.
    """
    from urllib3 import HTTPConnectionPool, Timeout
    from urllib3.exceptions import HTTPError

    # A connection for each question: a forwarded one may be closed once its first answer is there.
    with HTTPConnectionPool(host, port, timeout=Timeout(seconds), retries=False) as pool:
        try:
            answer = pool.request("GET", path, headers={"Connection": "close"})
            if answer.status != 200:
                raise silent(place, f"{path} answered {answer.status}")
            return json.loads(answer.data)
        except (HTTPError, ValueError) as fault:
            raise silent(place, str(fault)) from fault


def silent(place: str, words: str) -> UnreachableError:
    """The error for the Envoy of a pod that does not answer as it should; `words` say why."""
    return UnreachableError(
        "envoy-silent",
        f"the Envoy of Pod {place} does not answer on its admin port",
        hint="does the pod have a running proxy, and is its admin port the one that its configuration says?",
        details=(words,),
    )


def _counters(stats: Mapping[str, Any]) -> dict[str, int]:
    told = (each for each in stats["stats"] if each.get("value"))
    return {each["name"]: int(each["value"]) for each in told}


def _context(told: Mapping[str, Any]) -> TlsContext:
    return TlsContext(
        tuple(map(_certificate, told.get("cert_chain") or ())),
        tuple(map(_certificate, told.get("ca_cert") or ())),
    )


def _certificate(told: Mapping[str, Any]) -> Certificate:
    names = told.get("subject_alt_names") or ()
    return Certificate(
        int(told["serial_number"], 16),
        _moment(told["valid_from"]),
        _moment(told["expiration_time"]),
        tuple(each["uri"] for each in names if "uri" in each),
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
