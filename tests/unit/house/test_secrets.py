"""A secret is planted wherever one may be, and looked for in all that a command says or writes."""

from __future__ import annotations

import base64
import dataclasses
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from meshctl import pki
from meshctl.adapters.files import LocalFiles
from meshctl.adapters.kube_errors import Reply
from meshctl.adapters.xds import Caller
from meshctl.errors import InternalError
from meshctl.model.manifest import Manifest
from meshctl.model.mesh import Inputs, Layer, Overlay
from meshctl.ports import World
from meshctl.sandbox import certificates
from meshctl.sandbox.kubeconfig import Access
from tests.building import obj, part, release, seen
from tests.fakes import KINDS, NOON, FakeClock, FakeCluster, FakeReleases, kind_of
from tests.unit.kube.api import Answer, ScriptedApi, kubeconfig, serving

PLANTED = "planted-4b1d"
ENCODED = base64.b64encode(PLANTED.encode()).decode()
COMMANDS = {
    "install": ["install", "--yes"],
    "install, every object": ["install", "--yes", "--verbose"],
    "install, dry": ["install", "--dry-run"],
    "plan": ["plan"],
    "uninstall": ["uninstall", "--yes"],
    "uninstall, all": ["uninstall", "--purge", "--yes", "--verbose"],
    "uninstall, dry": ["uninstall", "--purge", "--dry-run"],
    "status": ["status"],
    "history": ["history"],
    "proxy-status": ["proxy-status"],
    "check": ["check"],
    "check before": ["check", "--pre"],
    "version": ["version", "--remote"],
    "diff": ["manifest", "diff", "--live"],
}
FORMS = ("text", "json")


def is_clean(text: str) -> bool:
    return PLANTED not in text and ENCODED not in text


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meshctl: Callable[..., Any]) -> Callable[..., str]:
    """Runs a command in an empty folder, and gives all that it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # where a fault of ours is written to

    def call(*words: str) -> str:
        said = meshctl(*words)
        assert said.code != InternalError.exit_code, said.err
        return str(said.out + said.err)

    return call


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A cluster whose Secrets hold what was planted, ours and others'."""
    secrets = [
        obj("Secret", name, "istio-system", data={"ca-key.pem": ENCODED, "token": ENCODED})
        for name in ("istio-ca-secret", "cacerts", "istio-remote-secret-west", "istio-kubeconfig")
    ]
    custom = kind_of("security.istio.io/v1", "PeerAuthentication")
    clock = FakeClock()
    cluster = FakeCluster("here", kinds=(*KINDS, custom), clock=clock)
    here = [obj("Namespace", "istio-system"), *secrets]
    here.append(obj("PeerAuthentication", "strict", "istio-system"))
    for each in here:
        cluster.seed(each.content)
    mesh = part("base", obj("Secret", "istio-ca-secret", "istio-system", data={"ca-key.pem": ENCODED}))
    record = release(Manifest((mesh,)), values={"values": {"global": {"tracer": {"token": PLANTED}}}})
    doors = World({"here": cluster}, {"here": FakeReleases(record)}, clock, LocalFiles())
    monkeypatch.setattr("meshctl.adapters.world.world", lambda *_: doors)
    return doors


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_shows_what_secrets_hold(
    name: str, form: str, say: Callable[..., str], world: World, tmp_path: Path
) -> None:
    assert is_clean(say(*COMMANDS[name], "-o", form))
    for path in tmp_path.iterdir():
        assert is_clean(path.read_text()), path
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


@pytest.fixture
def refusing(tmp_path: Path) -> Iterator[str]:
    """A kubeconfig whose API server refuses every call."""
    api = ScriptedApi()
    api.answer = lambda asked: Answer({"kind": "Status", "message": "Unauthorized"}, 401)  # type: ignore[method-assign]
    with serving(api) as server:
        yield kubeconfig(tmp_path, server, user={"token": PLANTED, "username": "me", "password": PLANTED})


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", COMMANDS)
def test_no_command_shows_the_credentials_it_was_refused_with(
    name: str, form: str, say: Callable[..., str], refusing: str
) -> None:
    told = say(*COMMANDS[name], "-o", form, "--kubeconfig", refusing)
    assert "credentials" in told
    assert is_clean(told)


BROKEN = {
    "not YAML": f"users:\n- name: me\n  user: {{token: {PLANTED}\n",
    "an anchor nobody set": f"users:\n- name: me\n  user:\n    token: {PLANTED}\n    other: *{'nobody'}\n",
    "a list": f"- {PLANTED}\n",
    "a key that is no key": f"""
current-context: here
contexts: [{{name: here, context: {{cluster: c, user: me}}}}]
clusters: [{{name: c, cluster: {{server: "https://127.0.0.1:1"}}}}]
users: [{{name: me, user: {{client-key-data: "{PLANTED}", client-certificate-data: "{PLANTED}"}}}}]
""",
    "contexts of the wrong form": f"current-context: here\ncontexts: [{PLANTED}]\n",
    "a user of the wrong form": f"""
current-context: here
contexts: [{{name: here, context: {{cluster: c, user: me}}}}]
clusters: [{{name: c, cluster: {{server: "https://127.0.0.1:1"}}}}]
users: [{{name: me, user: "{PLANTED}"}}]
""",
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_unusable_kubeconfig_is_told_without_its_content(
    name: str, say: Callable[..., str], tmp_path: Path
) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(BROKEN[name])
    told = say("status", "--kubeconfig", str(path))
    assert "error: " in told
    assert is_clean(told)


def test_a_setting_that_cannot_be_read_is_told_without_its_value(say: Callable[..., str]) -> None:
    told = say("values", "--set", f"global.tracer[x]y={PLANTED}")
    assert "error: bad-set" in told
    assert is_clean(told)


SECRET = obj("Secret", "istio-ca-secret", "istio-system", data={"key": ENCODED})
ROOT = pki.new_authority(pki.Subject(common_name="root"), NOON)
HOLDERS = {
    "an object": SECRET,
    "an observation": seen(SECRET),
    "a part": part("base", SECRET),
    "a release": release(values={"token": PLANTED}),
    "what was asked for": Inputs(sets=(f"global.token={PLANTED}",)),
    "an overlay": Overlay(Layer.SET, "--set", {"values": {"token": PLANTED}}),
    "an answer": Reply(200, {"status": {"token": PLANTED}}),
    "a caller": Caller("istio-system", b"", PLANTED),
    "a pair": dataclasses.replace(ROOT.pair, key=PLANTED.encode()),
    "an authority": dataclasses.replace(ROOT, pair=dataclasses.replace(ROOT.pair, key=PLANTED.encode())),
    "a sandbox's access": Access("c1", "s", b"", dataclasses.replace(ROOT.pair, key=PLANTED.encode())),
}


@pytest.mark.parametrize("name", HOLDERS)
def test_what_holds_a_secret_does_not_show_it_in_its_repr(name: str) -> None:
    assert is_clean(repr(HOLDERS[name]))
    assert is_clean(str(HOLDERS[name]))


def test_keys_and_kubeconfigs_of_a_sandbox_are_its_owners_alone(tmp_path: Path) -> None:
    node = certificates.node_subject("n1", ["10.0.0.1"])
    api = pki.Subject("kube-apiserver")
    users = certificates.component_users(["kube-scheduler"])
    certificates.make(tmp_path / "pki", "c1", "https://10.0.0.1", api=api, kubelet=node, users=users)
    assert stat.S_IMODE((tmp_path / "pki").stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "pki").iterdir()}
    assert {"ca.key", "sa.key", "admin.key", "admin.conf"} <= modes.keys()
    assert set(modes.values()) == {0o600}
