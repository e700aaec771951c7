"""The payload on a real host: made from real wheels, installed over SSH, and taken away without a trace."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshctl.agent.commands import NOT_READY
from meshctl.agent.places import UNIT, USER
from meshctl.model.bundle import Bundle
from meshctl.sandbox import rootfs
from meshctl.sandbox.host_files import SshFiles
from meshctl.sandbox.ledger import Ledger
from meshctl.sandbox.undo import undo
from meshctl.stages.enrolling.files import files
from tests.cluster.test_hosts import bring_up
from tests.cluster.traffic import until
from tests.cluster.vm.host import PLACES, Host
from tests.cluster.vm.payload import archive, installed, installer, payload_for, removed
from tests.enrolments import CASES, told

pytestmark = [pytest.mark.cluster, pytest.mark.full("hosts")]

NAME = "t-bundle"
LOOK = """
set -e
cd /
find etc opt usr srv home root var boot -xdev ! -path 'var/log/journal/*' ! -path 'var/tmp*' \\
    ! -path 'var/lib/systemd/*' ! -path 'var/log/*tmp' -printf '%p %y %m %U:%G %l\\n' | sort
find etc -xdev -type f -exec sha256sum {} + | sort -k2
systemctl list-unit-files --no-legend --no-pager
systemctl list-units --all --no-legend --no-pager --plain 'meshctl*'
(iptables-save; ip6tables-save; nft list tables) 2>/dev/null | grep '^-A\\|^:[A-Z]*_\\|^table' || true
"""
"""Everything that an installation could leave: names, modes, owners, what /etc holds, units, rules."""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """A host that nobody else changes."""
    list(rootfs.make(rootfs.HOST))
    state = tmp_path_factory.mktemp("sandbox") / NAME
    try:
        (place,) = bring_up(state, 1, name=NAME).hosts
        yield Host(place.name, str(place.address), SshFiles(state).config)
    finally:
        list(undo(Ledger(state / "ledger.jsonl")))


@pytest.fixture(scope="module")
def payload(host: Host) -> Bundle:
    """The agent of the working tree, for this host."""
    return payload_for(host)


@pytest.fixture
def clean(host: Host, payload: Bundle) -> Iterator[Host]:
    """The host, with nothing of ours before and after."""
    removed(host, payload)
    yield host
    removed(host, payload)


def look(host: Host) -> list[str]:
    return host.sudo(LOOK).splitlines()


def test_what_is_installed_runs_verifies_and_leaves_nothing(clean: Host, payload: Bundle) -> None:
    before = look(clean)
    said = installed(clean, payload)
    place = f"{PLACES.programs}/{payload.name}"
    assert said["changed"][:3] == [place, f"group {USER}", f"user {USER}"]
    assert clean.sudo(f"readlink {PLACES.programs}/current").strip() == payload.name
    assert json.loads(clean.agent("version -o json"))["agent"] == payload.manifest.version
    assert payload.manifest.envoy in clean.sudo(f"{place}/envoy --version")
    clean.sudo(f"cd {place} && sha256sum --check --quiet files.sha256")
    installer(clean, payload, "verify")
    assert removed(clean, payload)["changed"][0] == f"/etc/systemd/system/{UNIT}"
    assert look(clean) == before


def test_installing_again_changes_nothing(clean: Host, payload: Bundle) -> None:
    installed(clean, payload)
    before = look(clean)
    assert installed(clean, payload)["changed"] == []
    assert look(clean) == before


def test_the_agent_may_read_its_settings_and_change_nothing_but_its_state(
    clean: Host, payload: Bundle
) -> None:
    installed(clean, payload)
    clean.settings({"cluster.env": "A='b'\n"}, token="t")

    def may(command: str) -> bool:
        return clean.ended(f"sudo -n -u {USER} sh -c {shlex.quote(command)}").returncode == 0

    assert may(f"cat {PLACES.environment} {PLACES.token}")
    assert may(f"touch {PLACES.state}/x")
    for place in (PLACES.settings, PLACES.programs, PLACES.programs / "current" / "lib", PLACES.capture):
        assert not may(f"touch {place}/x"), place
    assert clean.ended(f"cat {PLACES.token}").returncode != 0
    assert not clean.is_active


def test_a_payload_with_one_byte_changed_is_refused_before_anything_is_there(
    clean: Host, payload: Bundle
) -> None:
    before = look(clean)
    raw = bytearray(archive(payload))
    raw[len(raw) // 2] ^= 1
    for sent in (bytes(raw), bytes(raw[: len(raw) // 3])):
        said = installer(clean, payload, "install --from -", stdin=sent, check=1)
        assert said["error"]["code"] == "payload-damaged"
    assert [line for line in look(clean) if line not in before] == ["opt/meshctl-agent d 755 0:0 "]


def test_a_file_that_was_altered_is_named_and_installing_again_mends_it(clean: Host, payload: Bundle) -> None:
    installed(clean, payload)
    place = PLACES.programs / payload.name
    clean.sudo(f"echo x >> {place}/lib/meshctl/errors.py; touch {place}/lib/sitecustomize.py")
    said = installer(clean, payload, "verify", check=1)
    assert said["error"]["code"] == "payload-altered"
    assert said["error"]["details"] == ["lib/meshctl/errors.py", "lib/sitecustomize.py"]
    assert installed(clean, payload)["changed"] == [str(place)]
    installer(clean, payload, "verify")


def test_an_agent_that_runs_is_stopped_and_takes_its_rules_along(clean: Host, payload: Bundle) -> None:
    before = look(clean)
    installed(clean, payload)
    clean.settings(files(told(CASES["ports and a network"])), token="none")
    clean.systemctl("enable", "--now", "--no-block")
    until(
        lambda: (
            clean.ended(f"sudo {PLACES.programs}/current/bin/meshctl-agent status").returncode == NOT_READY
        )
    )
    said = json.loads(clean.agent("status -o json", check=NOT_READY))
    assert said["versions"]["payload"] == payload.short
    assert "meshctl" in clean.sudo("(iptables-save; nft list tables) 2>/dev/null; true").lower()
    removed(clean, payload)
    assert look(clean) == before
    assert not clean.run(f"pgrep --euid {USER}", check=None)


def test_a_user_that_was_there_before_stays(clean: Host, payload: Bundle) -> None:
    clean.sudo(f"useradd --system --user-group --no-create-home {USER}")
    try:
        before = look(clean)
        installed(clean, payload)
        removed(clean, payload)
        assert look(clean) == before
    finally:
        clean.sudo(f"userdel {USER}")


def test_an_ordinary_user_is_told_to_use_sudo(clean: Host, payload: Bundle, tmp_path: Path) -> None:
    clean.write("/home/admin/installer", payload.installer, mode="0644")
    done = clean.ended("sh /home/admin/installer install")
    clean.sudo("rm /home/admin/installer")
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[0] == "error: not-root"
