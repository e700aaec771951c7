"""The folder of the identity, also after a crash at any point."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from meshctl.agent.identity import store as module
from meshctl.agent.identity.store import Store, Stored
from meshctl.errors import AccessError, FailedError, MeshctlError

OLD = (b"old key\n", b"old chain\n", b"old roots\n")
NEW = (b"new key\n", b"new chain\n", b"new roots\n")


class KilledError(BaseException):
    """Stands for kill -9: nothing of ours runs after it."""


def content(store: Store) -> tuple[bytes, bytes, bytes]:
    found = store.load()
    return found.key, found.chain, found.roots


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}


def test_an_empty_host_has_nothing_and_nothing_is_made(tmp_path: Path) -> None:
    assert Store(tmp_path / "identity").load() == Stored()
    assert list(tmp_path.iterdir()) == []


def test_what_is_saved_is_what_is_loaded_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = Store(tmp_path / "state" / "identity")
        store.save(*NEW)
        store.save_mesh_roots(b"mesh\n\n")
    finally:
        os.umask(before)
    found = Store(tmp_path / "state" / "identity").load()
    assert (found.key, found.chain, found.roots, found.mesh_roots) == (*NEW, b"mesh\n\n")
    assert found.since > 0
    folder = tmp_path / "state" / "identity"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert modes(folder) == {0o600}


def _killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """From the step-th call on that changes the disk, none does; returns the calls that were made."""
    calls: list[str] = []

    def dying(name: str) -> None:
        real = getattr(os, name)

        def call(*args: object, **kwargs: object) -> object:
            if len(calls) == step:
                raise KilledError
            calls.append(name)
            return real(*args, **kwargs)

        monkeypatch.setattr(module.os, name, call)

    for name in ("open", "fsync", "rename", "unlink", "fdopen"):
        dying(name)
    return calls


@pytest.mark.parametrize("step", range(40))
def test_after_a_kill_at_any_step_the_key_fits_the_chain(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "identity")
    store.save(*OLD)
    with monkeypatch.context() as patched:
        _killed_at(step, patched)
        try:
            store.save(*NEW)
            finished = True
        except KilledError:
            finished = False
    key, chain, roots = content(store)
    assert (key, chain) in (OLD[:2], NEW[:2])
    assert roots in (OLD[2], NEW[2])
    assert not finished or (key, chain, roots) == NEW
    assert sorted(each.name for each in (tmp_path / "identity").iterdir()) == [
        "cert-chain.pem",
        "key.pem",
        "root-cert.pem",
    ]
    store.save(*NEW)
    assert content(store) == NEW


def test_a_whole_save_takes_fewer_steps_than_the_test_above_kills_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = _killed_at(1000, monkeypatch)
    Store(tmp_path / "identity").save(*NEW)
    assert 20 < len(calls) < 40


@pytest.mark.parametrize("step", range(40))
def test_a_kill_while_a_crash_is_mended_is_mended_too(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "identity")
    store.save(*OLD)
    with monkeypatch.context() as patched:
        calls = _killed_at(1000, patched)
        store.save(*NEW)
        renames = [at for at, name in enumerate(calls) if name == "rename"]
    store.save(*OLD)
    with monkeypatch.context() as patched, pytest.raises(KilledError):
        _killed_at(renames[2], patched)  # chain in place, key not yet
        store.save(*NEW)
    with monkeypatch.context() as patched:
        _killed_at(step, patched)
        with contextlib.suppress(KilledError):
            store.load()
    assert content(store)[:2] == NEW[:2]


@pytest.mark.parametrize("mode", [0o777, 0o755, 0o500, 0o000])
def test_wrong_modes_are_mended(mode: int, tmp_path: Path) -> None:
    folder = tmp_path / "identity"
    store = Store(folder)
    store.save(*OLD)
    for each in folder.iterdir():
        each.chmod(mode)
    folder.chmod(mode)
    assert content(store) == OLD
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert modes(folder) == {0o600}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who may give files away")
def test_what_root_writes_belongs_to_whom_the_folder_belongs_to(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, 4321, 4322)
    store = Store(state / "identity")
    store.save_key(b"key")
    store.save_chain(b"key", b"chain")
    found = [state / "identity", *(state / "identity").iterdir()]
    assert {(each.stat().st_uid, each.stat().st_gid) for each in found} == {(4321, 4322)}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who could be led to others' files")
def test_root_is_not_led_to_other_files_by_links(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"of root")
    precious.chmod(0o644)
    folder = tmp_path / "identity"
    folder.mkdir()
    os.chown(folder, 4321, 4322)
    (folder / "key.pem").symlink_to(precious)
    (folder / "root-cert.pem").hardlink_to(precious)
    with pytest.raises(FailedError):
        Store(folder).load()
    state = precious.stat()
    assert (stat.S_IMODE(state.st_mode), state.st_uid, precious.read_bytes()) == (0o644, 0, b"of root")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
def test_a_folder_of_another_user_is_told_with_the_remedy(tmp_path: Path) -> None:
    folder = tmp_path / "identity"
    Store(folder).save(*OLD)
    for each in (tmp_path, *tmp_path.parents):
        if each.stat().st_uid == 0 and each != Path("/") and not each.stat().st_mode & 0o001:
            each.chmod(each.stat().st_mode | 0o055)
    os.seteuid(4321)
    try:
        with pytest.raises(AccessError, match="cannot be used") as raised:
            Store(folder).load()
    finally:
        os.seteuid(0)
    assert "chown" in raised.value.hint


def test_a_place_that_is_no_folder_is_told_as_an_error(tmp_path: Path) -> None:
    (tmp_path / "identity").write_text("")
    with pytest.raises(MeshctlError, match="cannot be used"):
        Store(tmp_path / "identity").save(*OLD)


def test_a_first_key_is_kept_and_a_chain_is_taken_for_that_key_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "identity")
    assert store.save_key(b"first") == b"first"
    assert store.save_key(b"second") == b"first"
    assert not store.save_chain(b"second", b"chain")
    assert store.load().chain == b""
    assert store.save_chain(b"first", b"chain")
    assert store.load().chain == b"chain"


def test_a_replacement_is_seen_by_the_mark_and_reading_is_none(tmp_path: Path) -> None:
    store = Store(tmp_path / "identity")
    seen = [store.mark()]
    store.save(*OLD)
    seen.append(store.mark())
    store.load()
    assert store.mark() == seen[-1]
    store.save_chain(OLD[0], b"other chain\n")
    seen.append(store.mark())
    assert len(set(seen)) == 3


def test_two_processes_that_save_at_once_leave_one_of_the_pairs(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from meshctl.agent.identity.store import Store\n"
        "who = sys.argv[2].encode()\n"
        "for _ in range(50): Store(Path(sys.argv[1])).save(b'key ' + who, b'chain ' + who, b'roots ' + who)"
    )
    folder = tmp_path / "identity"
    command = [sys.executable, "-c", program, str(folder)]
    paths = os.pathsep.join(filter(None, sys.path))
    running = [
        subprocess.Popen([*command, who], env={**os.environ, "PYTHONPATH": paths}) for who in ("a", "b")
    ]
    assert [each.wait() for each in running] == [0, 0]
    key, chain, roots = content(Store(folder))
    assert key[4:] == chain[6:] == roots[6:]


def test_what_is_stored_never_shows_in_a_repr(tmp_path: Path) -> None:
    store = Store(tmp_path / "identity")
    store.save(*OLD)
    assert "old" not in repr(store.load())
