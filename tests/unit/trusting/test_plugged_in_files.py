"""An authority in files of the user's: everything that is wrong with it, each at its line."""

from __future__ import annotations

from datetime import timedelta

import pytest

from meshctl import pki
from meshctl.stages.trusting import cacerts
from meshctl.stages.trusting.files import problems
from tests.fake_clock import NOON
from tests.unit.trusting.trust_ground import files, root

MIDDLE = root().intermediate(pki.Subject("west"), NOON, days=100)
SOUND = files(MIDDLE, root())


def told(change: dict[str, bytes | None], when: timedelta = timedelta()) -> list[str]:
    given = {name: text for name, text in {**SOUND, **change}.items() if text is not None}
    return [f"{each.code} {each.where}" for each in problems(given, "pki/west", NOON + when)]


def test_a_sound_authority_has_no_problems_whatever_its_key() -> None:
    assert told({}) == []


def test_a_root_that_signs_workloads_itself_is_taken() -> None:
    alone = pki.new_authority(pki.Subject("alone"), NOON)
    given = {**files(alone, alone)}
    assert problems(given, "pki/west", NOON) == ()


def test_every_file_that_is_missing_is_named_and_nothing_else() -> None:
    assert told({cacerts.KEY: None, cacerts.ROOTS: None}) == [
        "file-missing pki/west/ca-key.pem",
        "file-missing pki/west/root-cert.pem",
    ]


LINES = SOUND[cacerts.ROOTS].count(b"\n")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({cacerts.KEY: root("other").pair.key}, ["key-does-not-fit pki/west/ca-key.pem"]),
        ({cacerts.KEY: pki.encrypted(MIDDLE.pair.key, b"x")}, ["key-locked pki/west/ca-key.pem"]),
        ({cacerts.KEY: b"nonsense"}, ["bad-key pki/west/ca-key.pem"]),
        ({cacerts.ROOTS: b""}, ["bad-certificate pki/west/root-cert.pem"]),
        ({cacerts.ROOTS: root("other").pair.certificate}, ["no-chain pki/west/ca-cert.pem"]),
        (
            {cacerts.ROOTS: SOUND[cacerts.ROOTS] + SOUND[cacerts.ROOTS][:100]},
            [f"bad-certificate pki/west/root-cert.pem:{LINES + 1}"],
        ),
        (
            {cacerts.ROOTS: SOUND[cacerts.ROOTS] + MIDDLE.issue(pki.Subject("leaf"), NOON).certificate},
            [f"no-authority pki/west/root-cert.pem:{LINES + 1}"],
        ),
        ({cacerts.CHAIN: root().pair.certificate}, ["chain-without-authority pki/west/cert-chain.pem"]),
    ],
    ids=["key of another", "locked key", "no key", "empty", "another root", "cut off", "leaf", "chain"],
)
def test_each_mistake_is_told_at_its_place(change: dict[str, bytes | None], said: list[str]) -> None:
    assert told(change) == said


def test_several_mistakes_are_told_at_once() -> None:
    assert told({cacerts.KEY: b"nonsense", cacerts.ROOTS: root("other").pair.certificate}) == [
        "bad-key pki/west/ca-key.pem",
        "no-chain pki/west/ca-cert.pem",
    ]


def test_what_has_ended_or_not_begun_is_told_wherever_it_stands() -> None:
    assert told({}, timedelta(days=101)) == [
        "certificate-expired pki/west/ca-cert.pem:1",
        "certificate-expired pki/west/cert-chain.pem:1",
    ]
    assert [each.split()[0] for each in told({}, -timedelta(days=1))] == ["certificate-not-yet-valid"] * 3


def test_an_authority_too_far_below_its_root_is_told_where_the_short_one_stands() -> None:
    short = pki.new_authority(pki.Subject("short"), NOON, path_length=0)
    below = short.intermediate(pki.Subject("west"), NOON)
    said = problems(files(below, short), "pki/west", NOON)
    assert [f"{each.code} {each.where}" for each in said] == ["path-too-long pki/west/root-cert.pem:1"]
