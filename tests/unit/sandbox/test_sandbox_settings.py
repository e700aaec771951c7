"""Settings: what no sandbox can be is refused before anything is made."""

from __future__ import annotations

import pytest

from meshctl.errors import ConfigError
from meshctl.sandbox.settings import Settings
from meshctl.sandbox.versions import ISTIO_TAGS
from meshctl.stages.settings.versions import version


@pytest.mark.parametrize("name", ["", "A", "1a", "a_b", "a/b", "..", "a-", "x" * 21, "a b", "a\n"])
def test_a_name_that_cannot_name_a_folder_or_a_namespace_is_refused(name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Settings(name=name)
    assert refused.value.code == "bad-sandbox-name"
    assert refused.value.hint


@pytest.mark.parametrize("name", ["a", "sandbox", "ci-17", "x" * 20])
def test_plain_names_are_fine(name: str) -> None:
    assert Settings(name=name).name == name


@pytest.mark.parametrize(
    ("flag", "values"),
    [("--clusters", {"clusters": 0}), ("--clusters", {"clusters": 16}), ("--hosts", {"hosts": 61})],
)
def test_numbers_out_of_range_name_their_flag(flag: str, values: dict[str, int]) -> None:
    with pytest.raises(ConfigError) as refused:
        Settings(**values)
    assert refused.value.where is not None
    assert refused.value.where.file == flag


def test_an_istio_that_is_not_built_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigError) as refused:
        Settings(istio=("1.29.0",))
    assert "1.32.0" in refused.value.hint


def test_what_meshctl_installs_unless_asked_is_built_first() -> None:
    assert ISTIO_TAGS[0] == version(None).full


def test_a_sandbox_of_an_older_meshctl_is_still_understood() -> None:
    kept = {**Settings().to_json(), "istio": ["1.20.0"]}
    assert Settings.from_json(kept).istio == ("1.20.0",)


def test_settings_survive_the_journal() -> None:
    settings = Settings(name="x", clusters=2, hosts=1, light=False, network="separate", audit=False)
    assert Settings.from_json(settings.to_json()) == settings
