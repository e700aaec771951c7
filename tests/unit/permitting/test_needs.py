"""What a command needs follows from what it would do."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from meshctl.actions.rbac import Purpose, Wish, rbac
from meshctl.errors import ConfigError
from meshctl.model.manifest import Manifest
from meshctl.model.mesh import Inputs
from meshctl.model.objects import Ref
from meshctl.model.plan import Apply, Await, Condition, Delete, Evict, Record, Restart
from meshctl.model.release import Release, Status
from meshctl.model.right import Right
from meshctl.stages.permitting.commands import in_place
from meshctl.stages.permitting.resources import plural
from meshctl.stages.permitting.roles import Roles, Subject
from meshctl.stages.permitting.steps import needs
from meshctl.stages.rendering.render import render
from meshctl.stages.settings.load import Loaded, load
from meshctl.stages.settings.resolve import resolve
from tests.building import obj, part
from tests.fakes import KINDS

NS = "istio-system"
ISTIOD = obj("Deployment", "istiod", NS)
RULE = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]}


def asked(profile: str = "default", **more: object) -> Loaded:
    return load(Inputs(profile=profile, **more))  # type: ignore[arg-type]


def printed(*purposes: str, profile: str = "default", **wish: object) -> Roles:
    return rbac(asked(profile), Wish(tuple(map(Purpose, purposes)), **wish))  # type: ignore[arg-type]


def words(*steps: object) -> set[str]:
    return {
        f"{each.verb} {each.resource} {each.namespace}/{each.name}"
        for each in needs(steps, KINDS).rights  # type: ignore[arg-type]
    }


def test_to_make_an_object_takes_more_than_to_change_it() -> None:
    place = f"deployments {NS}/istiod"
    assert words(Apply("istiod", ISTIOD)) == {f"get {place}", f"patch {place}", f"create {place}"}
    assert words(Apply("istiod", ISTIOD, live=ISTIOD)) == {f"get {place}", f"patch {place}"}
    assert words(Delete("istiod", ISTIOD.ref)) == {f"delete {place}"}


def test_to_await_a_workload_takes_what_tells_the_cause() -> None:
    told = words(Await("istiod", ISTIOD.ref, Condition.READY, 1.0))
    assert {f"watch {each} {NS}/" for each in ("pods", "events", "replicasets")} < told
    assert f"watch deployments {NS}/istiod" in told
    gone = words(Await("istiod", ISTIOD.ref, Condition.GONE, 1.0))
    assert gone == {f"{verb} deployments {NS}/istiod" for verb in ("get", "list", "watch")}


def test_to_make_pods_anew_takes_no_names_of_pods() -> None:
    pod = Ref("v1", "Pod", "shop", "web-1")
    assert words(Restart("b", ISTIOD.ref, "noon")) == {f"patch deployments {NS}/istiod"}
    assert words(Evict("b", pod, 1.0)) == {"create pods/eviction shop/", "get pods shop/"}
    gone = words(Await("b", pod, Condition.GONE, 1.0))
    assert gone == {f"{verb} pods shop/" for verb in ("get", "list", "watch")}


def test_to_send_a_role_takes_what_it_holds_or_escalate() -> None:
    role = obj("ClusterRole", "r", rules=[RULE])
    (grant,) = needs([Apply("a", role)]).grants
    assert {(each.verb, each.resource) for each in grant.held} == {
        ("get", "deployments"),
        ("list", "deployments"),
    }
    assert (grant.instead.verb, grant.instead.resource, grant.instead.name) == (
        "escalate",
        "clusterroles",
        "r",
    )


def test_to_send_a_binding_takes_what_its_role_holds_where_it_binds() -> None:
    role = obj("ClusterRole", "r", rules=[RULE])
    to = {"kind": "ClusterRole", "name": "r"}
    binding = obj("RoleBinding", "b", NS, roleRef=to)
    binding = type(binding)({**binding.content, "apiVersion": "rbac.authorization.k8s.io/v1"})
    _, grant = needs([Apply("a", role), Apply("a", binding)]).grants
    assert {each.namespace for each in grant.held} == {NS}
    assert grant.instead.verb == "bind"


def test_to_bind_a_role_of_others_takes_bind() -> None:
    to = {"kind": "ClusterRole", "name": "system:openshift:scc:privileged"}
    (grant,) = needs([Apply("a", obj("ClusterRoleBinding", "b", roleRef=to))]).grants
    assert grant.held == ()
    needed = needs([Apply("a", obj("ClusterRoleBinding", "b", roleRef=to))]).flat()
    assert any((each.verb, each.name) == ("bind", to["name"]) for each in needed)


def test_a_role_that_no_rights_can_stand_for_takes_escalate() -> None:
    role = obj("ClusterRole", "r", rules=[{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}])
    assert [each.verb for each in needs([Apply("a", role)]).flat() if each.name == "r"][-1] in (
        "escalate",
        "patch",
    )
    assert "escalate" in {each.verb for each in needs([Apply("a", role)]).flat()}


@pytest.mark.parametrize(
    "kind", [each for each in KINDS if each.kind != "Endpoints"], ids=lambda each: each.kind
)
def test_the_resource_of_a_kind_is_known_without_a_cluster(kind: object) -> None:
    assert plural(kind.kind) == kind.plural  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "kind", ["Endpoints", "Gateway", "ServiceEntry", "NetworkPolicy", "GatewayClass", "Ingress"]
)
def test_the_plural_of_odd_kinds_is_right(kind: str) -> None:
    right = ["endpoints", "gateways", "serviceentries", "networkpolicies", "gatewayclasses", "ingresses"]
    assert plural(kind) in right


def test_an_install_may_touch_its_own_objects_by_name_and_no_others() -> None:
    roles = printed("install", escalating=True)
    loaded = asked()
    sent = render(resolve(loaded, loaded.mesh.clusters[0]), owner="mesh", install=True)
    for namespace, rules in roles.rules.items():
        for rule in rules:
            dry = rule.verbs == ("create",) and {*rule.resources} <= {"pods", "virtualservices"}
            writes = {"patch", "create", "update", "delete"}.intersection(rule.verbs)
            if writes and not dry and rule.resources != ("leases",):
                assert rule.names, rule
                if namespace != "kube-system":
                    assert {*rule.names} <= {each.name for each in sent.refs}


@pytest.mark.parametrize(("ca", "granted"), [("managed", True), ("there", False)])
def test_the_authority_of_a_cluster_is_granted_by_name_where_the_mesh_has_a_say_in_it(
    ca: str, granted: bool
) -> None:
    text = "apiVersion: meshctl.dev/v1alpha1\nkind: Mesh\nmetadata: {name: m}\nspec:\n"
    text += f"  trust: {{ca: {ca}}}\n  clusters: [{{name: c}}]\n"
    wish = Wish((Purpose.INSTALL, Purpose.UNINSTALL), escalating=True)
    roles = rbac(load(Inputs(files=("-",)), stdin=text), wish)
    verbs = {
        (name, verb)
        for rule in roles.rules.get(NS, ())
        if rule.resources == ("secrets",)
        for name in rule.names
        for verb in rule.verbs
    }
    allowed = {("cacerts", each) for each in ("get", "patch", "create", "delete")}
    assert allowed <= verbs if granted else not allowed & verbs


def test_nobody_but_the_administrator_makes_the_namespaces_that_hold_the_roles() -> None:
    contents = printed("install").contents()
    assert contents[0]["kind"] == "Namespace"
    rules = [
        rule for each in contents for rule in each.get("rules", ()) if rule["resources"] == ["namespaces"]
    ]
    assert rules
    assert all("create" not in rule["verbs"] or not rule.get("resourceNames") for rule in rules)
    assert printed("uninstall").contents()[0]["kind"] == "ClusterRole"


def test_debugging_changes_nothing() -> None:
    for rules in printed("debug").rules.values():
        for rule in rules:
            for verb in rule.verbs:
                assert verb in ("get", "list", "watch") or rule.resources in (
                    ("serviceaccounts/token",),
                    ("pods/portforward",),
                )


@pytest.mark.parametrize("purpose", list(Purpose))
def test_every_purpose_prints_roles_with_bindings_that_kubectl_reads(purpose: Purpose) -> None:
    subject = Subject.parse("serviceaccount:ci/deployer")
    roles = printed(purpose, subjects=(subject,), former=asked())
    told = [each for each in yaml.safe_load_all(roles.text()) if each]
    assert told == roles.contents()
    bound = {
        (each["metadata"].get("namespace"), each["roleRef"]["kind"]) for each in told if "roleRef" in each
    }
    held = {(each["metadata"].get("namespace"), each["kind"]) for each in told if "rules" in each}
    assert bound == held != set()
    assert all(rule["verbs"] and rule["resources"] for each in told for rule in each.get("rules", ()))


def test_an_upgrade_may_send_the_new_revision_and_remove_the_old_one() -> None:
    new, old = asked(revision="canary"), asked()
    rights = [
        (rule, name)
        for rules in rbac(new, Wish((Purpose.UPGRADE,), former=old)).rules.values()
        for rule in rules
        for name in rule.names
    ]
    assert any("create" in rule.verbs and name == "istiod-canary" for rule, name in rights)
    assert any("delete" in rule.verbs and name == "istiod" for rule, name in rights)
    assert not any("create" in rule.verbs and name == "istiod" for rule, name in rights)
    assert not any("delete" in rule.verbs and name.endswith("networking.istio.io") for rule, name in rights)


def test_an_upgrade_may_try_the_webhooks_and_ask_the_proxies_that_moved() -> None:
    rules = printed("upgrade", former=asked()).rules
    tried = {each.resources for each in rules[NS] if "create" in each.verbs and not each.names}
    assert {("pods",), ("virtualservices",)} <= tried
    assert any(each.resources == ("pods/portforward",) and "create" in each.verbs for each in rules[""])
    assert not any(each.resources == ("pods",) and "create" in each.verbs for each in rules[""])


def test_an_upgrade_in_place_takes_what_its_return_takes() -> None:
    new, gone, role = (
        obj("Service", "new", NS),
        obj("Service", "gone", NS),
        obj("ClusterRole", "r", rules=[RULE]),
    )
    manifest = Manifest((part("a", role, gone),))
    old = Release("m", "c1", 4, Status.DEPLOYED, "1.31.0", "", "default", NS, "", manifest, {})
    record = Record(replace(old, generation=5))
    steps = (record, Apply("a", new), Apply("a", role, live=role), Delete("a", gone.ref))
    needed = in_place(steps, old, tried=NS)
    told = {f"{each.verb} {each.resource} {each.name}".rstrip() for each in needed.rights}
    assert {"delete services new", "create services gone", "create secrets meshctl.m.v6"} <= told
    assert {"create pods", "create virtualservices"} <= told
    assert "delete clusterroles r" not in told
    assert [each.role for each in needed.grants].count("ClusterRole r") == 2  # there, and back


def test_records_are_granted_one_by_one() -> None:
    (rule,) = [
        each
        for each in printed("install", generations=3).rules["kube-system"]
        if each.resources == ("secrets",) and "patch" in each.verbs
    ]
    assert rule.names == ("meshctl.mesh.v1", "meshctl.mesh.v2", "meshctl.mesh.v3")


@pytest.mark.parametrize(
    "said",
    ["jane", "user:", "usr:jane", "serviceaccount:deployer", "serviceaccount:/x", "serviceaccount:a/b/c"],
)
def test_a_subject_that_names_nobody_is_refused_with_the_form(said: str) -> None:
    with pytest.raises(ConfigError) as told:
        Subject.parse(said)
    assert told.value.code == "subject-invalid"
    assert "user:NAME" in told.value.hint


def test_users_groups_and_accounts_are_bound_as_kubernetes_names_them() -> None:
    told = [Subject.parse(each).content() for each in ("user:jane", "group:a:b", "serviceaccount:ci/bot")]
    assert [(each["kind"], each["name"], each.get("namespace")) for each in told] == [
        ("User", "jane", None),
        ("Group", "a:b", None),
        ("ServiceAccount", "bot", "ci"),
    ]


def test_a_right_covers_what_is_narrower() -> None:
    whole = Right("", "*", "*", "list")
    assert whole.covers(Right("a", "apps", "deployments", "list", "x"))
    assert not Right("a", "", "pods", "list", "x").covers(Right("a", "", "pods", "list"))


def test_roles_are_the_same_every_time() -> None:
    assert printed("install", "uninstall").text() == printed("install", "uninstall").text()
