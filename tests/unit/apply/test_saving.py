"""Objects that are saved before they go can be applied again."""

from __future__ import annotations

import yaml

from meshctl.model.objects import Object
from meshctl.stages.applying.saving import dump
from tests.building import obj


def saved(*objects: Object) -> list[object]:
    return list(yaml.safe_load_all(dump(objects)))


def test_what_the_server_filled_in_is_left_out() -> None:
    there = obj(
        "PeerAuthentication", "strict", "shop", labels={"app": "a"}, spec={"mtls": {"mode": "STRICT"}}
    )
    meta = {
        **there.content["metadata"],
        "uid": "1",
        "resourceVersion": "7",
        "generation": 2,
        "managedFields": [{}],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
    }
    assert saved(Object({**there.content, "metadata": meta, "status": {"seen": True}})) == [there.content]


def test_the_users_own_annotations_are_kept() -> None:
    there = obj("PeerAuthentication", "strict", "shop", annotations={"note": "yes: no"}, spec={})
    assert saved(there) == [there.content]


def test_the_order_does_not_depend_on_that_of_reading() -> None:
    first, second = obj("PeerAuthentication", "a", "shop"), obj("PeerAuthentication", "b", "shop")
    assert dump([second, first]) == dump([first, second])
    assert saved(second, first) == [first.content, second.content]
