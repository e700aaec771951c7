"""Work that is spread over processes gives what one process gives."""

from __future__ import annotations

import os
import pickle

import pytest

from meshctl.adapters.processes import in_processes
from meshctl.errors import ConfigError, MeshctlError, ProblemsError, UnreachableError, Where

NAMES = [str(number) for number in range(20)]


def test_results_come_in_the_order_of_the_names_from_several_processes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    found = list(in_processes(lambda name: (name, os.getpid()), NAMES))
    assert [name for name, _ in found] == NAMES
    assert os.getpid() not in {process for _, process in found}


@pytest.mark.parametrize("names", [NAMES[:2], []])
def test_a_few_are_not_worth_a_process(names: list[str]):
    assert list(in_processes(lambda name: (name, os.getpid()), names)) == [
        (each, os.getpid()) for each in names
    ]


def test_what_fails_in_another_process_fails_here_with_all_its_words(monkeypatch: pytest.MonkeyPatch):
    def work(name: str) -> str:
        raise ConfigError(
            "odd", f"{name} is odd", where=Where("mesh.yaml", 3), hint="mend it", details=("a",)
        )

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    with pytest.raises(ConfigError, match="0 is odd") as told:
        list(in_processes(work, NAMES))
    assert (told.value.code, told.value.where, told.value.hint) == ("odd", Where("mesh.yaml", 3), "mend it")
    assert told.value.details == ("a",)


@pytest.mark.parametrize(
    "error",
    [
        UnreachableError("unreachable", "no answer", hint="wait", details=("one", "two")),
        ProblemsError([ConfigError("a", "b"), ConfigError("c", "d", where=Where("f", 1))]),
    ],
)
def test_an_error_is_the_same_once_it_was_carried_over(error: MeshctlError):
    there = pickle.loads(pickle.dumps(error))
    assert (type(there), str(there)) == (type(error), str(error))
    assert {**vars(there), "problems": None} == {**vars(error), "problems": None}
    assert [str(each) for each in getattr(there, "problems", ())] == [
        str(each) for each in getattr(error, "problems", ())
    ]
