"""The two variants of the protocol: every response the whole state of a type, or the changes only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent import messages

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICE: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"
INTERNAL: Final = 13
"""`INTERNAL` of gRPC's status codes, with which a response is refused."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way of speaking; requests and responses of both have the same fields where the agent looks.

    Attributes:
        name: `sotw` or `delta`.
        method: of the service.
        request: class of its requests.
        response: class of its responses.
        resource: the `Any` in one of a response's resources.
    """

    name: str
    method: str
    request: Any
    response: Any
    resource: Callable[[Any], Any]

    @property
    def path(self) -> str:
        """Of the method, as gRPC writes it."""
        return f"/{SERVICE}/{self.method}"

    def asking(self, type_url: str, error: str = "") -> bytes:
        """A first request for all resources of a type, or a report of one."""
        return self._request(type_url, error).SerializeToString()  # type: ignore[no-any-return]

    def answer(self, type_url: str, version: str, nonce: str, error: str = "") -> bytes:
        """What is said to a response: taken, or refused for a reason."""
        request = self._request(type_url, error)
        request.response_nonce = nonce
        if self.name == "sotw":
            request.version_info = version
        return request.SerializeToString()  # type: ignore[no-any-return]

    def _request(self, type_url: str, error: str) -> Any:
        request = self.request(type_url=type_url)
        if error:
            request.error_detail.code = INTERNAL
            request.error_detail.message = error
        return request


STATE_OF_THE_WORLD: Final = Variant(
    name="sotw",
    method="StreamAggregatedResources",
    request=messages.DiscoveryRequest,
    response=messages.DiscoveryResponse,
    resource=lambda each: each,
)
DELTA: Final = Variant(
    name="delta",
    method="DeltaAggregatedResources",
    request=messages.DeltaDiscoveryRequest,
    response=messages.DeltaDiscoveryResponse,
    resource=lambda each: each.resource,
)
VARIANTS: Final = (DELTA, STATE_OF_THE_WORLD)
