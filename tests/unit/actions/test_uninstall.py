"""Whom a removal leaves alone: what is refused, what force does, and how sidecars get out first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from meshctl.actions.doing import do
from meshctl.actions.install import install
from meshctl.actions.uninstall import Leave, remove, uninstall
from meshctl.adapters.releases import ClusterReleases
from meshctl.errors import ConfigError, ConflictError, FailedError, MeshctlError
from meshctl.model.mesh import Inputs
from meshctl.model.objects import Ref
from meshctl.model.plan import Relabel, Restart
from meshctl.model.release import Status
from meshctl.model.removal import Scope
from meshctl.model.upgrade import Upgrade
from meshctl.ports import World
from meshctl.stages.settings.load import load
from tests.fakes import FakeFiles
from tests.unit.moving.mesh import Mesh

ISTIOD = Ref("apps/v1", "Deployment", "istio-system", "istiod")
SHOP = Ref("v1", "Namespace", "", "shop")


class Ground:
    """A cluster in memory with a mesh, whose workloads are made anew when they are restarted."""

    def __init__(self) -> None:
        self.mesh = Mesh()
        self.cluster = self.mesh.cluster
        releases = ClusterReleases(self.cluster, self.mesh.clock)
        self.releases = releases
        self.world = World({"c1": self.cluster}, {"c1": releases}, self.mesh.clock, FakeFiles())  # type: ignore[call-arg]
        self.mesh.namespace("shop")

    def install(self, *sets: str, mesh: str = "mesh") -> None:
        asked = load(Inputs(profile="minimal", sets=sets, cluster="c1", mesh=mesh))
        for wave in install(self.world, asked):
            list(do(self.world, wave.plan))

    def leave(self, mesh: str = "", **scope: Any) -> Leave:
        (leave,) = uninstall(self.world, Scope(mesh, seconds=2, **scope))
        return leave

    def remove(self, **scope: Any) -> Leave:
        leave = self.leave(**scope)
        list(remove(self.world, leave))
        return leave

    def there(self, ref: Ref) -> bool:
        return self.cluster.get(ref) is not None

    def on_restart(self, then: Callable[[Ref], None]) -> None:
        """What controllers do when a workload is restarted."""
        patch = self.cluster.patch

        def patched(ref: Ref, change: Any) -> Any:
            done = patch(ref, change)
            if ref.kind in ("Deployment", "StatefulSet"):
                then(ref)
            return done

        self.cluster.patch = patched  # type: ignore[method-assign]

    def pods_anew(self, workload: Ref) -> None:
        """Its pods come without a proxy where no webhook would inject them."""
        injected = bool(self.cluster.list("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"))
        for pod in self.cluster.list("v1", "Pod", namespace=workload.namespace):
            if pod.ref.name.startswith(workload.name) and not injected:
                self.cluster.delete(pod.ref)


@pytest.fixture
def ground() -> Ground:
    made = Ground()
    made.install()
    return made


def code_of(leave: Leave) -> list[str]:
    return [each.code for each in leave.refusals]


def test_a_removal_is_refused_while_pods_have_proxies_and_names_them(ground: Ground) -> None:
    ground.mesh.workload("Deployment", "shop", "web", "default")
    leave = ground.leave()
    (refusal,) = leave.refusals
    assert refusal.code == "proxies-attached"
    assert "1 proxies" in refusal.message
    assert [each.partition("/")[0] for each in refusal.details] == ["shop"]
    assert "--uninject" in refusal.hint
    assert "--force" in refusal.hint


def test_force_goes_on(ground: Ground) -> None:
    ground.mesh.workload("Deployment", "shop", "web", "default")
    assert code_of(ground.remove(force=True)) == []
    assert not ground.there(ISTIOD)


def test_without_proxies_nothing_is_refused(ground: Ground) -> None:
    assert code_of(ground.remove()) == []
    assert not ground.there(ISTIOD)


def test_what_is_left_of_a_mesh_without_its_istiod_is_no_reason_to_refuse(ground: Ground) -> None:
    ground.mesh.workload("Deployment", "shop", "web", "default")
    ground.remove(force=True)
    assert code_of(ground.leave(purge=True)) == []


def test_an_istiod_that_cannot_be_asked_is_told(ground: Ground) -> None:
    assert "no istiod" in ground.leave().unasked


def test_sidecars_are_taken_out_before_the_control_plane_goes(ground: Ground) -> None:
    web = ground.mesh.workload("Deployment", "shop", "web", "default")
    alive = []

    def then(workload: Ref) -> None:
        alive.append(ground.there(ISTIOD))
        ground.pods_anew(workload)

    ground.on_restart(then)
    leave = ground.leave(uninject=True)
    assert [step.ref for step in leave.freeing.steps if isinstance(step, Restart)] == [web]
    assert leave.attached == ()
    list(remove(ground.world, leave))
    assert alive == [True]
    assert not ground.there(ISTIOD)
    assert ground.releases.of("mesh") == ()
    shop = ground.cluster.get(SHOP)
    assert shop is not None
    assert shop.labels["istio-injection"] == "enabled"


def test_while_a_pod_still_has_a_proxy_the_control_plane_stays(ground: Ground) -> None:
    ground.mesh.workload("Deployment", "shop", "web", "default")
    with pytest.raises(FailedError, match="still have a proxy"):
        ground.remove(uninject=True)
    assert ground.there(ISTIOD)


def test_the_same_command_goes_on_where_it_was_stopped(ground: Ground) -> None:
    ground.mesh.workload("Deployment", "shop", "web", "default")
    with pytest.raises(FailedError):
        ground.remove(uninject=True)
    ground.on_restart(ground.pods_anew)
    ground.remove(uninject=True)
    assert not ground.there(ISTIOD)
    assert ground.releases.of("mesh") == ()


def test_what_cannot_be_made_anew_is_named_with_the_reason_and_stops_it(ground: Ground) -> None:
    ground.mesh.pod("shop", "bare", "default")
    ground.mesh.workload("Deployment", "shop", "edge", "default", role="router")
    ground.mesh.workload("Deployment", "shop", "web", "default")
    leave = ground.leave(uninject=True)
    assert code_of(leave) == ["proxies-attached"]
    reasons = {each.place.partition("/")[2].partition("-")[0]: each.why for each in leave.attached}
    assert reasons.keys() == {"bare", "edge"}
    assert "nothing would put another pod in its place" in reasons["bare"]
    assert "gateway" in reasons["edge"]
    assert code_of(ground.leave(uninject=True, force=True)) == []


def test_ambient_mode_ends_by_its_label_which_is_put_back_at_the_end() -> None:
    ground = Ground()
    ground.install("profile=ambient")
    ground.mesh.namespace("flat", {"istio.io/dataplane-mode": "ambient"})
    flat = Ref("v1", "Namespace", "", "flat")
    redirected = {"ambient.istio.io/redirection": "enabled"}
    ground.mesh.put("v1", "Pod", "flat", "web", annotations=redirected, status={"phase": "Running"})
    assert code_of(ground.leave()) == ["proxies-attached"]
    seen: list[str] = []
    patch = ground.cluster.patch

    def patched(ref: Ref, change: Any) -> Any:
        done = patch(ref, change)
        if ref == flat:
            seen.append(str(dict(done.labels if done else {}).get("istio.io/dataplane-mode")))
            for pod in ground.cluster.list("v1", "Pod", namespace="flat"):
                ground.cluster.delete(pod.ref)
        return done

    ground.cluster.patch = patched  # type: ignore[method-assign]
    leave = ground.leave(uninject=True)
    assert [step.ref for step in leave.freeing.steps if isinstance(step, Relabel)] == [flat]
    list(remove(ground.world, leave))
    assert seen == ["None", "ambient"]
    assert not ground.there(ISTIOD)


def test_one_revision_goes_and_its_record_stays_as_superseded(ground: Ground) -> None:
    ground.install("revision=canary")
    leave = ground.remove(revision="canary")
    assert leave.left(ground.world) == ()
    assert ground.there(ISTIOD)
    assert [each.status for each in ground.releases.of("mesh")] == [Status.DEPLOYED, Status.SUPERSEDED]
    assert ground.leave(revision="canary").plan.is_empty


def test_an_older_revision_goes_though_a_newer_one_was_recorded_since(ground: Ground) -> None:
    ground.install("revision=canary")
    ground.remove(revision="default", force=True)
    assert not ground.there(ISTIOD)
    assert [each.status for each in ground.releases.of("mesh")] == [Status.SUPERSEDED, Status.DEPLOYED]


def test_a_revision_that_a_tag_leads_to_is_refused_with_the_users_of_the_tag(ground: Ground) -> None:
    ground.install("revision=canary")
    (refusal,) = ground.leave(revision="default").refusals
    assert refusal.code == "tags-lead-here"
    assert refusal.details == ("tag default: used by shop",)


def test_a_revision_that_is_not_there_is_named_with_the_nearest(ground: Ground) -> None:
    ground.install("revision=canary")
    for revision, words in (
        ("canry", "no revision 'canry'; did you mean 'canary'"),
        ("zzz", "no revision 'zzz'"),
    ):
        with pytest.raises(ConfigError, match=words) as told:
            ground.leave(revision=revision)
        assert "canary, default" in told.value.hint


def test_the_last_revision_takes_all_with_it(ground: Ground) -> None:
    ground.remove(revision="default", purge=True)
    assert ground.releases.of("mesh") == ()
    assert not ground.there(Ref("v1", "Namespace", "", "istio-system"))


def test_the_only_recorded_mesh_is_found_by_itself() -> None:
    ground = Ground()
    ground.install(mesh="fleet")
    assert ground.leave().scope.mesh == "fleet"


def test_several_meshes_are_listed_and_an_unknown_one_is_named_with_the_nearest(ground: Ground) -> None:
    (record,) = ground.releases.of("mesh")
    ground.releases.write(replace(record, mesh="fleet"))
    for name, words in (("", "2 meshes are recorded"), ("flete", "did you mean 'fleet'")):
        with pytest.raises(ConfigError, match=words):
            ground.leave(name)


def test_a_webhook_of_others_that_would_lose_its_istiod_is_a_reason_to_refuse(ground: Ground) -> None:
    service = {"name": "istiod", "namespace": "istio-system"}
    ground.mesh.put(
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        "",
        "somebodys",
        webhooks=[{"name": "a.example.com", "clientConfig": {"service": service}}],
    )
    refusals: tuple[MeshctlError, ...] = ground.leave().refusals
    assert [each.code for each in refusals] == ["webhook-left-behind"]
    assert "somebodys" in refusals[0].details[0]


def test_an_upgrade_under_way_ends_with_its_mesh_and_keeps_its_revisions(ground: Ground) -> None:
    ground.install("revision=canary")
    source, target = ground.releases.of("mesh")
    ground.releases.write_upgrade(Upgrade("2026-01-01T00:00:00+00:00", source, target))
    with pytest.raises(ConflictError, match="an upgrade of mesh 'mesh' needs revision 'canary'"):
        ground.remove(revision="canary")
    ground.remove(purge=True)
    assert ground.releases.upgrade("mesh") is None


def test_one_revision_stays_when_somebody_came_to_need_it_since_its_removal_was_agreed_to(
    ground: Ground,
) -> None:
    ground.install("revision=canary")
    leave = ground.leave(revision="canary")
    assert leave.refusals == ()
    ground.mesh.workload("Deployment", "shop", "web", revision="canary")
    with pytest.raises(ConflictError) as caught:
        list(remove(ground.world, leave))
    assert caught.value.code == "plan-outdated"
    assert "1 proxies would lose" in caught.value.details[0]
    assert ground.there(replace(ISTIOD, name="istiod-canary"))
