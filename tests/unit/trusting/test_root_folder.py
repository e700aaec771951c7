"""The folder of roots that an operator keeps."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from meshctl import pki
from meshctl.adapters.root import RootFolders, keep, refer, require_room, roots
from meshctl.errors import ConfigError
from tests.fake_clock import NOON
from tests.unit.trusting.trust_ground import folder_with, mark, root, signer


def request() -> bytes:
    return pki.signing_request(pki.new_key(), pki.Subject("west"))


def test_keys_are_encrypted_and_the_owners_alone(tmp_path: Path) -> None:
    folder = Path(folder_with(tmp_path / "ca", root()))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {
        "root-1.key": 0o600,
        "root-1.pem": 0o600,
    }
    assert pki.is_encrypted((folder / "root-1.key").read_bytes())


def test_the_newest_root_comes_first_also_after_nine_others(tmp_path: Path) -> None:
    many = [root(f"root {number}") for number in range(11)]
    folder = folder_with(tmp_path, *many)
    assert signer().roots(folder) == tuple(each.pair.certificate for each in reversed(many))


def test_each_root_signs_and_is_asked_for_once_however_many_clusters_there_are(tmp_path: Path) -> None:
    old, new = root("old"), root("new")
    folder = folder_with(tmp_path, old, new)
    asked: list[str] = []

    def ask(key: Path) -> bytes:
        asked.append(key.name)
        return b"open sesame"

    folders = RootFolders(ask)

    def sign(which: pki.Authority) -> bytes:
        return folders.sign(request(), NOON, folder=folder, root=mark(which), days=1, permitted=())

    with ThreadPoolExecutor(8) as pool:
        signed = list(pool.map(sign, [old, new] * 4))
    assert sorted(asked) == ["root-1.key", "root-2.key"]
    for certificate, by in zip(signed, [old, new] * 4, strict=True):
        assert pki.issued_by(certificate, by.pair.certificate)


def test_certificates_are_known_without_any_passphrase(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, root())

    def refuse(_: Path) -> bytes:
        raise AssertionError("nobody is to be asked")

    assert RootFolders(refuse).roots(folder) == (root().pair.certificate,)


def test_a_key_elsewhere_is_named_and_not_copied(tmp_path: Path) -> None:
    (tmp_path / "mine.pem").write_bytes(root().pair.certificate)
    (tmp_path / "mine.key").write_bytes(root().pair.key)
    folder = tmp_path / "ca"
    refer(str(folder), str(tmp_path / "mine.pem"), str(tmp_path / "mine.key"))
    assert b"PRIVATE KEY" not in b"".join(path.read_bytes() for path in folder.iterdir())
    signed = signer().sign(request(), NOON, folder=str(folder), root=mark(root()), days=1, permitted=())
    assert pki.issued_by(signed, root().pair.certificate)
    (tmp_path / "mine.key").unlink()
    assert roots(str(folder))[0].certificate == root().pair.certificate
    with pytest.raises(ConfigError) as told:
        signer().unlock(str(folder), mark(root()))
    assert (told.value.code, str(told.value.where)) == ("file-not-read", str(tmp_path / "mine.key"))


def test_a_key_of_another_certificate_is_refused_when_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.pem").write_bytes(root().pair.certificate)
    (tmp_path / "other.key").write_bytes(root("other").pair.key)
    with pytest.raises(ConfigError) as told:
        refer(str(tmp_path / "ca"), str(tmp_path / "mine.pem"), str(tmp_path / "other.key"))
    assert told.value.code == "key-does-not-fit"
    assert not (tmp_path / "ca").exists()


@pytest.mark.parametrize("what", ["leaf", "too short a path", "no certificate"])
def test_what_cannot_be_a_root_is_refused(what: str, tmp_path: Path) -> None:
    middle = root().intermediate(pki.Subject("middle"), NOON)
    pairs = {
        "leaf": middle.issue(pki.Subject("leaf"), NOON),
        "too short a path": middle.pair,
        "no certificate": pki.Pair(b"nonsense", root().pair.key),
    }
    (tmp_path / "mine.pem").write_bytes(pairs[what].certificate)
    (tmp_path / "mine.key").write_bytes(pairs[what].key)
    with pytest.raises(ConfigError) as told:
        refer(str(tmp_path / "ca"), str(tmp_path / "mine.pem"), str(tmp_path / "mine.key"))
    codes = {"leaf": "no-authority", "too short a path": "path-too-long", "no certificate": "bad-certificate"}
    assert (told.value.code, str(told.value.where)) == (codes[what], str(tmp_path / "mine.pem"))


def test_a_wrong_passphrase_names_the_key_and_the_right_one_still_works(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, root())
    said = iter([b"wrong", b"open sesame"])
    folders = RootFolders(lambda _: next(said))
    with pytest.raises(ConfigError) as told:
        folders.unlock(folder, mark(root()))
    assert (told.value.code, str(told.value.where)) == ("wrong-passphrase", f"{folder}/root-1.key")
    folders.unlock(folder, mark(root()))


def test_nothing_is_overwritten_not_even_a_key_without_its_certificate(tmp_path: Path) -> None:
    (tmp_path / "root-1.key").write_bytes(b"left behind")
    with pytest.raises(ConfigError) as told:
        require_room(str(tmp_path), another=False)
    assert told.value.code == "root-there"
    assert keep(str(tmp_path), root().pair, b"open sesame") == tmp_path / "root-2.pem"
    assert (tmp_path / "root-1.key").read_bytes() == b"left behind"


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_a_root_says_how_to_make_one(there: bool, tmp_path: Path) -> None:
    folder = tmp_path if there else tmp_path / "none"
    with pytest.raises(ConfigError) as told:
        signer().roots(str(folder))
    assert (told.value.code, "meshctl ca init" in told.value.hint) == ("no-root", True)


def test_a_root_that_the_folder_does_not_hold_signs_nothing(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, root())
    with pytest.raises(ConfigError) as told:
        signer().unlock(folder, mark(root("other")))
    assert told.value.code == "unknown-root"
