"""What a plan leaves nothing to do for, once it is applied."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshctl.model.manifest import Manifest
from meshctl.model.objects import Object
from meshctl.model.plan import Plan
from meshctl.model.release import Status
from meshctl.stages.applying.apply import apply
from meshctl.stages.planning.plan import plan
from meshctl.stages.seeing.observe import look, observe
from tests.building import obj, part, release
from tests.fakes import FakeClock, FakeCluster, FakeFiles, FakeReleases

DRAFT = release(status=Status.PENDING, generation=0)
LEAF = st.text("ab", min_size=1, max_size=2)


def config(name: str, data: dict[str, str]) -> Object:
    return obj("ConfigMap", name, "default", data=data)


def workload(name: str, env: dict[str, str]) -> Object:
    named = [{"name": key, "value": value} for key, value in env.items()]
    spec = {"replicas": 1, "template": {"spec": {"containers": [{"name": "proxy", "env": named}]}}}
    return obj("Deployment", name, "default", spec=spec)


def role(name: str, verbs: list[str]) -> Object:
    return obj("ClusterRole", name, rules=[{"verbs": [verb]} for verb in verbs])


NAMES = st.sampled_from("xyz")
ENTRIES = st.dictionaries(NAMES, LEAF, min_size=1, max_size=3)
OBJECTS = st.one_of(
    st.builds(config, NAMES, ENTRIES),
    st.builds(workload, NAMES, ENTRIES),
    st.builds(role, NAMES, st.lists(LEAF, min_size=1, max_size=3)),
)
SETS = st.lists(OBJECTS, max_size=5, unique_by=lambda each: each.ref)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    first = draw(SETS)
    taken = {each.ref for each in first}
    second = [each for each in draw(SETS) if each.ref not in taken]
    return Manifest((part("base", *first), part("istiod", *second, needs=("base",))))


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.cluster = FakeCluster("east", clock=self.clock)
        self.releases = FakeReleases()

    def plan(self, desired: Manifest) -> Plan:
        seen = observe(self.cluster, self.releases, "mesh")
        refs = {each for record in seen.releases for each in record.refs} | desired.refs
        return plan(desired, replace(seen, objects=look(self.cluster, refs)), DRAFT)

    def apply(self, steps: Plan) -> None:
        for _ in apply(self.cluster, self.releases, FakeFiles(), self.clock, steps):
            pass


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(manifests(), min_size=1, max_size=3))
def test_what_was_applied_is_as_desired_and_leaves_nothing_to_do(wanted: list[Manifest]) -> None:
    world = World()
    for desired in wanted:
        world.apply(world.plan(desired))
        again = world.plan(desired)
        assert again.is_empty, again
        writes = len(world.cluster.writes)
        world.apply(again)
        assert len(world.cluster.writes) == writes
    others = {"Namespace"}
    there = {each.ref for each in world.cluster.all() if each.ref.kind not in others}
    assert there == wanted[-1].refs
