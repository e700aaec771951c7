"""`rbac print` gives just the rights that a command uses: without any of them it refuses."""

from __future__ import annotations

import copy
import itertools
import json
import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshctl.adapters.kube import KubeCluster
from meshctl.model.labels import COMPONENT, MESH
from meshctl.model.objects import Object, Ref
from meshctl.sandbox.versions import ISTIO_TAGS
from tests.cluster.command import Command

pytestmark = pytest.mark.cluster

SEED = 20260415
SAMPLE = 4
"""Rules taken away one by one in every run; `--long` takes each."""
VERSION = ("--istio-version", ISTIO_TAGS[-1])
INPUTS = (*VERSION, "--set", "global.platform=sandbox")
"""What an install here is made from: the platform it sees, said."""
HOME = Ref("v1", "Namespace", "", "istio-system")
DEBUGGING = (("status",), ("history",), ("proxy-status",), ("check",), ("version", "--remote"))
YOURS = (
    ("networking.istio.io/v1", "Sidecar", {"egress": [{"hosts": ["./*"]}]}),
    ("security.istio.io/v1", "PeerAuthentication", {"mtls": {"mode": "PERMISSIVE"}}),
    ("telemetry.istio.io/v1", "Telemetry", {}),
    ("extensions.istio.io/v1alpha1", "WasmPlugin", {"url": "oci://localhost/none"}),
)
"""A resource of yours in each of Istio's groups, which an uninstall saves."""

UNUSED = {
    ("list", "leases"): "only when somebody seems to hold the lock",
    ("watch", "leases"): "only when somebody seems to hold the lock",
    ("update", "leases"): "only by work that outlasts the time for which the lock was taken",
    ("delete", "secrets", "install"): "only once there are more records than are kept",
    ("get", "secrets", "install"): "the record of an upgrade, which is there while one is under way",
    ("get", "secrets", "uninstall"): "the record of an upgrade, which is there while one is under way",
    ("list", "events", "debug"): "only when something is not ready",
    ("list", "replicasets", "debug"): "only when something is not ready",
    ("list", "workloadentries"): "only when a proxy runs in no pod",
    ("create", "pods/portforward"): "newer API servers ask for it, older ones for `get`",
    ("watch", "*"): "only of what does not go, or become ready, at once",
    ("delete", "gatewayclasses"): "where the Gateway API is installed",
}
"""Rights that a run in which nothing goes wrong does not use, and what they are for."""

ELSEWHERE = {"gatewayclasses": "the Gateway API is not installed here, so nobody asks for rights on it"}
"""Resources of rules that a cluster like this one cannot miss, and why."""


@dataclass(frozen=True)
class User:
    """Somebody who holds what was printed for a purpose.

    `admin` is the cluster as the administrator sees it, and `log` what its API server was asked.
    """

    name: str
    command: Command
    roles: tuple[dict[str, Any], ...]
    admin: KubeCluster
    log: Path

    def hold(self, roles: tuple[dict[str, Any], ...]) -> None:
        """Hold just these roles."""
        for role in roles:
            live = self.admin.get(Object(role).ref)
            assert live is not None
            self.admin.replace(Object({**live.content, "rules": role["rules"]}))

    def asked(self) -> set[tuple[str, str]]:
        """Verb and resource of all that the API server let this user do."""
        found = set()
        for line in self.log.read_text().splitlines():
            event = json.loads(line)
            place = event.get("objectRef", {})
            if event["user"].get("username") == self.name and event["responseStatus"].get("code", 0) < 400:
                part = f"/{place['subresource']}" if place.get("subresource") else ""
                found.add((event["verb"], f"{place.get('resource', '')}{part}"))
                if event["verb"] == "patch" and event["responseStatus"].get("code") == 201:
                    found.add(("create", place["resource"]))
        return found


@pytest.fixture(scope="module")
def administrator(kubeconfig: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The command with all rights; whatever this module leaves is removed."""
    command = Command(kubeconfig, tmp_path_factory.mktemp("administrator"))
    command.run("uninstall", "--purge", "--yes", check=None)
    yield command
    command.run("uninstall", "--purge", "--yes", check=None)


@pytest.fixture(scope="module")
def user(
    administrator: Command, cluster: KubeCluster, going: list[Ref], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], User]]:
    """Makes users, each with exactly what `rbac print` printed for a purpose, as an administrator would."""
    home = f"test-{uuid.uuid4().hex[:8]}"
    made: list[Ref] = []

    def put(content: Mapping[str, Any]) -> None:
        obj = Object(content)
        made.append(obj.ref)
        if cluster.get(obj.ref) is None:
            cluster.create(obj)

    def make(purpose: str) -> User:
        put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": home}})
        put({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": purpose, "namespace": home}})
        subject = f"serviceaccount:{home}/{purpose}"
        words = ("--for", purpose, "--subject", subject, "--name", f"{home}-{purpose}", *INPUTS)
        printed = administrator.json("rbac", "print", *words)
        for each in printed:
            put(each)
        config = yaml.safe_load(Path(administrator.kubeconfig).read_text())
        token = cluster.token(home, purpose, audiences=[], seconds=7200)
        for each in config["users"]:
            each["user"] = {"token": token}
        folder = tmp_path_factory.mktemp(purpose)
        (folder / "kubeconfig").write_text(yaml.safe_dump(config))
        name = f"system:serviceaccount:{home}:{purpose}"
        roles = tuple(each for each in printed if each["kind"] in ("Role", "ClusterRole"))
        log = Path(administrator.kubeconfig).parent / "c1" / "audit.log"
        return User(name, Command(str(folder / "kubeconfig"), folder), roles, cluster, log)

    yield make
    for ref in reversed(made):
        cluster.delete(ref)
    going += [ref for ref in made if ref.kind == "Namespace"]


@pytest.fixture(scope="module")
def users(administrator: Command, user: Callable[[str], User], cluster: KubeCluster) -> Mapping[str, User]:
    """The whole story, each part of it by a user who may do that and nothing else."""
    found = {purpose: user(purpose) for purpose in ("install", "debug", "uninstall")}
    installer, debugger, remover = found.values()
    installer.command.run("install", "--yes", *VERSION)
    again = installer.command.run("install", "--yes", *VERSION)
    assert "nothing was sent" in again.stdout
    installer.command.run("install", "--yes", "--profile", "empty", *VERSION)
    installer.command.run("install", "--yes", *VERSION)
    for words in DEBUGGING:
        debugger.command.run(*words)
    configure(cluster)
    remover.command.run("uninstall", "--purge", "--yes")
    return found


def configure(cluster: KubeCluster) -> None:
    """What a user has put into the mesh."""
    for api_version, kind, spec in YOURS:
        meta = {"name": "yours", "namespace": "default"}
        cluster.create(Object({"apiVersion": api_version, "kind": kind, "metadata": meta, "spec": spec}))


def rules(users: Mapping[str, User], purpose: str, *, long: bool) -> list[tuple[int, int]]:
    """Places of rules, as role and rule: each, or a sample."""
    found = [
        (number, place)
        for number, role in enumerate(users[purpose].roles)
        for place, rule in enumerate(role["rules"])
        if not set(rule["resources"]) <= ELSEWHERE.keys()
    ]
    return found if long else random.Random(SEED).sample(found, min(SAMPLE, len(found)))


def without(user: User, number: int, place: int) -> dict[str, Any]:
    """Take one rule away from a user; the rule."""
    roles = copy.deepcopy(user.roles)
    rule: dict[str, Any] = roles[number]["rules"].pop(place)
    user.hold(roles)
    return rule


def is_named(said: str, rule: Mapping[str, Any]) -> bool:
    """Whether a refusal names what a rule is for: as a rule, or as what was refused."""
    if rule["resources"] == ["*"]:
        return "may not list" in said or any(f'"{group}"' in said for group in rule["apiGroups"])
    return any(each in said for each in rule["resources"])


def test_each_command_works_for_a_user_with_the_printed_roles_alone(users: Mapping[str, User]) -> None:
    saved = yaml.safe_load_all((users["uninstall"].command.folder / "istio-resources.yaml").read_text())
    kinds = [kind for _, kind, _ in YOURS]
    assert sorted(each["kind"] for each in saved if each and each["kind"] in kinds) == sorted(kinds)


@pytest.mark.parametrize("purpose", ["install", "debug", "uninstall"])
def test_what_is_printed_is_used(users: Mapping[str, User], administrator: Command, purpose: str) -> None:
    """What is held only to hand it on is printed as `escalate` and `bind` here, and no request uses it."""
    asked = users[purpose].asked()
    idle = set()
    for role in administrator.json("rbac", "print", "--for", purpose, "--escalate", *INPUTS):
        for rule in role.get("rules", ()):
            for verb, resource in itertools.product(rule["verbs"], rule["resources"]):
                used = (verb, resource) in asked or (resource == "*" and any(v == verb for v, _ in asked))
                keys = {(verb, resource), (verb, "*"), (verb, resource, purpose), (verb, "*", purpose)}
                if verb not in ("escalate", "bind") and not used and keys.isdisjoint(UNUSED):
                    idle.add((verb, resource))
    assert idle == set()


def test_without_any_one_rule_an_install_refuses_and_names_it(
    users: Mapping[str, User], administrator: Command, cluster: KubeCluster, pytestconfig: pytest.Config
) -> None:
    user = users["install"]
    administrator.run("uninstall", "--purge", "--yes", check=None)
    # As the administrator made it: an install has something to do there.
    cluster.patch(HOME, {"metadata": {"labels": {MESH: None, COMPONENT: None}}})
    superfluous = []
    for number, place in rules(users, "install", long=pytestconfig.getoption("--long")):
        rule = without(user, number, place)
        said = user.command.run("install", "--yes", *VERSION, check=None)
        if said.returncode != 1 or not is_named(said.stderr, rule):
            superfluous.append((rule, said.stderr[-500:]))
            administrator.run("uninstall", "--purge", "--yes", check=None)
    user.hold(user.roles)
    assert superfluous == []


def test_without_any_one_rule_an_uninstall_refuses_and_names_it(
    users: Mapping[str, User], administrator: Command, cluster: KubeCluster, pytestconfig: pytest.Config
) -> None:
    user = users["uninstall"]
    administrator.run("install", "--yes", *VERSION)
    configure(cluster)
    superfluous = []
    for number, place in rules(users, "uninstall", long=pytestconfig.getoption("--long")):
        rule = without(user, number, place)
        said = user.command.run("uninstall", "--purge", "--yes", check=None)
        if said.returncode != 1 or not is_named(said.stderr, rule):
            superfluous.append((rule, said.stderr[-500:]))
            administrator.run("install", "--yes", *VERSION)
            configure(cluster)
    user.hold(user.roles)
    assert superfluous == []


def test_without_any_one_rule_a_question_says_what_it_could_not_see(
    users: Mapping[str, User], administrator: Command, pytestconfig: pytest.Config
) -> None:
    user = users["debug"]
    administrator.run("install", "--yes", *VERSION)
    silent = []
    for number, place in rules(users, "debug", long=pytestconfig.getoption("--long")):
        rule = without(user, number, place)
        answers = [user.command.run(*words, check=None) for words in DEBUGGING]
        said = "".join(each.stdout + each.stderr for each in answers)
        if "may not" not in said and rule["resources"] != ["workloadentries"]:
            silent.append(rule)
    user.hold(user.roles)
    assert silent == []


def test_an_upgrade_in_place_takes_the_printed_roles_and_misses_any_of_them_before_it_begins(
    administrator: Command, user: Callable[[str], User]
) -> None:
    upgrader = user("upgrade")
    administrator.run("uninstall", "--purge", "--yes", check=None)
    administrator.run("install", "--yes", "--profile", "minimal", "--istio-version", ISTIO_TAGS[0])
    probe = next(
        (number, place)
        for number, role in enumerate(upgrader.roles)
        for place, rule in enumerate(role["rules"])
        if rule["resources"] == ["pods"] and rule["verbs"] == ["create"]
    )
    without(upgrader, *probe)
    words = ("upgrade", "--to", ISTIO_TAGS[-1], "--yes")
    said = upgrader.command.run(*words, check=3)
    assert '{apiGroups: [""], resources: ["pods"], verbs: ["create"]}' in said.stdout + said.stderr
    assert [each["version"] for each in administrator.json("history")] == [ISTIO_TAGS[0]]
    upgrader.hold(upgrader.roles)
    said = upgrader.command.run(*words)
    assert "could not be asked" not in said.stderr
    assert administrator.json("history")[-1]["version"] == ISTIO_TAGS[-1]
