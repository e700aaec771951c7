"""No plan shows a token, neither to a person nor to a program."""

from __future__ import annotations

import json

from meshctl.cli.plans import plan_text
from meshctl.model.objects import Object
from meshctl.model.plan import Apply, Change, Phase, Plan
from meshctl.stages.planning.plan_data import plan_data

MESH = "defaultConfig:\n  tracing:\n    lightstep: {address: 'a:1', accessToken: %s}\n"


def changed(*changes: Change) -> Plan:
    content = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "istio-system"},
    }
    step = Apply("istiod", Object(content), Object(content), changes)
    return Plan("cluster", (Phase("apply", (step,)),))


def test_a_token_in_the_text_of_the_mesh_configuration_is_not_shown() -> None:
    plan = changed(Change("data.mesh", MESH % "old-hush", MESH % "new-hush"))
    for told in (plan_text(plan), json.dumps(plan_data(plan))):
        assert "hush" not in told
        assert "secret)" in told


def test_that_a_token_changes_is_shown_all_the_same() -> None:
    (phase,) = plan_data(changed(Change("data.token", "one", "other")))["phases"]
    (change,) = phase["steps"][0]["changes"]
    assert change["seen"] != change["wanted"]
    assert "one" not in change["seen"]
