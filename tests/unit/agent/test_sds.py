"""Secrets for Envoy, over a real socket."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshctl.agent.identity import files, keys
from meshctl.agent.identity.credentials import Credentials
from meshctl.agent.latest import Latest
from meshctl.agent.messages import DiscoveryRequest, DiscoveryResponse, Secret
from meshctl.agent.sds import TYPE, Sds
from tests.issuing import IDENTITY, NOON, Ca, Here, run, until

OLD, NEW = Ca("old"), Ca("new")
METHOD = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets"


def credentials(ca: Ca = OLD, roots: bytes = b"") -> Credentials:
    key = keys.new_key("ecdsa-p256")
    return keys.checked(key, ca.sign(keys.signing_request(key, IDENTITY), NOON, NOON + 60), ca.root + roots)


class Envoy:
    """One stream, as Envoy opens it."""

    def __init__(self, channel: Any) -> None:
        self._call = channel.stream_stream(METHOD)()
        self.names: tuple[str, ...] = ()
        self.nonce = ""
        self._coming: asyncio.Future[bytes] | None = None

    async def ask(self, *names: str, complaint: str = "", nonce: str | None = None) -> None:
        self.names = names or self.names
        request = DiscoveryRequest(resource_names=self.names, type_url=TYPE)
        request.response_nonce = self.nonce if nonce is None else nonce
        if complaint:
            request.error_detail.code = 13
            request.error_detail.message = complaint
        await self._call.write(request.SerializeToString())

    async def get(self) -> dict[str, Any]:
        coming, self._coming = self._coming or self._call.read(), None
        response = DiscoveryResponse.FromString(await coming)
        self.nonce = response.nonce
        assert response.type_url == TYPE
        assert {each.type_url for each in response.resources} == {TYPE}
        found = [Secret.FromString(each.value) for each in response.resources]
        return {secret.name: secret for secret in found}

    async def hears_nothing(self) -> None:
        self._coming = self._coming or asyncio.ensure_future(self._call.read())
        done, _ = await asyncio.wait([self._coming], timeout=0.1)
        assert not done

    async def raw(self, data: bytes) -> Any:
        await self._call.write(data)
        return await self._call.code()

    async def leave(self) -> None:
        await self._call.done_writing()


class Bed:
    def __init__(self, sds: Sds, latest: Latest[Credentials | None], channel: Any, folder: Path) -> None:
        self.sds, self.latest, self.channel, self.folder = sds, latest, channel, folder

    def envoy(self) -> Envoy:
        return Envoy(self.channel)


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Bed]:
    latest: Latest[Credentials | None] = Latest(None)
    socket = folder / "sds.sock"
    sds = Sds(latest, Here(), socket, look=0.01)
    task = asyncio.ensure_future(sds.run())
    try:
        async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
            await until(socket.exists)
            yield Bed(sds, latest, channel, folder)
            assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.wait([task])


def bed(test: Callable[[Bed], Awaitable[None]]) -> Callable[[Path], None]:
    def wrapper(tmp_path: Path) -> None:
        async def whole() -> None:
            async with serving(tmp_path) as found:
                await test(found)

        run(whole())

    wrapper.__name__, wrapper.__doc__ = test.__name__, test.__doc__
    return wrapper


@bed
async def test_the_workloads_key_chain_and_roots_are_given(bed: Bed) -> None:
    held = credentials()
    bed.latest.set(held)
    envoy = bed.envoy()
    await envoy.ask("default", "ROOTCA")
    got = await envoy.get()
    own = got["default"].tls_certificate
    assert own.certificate_chain.inline_bytes == held.chain
    assert own.private_key.inline_bytes == held.key
    assert got["ROOTCA"].validation_context.trusted_ca.inline_bytes == held.roots


@bed
async def test_what_is_not_there_yet_comes_when_it_is(bed: Bed) -> None:
    envoy = bed.envoy()
    await envoy.ask("default")
    await envoy.hears_nothing()
    assert bed.sds.data()["missing"] == {"default": "there is no certificate yet"}
    bed.latest.set(credentials())
    assert set(await envoy.get()) == {"default"}
    assert bed.sds.data()["missing"] == {}


@bed
async def test_a_new_certificate_is_pushed_to_all_streams_and_the_same_roots_to_none(bed: Bed) -> None:
    bed.latest.set(credentials())
    envoys = [bed.envoy() for _ in range(3)]
    for envoy in envoys:
        await envoy.ask("default", "ROOTCA")
        await envoy.get()
        await envoy.ask()
    renewed = credentials()
    bed.latest.set(renewed)
    for envoy in envoys:
        got = await envoy.get()
        assert set(got) == {"default"}
        assert got["default"].tls_certificate.private_key.inline_bytes == renewed.key


@bed
async def test_new_roots_are_pushed(bed: Bed) -> None:
    bed.latest.set(credentials())
    envoy = bed.envoy()
    await envoy.ask("ROOTCA")
    await envoy.get()
    await envoy.ask()
    bed.latest.set(credentials(roots=NEW.root))
    got = await envoy.get()
    assert got["ROOTCA"].validation_context.trusted_ca.inline_bytes == OLD.root + NEW.root


@bed
async def test_an_acknowledgement_is_answered_with_silence(bed: Bed) -> None:
    bed.latest.set(credentials())
    envoy = bed.envoy()
    await envoy.ask("default")
    await envoy.get()
    await envoy.ask()
    await envoy.hears_nothing()
    assert bed.sds.pushes == 1


@bed
async def test_a_rejection_is_kept_until_something_better_is_accepted_and_not_answered_with_the_same(
    bed: Bed,
) -> None:
    bed.latest.set(credentials())
    envoy = bed.envoy()
    await envoy.ask("default")
    await envoy.get()
    await envoy.ask(complaint="Failed to load private key")
    await until(lambda: bed.sds.rejected == {"default": "Failed to load private key"})
    await envoy.hears_nothing()
    bed.latest.set(credentials())
    await envoy.get()
    await envoy.ask()
    await until(lambda: bed.sds.rejected == {})


@bed
async def test_a_stale_judgement_says_nothing_of_the_newest(bed: Bed) -> None:
    bed.latest.set(credentials())
    envoy = bed.envoy()
    await envoy.ask("default")
    await envoy.get()
    await envoy.ask(complaint="old", nonce="0")
    await asyncio.sleep(0.05)
    assert bed.sds.rejected == {}


@bed
async def test_a_name_that_is_added_is_answered_alone(bed: Bed) -> None:
    bed.latest.set(credentials())
    envoy = bed.envoy()
    await envoy.ask("default")
    await envoy.get()
    await envoy.ask("default", "ROOTCA")
    assert set(await envoy.get()) == {"ROOTCA"}
    await envoy.ask("ROOTCA")
    await envoy.ask("ROOTCA", "default")
    assert set(await envoy.get()) == {"default"}  # dropped and asked again


@pytest.mark.parametrize("name", ["kubernetes://secret", "", "file-cert:a", "file-root:a~b", "file-cert:~"])
def test_other_names_are_never_answered_and_the_stream_goes_on(name: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with serving(tmp_path) as bed:
            bed.latest.set(credentials())
            envoy = bed.envoy()
            await envoy.ask(name)
            await until(lambda: bed.sds.data()["missing"] == {name: "no such secret"})
            await envoy.ask(name, "default")
            assert set(await envoy.get()) == {"default"}

    run(test())


def _pair(folder: Path, name: str) -> tuple[str, bytes, bytes]:
    key = keys.new_key("ecdsa-p256")
    chain = OLD.sign(keys.signing_request(key, IDENTITY), NOON, NOON + 60)
    (folder / f"{name}.crt").write_bytes(chain)
    (folder / f"{name}.key").write_bytes(key)
    return f"file-cert:{folder}/{name}.crt~{folder}/{name}.key", chain, key


@bed
async def test_a_pair_of_files_is_given_and_given_again_when_both_are_replaced(bed: Bed) -> None:
    name, chain, key = _pair(bed.folder, "client")
    envoy = bed.envoy()
    await envoy.ask(name)
    got = (await envoy.get())[name].tls_certificate
    assert (got.certificate_chain.inline_bytes, got.private_key.inline_bytes) == (chain, key)
    await envoy.ask()
    other, chain, key = _pair(bed.folder, "other")
    os.replace(bed.folder / "other.crt", bed.folder / "client.crt")  # noqa: PTH105
    await until(lambda: "not about the key" in bed.sds.data()["stale"].get(name, ""))
    os.replace(bed.folder / "other.key", bed.folder / "client.key")  # noqa: PTH105
    got = (await envoy.get())[name].tls_certificate
    assert (got.certificate_chain.inline_bytes, got.private_key.inline_bytes) == (chain, key)
    assert bed.sds.data()["stale"] == {}
    assert other != name


@bed
async def test_a_file_of_roots_is_given_when_it_appears_and_stays_when_it_goes(bed: Bed) -> None:
    file = bed.folder / "roots.pem"
    name = f"file-root:{file}"
    envoy = bed.envoy()
    await envoy.ask(name)
    await until(lambda: "cannot be read" in bed.sds.data()["missing"].get(name, ""))
    file.write_bytes(
        b"# ours\n" + NEW.root + b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
    )
    got = await envoy.get()
    assert got[name].validation_context.trusted_ca.inline_bytes == NEW.root
    await envoy.ask()
    file.unlink()
    await until(lambda: name in bed.sds.data()["stale"])
    again = bed.envoy()
    await again.ask(name)
    assert set(await again.get()) == {name}


def test_the_hosts_own_roots_are_the_first_file_that_is_there(tmp_path: Path) -> None:
    async def test() -> None:
        found = files.Files(Here(), [str(tmp_path / "missing"), str(tmp_path / "there")])
        (tmp_path / "there").write_bytes(OLD.root)
        assert await found.look(files.SYSTEM)
        assert found.held[files.SYSTEM] == OLD.root

    run(test())


@pytest.mark.parametrize("path", ["/dev/zero", "/proc/self/mem", "/", "/dev/null"])
def test_what_is_no_file_of_certificates_is_told_and_never_waited_for(path: str) -> None:
    async def test() -> None:
        found = files.Files(Here())
        assert not await found.look(f"file-root:{path}")
        assert found.errors[f"file-root:{path}"]

    run(test())


def test_a_pipe_that_nobody_writes_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    async def test() -> None:
        found = files.Files(Here())
        assert not await found.look(f"file-root:{tmp_path}/pipe")
        assert "is no file" in found.errors[f"file-root:{tmp_path}/pipe"]

    run(test())


def test_relative_paths_count_from_the_root() -> None:
    assert files._paths("file-cert:./etc/certs/c.pem~etc/certs/k.pem") == [
        "/etc/certs/c.pem",
        "/etc/certs/k.pem",
    ]


@settings(max_examples=60, deadline=None)
@given(st.text())
def test_any_name_is_a_file_or_is_not(name: str) -> None:
    for prefix in ("", files.PAIR, files.BUNDLE):
        assert isinstance(files.is_file(prefix + name), bool)


@bed
async def test_a_file_that_nobody_asks_for_any_more_is_forgotten(bed: Bed) -> None:
    name, _, _ = _pair(bed.folder, "client")
    envoy = bed.envoy()
    await envoy.ask(name)
    await envoy.get()
    await envoy.leave()
    await until(lambda: not bed.sds._files.held and not bed.sds._secrets)
    assert bed.sds.data()["streams"] == 0


@bed
async def test_what_is_no_request_ends_that_stream_alone(bed: Bed) -> None:
    bed.latest.set(credentials())
    assert await bed.envoy().raw(b"\xff\xff\xff") is grpc.StatusCode.INVALID_ARGUMENT
    envoy = bed.envoy()
    await envoy.ask("default")
    await envoy.get()


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_from_envoy_are_a_request_or_end_the_stream(data: bytes) -> None:
    async def test() -> None:
        sds = Sds(Latest(None), Here(), Path("/nowhere"))

        async def requests() -> AsyncIterator[bytes]:
            yield data

        context = AsyncMock()
        await sds._stream(requests(), context)
        assert not context.write.called

    asyncio.run(test())


@bed
async def test_other_methods_are_not_there(bed: Bed) -> None:
    call = bed.channel.unary_unary("/envoy.service.secret.v3.SecretDiscoveryService/FetchSecrets")(b"")
    assert await call.code() is grpc.StatusCode.UNIMPLEMENTED


@bed
async def test_the_socket_is_for_this_user_alone(bed: Bed) -> None:
    socket = bed.folder / "sds.sock"
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600
    assert stat.S_ISSOCK(socket.stat().st_mode)


def test_the_socket_of_a_process_that_was_killed_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "sds.sock").write_text("")

    async def test() -> None:
        for _ in range(2):
            async with serving(tmp_path) as bed:
                bed.latest.set(credentials())
                envoy = bed.envoy()
                await envoy.ask("default")
                await envoy.get()

    run(test())
