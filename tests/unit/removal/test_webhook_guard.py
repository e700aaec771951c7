"""No plan leaves a webhook that nobody answers, not even for a moment."""

from __future__ import annotations

from collections.abc import Mapping

from meshctl.model.objects import Object, Ref
from meshctl.model.plan import Apply, Delete, Phase, Plan
from meshctl.stages.removing.webhook_guard import unanswered
from tests.building import obj

NS = "istio-system"


def hook(name: str, service: str, **more: object) -> Object:
    client = {"service": {"name": service, "namespace": NS}}
    return obj("MutatingWebhookConfiguration", name, webhooks=[{"name": "a", "clientConfig": client, **more}])


def istiod(name: str, rev: str) -> Object:
    template = {"metadata": {"labels": {"app": "istiod", "rev": rev}}}
    return obj("Deployment", name, NS, spec={"template": template})


def service(name: str, rev: str) -> Object:
    return obj("Service", name, NS, spec={"selector": {"app": "istiod", "rev": rev}})


OLD, NEW = hook("tag", "istiod-old"), hook("tag", "istiod-new")
PLANES = [istiod("istiod-old", "old"), istiod("istiod-new", "new")]
SERVICES = [service("istiod-old", "old"), service("istiod-new", "new")]


def live(*objects: Object) -> Mapping[Ref, Object]:
    return {each.ref: each for each in objects}


def gone(*objects: Object) -> Phase:
    return Phase("", tuple(Delete("istiod", each.ref) for each in objects))


def test_a_webhook_whose_service_goes_is_told() -> None:
    plan = Plan("c", (gone(SERVICES[0]),))
    assert unanswered(plan, live(OLD, *SERVICES)) == (
        f"MutatingWebhookConfiguration tag: its Service {NS}/istiod-old is removed",
    )


def test_a_webhook_whose_last_workload_goes_is_told() -> None:
    plan = Plan("c", (gone(PLANES[0]),))
    (problem,) = unanswered(plan, live(OLD, *PLANES, *SERVICES))
    assert "nothing is left behind its Service" in problem


def test_a_second_workload_behind_the_service_is_enough() -> None:
    plan = Plan("c", (gone(PLANES[0]),))
    assert not unanswered(plan, live(OLD, *PLANES, *SERVICES, istiod("istiod-twin", "old")))


def test_a_webhook_whose_namespace_goes_is_told() -> None:
    plan = Plan("c", (gone(obj("Namespace", NS)),))
    (problem,) = unanswered(plan, live(OLD, *SERVICES))
    assert "namespace" in problem


def test_a_webhook_that_goes_before_its_service_is_well() -> None:
    assert not unanswered(Plan("c", (gone(OLD), gone(*SERVICES, *PLANES))), live(OLD, *PLANES, *SERVICES))


def test_one_that_goes_together_with_its_service_or_after_it_is_told() -> None:
    seen = live(OLD, *PLANES, *SERVICES)
    assert unanswered(Plan("c", (gone(OLD, SERVICES[0]),)), seen)
    assert unanswered(Plan("c", (gone(SERVICES[0]), gone(OLD))), seen)


def test_one_that_is_led_elsewhere_before_is_well_and_after_is_not() -> None:
    seen = live(OLD, *PLANES, *SERVICES)
    move = Phase("", (Apply("tag", NEW, OLD),))
    assert not unanswered(Plan("c", (move, gone(SERVICES[0], PLANES[0]))), seen)
    assert unanswered(Plan("c", (gone(SERVICES[0], PLANES[0]), move)), seen)


def test_one_that_is_made_for_what_goes_is_told() -> None:
    plan = Plan("c", (gone(SERVICES[0]), Phase("", (Apply("tag", OLD),))))
    assert unanswered(plan, live(*SERVICES))


def test_what_nobody_answered_before_is_not_this_plans_doing() -> None:
    plan = Plan("c", (gone(SERVICES[1], PLANES[1]),))
    assert not unanswered(plan, live(OLD, PLANES[1], SERVICES[1]))


def test_an_injector_at_rest_asks_nobody() -> None:
    rest = hook(
        "own", "istiod-old", namespaceSelector={"matchLabels": {"istio.io/deactivated": "never-match"}}
    )
    assert not unanswered(Plan("c", (gone(SERVICES[0]),)), live(rest, *SERVICES))


def test_a_webhook_that_calls_an_address_needs_nothing_here() -> None:
    away = obj(
        "MutatingWebhookConfiguration", "x", webhooks=[{"name": "a", "clientConfig": {"url": "https://a"}}]
    )
    assert not unanswered(Plan("c", (gone(*SERVICES, *PLANES),)), live(away, *SERVICES))
