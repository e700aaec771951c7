"""The agent's identity against the certificate authority of a real istiod."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from meshctl import pki
from meshctl.adapters.kube import KubeCluster
from meshctl.agent.identity import by_hand
from meshctl.agent.identity.apart import Apart
from meshctl.agent.identity.authority import Istiod
from meshctl.agent.identity.credentials import Credentials, joined
from meshctl.agent.identity.identity import Identity
from meshctl.agent.identity.settings import IdentitySettings
from meshctl.agent.identity.store import Store
from meshctl.agent.messages import DiscoveryRequest, DiscoveryResponse, Secret
from meshctl.agent.places import Places
from meshctl.agent.sds import TYPE, Sds
from meshctl.model.objects import Ref
from tests.cluster.command import Command
from tests.issuing import Ca, until

pytestmark = pytest.mark.cluster

ISTIO = "istio-system"
PATIENCE = 60.0
"""Seconds until what must come has to be there; not a measure of anything."""


@pytest.fixture(scope="module")
def mesh(
    cluster: KubeCluster, kubeconfig: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KubeCluster]:
    """A cluster with Istio in it: the one that is there, or ours for as long as these tests run."""
    command = Command(kubeconfig, tmp_path_factory.mktemp("mesh"))
    is_ours = cluster.get(Ref("apps/v1", "Deployment", ISTIO, "istiod")) is None
    if is_ours:
        command.run("install", "--profile", "minimal", "--yes")
    yield cluster
    if is_ours:
        command.run("uninstall", "--purge", "--force", "--yes")


@dataclass
class Host:
    """A host that is to be of the mesh: its files, and a way to istiod that can be cut."""

    cluster: KubeCluster
    namespace: str
    places: Places
    relay: Relay

    @property
    def root(self) -> bytes:
        found = self.cluster.get(Ref("v1", "ConfigMap", ISTIO, "istio-ca-root-cert"))
        assert found
        return bytes(found.at("data.root-cert\\.pem").encode())

    @property
    def spiffe(self) -> str:
        return f"spiffe://cluster.local/ns/{self.namespace}/sa/default"

    def settings(self, **settings: Any) -> IdentitySettings:
        address = f"127.0.0.1:{self.relay.port}"
        given = {"server_name": "istiod.istio-system.svc", "look": 0.1, "spread": 0.1, **settings}
        return IdentitySettings((address,), "", self.namespace, "default", "Kubernetes", **given)

    def token(self, audience: str = "istio-ca", seconds: int = 600) -> str:
        return self.cluster.token(self.namespace, "default", audiences=(audience,), seconds=seconds)

    @asynccontextmanager
    async def running(self, **settings: Any) -> AsyncIterator[Identity]:
        who, keys = self.settings(**settings), Apart()
        identity = Identity(who, self.places, Store(self.places.identity), Istiod(who), keys)
        task = asyncio.ensure_future(identity.run())
        try:
            yield identity
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            await asyncio.wait([task])


class Relay:
    """A TCP port that leads to istiod, as long as it is not cut."""

    def __init__(self, to: tuple[str, int]) -> None:
        self.port = 0
        self._to = to
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        assert self._server
        self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        further, onward = await asyncio.open_connection(*self._to)
        ends = {writer, onward}
        self._open |= ends
        try:
            await asyncio.gather(self._pass(reader, onward), self._pass(further, writer))
        except OSError:
            pass
        finally:
            self._open -= ends
            for end in ends:
                end.close()

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()


@pytest.fixture
def host(mesh: KubeCluster, namespace: str, tmp_path: Path) -> Iterator[Host]:
    account = Ref("v1", "ServiceAccount", namespace, "default")
    deadline = time.monotonic() + PATIENCE
    while not mesh.get(account) and time.monotonic() < deadline:
        time.sleep(0.2)
    pods = mesh.list("v1", "Pod", namespace=ISTIO, labels="app=istiod", fields="status.phase=Running")
    places = Places(tmp_path)
    places.settings.mkdir(parents=True)
    with mesh.forward(ISTIO, pods[0].ref.name, 15012) as to:
        made = Host(mesh, namespace, places, Relay(to))
        places.roots.write_bytes(made.root)
        places.token.write_text(made.token())
        yield made


def live(test: Callable[[Host], Coroutine[Any, Any, None]]) -> Callable[[Host], None]:
    """A test that is a coroutine, with the way to istiod open."""

    def wrapper(host: Host) -> None:
        async def whole() -> None:
            await host.relay.mend()
            try:
                await asyncio.wait_for(test(host), PATIENCE * 3)
            finally:
                host.relay.cut()

        asyncio.run(whole())

    wrapper.__name__ = test.__name__
    return wrapper


async def first(identity: Identity) -> Credentials:
    got = await asyncio.wait_for(identity.latest.until(bool), PATIENCE)
    assert got
    return got


async def next_after(identity: Identity, before: Credentials) -> Credentials:
    got = await asyncio.wait_for(identity.latest.until(lambda got: got != before), PATIENCE)
    assert got
    return got


@live
async def test_a_token_gives_the_identity_of_its_service_account_and_envoy_gets_it(host: Host) -> None:
    async with host.running() as identity:
        got = await first(identity)
        assert got.names == (host.spiffe,)
        assert joined(got.roots) == joined(host.root)
        assert identity.error == ""
        assert pki.fits(got.chain, got.key)
        socket = host.places.settings / "sds.sock"
        serving = asyncio.ensure_future(Sds(identity.latest, Apart(), socket).run())
        await until(socket.exists, PATIENCE)
        async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
            call = channel.stream_stream("/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets")()
            request = DiscoveryRequest(resource_names=["default", "ROOTCA"], type_url=TYPE)
            await call.write(request.SerializeToString())
            response = DiscoveryResponse.FromString(await call.read())
        serving.cancel()
        secrets = [Secret.FromString(each.value) for each in response.resources]
        assert secrets[0].tls_certificate.certificate_chain.inline_bytes == got.chain
        assert secrets[1].validation_context.trusted_ca.inline_bytes == got.roots


@pytest.mark.parametrize("kind", ["ecdsa-p384", "rsa-2048"])
def test_istiod_signs_keys_of_other_kinds(kind: str, host: Host) -> None:
    async def test(host: Host) -> None:
        async with host.running(key=kind) as identity:
            got = await first(identity)
            assert pki.facts(got.chain).key == {"ecdsa-p384": "ECDSA 384", "rsa-2048": "RSA 2048"}[kind]

    live(test)(host)


@live
async def test_after_the_first_certificate_no_token_is_needed(host: Host) -> None:
    async with host.running() as identity:
        got = await first(identity)
        host.places.token.unlink()
        identity.renew()
        renewed = await next_after(identity, got)
        assert renewed.key != got.key
        assert renewed.names == got.names
        await until(lambda: Store(host.places.identity).load().key == renewed.key, PATIENCE)
    host.places.roots.unlink()  # a restart needs neither
    async with host.running() as identity:
        again = await first(identity)
        assert again.key == renewed.key
        identity.renew()
        await next_after(identity, again)


@live
async def test_short_lives_leave_no_moment_without_a_valid_certificate(host: Host) -> None:
    async with host.running(lifetime=10.0) as identity:
        await first(identity)
        deadline = time.monotonic() + 25
        while time.monotonic() < deadline:
            held = identity.latest.value
            assert held
            assert held.valid(time.time())
            await asyncio.sleep(0.1)
        assert identity.renewals >= 4


@live
async def test_a_token_that_istiod_refuses_is_told_and_another_in_its_place_is_taken(host: Host) -> None:
    for wrong in (host.token(audience="somebody-else"), "not-a-token"):
        host.places.token.write_text(wrong)
        async with host.running(longest_wait=1.0) as identity:
            await until(lambda identity=identity: "does not accept the token" in identity.error, PATIENCE)  # type: ignore[misc]
            assert wrong not in identity.error
            host.places.token.write_text(host.token())
            await first(identity)
            await until(lambda identity=identity: identity.error == "", PATIENCE)  # type: ignore[misc]
        Store(host.places.identity).save(b"", b"", b"")  # the next begins anew


@live
async def test_while_istiod_is_away_the_certificate_stays_and_then_it_is_renewed(host: Host) -> None:
    async with host.running(longest_wait=1.0) as identity:
        got = await first(identity)
        host.relay.cut()
        identity.renew()
        await until(lambda: identity.failures >= 2, PATIENCE)
        assert "cannot be reached" in identity.error
        assert identity.latest.value is got
        await host.relay.mend()
        await next_after(identity, got)
        assert identity.error == ""


@live
async def test_istiod_away_for_forty_percent_of_a_life_leaves_no_moment_without_a_certificate(
    host: Host,
) -> None:
    async with host.running(lifetime=30.0) as identity:
        got = await first(identity)
        await asyncio.sleep(max(0.0, identity.due - time.time() - 0.1))
        host.relay.cut()
        mending = asyncio.get_running_loop().call_later(
            12.0, lambda: asyncio.ensure_future(host.relay.mend())
        )
        while identity.latest.value is got:
            assert got.valid(time.time())
            await asyncio.sleep(0.1)
        assert time.time() < got.ends
        assert mending.when() < asyncio.get_running_loop().time()


@live
async def test_an_istiod_under_another_root_is_told_and_given_no_token(host: Host) -> None:
    host.places.roots.write_bytes(Ca("other", time.time() - 60).root)
    async with host.running(longest_wait=1.0) as identity:
        await until(lambda: "does not prove to be istiod" in identity.error, PATIENCE)
        host.places.roots.write_bytes(host.root)
        await first(identity)


@live
async def test_a_certificate_that_the_meshs_authority_signed_by_hand_is_renewed_by_istiod(host: Host) -> None:
    host.places.token.unlink()
    found = host.cluster.get(Ref("v1", "Secret", ISTIO, "istio-ca-secret"))
    if not found:
        pytest.skip("needs a mesh whose authority istiod made itself: there is no Secret istio-ca-secret")
    held = {name: base64.b64decode(found.at(f"data.{name}\\.pem")) for name in ("ca-cert", "ca-key")}
    request = by_hand.csr(host.settings(), host.places).encode()
    authority = pki.Authority(pki.Pair(held["ca-cert"], held["ca-key"]))
    chain = authority.sign(request, datetime.now(UTC), days=1)
    async with host.running() as identity:
        await until(lambda: "no token" in identity.error, PATIENCE)
        by_hand.install(host.places, chain, time.time())
        got = await first(identity)
        assert got.names == (host.spiffe,)
        identity.renew()
        renewed = await next_after(identity, got)
        assert renewed.names == (host.spiffe,)
        assert identity.error == ""
