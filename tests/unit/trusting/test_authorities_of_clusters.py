"""The authority that a cluster gets, and when it is left alone, renewed, or not touched at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from meshctl import pki
from meshctl.actions.doing import do
from meshctl.actions.trust.authorities import authority_steps, issued, unlock
from meshctl.adapters.root import RootFolders
from meshctl.errors import ConfigError, ConflictError, ProblemsError
from meshctl.model.mesh import Role, Source, Trust
from meshctl.model.objects import Object
from meshctl.model.plan import Phase, Plan, Provide
from meshctl.model.recipe import Intermediate, PluggedIn
from meshctl.stages.planning.plan_data import plan_data
from meshctl.stages.trusting import cacerts
from tests.fake_clock import NOON, FakeClock
from tests.fakes import FakeCluster
from tests.unit.trusting.trust_ground import (
    HOME,
    NAMESPACE,
    certificate_in,
    files,
    folder_with,
    managed,
    mark,
    mesh,
    root,
    secret_of,
    signer,
    world,
)


class Ground:
    """One cluster of a mesh whose trust is managed, unless another trust is given."""

    def __init__(self, folder: str, *there: dict[str, Any], trust: Trust | None = None) -> None:
        self.clock = FakeClock()
        self.door = FakeCluster("west", NAMESPACE, *there, clock=self.clock)
        self.mesh = mesh("west", trust=trust or managed(folder))
        self.world = world(self.door, clock=self.clock, signs=signer())

    def steps(self) -> tuple[Any, ...]:
        return authority_steps(self.world, self.mesh, self.mesh.clusters[0], HOME)

    def install(self) -> Object:
        for _ in do(self.world, Plan("west", (Phase("trust", self.steps()),))):
            pass
        return self.secret()

    def secret(self) -> Object:
        found = self.door.get(cacerts.ref(HOME))
        assert found is not None
        return found


@pytest.fixture
def ca(tmp_path: Path) -> str:
    return folder_with(tmp_path / "ca", root())


def test_a_cluster_gets_an_intermediate_that_its_root_vouches_for(ca: str) -> None:
    secret = Ground(ca).install()
    made = cacerts.files_of(secret)
    assert made.keys() == {"ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"}
    assert pki.fits(made["ca-cert.pem"], made["ca-key.pem"])
    assert made["root-cert.pem"] == root().pair.certificate
    facts = certificate_in(secret)
    assert (facts.signs, facts.path_length, facts.permitted) == (True, 0, ())
    assert facts.ends == NOON + timedelta(days=730)
    held = cacerts.held(secret)
    assert (held.root, held.by) == (root().pair.certificate, "meshctl")
    assert secret.annotations == {
        "meshctl.dev/root": mark(root()),
        "meshctl.dev/expires": "2028-01-01T12:00:00+00:00",
    }
    assert secret.labels == {"meshctl.dev/mesh": "prod", "meshctl.dev/component": "istiod"}


def test_two_clusters_have_keys_of_their_own_under_one_root(ca: str) -> None:
    one, other = Ground(ca).install(), Ground(ca).install()
    assert certificate_in(one).fingerprint != certificate_in(other).fingerprint
    assert cacerts.held(one).root == cacerts.held(other).root


def test_names_may_be_as_long_as_a_mesh_file_lets_them_be(ca: str) -> None:
    ground = Ground(ca)
    name = "w" * 63
    ground.mesh = replace(mesh(name, trust=managed(ca)), name="m" * 63)
    ground.door = FakeCluster(name, NAMESPACE, clock=ground.clock)
    ground.world = world(ground.door, clock=ground.clock, signs=signer())
    for _ in do(ground.world, Plan(name, (Phase("trust", ground.steps()),))):
        pass
    assert certificate_in(ground.secret()).name == f"CN={name},O={'m' * 63}"


def test_a_second_run_finds_nothing_to_do(ca: str) -> None:
    ground = Ground(ca)
    ground.install()
    assert ground.steps() == ()


def test_a_plan_holds_no_key_and_asks_for_no_passphrase(ca: str) -> None:
    ground = Ground(ca)

    def refuse(_: Path) -> bytes:
        raise AssertionError("nobody is to be asked")

    here = world(ground.door, signs=RootFolders(refuse))
    plan = Plan("west", (Phase("trust", authority_steps(here, ground.mesh, ground.mesh.clusters[0], HOME)),))
    assert "PRIVATE" not in f"{plan!r}{plan_data(plan)}"
    assert [step["do"] for step in plan_data(plan)["phases"][0]["steps"]] == ["create"]


def test_the_passphrase_is_asked_for_before_the_work_where_it_will_be_needed(ca: str) -> None:
    ground = Ground(ca)
    asked: list[Path] = []

    def ask(key: Path) -> bytes:
        asked.append(key)
        return b"open sesame"

    ground.world = world(ground.door, signs=RootFolders(ask))
    unlock(ground.world, [Plan("west")])
    assert asked == []
    plan = Plan("west", (Phase("trust", ground.steps()),))
    unlock(ground.world, [plan, plan])
    for _ in do(ground.world, plan):
        pass
    assert len(asked) == 1


@pytest.mark.parametrize(("days", "due"), [(486, False), (487, True), (800, True)])
def test_an_authority_is_renewed_in_the_last_third_of_its_life(days: int, due: bool, ca: str) -> None:
    ground = Ground(ca)
    before = certificate_in(ground.install())
    ground.clock.advance(timedelta(days=days).total_seconds())
    steps = ground.steps()
    assert bool(steps) == due
    if due:
        assert steps[0].live
        assert "2028-01-01" in steps[0].why
        after = certificate_in(ground.install())
        assert after.ends > before.ends
        assert ground.steps() == ()


def test_names_come_to_be_constrained_and_free_again_under_the_same_root(ca: str) -> None:
    ground = Ground(ca)
    ground.install()
    ground.mesh = mesh("west", trust=managed(ca, constrained=True), trust_domain="td.example")
    assert certificate_in(ground.install()).permitted == ("td.example",)
    ground.mesh = mesh("west", trust=managed(ca, constrained=True))
    assert certificate_in(ground.install()).permitted == ("cluster.local",)
    ground.mesh = mesh("west", trust=managed(ca))
    assert certificate_in(ground.install()).permitted == ()


def test_an_intermediate_of_the_users_under_the_same_root_is_left_alone(ca: str) -> None:
    theirs = root().intermediate(pki.Subject("theirs"), NOON)
    ground = Ground(ca, secret_of(files(theirs, root())))
    assert ground.steps() == ()


OTHER = root("other").intermediate(pki.Subject("west"), NOON)
ALONE = pki.new_authority(pki.Subject("cluster.local"), NOON)
REFUSED = {
    "an authority under another root": (secret_of(files(OTHER, root("other"))), "another-root"),
    "an authority that istiod made": (secret_of({**files(ALONE, ALONE)}, "istio-ca-secret"), "another-root"),
    "cert-manager's": (
        {
            **secret_of(files(OTHER, root("other"))),
            "data": {
                name: secret_of(files(OTHER, root("other")))["data"][file]
                for name, file in (
                    ("tls.crt", "ca-cert.pem"),
                    ("tls.key", "ca-key.pem"),
                    ("ca.crt", "root-cert.pem"),
                )
            },
        },
        "authority-of-others",
    ),
    "somebody's nonsense": (
        {**secret_of(files(OTHER, root("other"))), "data": {"ca-cert.pem": "bm9uc2Vuc2U=", "note": "%%%"}},
        "authority-unreadable",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_no_root_is_replaced_in_one_step(what: str, ca: str) -> None:
    secret, code = REFUSED[what]
    with pytest.raises(ConflictError) as told:
        Ground(ca, secret).steps()
    assert told.value.code == code


def test_what_we_made_and_cannot_be_read_any_more_is_made_anew(ca: str) -> None:
    ground = Ground(ca)
    ground.install()
    ground.door.edit(cacerts.ref(HOME), {"data": {"ca-cert.pem": "bm9uc2Vuc2U="}})
    assert ground.steps()[0].why
    assert certificate_in(ground.install()).signs


def test_a_root_that_was_only_made_signs_nothing_before_it_was_rotated_to(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "ca", root())
    ground = Ground(folder)
    ground.install()
    folder_with(tmp_path / "ca", root("new"))
    assert ground.steps() == ()
    ground.clock.advance(timedelta(days=600).total_seconds())
    assert cacerts.held(ground.install()).root == root().pair.certificate

    east = FakeCluster("east", NAMESPACE)
    both = mesh("west", "east", trust=managed(folder))
    there = world(ground.door, east, signs=signer())
    [step] = authority_steps(there, both, both.clusters[1], HOME)
    assert isinstance(step.recipe, Intermediate)
    assert (step.recipe.signer, step.recipe.trusted) == (mark(root()), (mark(root()),))


def test_a_cluster_alone_gets_none_of_several_roots_as_the_others_would_not_trust_it(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "ca", root(), root("new"))
    both = mesh("west", "east", trust=managed(folder))
    with pytest.raises(ConfigError) as told:
        authority_steps(world(FakeCluster("east"), signs=signer()), both, both.clusters[1], HOME)
    assert told.value.code == "root-undecided"
    assert "west" in told.value.hint


def test_the_newest_root_signs_where_no_cluster_has_any_yet(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "ca", root(), root("new"))
    assert Ground(folder).steps()[0].recipe.signer == mark(root("new"))


def test_clusters_that_another_istiod_serves_get_none_and_external_ones_do(ca: str) -> None:
    trust = managed(ca)
    several = mesh("hub", "far", "conf", trust=trust, hub=Role.EXTERNAL, far=Role.REMOTE, conf=Role.CONFIG)
    doors = [FakeCluster(each.name, NAMESPACE) for each in several.clusters]
    here = world(*doors, signs=signer())
    counts = {each.name: len(authority_steps(here, several, each, HOME)) for each in several.clusters}
    assert counts == {"hub": 1, "far": 0, "conf": 0}


def test_a_mesh_that_leaves_authorities_to_others_is_never_looked_at(ca: str) -> None:
    ground = Ground(ca, secret_of({"note": b""} | files(OTHER, root("other"))), trust=Trust())
    assert ground.steps() == ()


@pytest.mark.parametrize("plugged", [True, False])
def test_a_self_signed_mesh_refuses_an_authority_that_is_plugged_in(plugged: bool, ca: str) -> None:
    there = (secret_of(files(OTHER, root("other"))),) if plugged else ()
    ground = Ground(ca, *there, trust=Trust(Source.SELF_SIGNED))
    if not plugged:
        assert ground.steps() == ()
        return
    with pytest.raises(ConflictError) as told:
        ground.steps()
    assert told.value.code == "authority-there"


def write(folder: Path, content: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in content.items():
        (folder / name).write_bytes(text)


def test_files_of_the_users_become_the_authority_and_changes_of_them_too(tmp_path: Path) -> None:
    middle = root().intermediate(pki.Subject("west"), NOON)
    write(tmp_path / "west", {**files(middle, root()), "ca-crl.pem": b"crl", "notes.txt": b"mine"})
    ground = Ground("", trust=Trust(Source.FILES, files=f"{tmp_path}/{{cluster}}"))
    made = cacerts.files_of(ground.install())
    assert made == {**files(middle, root()), "ca-crl.pem": b"crl"}
    assert ground.steps() == ()

    again = root().intermediate(pki.Subject("west"), NOON)
    write(tmp_path / "west", files(again, root()))
    [step] = ground.steps()
    assert isinstance(step.recipe, PluggedIn)
    assert step.live
    ground.install()
    assert ground.steps() == ()


def test_files_under_another_root_are_refused_and_under_both_are_taken(tmp_path: Path) -> None:
    write(tmp_path / "west", files(root().intermediate(pki.Subject("west"), NOON), root()))
    ground = Ground("", trust=Trust(Source.FILES, files=f"{tmp_path}/{{cluster}}"))
    ground.install()
    write(tmp_path / "west", files(OTHER, root("other")))
    with pytest.raises(ConflictError) as told:
        ground.steps()
    assert told.value.code == "another-root"
    write(tmp_path / "west", files(OTHER, root("other"), root()))
    assert len(ground.steps()) == 1


def test_files_that_are_not_sound_are_told_before_anything_is_sent(tmp_path: Path) -> None:
    write(tmp_path / "west", {"ca-cert.pem": b"nonsense"})
    ground = Ground("", trust=Trust(Source.FILES, files=f"{tmp_path}/{{cluster}}"))
    with pytest.raises(ProblemsError) as told:
        ground.steps()
    assert len(told.value.problems) == 3
    ground.mesh = mesh("west", trust=Trust(Source.FILES, files=f"{tmp_path}/none"))
    with pytest.raises(ConfigError) as none:
        ground.steps()
    assert none.value.code == "no-folder"
    assert ground.door.writes == []


def test_an_authority_is_issued_as_files_without_any_cluster(ca: str) -> None:
    several = mesh("west", "far", trust=managed(ca), far=Role.REMOTE)
    made = issued(world(signs=signer()), several, several.clusters[0])
    assert pki.issued_by(made["ca-cert.pem"], root().pair.certificate)
    with pytest.raises(ConfigError) as told:
        issued(world(signs=signer()), several, several.clusters[1])
    assert told.value.code == "no-authority-needed"
    with pytest.raises(ConfigError) as unmanaged:
        issued(world(signs=signer()), mesh("west", trust=Trust()), several.clusters[0])
    assert unmanaged.value.code == "trust-not-managed"


def test_a_step_says_what_it_makes_and_for_whom(ca: str) -> None:
    [step] = Ground(ca).steps()
    assert step == Provide(
        "trust",
        cacerts.ref(HOME),
        Intermediate("prod", "west", HOME, ca, mark(root()), (mark(root()),), 730),
    )
