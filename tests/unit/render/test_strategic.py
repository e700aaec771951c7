from __future__ import annotations

from typing import Any

import pytest

from meshctl.stages.rendering.strategic import patched

POD: dict[str, Any] = {
    "spec": {
        "template": {
            "spec": {
                "containers": [
                    {"name": "a", "env": [{"name": "X", "value": "1"}], "args": ["one"]},
                    {"name": "b"},
                ],
                "tolerations": [{"key": "t"}],
                "volumes": [{"name": "v", "emptyDir": {}}],
            }
        }
    }
}  # fmt: skip


def pod(patch: dict[str, Any]) -> dict[str, Any]:
    result = patched(POD, {"spec": {"template": {"spec": patch}}})
    return result["spec"]["template"]["spec"]  # type: ignore[no-any-return]


def test_containers_are_known_by_name_and_their_environment_too() -> None:
    spec = pod(
        {"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": "3"}]}]}
    )
    assert spec["containers"][0]["env"] == [{"name": "X", "value": "3"}, {"name": "Y", "value": "2"}]
    assert spec["containers"][1] == {"name": "b"}


def test_mounts_are_known_by_path_and_volumes_by_name() -> None:
    spec = pod(
        {
            "containers": [{"name": "b", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
            "volumes": [{"name": "w", "emptyDir": {}}],
        }
    )
    assert [each["name"] for each in spec["volumes"]] == ["v", "w"]
    assert spec["containers"][1]["volumeMounts"] == [{"name": "v", "mountPath": "/v"}]


def test_lists_without_a_key_are_replaced() -> None:
    spec = pod({"tolerations": [{"key": "u"}], "containers": [{"name": "a", "args": ["two"]}]})
    assert spec["tolerations"] == [{"key": "u"}]
    assert spec["containers"][0]["args"] == ["two"]


def test_null_takes_a_key_away() -> None:
    assert "tolerations" not in pod({"tolerations": None})


@pytest.mark.parametrize(
    ("patch", "names"),
    [
        ({"containers": [{"name": "a", "$patch": "delete"}]}, ["b"]),
        ({"containers": [{"$patch": "replace"}, {"name": "c"}]}, ["c"]),
        ({"containers": [{"name": "c"}]}, ["a", "b", "c"]),
    ],
)
def test_directives_delete_and_replace(patch: dict[str, Any], names: list[str]) -> None:
    assert [each["name"] for each in pod(patch)["containers"]] == names


def test_a_map_is_replaced_or_keeps_only_some_keys_when_asked() -> None:
    base = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    replaced = patched(base, {"spec": {"strategy": {"$patch": "replace", "type": "Recreate"}}})
    kept = patched(base, {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}})
    assert replaced == kept == {"spec": {"strategy": {"type": "Recreate"}}}
    assert patched(base, {"spec": {"strategy": {"$patch": "delete"}}}) == {"spec": {}}


def test_neither_argument_changes() -> None:
    before = repr(POD)
    pod({"containers": [{"name": "a", "env": [{"name": "X", "value": "9"}]}]})
    assert repr(POD) == before
