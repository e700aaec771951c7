"""Certificates on both sides of the connection."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from meshctl.adapters.kube import KubeCluster, connect
from meshctl.errors import AccessError
from meshctl.pki import Authority, Subject, new_authority
from tests.fakes import FakeClock
from tests.unit.kube.api import Answer, ScriptedApi, kubeconfig, serving

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return new_authority(Subject("test authority"), NOW)


@contextmanager
def secured(
    folder: Path, authority: Authority, api: ScriptedApi, trusted: Authority
) -> Iterator[KubeCluster]:
    """A cluster behind TLS that wants a client certificate; the kubeconfig trusts `trusted`."""
    server = authority.issue(Subject("server", addresses=("127.0.0.1",)), NOW)
    client = authority.issue(Subject("client"), NOW, days=7)
    files = {"server.crt": server.certificate, "server.key": server.key, "ca.crt": authority.root}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.crt"))
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_cert_chain(folder / "server.crt", folder / "server.key")
    user: dict[str, Any] = {
        "client-certificate-data": base64.b64encode(client.certificate).decode(),
        "client-key-data": base64.b64encode(client.key).decode(),
    }
    trust = {"certificate-authority-data": base64.b64encode(trusted.root).decode()}
    with serving(api, tls) as address:
        found = connect(kubeconfig(folder, address, user=user, **trust), clock=FakeClock())
        yield found
        found.close()


def test_both_sides_prove_who_they_are(tmp_path: Path, authority: Authority) -> None:
    api = ScriptedApi()
    api.on("/version", Answer({"gitVersion": "v1.34.4"}))
    with secured(tmp_path, authority, api, authority) as cluster:
        assert cluster.version() == "v1.34.4"


def test_a_server_of_another_authority_is_not_trusted(tmp_path: Path, authority: Authority) -> None:
    stranger = new_authority(Subject("somebody else"), NOW)
    with (
        secured(tmp_path, authority, ScriptedApi(), stranger) as cluster,
        pytest.raises(AccessError) as caught,
    ):
        cluster.version()
    assert caught.value.code == "certificate-not-trusted"
    assert "context 'here' does not trust the certificate" in caught.value.message


def test_a_refused_certificate_says_until_when_it_was_valid(tmp_path: Path, authority: Authority) -> None:
    api = ScriptedApi()
    api.on("/version", Answer({"kind": "Status", "message": "Unauthorized"}, 401))
    with secured(tmp_path, authority, api, authority) as cluster, pytest.raises(AccessError) as caught:
        cluster.version()
    ends = NOW + timedelta(days=7)
    assert f"valid until {ends:%Y-%m-%d}" in caught.value.hint
