"""An istiod is asked for a certificate over its real protocol, and tells by it what it works with."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from meshctl import pki
from meshctl.adapters import istiod_ca, xds
from meshctl.errors import AccessError, FailedError, UnreachableError
from meshctl.stages.rotating.live import issuer
from tests.istiods import TOKEN, AskedCluster, istiod_pod, mesh_ca, root_config_map


class Authority:
    """Signs as istiod does: the leaf, then its chain one by one, then all roots in one text."""

    def __init__(self, signer: pki.Authority, *roots: pki.Authority, answer: list[str] | None = None) -> None:
        self.signer, self.roots, self.fixed = signer, roots, answer
        self.seconds = 0
        request, self._response = istiod_ca._messages()
        pair = mesh_ca().issue(pki.Subject(dns=("istiod.istio-system.svc",)), datetime.now(UTC))
        self._server = grpc.server(ThreadPoolExecutor(max_workers=2))
        handler = grpc.unary_unary_rpc_method_handler(
            self._sign,
            request_deserializer=request.FromString,
            response_serializer=self._response.SerializeToString,
        )
        service = "istio.v1.auth.IstioCertificateService"
        generic = grpc.method_handlers_generic_handler(service, {"CreateCertificate": handler})
        self._server.add_generic_rpc_handlers((generic,))
        credentials = grpc.ssl_server_credentials([(pair.key, pair.certificate)])
        self.port = self._server.add_secure_port("127.0.0.1:0", credentials)

    def __enter__(self) -> Authority:
        self._server.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.stop(None).wait()

    def _sign(self, request: Any, context: Any) -> Any:
        if dict(context.invocation_metadata()).get("authorization") != f"Bearer {TOKEN}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "authentication failure")
        self.seconds = request.validity_duration
        leaf = self.signer.sign(request.csr.encode(), datetime.now(UTC), days=1)
        roots = b"".join(each.pair.certificate for each in self.roots)
        answer = [leaf, self.signer.pair.certificate, roots]
        return self._response(cert_chain=self.fixed or [each.decode() for each in answer])


def asked(authority: Authority, root: pki.Authority | None = None, token: str = TOKEN) -> Any:
    ports = {"istiod-1": authority.port}
    cluster = AskedCluster(istiod_pod(), root_config_map(root), ports=ports)
    (server,) = xds.servers(cluster, "istio-system")
    caller = xds.Caller("istio-system", (root or mesh_ca()).root, token)
    return istiod_ca.handed_out(cluster, server, caller, seconds=5)


def new(name: str) -> pki.Authority:
    return pki.new_authority(pki.Subject(name), datetime.now(UTC), path_length=1)


def test_it_tells_who_signs_and_every_root_that_it_hands_out() -> None:
    old, other = new("old"), new("other")
    below = old.intermediate(pki.Subject("below"), datetime.now(UTC))
    with Authority(below, old, other) as authority:
        told = asked(authority)
    assert issuer(told) == pki.fingerprint(below.pair.certificate)
    assert [pki.facts(root).subject for root in told.roots] == ["CN=old", "CN=other"]
    assert authority.seconds == 60


def test_it_is_not_asked_where_its_certificate_does_not_come_from_the_roots() -> None:
    with Authority(new("old"), new("old")) as authority, pytest.raises(FailedError) as refused:
        asked(authority, root=new("another"))
    assert refused.value.code == "istiod-untrusted"


def test_it_may_refuse() -> None:
    with Authority(new("old"), new("old")) as authority, pytest.raises(AccessError, match="does not let us"):
        asked(authority, token="a token of somebody else")


@pytest.mark.parametrize("answer", [["no certificate", "nor this"], ["one alone"]])
def test_what_it_gives_may_be_none(answer: list[str]) -> None:
    with Authority(new("old"), answer=answer) as authority, pytest.raises(FailedError) as failed:
        asked(authority)
    assert failed.value.code == "istiod-failed"


def test_nobody_may_be_there() -> None:
    cluster = AskedCluster(istiod_pod(), root_config_map())
    (server,) = xds.servers(cluster, "istio-system")
    with pytest.raises(UnreachableError):
        istiod_ca.handed_out(cluster, server, xds.Caller("istio-system", mesh_ca().root, TOKEN))
