"""Rights are asked for before anything is sent, by name, and an administrator is asked about once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from meshctl.actions.rights import of_install, require_in_place, require_rights
from meshctl.checks.rights import missing
from meshctl.errors import AccessError
from meshctl.model.manifest import Manifest
from meshctl.model.mesh import Inputs
from meshctl.model.plan import Apply, Delete, Phase, Plan
from meshctl.model.release import Release, Status
from meshctl.model.right import ANY, Needs, Right
from meshctl.stages.rendering.render import render
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve
from tests.building import obj, part
from tests.fakes import FakeCluster

NS = "istio-system"
ISTIOD = obj("Deployment", "istiod", NS)
ROLE = obj(
    "ClusterRole", "istiod", rules=[{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "patch"]}]
)


class Asked(FakeCluster):
    """A cluster that answers by a rule, and remembers what it was asked."""

    def __init__(self, answer: Callable[[Right], bool]) -> None:
        super().__init__("east")
        self.answer = answer
        self.questions: list[Right] = []

    def allowed(self, verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
        self.questions.append(Right(namespace, group, resource, verb, name))
        return self.answer(self.questions[-1])


def holding(*rights: Right) -> Callable[[Right], bool]:
    return lambda asked: any(each.covers(asked) for each in rights)


def plan(*steps: object) -> Plan:
    return Plan("east", (Phase("all", steps),))  # type: ignore[arg-type]


def test_who_may_do_everything_is_asked_about_once() -> None:
    cluster = Asked(lambda _: True)
    require_rights(cluster, plan(Apply("a", ISTIOD), Apply("a", ROLE), Delete("a", ISTIOD.ref)))
    assert cluster.questions == [Right("", "*", "*", "*")]


def test_who_may_do_just_what_the_plan_does_is_let_go_on() -> None:
    verbs = ("get", "patch", "create")
    cluster = Asked(holding(*(Right(NS, "apps", "deployments", verb, "istiod") for verb in verbs)))
    require_rights(cluster, plan(Apply("a", ISTIOD)))


def test_the_rules_that_are_missing_are_told_and_no_others() -> None:
    cluster = Asked(holding(Right(NS, "apps", "deployments", "get")))
    with pytest.raises(AccessError) as told:
        require_rights(cluster, plan(Apply("a", ISTIOD), Delete("a", obj("Service", "old", NS).ref)))
    assert told.value.code == "rights-missing"
    assert told.value.details == (
        '- {apiGroups: [""], resources: ["services"], resourceNames: ["old"], verbs: ["delete"]}'
        "  # Role in namespace istio-system",
        '- {apiGroups: ["apps"], resources: ["deployments"], resourceNames: ["istiod"], '
        'verbs: ["create", "patch"]}  # Role in namespace istio-system',
    )


def test_what_a_role_holds_must_be_held_unless_one_may_escalate() -> None:
    sends = [
        Right("", "rbac.authorization.k8s.io", "clusterroles", verb) for verb in ("get", "patch", "create")
    ]
    with pytest.raises(AccessError) as told:
        require_rights(Asked(holding(*sends, Right("", "", "nodes", "get"))), plan(Apply("a", ROLE)))
    assert told.value.details == (
        '- {apiGroups: [""], resources: ["nodes"], verbs: ["patch"]}  # ClusterRole',
    )
    escalate = Right("", "rbac.authorization.k8s.io", "clusterroles", "escalate", "istiod")
    require_rights(Asked(holding(*sends, escalate)), plan(Apply("a", ROLE)))


def test_who_may_list_every_kind_there_is_may_list_everything() -> None:
    cluster = Asked(lambda asked: asked.verb == "list" and "*" not in (asked.group, asked.resource))
    needs = Needs((Right("", "*", "*", "list"),))
    assert missing(cluster, needs, cluster.kinds()) == Needs()
    assert missing(cluster, needs, ()) == needs


def test_an_install_asks_for_the_next_record_by_its_name() -> None:
    asked = load(Inputs(profile="minimal"))
    values = resolve(asked, asked.mesh.clusters[0])
    needs = of_install(values, render(values, owner="mesh", install=True))
    assert Right("kube-system", "", "secrets", "create", "meshctl.mesh.v1") in needs.rights
    empty = of_install(values, Manifest((part("base"),)))
    assert {each.resource for each in empty.rights} == {"*", "secrets", "leases"}


def test_a_namespace_that_is_there_need_not_be_made_by_who_installs() -> None:
    asked = load(Inputs(profile="minimal"))
    values = resolve(asked, asked.mesh.clusters[0])
    desired = render(values, owner="mesh", install=True)
    home = obj("Namespace", NS).ref
    made = Right("", "", "namespaces", "create", NS)
    assert made in of_install(values, desired).rights
    assert made not in of_install(values, desired, there=[home]).rights


def test_before_an_upgrade_in_place_the_way_back_is_asked_for_too() -> None:
    new = obj("Service", "new", NS)
    source = Release("m", "east", 4, Status.DEPLOYED, "1.31.0", "", "default", NS, "", Manifest(), {})
    verbs = ("get", "list", "watch", "patch", "create", "update")
    cluster = Asked(holding(*(Right("", ANY, ANY, verb) for verb in verbs)))
    with pytest.raises(AccessError) as told:
        require_in_place(cluster, plan(Apply("a", new)), source)
    assert told.value.details == (
        '- {apiGroups: [""], resources: ["services"], resourceNames: ["new"], verbs: ["delete"]}'
        "  # Role in namespace istio-system",
    )
