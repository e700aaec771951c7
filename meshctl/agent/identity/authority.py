"""istiod's certificate authority, over gRPC.

One call, CreateCertificate, which proves who asks by a token or by a certificate in hand. istiod decides for
whom the certificate is by that proof, and not by the request. Source: Istio's API, security/v1alpha1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from meshctl.agent.messages import CertificateRequest, CertificateResponse
from meshctl.errors import AccessError, FailedError, MeshctlError, UnreachableError

if TYPE_CHECKING:
    from typing import Protocol

    from meshctl.agent.identity.credentials import Credentials
    from meshctl.agent.identity.settings import IdentitySettings

    class Authority(Protocol):
        """Who signs certificates."""

        async def sign(
            self, request: bytes, roots: bytes, proof: str | Credentials, patience: float
        ) -> tuple[bytes, ...]:
            """See `Istiod.sign`."""


_METHOD: Final = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
_AWAY: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_REFUSED: Final = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
_UNPROVEN: Final = ("CERTIFICATE_VERIFY_FAILED", "Hostname Verification", "Peer name")
"""Words of gRPC when a server's certificate is not of a trusted root, or of another name."""
_LONGEST: Final = 300
"""Characters of what gRPC says that go into an error."""


class Istiod:
    """Asks istiod; each call has a connection of its own, as calls are hours apart and roots may change."""

    def __init__(self, settings: IdentitySettings) -> None:
        """Say whom to ask; nothing is sent."""
        self._settings = settings
        self._first = 0

    async def sign(
        self, request: bytes, roots: bytes, proof: str | Credentials, patience: float
    ) -> tuple[bytes, ...]:
        """The certificates, PEM, that the authority answers with; the last of several holds its roots.

        Args:
            request: signing request, PEM.
            roots: certificates, PEM, that istiod's own must lead to; not empty.
            proof: a token, or credentials that are shown.
            patience: seconds that each address may take.

        Raises:
            AccessError: istiod does not accept the proof.
            UnreachableError: no address answers, or none proves to be istiod.
            FailedError: istiod does not sign this.
        """
        addresses = self._settings.authorities
        failed: list[MeshctlError] = []
        for turn in range(len(addresses)):
            at = (self._first + turn) % len(addresses)
            try:
                answer = await self._ask(addresses[at], request, roots, proof, patience)
            except UnreachableError as error:
                failed.append(error)
            else:
                self._first = at
                return answer
        last = failed[-1]
        others = [error.message for error in failed[:-1]]
        raise UnreachableError(last.code, last.message, hint=last.hint, details=others)

    async def _ask(
        self, address: str, request: bytes, roots: bytes, proof: str | Credentials, patience: float
    ) -> tuple[bytes, ...]:
        metadata = [*self._settings.headers]
        if self._settings.cluster:
            metadata.append(("clusterid", self._settings.cluster))
        if isinstance(proof, str):
            shown = grpc.ssl_channel_credentials(roots)
            metadata.append(("authorization", f"Bearer {proof}"))
        else:
            shown = grpc.ssl_channel_credentials(roots, proof.key, proof.chain)
        async with grpc.aio.secure_channel(address, shown, options=self._options(address)) as channel:
            call = channel.unary_unary(
                _METHOD,
                request_serializer=CertificateRequest.SerializeToString,
            )
            try:
                raw = await call(self._question(request), metadata=tuple(metadata), timeout=patience)
            except grpc.aio.AioRpcError as error:
                raise _explained(
                    error, address, "token" if isinstance(proof, str) else "certificate"
                ) from error
        try:
            answer = tuple(each.encode() for each in CertificateResponse.FromString(raw).cert_chain)
        except DecodeError as error:
            raise FailedError("no-answer", f"what {address} answers cannot be read: {error}") from error
        if not answer:
            raise FailedError("no-certificate", f"the authority at {address} answered without a certificate")
        return answer

    def _question(self, request: bytes) -> Any:
        asked = CertificateRequest(
            csr=request.decode("ascii"), validity_duration=int(self._settings.lifetime)
        )
        if self._settings.signer:
            asked.metadata.update({"CertSigner": self._settings.signer})
        return asked

    def _options(self, address: str) -> tuple[tuple[str, Any], ...]:
        name = self._settings.server_name or _host(address)
        return (
            ("grpc.ssl_target_name_override", name),
            ("grpc.default_authority", name),
            ("grpc.enable_http_proxy", 0),  # istiod is of the mesh, and a proxy of the host's is not
            ("grpc.use_local_subchannel_pool", 1),  # lest an earlier call's failure is remembered
            ("grpc.enable_retries", 0),  # whoever asks decides when again
        )


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]") or address


def _explained(error: grpc.aio.AioRpcError, address: str, proof: str) -> MeshctlError:
    said = " ".join((error.details() or "").split())[:_LONGEST]
    code = error.code()
    if code in _REFUSED:
        return AccessError(
            f"{proof}-refused",
            f"the authority at {address} does not accept the {proof}: {said}",
            hint="make another token for this workload's service account, and put it in its place",
        )
    if code not in _AWAY:
        return FailedError(
            "not-signed", f"the authority at {address} does not sign: {code.name.lower()}: {said}"
        )
    if any(words in said for words in _UNPROVEN):
        return UnreachableError(
            "authority-unknown",
            f"what answers at {address} does not prove to be istiod: {said}",
            hint="compare root-cert.pem with the mesh's roots, and the clock with istiod's",
        )
    reason = "no answer in time" if code is grpc.StatusCode.DEADLINE_EXCEEDED else said
    return UnreachableError("authority-away", f"the authority at {address} cannot be reached: {reason}")
