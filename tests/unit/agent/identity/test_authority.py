"""Asking istiod, which a server of gRPC stands for here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from meshctl.agent.identity import keys
from meshctl.agent.identity.authority import Istiod
from meshctl.agent.identity.credentials import Credentials
from meshctl.agent.identity.settings import IdentitySettings
from meshctl.agent.messages import CertificateRequest, CertificateResponse
from meshctl.errors import AccessError, FailedError, UnreachableError
from tests.issuing import IDENTITY, Ca, run

NOW = time.time()
LATER = NOW + 86400
"""Long after the last of a whole run's tests, as this module is read before the first."""
CA, OTHER = Ca("mesh", NOW - 600), Ca("other", NOW - 600)
NAME = "istiod.istio-system.svc"
KEY = keys.new_key("ecdsa-p256")
REQUEST = keys.signing_request(KEY, IDENTITY)
HELD = keys.checked(KEY, CA.sign(REQUEST, NOW - 60, LATER), CA.root)


class Server(grpc.GenericRpcHandler):  # type: ignore[misc] # gRPC has no types
    """Answers as it is told, and keeps what it was asked."""

    def __init__(self, answer: Sequence[str] = ("leaf", "root"), code: Any = None, wait: float = 0.0) -> None:
        self.answer, self.code, self.wait = answer, code, wait
        self.requests: list[Any] = []
        self.metadata: list[dict[str, str]] = []
        self.peers: list[Any] = []

    def service(self, details: Any) -> Any:
        assert details.method == "/istio.v1.auth.IstioCertificateService/CreateCertificate"
        return grpc.unary_unary_rpc_method_handler(self._sign)

    async def _sign(self, raw: bytes, context: Any) -> bytes:
        self.requests.append(CertificateRequest.FromString(raw))
        self.metadata.append(dict(context.invocation_metadata()))
        self.peers.append(context.auth_context().get("x509_pem_cert"))
        await asyncio.sleep(self.wait)
        if self.code:
            await context.abort(self.code, "because")
        return bytes(CertificateResponse(cert_chain=self.answer).SerializeToString())


@asynccontextmanager
async def listening(
    server: Server, ca: Ca = CA, ends: float = LATER, *, asks_back: bool = False
) -> AsyncIterator[str]:
    """The server's address, under a certificate for istiod's name; it may insist on one of the client's."""
    key, chain = ca.server(NAME, NOW - 60, ends)
    shown = grpc.ssl_server_credentials([(key, chain)], CA.root, require_client_auth=asks_back)
    running = grpc.aio.server()
    running.add_generic_rpc_handlers([server])
    port = running.add_secure_port("127.0.0.1:0", shown)
    await running.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await running.stop(None)


def asking(*addresses: str, **settings: Any) -> Istiod:
    who = IdentitySettings(
        addresses, "", "vms", "shop", settings.pop("cluster", "west"), **{"server_name": NAME, **settings}
    )
    return Istiod(who)


def test_a_token_goes_in_the_metadata_and_the_cluster_with_it() -> None:
    async def test() -> None:
        server = Server(["leaf\n", "between\n", "root\n"])
        async with listening(server) as address:
            istiod = asking(address, headers=(("x-team", "shop"),), lifetime=90.0)
            answer = await istiod.sign(REQUEST, CA.root, "a.b.c", 5.0)
        assert answer == (b"leaf\n", b"between\n", b"root\n")
        (metadata,), (request,) = server.metadata, server.requests
        assert metadata["authorization"] == "Bearer a.b.c"
        assert metadata["clusterid"] == "west"
        assert metadata["x-team"] == "shop"
        assert request.csr.encode() == REQUEST
        assert request.validity_duration == 90
        assert not request.HasField("metadata")
        assert server.peers == [None]

    run(test())


def test_a_certificate_is_shown_and_no_token_with_it() -> None:
    async def test() -> None:
        server = Server()
        async with listening(server, asks_back=True) as address:
            await asking(address, cluster="", signer="clusterissuers.istio/mesh").sign(
                REQUEST, CA.root, HELD, 5.0
            )
        (metadata,), (request,), (peer,) = server.metadata, server.requests, server.peers
        assert "authorization" not in metadata
        assert "clusterid" not in metadata
        assert request.metadata["CertSigner"] == "clusterissuers.istio/mesh"
        assert peer[0] in HELD.chain

    run(test())


@pytest.mark.parametrize("proof", ["token", HELD], ids=["token", "certificate"])
@pytest.mark.parametrize("code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED])
def test_a_proof_that_is_refused_is_told_as_that(code: Any, proof: str | Credentials) -> None:
    async def test() -> None:
        async with listening(Server(code=code)) as address:
            with pytest.raises(AccessError, match=r"does not accept the (token|certificate): because"):
                await asking(address).sign(REQUEST, CA.root, proof, 5.0)

    run(test())


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.UNIMPLEMENTED])
def test_an_authority_that_does_not_sign_is_not_asked_at_its_other_addresses(code: Any) -> None:
    async def test() -> None:
        first, second = Server(code=code), Server()
        async with listening(first) as one, listening(second) as two:
            with pytest.raises(FailedError, match=f"does not sign: {code.name.lower()}: because"):
                await asking(one, two).sign(REQUEST, CA.root, "token", 5.0)
        assert second.requests == []

    run(test())


def test_the_next_address_is_asked_when_one_is_away_and_is_the_first_from_then_on() -> None:
    async def test() -> None:
        server = Server()
        async with listening(server) as address:
            istiod = asking("127.0.0.1:1", address)
            await istiod.sign(REQUEST, CA.root, "token", 5.0)
            assert istiod._first == 1
            await istiod.sign(REQUEST, CA.root, "token", 5.0)
        assert len(server.requests) == 2

    run(test())


def test_when_no_address_answers_all_of_them_are_told() -> None:
    async def test() -> None:
        istiod = asking("127.0.0.1:1", "127.0.0.1:2")
        with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:2") as raised:
            await istiod.sign(REQUEST, CA.root, "token", 5.0)
        assert any("127.0.0.1:1" in each for each in raised.value.details)

    run(test())


def test_an_answer_that_does_not_come_is_not_waited_for_beyond_the_patience() -> None:
    async def test() -> None:
        async with listening(Server(wait=10.0)) as address:
            with pytest.raises(UnreachableError, match="no answer in time"):
                await asking(address).sign(REQUEST, CA.root, "token", 0.2)

    run(test())


def test_who_cannot_prove_to_be_istiod_is_given_no_token() -> None:
    async def test() -> None:
        for server, settings, ca, ends in (
            (Server(), {}, OTHER, LATER),  # of another root
            (Server(), {"server_name": "other.svc"}, CA, LATER),
            (Server(), {"server_name": ""}, CA, LATER),  # the certificate does not name 127.0.0.1
            (Server(), {}, CA, NOW - 30),  # has ended
        ):
            async with listening(server, ca, ends) as address:
                with pytest.raises(UnreachableError, match="does not prove to be istiod") as raised:
                    await asking(address, **settings).sign(REQUEST, CA.root, "token", 5.0)
            assert "root-cert.pem" in raised.value.hint
            assert server.metadata == []

    run(test())


def test_one_of_several_roots_is_enough_to_know_istiod() -> None:
    async def test() -> None:
        async with listening(Server()) as address:
            assert await asking(address).sign(REQUEST, OTHER.root + CA.root, "token", 5.0)

    run(test())


def test_a_certificate_under_another_root_is_an_error_and_not_a_crash() -> None:
    held = keys.checked(KEY, OTHER.sign(REQUEST, NOW - 60, LATER), OTHER.root)

    async def test() -> None:
        async with listening(Server(), asks_back=True) as address:
            with pytest.raises(UnreachableError):
                await asking(address).sign(REQUEST, CA.root, held, 5.0)

    run(test())


def test_an_empty_answer_is_an_error() -> None:
    async def test() -> None:
        async with listening(Server([])) as address:
            with pytest.raises(FailedError, match="without a certificate"):
                await asking(address).sign(REQUEST, CA.root, "token", 5.0)

    run(test())


def test_an_answer_that_is_no_message_is_an_error() -> None:
    class Rubbish(Server):
        async def _sign(self, raw: bytes, context: Any) -> bytes:
            return b"\xff\xff\xff"

    async def test() -> None:
        async with listening(Rubbish()) as address:
            with pytest.raises(FailedError):
                await asking(address).sign(REQUEST, CA.root, "token", 5.0)

    run(test())
