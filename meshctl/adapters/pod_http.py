"""Plain HTTP to a port of a pod, reached by port-forward."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from meshctl.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.ports import Cluster


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        status: of HTTP.
        headers: names in lower case.
        body: text; what is no UTF-8 is replaced.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""


def get(cluster: Cluster, namespace: str, pod: str, port: int, path: str, *, seconds: float) -> Reply:
    """Ask a pod for a path, whatever it answers.

    Raises:
        UnreachableError: nothing answers there in time, or not in HTTP.
        AccessError: we may not forward ports into the pod.
    """
    from urllib3 import HTTPConnectionPool, Timeout
    from urllib3.exceptions import HTTPError

    with (
        cluster.forward(namespace, pod, port) as (host, local),
        HTTPConnectionPool(host, local, timeout=Timeout(seconds), retries=False) as pool,
    ):
        try:
            answer = pool.request("GET", path, headers={"Connection": "close"})
        except HTTPError as fault:
            raise UnreachableError(
                "pod-silent",
                f"port {port} of Pod {namespace}/{pod} does not answer",
                hint="see its log with `kubectl logs`",
                details=(str(fault),),
            ) from fault
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Reply(answer.status, headers, answer.data.decode(errors="replace"))
