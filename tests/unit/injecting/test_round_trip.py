"""Sidecars go in and out again, whatever the workload."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshctl.errors import MeshctlError
from meshctl.stages.injecting.inject import Outcome, Verdict, by_configuration, inject, uninject
from meshctl.stages.injecting.injector import Injector
from meshctl.stages.injecting.pods import canonical
from meshctl.stages.injecting.uninjection import RECORD
from meshctl.stages.injecting.workloads import Workload, at, workloads
from tests.unit.injecting.pods import WORKLOADS


def only(content: Any) -> Workload:
    (found,) = workloads(content)
    return found


def injected(content: Any, injector: Injector) -> Outcome | None:
    """What injection makes of it; None where it is refused."""
    try:
        return inject(only(content), by_configuration(injector), "default")
    except MeshctlError:
        return None


def web(**pod: Any) -> dict[str, Any]:
    """A Deployment that any cluster would take."""
    container = {"name": "web", "image": "web:1", "ports": [{"name": "http", "containerPort": 8080}], **pod}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"template": template},
    }


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=WORKLOADS, which=st.integers(0, 2))
def test_uninjecting_gives_back_what_was_injected(
    content: Any, which: int, injectors: list[Injector]
) -> None:
    outcome = injected(content, injectors[which])
    if outcome is None or outcome.verdict is Verdict.LEFT_ALONE:
        return
    assert uninject(only(outcome.content)).content == content
    second = injected(outcome.content, injectors[which])
    assert second == Outcome(outcome.content, Verdict.ALREADY)


def test_an_ordinary_workload_bears_no_record(injector: Injector) -> None:
    outcome = injected(web(livenessProbe={"httpGet": {"path": "/", "port": 8080}}), injector)
    assert outcome is not None
    assert outcome.content["metadata"] == {"name": "web"}


def test_what_the_pod_cannot_tell_is_recorded_beside_it_and_not_in_it(injector: Injector) -> None:
    probe = {"readinessProbe": {"httpGet": {"path": "/", "port": "http"}}}
    named, numbered = injected(web(**probe), injector), injected(web(), injector)
    assert named is not None
    assert numbered is not None
    assert RECORD in named.content["metadata"]["annotations"]
    inside = at(named.content, ("spec", "template", "metadata"))
    assert inside == at(numbered.content, ("spec", "template", "metadata"))


def test_what_injection_does_not_know_stays_as_it_was_written(injector: Injector) -> None:
    content = web(resources={"limits": {"cpu": 0.5}}, futureField={"a": [1]})
    outcome = injected(content, injector)
    assert outcome is not None
    container = at(outcome.content, ("spec", "template", "spec", "containers", 0))
    assert container["resources"] == {"limits": {"cpu": 0.5}}
    assert container["futureField"] == {"a": [1]}


def test_another_injector_leaves_nothing_of_the_first_behind(injector: Injector) -> None:
    first = injected(web(), injector)
    canary = replace(injector, revision="canary", native=True)
    assert first is not None
    second, fresh = injected(first.content, canary), injected(web(), canary)
    assert fresh is not None
    assert second == Outcome(fresh.content, Verdict.AGAIN)


def test_a_cron_job_that_istioctl_injected_is_taken_back(injector: Injector) -> None:
    # istioctl writes the pod's labels and annotations one level too high.
    pod = {"spec": {"containers": [{"name": "web", "image": "web:1"}]}}
    content = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "nightly"},
        "spec": {"jobTemplate": {"spec": {"template": pod}}},
    }
    outcome = injected(content, injector)
    assert outcome is not None
    job = outcome.content["spec"]["jobTemplate"]
    template = job["spec"]["template"]
    raised = {
        **content,
        "spec": {
            "jobTemplate": {
                "metadata": template["metadata"],
                "spec": {"template": {"spec": template["spec"]}},
            }
        },
    }
    assert uninject(only(raised)).content == content


def test_an_object_that_is_not_injected_passes_through() -> None:
    assert uninject(only(web())) == Outcome(web(), Verdict.NOT_INJECTED)


def test_a_sidecar_of_the_user_s_own_keeps_what_it_says(injector: Injector) -> None:
    content = web()
    own = {"name": "istio-proxy", "image": "auto", "resources": {"limits": {"cpu": "33m"}}}
    content["spec"]["template"]["spec"]["containers"].append(own)
    outcome = injected(content, injector)
    assert outcome is not None
    pod = canonical(at(outcome.content, ("spec", "template")))
    proxy = next(each for each in pod["spec"]["containers"] if each["name"] == "istio-proxy")
    assert proxy["resources"]["limits"]["cpu"] == "33m"
    assert proxy["image"].partition(":")[0].endswith("proxyv2")
    assert uninject(only(outcome.content)).content == content
