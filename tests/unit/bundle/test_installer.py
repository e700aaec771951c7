"""The installer, run as a host runs it, in a folder that stands for the host."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from meshctl.adapters import bundle_files
from meshctl.errors import MeshctlError
from meshctl.installer import host as hosts
from meshctl.installer import manifest as manifests
from meshctl.installer.host import Host, here
from meshctl.installer.installing import install
from meshctl.installer.places import Installed
from meshctl.model.bundle import Bundle, Target
from tests.unit.bundle.conftest import Build, Wheels, wheel
from tests.unit.bundle.standing import HERE, MACHINE, Standing, standing_with

LITTLE = {
    "meshctl/errors.py": b"",
    "meshctl/agent/meshctl-agent.service": b"[Service]\n",
    "meshctl/agent/places.py": b"WHERE = 1\n",
}
"""An agent that takes no time to install."""


@pytest.fixture
def bundle(make: Build, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setattr(bundle_files, "agent", lambda: bundle_files.zipped(LITTLE))
    return make((MACHINE,))


@pytest.fixture
def standing(bundle: Bundle, tmp_path: Path) -> Standing:
    return standing_with(bundle, tmp_path)


def refusal(standing: Standing, bundle: Bundle, raw: bytes) -> str:
    """The code with which a payload is refused."""
    with pytest.raises(MeshctlError) as caught:
        install(Installed(standing.root), here(), bundle.name, lambda: io.BytesIO(raw))
    return caught.value.code


def test_the_host_gets_the_wheels_of_its_own_python_alone(standing: Standing) -> None:
    standing.run("install")
    held = {each.name for each in (standing.root / "opt/meshctl-agent/current/lib").iterdir()}
    assert {"meshctl", "grpcio", "protobuf", "typing_extensions"} <= held
    assert "envoy" not in held


def test_byte_code_is_there_and_has_the_final_names(standing: Standing, bundle: Bundle) -> None:
    standing.run("install")
    place = standing.root / "opt/meshctl-agent" / bundle.name
    (code,) = (place / "lib/meshctl/agent/__pycache__").glob("places.*.pyc")
    assert str(place / "lib/meshctl/agent/places.py").encode() in code.read_bytes()
    assert b".part" not in code.read_bytes()


def test_the_payload_may_come_by_standard_input(standing: Standing, bundle: Bundle) -> None:
    said = io.BytesIO()
    bundle_files.send(bundle, bundle.manifest.needed([Target(MACHINE, HERE)]), said)
    standing.payload.unlink()
    standing.run("install", "--from", "-", stdin=said.getvalue())
    standing.run("verify")


def test_what_an_interrupted_run_left_is_no_hindrance(standing: Standing, bundle: Bundle) -> None:
    left = standing.root / "opt/meshctl-agent" / f".{bundle.name}.part"
    (left / "lib").mkdir(parents=True)
    (left / "lib" / "evil.py").write_text("")
    standing.run("install")
    assert not left.exists()
    assert not list((standing.root / "opt/meshctl-agent").rglob("evil.py"))


def test_a_new_payload_leaves_the_former_until_it_is_pruned(
    standing: Standing, make: Build, wheels: Wheels, bundle: Bundle, tmp_path: Path
) -> None:
    standing.run("install")
    wheels.change("typing_extensions-4.0-py3-none-any.whl", {"typing_extensions.py": b"new = 1\n"})
    after = make((MACHINE,))
    payload, script = bundle_files.write(after, tmp_path / "sent")
    newer = Standing(standing.root, script, payload)
    newer.run("install")
    programs = standing.root / "opt/meshctl-agent"
    assert (programs / "current").readlink() == Path(after.name)
    assert (programs / bundle.name).is_dir()
    assert newer.run("prune")["changed"] == [str(programs / bundle.name)]
    newer.run("verify")
    assert standing.refused("verify") == "not-installed"
    assert newer.run("prune")["changed"] == []


def test_an_altered_file_is_named_and_mended(standing: Standing, bundle: Bundle) -> None:
    standing.run("install")
    place = standing.root / "opt/meshctl-agent" / bundle.name
    (place / "lib/meshctl/errors.py").unlink()
    (place / "envoy").write_text("another")
    told = standing.run("verify", check=1)["error"]
    assert (told["code"], told["details"]) == ("payload-altered", ["envoy", "lib/meshctl/errors.py"])
    assert standing.run("install")["changed"] == [str(place)]
    standing.run("verify")


def rewritten(raw: bytes, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]) -> bytes:
    """A payload with its members changed."""
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        members = [(each, file.read()) for each in archive if (file := archive.extractfile(each))]
    change(members)
    said = io.BytesIO()
    with tarfile.open(fileobj=said, mode="w") as made:
        for header, content in members:
            header.size = len(content) if header.isreg() else 0
            made.addfile(header, io.BytesIO(content) if header.isreg() else None)
    return said.getvalue()


Members = list[tuple[tarfile.TarInfo, bytes]]


def _flip(members: Members) -> None:
    header, content = members[-1]
    members[-1] = (header, content[:-1] + bytes([content[-1] ^ 1]))


def _twice(members: Members) -> None:
    members.append(members[1])


def _more(members: Members) -> None:
    members.append((tarfile.TarInfo("more.zip"), b"PK"))


def _outside(members: Members) -> None:
    members.append((tarfile.TarInfo("../outside"), b"x"))


def _link(members: Members) -> None:
    header = tarfile.TarInfo(members[1][0].name)
    header.type, header.linkname = tarfile.SYMTYPE, "/etc/passwd"
    members[1] = (header, b"")


def _missing(members: Members) -> None:
    del members[1]


def _unlisted(members: Members) -> None:
    del members[0]


def _longer(members: Members) -> None:
    header, content = members[1]
    members[1] = (header, content + b"\0")


@pytest.mark.parametrize("change", [_flip, _twice, _more, _outside, _link, _missing, _unlisted, _longer])
def test_a_payload_that_was_changed_is_refused_and_nothing_of_it_stays(
    standing: Standing, bundle: Bundle, change: Callable[[Members], None]
) -> None:
    raw = rewritten(standing.payload.read_bytes(), change)
    assert refusal(standing, bundle, raw) == "payload-damaged"
    assert not list((standing.root / "opt").rglob("*.py"))
    assert not (standing.root / "etc/systemd/system/meshctl-agent.service").exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9])
def test_a_payload_that_was_cut_off_is_refused(standing: Standing, bundle: Bundle, share: float) -> None:
    raw = standing.payload.read_bytes()
    cut = raw[: int(len(raw.rstrip(b"\0")) * share)]
    assert refusal(standing, bundle, cut) == "payload-damaged"
    assert not list((standing.root / "opt").rglob("*.py"))


def test_noise_is_refused(standing: Standing, bundle: Bundle) -> None:
    assert refusal(standing, bundle, os.urandom(5000)) == "payload-damaged"


def test_another_bundles_payload_is_refused(
    standing: Standing, bundle: Bundle, make: Build, wheels: Wheels
) -> None:
    wheels.change("typing_extensions-4.0-py3-none-any.whl", {"typing_extensions.py": b"new"})
    said = io.BytesIO()
    other = make((MACHINE,))
    bundle_files.send(other, other.manifest.entries, said)
    assert refusal(standing, bundle, said.getvalue()) == "payload-differs"


@pytest.mark.parametrize("member", ["../evil.py", "/etc/evil", "a/../../evil", "lib\\evil", "a b.py", ""])
def test_an_archive_that_leads_outside_is_refused(
    standing: Standing, make: Build, wheels: Wheels, tmp_path: Path, member: str
) -> None:
    name = "typing_extensions-4.0-py3-none-any.whl"
    (wheels.folder / name).write_bytes(wheel(name, {member or "x" * 300: b"x"}))
    said, evil = io.BytesIO(), make((MACHINE,))
    bundle_files.send(evil, evil.manifest.entries, said)
    assert refusal(standing, evil, said.getvalue()) == "payload-damaged"
    assert not list(tmp_path.rglob("evil.py"))
    assert not list((standing.root / "opt").rglob("*.py"))


def test_a_payload_that_is_not_there_is_asked_for(standing: Standing) -> None:
    standing.payload.unlink()
    done = standing.run("install", check=2)
    assert done["error"]["code"] == "no-payload"
    assert "--from" in done["error"]["hint"]


def _manifest(**change: Any) -> dict[str, Any]:
    entry = {
        "path": "agent.zip",
        "sha256": "0" * 64,
        "size": 1,
        "unpacked": 1,
        "takes": [["", "lib/"]],
        "architectures": [],
        "pythons": [],
        "glibc": "",
    }
    whole = {"format": 1, "version": "1", "envoy": "1", "targets": [["x86_64", "3.11"]]}
    return {**whole, "entries": [{**entry, **change}]}


@pytest.mark.parametrize(
    "change",
    [
        {"path": "../x"},
        {"path": "/etc/x"},
        {"path": "manifest.json"},
        {"path": ".hidden"},
        {"path": "a\nb"},
        {"sha256": "0"},
        {"takes": [["", "../"]]},
        {"takes": [["", "bin/"]]},
        {"takes": [["", ""]]},
        {"takes": 5},
        {"size": None},
    ],
)
def test_a_manifest_that_leads_elsewhere_is_refused_though_its_hash_is_right(change: dict[str, Any]) -> None:
    raw = json.dumps(_manifest(**change)).encode()
    with pytest.raises(Exception) as caught:
        manifests.read(raw, hashlib.sha256(raw).hexdigest())
    assert getattr(caught.value, "code", "") == "payload-damaged"


FITS = Host("Linux", "x86_64", ("glibc", "2.36"), "3.11", "cpython", "/usr/bin/python3")


@pytest.mark.parametrize(
    ("code", "says", "host"),
    [
        ("unsupported-system", "Darwin", {"system": "Darwin"}),
        ("unsupported-architecture", "riscv64", {"architecture": "riscv64"}),
        ("unsupported-python", "3.9", {"python": "3.9"}),
        ("unsupported-python", "3.15", {"python": "3.15"}),
        ("unsupported-python", "pypy", {"implementation": "pypy"}),
        ("unsupported-libc", "musl", {"libc": ("musl", "1.2")}),
        ("unsupported-libc", "not glibc", {"libc": ("", "")}),
        ("unsupported-libc", "2.9; the payload needs 2.31", {"libc": ("glibc", "2.9")}),
    ],
)
def test_a_host_that_it_does_not_fit_is_refused_with_what_to_do(
    make: Build, code: str, says: str, host: dict[str, Any]
) -> None:
    text = make(("x86_64",)).manifest.text()
    found = manifests.read(text, hashlib.sha256(text).hexdigest())
    hosts.check(FITS, found)
    with pytest.raises(Exception) as caught:
        hosts.check(Host(**{**FITS.__dict__, **host}), found)
    error: Any = caught.value
    assert error.code == code
    assert says in error.message
    assert error.hint


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Callable[[str, str], str]]:
    """A PATH with programs in place of the machine's."""
    folder = tmp_path / "programs"
    folder.mkdir()

    def put(name: str, script: str) -> str:
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
        return str(folder)

    yield put


def words_of(standing: Standing, *words: str, path: str) -> str:
    env = {**os.environ, "PATH": path, "MESHCTL_AGENT_ROOT": str(standing.root)}
    done = subprocess.run(["/bin/sh", standing.script, *words], env=env, capture_output=True, text=True)
    assert done.returncode == 1
    return done.stderr


def test_a_host_without_such_a_python_is_told_which_to_install(
    standing: Standing, path: Callable[[str, str], str]
) -> None:
    path("uname", "echo Linux")
    only = path("python3", "echo 3.9")
    told = words_of(standing, "install", path=only)
    assert told.startswith("error: unsupported-python\n")
    assert "3.10 3.11 3.12 3.13 3.14" in told
    assert "hint: install one" in told


def test_a_python_that_is_named_and_does_not_fit_is_refused(standing: Standing) -> None:
    for each in ("/bin/false", "/no/such/python", ""):
        assert "unsupported-python" in words_of(
            standing, f"--python={each}", "install", path=os.environ["PATH"]
        )


def test_another_system_is_refused_before_any_python_is_looked_for(
    standing: Standing, path: Callable[[str, str], str]
) -> None:
    told = words_of(standing, "install", path=path("uname", "echo FreeBSD"))
    assert told.startswith("error: unsupported-system\n  this is FreeBSD")
