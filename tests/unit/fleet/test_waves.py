"""Which work in a fleet comes before which."""

from __future__ import annotations

import pytest

from meshctl.model.fleet import Needs, Task, Work
from meshctl.model.link import Link, LinkKind, links_wanted
from meshctl.model.mesh import Cluster, Mesh, Role
from meshctl.stages.fleet.waves import Agenda, installing, uninstalling, unlinking, waves

WEST, EAST = Cluster("west"), Cluster("east")
REMOTE = Cluster("east", role=Role.REMOTE, control_plane="west")
CONTROL = Cluster("control", role=Role.EXTERNAL)
CONFIG = Cluster("west", role=Role.CONFIG, control_plane="control")


def of(*clusters: Cluster) -> Needs:
    return installing(clusters, links_wanted(Mesh("m", clusters)))


def behind(needs: Needs, task: Task) -> set[Task]:
    """Everything that has to be done before a task."""
    found = set(needs[task])
    for each in needs[task]:
        found |= behind(needs, each)
    return found


def install(name: str) -> Task:
    return Task(Work.INSTALL, name)


def test_primaries_are_installed_side_by_side_and_linked_when_both_are_there() -> None:
    needs = of(WEST, EAST)
    assert behind(needs, install("west")) == {Task(Work.PREPARE, "west")}
    assert behind(needs, install("east")) == {Task(Work.PREPARE, "east")}
    for link in (Link("west", "east"), Link("east", "west")):
        linked = behind(needs, Task(Work.LINK, link.server, link))
        assert {install("west"), install("east"), Task(Work.ACCESS, link.reads, link)} <= linked


def test_a_remote_waits_for_its_istiod_its_link_and_the_address() -> None:
    before = behind(of(WEST, REMOTE), install("east"))
    link = Link("west", "east")
    assert {
        install("west"),
        Task(Work.LINK, "west", link),
        Task(Work.ADDRESS, "west"),
        Task(Work.ACCESS, "east", link),
    } <= before


def test_nobody_waits_for_an_address_that_is_said() -> None:
    needs = of(Cluster("west", address="192.0.2.7"), REMOTE)
    assert not [task for task in needs if task.work is Work.ADDRESS]
    assert install("west") in behind(needs, install("east"))


def test_an_external_istiod_starts_with_the_way_to_its_configuration_which_is_installed_after_it() -> None:
    needs = of(CONTROL, CONFIG)
    link = Link("control", "west", LinkKind.CONFIG)
    assert Task(Work.LINK, "control", link) in behind(needs, install("control"))
    assert install("west") not in behind(needs, install("control"))
    assert {install("control"), Task(Work.ADDRESS, "control")} <= behind(needs, install("west"))


@pytest.mark.parametrize("clusters", [(WEST, EAST), (WEST, REMOTE), (REMOTE, WEST), (CONFIG, CONTROL)])
def test_every_task_is_told_after_those_it_needs(clusters: tuple[Cluster, ...]) -> None:
    seen: set[Task] = set()
    for task, before in of(*clusters).items():
        assert before <= seen
        seen.add(task)


def test_tasks_of_one_wave_do_not_need_each_other() -> None:
    needs = of(WEST, REMOTE)
    for wave in waves(needs):
        assert not any(needs[each] & set(wave) for each in wave)
    assert {task for wave in waves(needs) for task in wave} == needs.keys()


def test_clusters_that_are_served_are_uninstalled_before_the_one_that_serves_them() -> None:
    needs = uninstalling((WEST, REMOTE, Cluster("alone")))
    assert needs[Task(Work.UNINSTALL, "west")] == {Task(Work.UNINSTALL, "east")}
    assert needs[Task(Work.UNINSTALL, "alone")] == frozenset()


def test_a_link_ends_beside_the_istiod_before_its_token_is_revoked() -> None:
    link = Link("west", "east")
    needs = unlinking([link])
    assert needs[Task(Work.RELEASE, "east", link)] == {Task(Work.UNLINK, "west", link)}


def test_two_tasks_never_change_one_cluster_at_once() -> None:
    link, other = Link("west", "east"), Link("west", "north")
    needs: Needs = {Task(Work.LINK, "west", each): frozenset() for each in (link, other)}
    agenda = Agenda(needs)
    [first] = agenda.begin()
    assert agenda.begin() == ()
    agenda.done(first)
    assert agenda.begin() == (Task(Work.LINK, "west", other),)


def test_a_wait_for_an_address_keeps_nothing_else_from_its_cluster() -> None:
    agenda = Agenda(of(WEST, REMOTE, Cluster("north", role=Role.REMOTE, control_plane="west")))
    begun = list(agenda.begin())
    while not any(each.work is Work.LINK for each in begun):
        task = next(each for each in begun if each.work is not Work.ADDRESS)
        begun.remove(task)
        agenda.done(task)
        begun += agenda.begin()
    assert Task(Work.ADDRESS, "west") in begun


def test_a_failure_keeps_back_all_that_needs_it_and_nothing_else() -> None:
    needs = installing((WEST, REMOTE, Cluster("alone")), [Link("west", "east")])
    agenda = Agenda(needs)
    assert {each.cluster for each in agenda.begin()} == {"west", "east", "alone"}
    for name in ("west", "east", "alone"):
        agenda.done(Task(Work.PREPARE, name))
    assert set(agenda.begin()) == {install("west"), install("alone")}
    lost = agenda.failed(install("west"))
    assert install("east") in lost
    assert install("alone") not in lost
    assert all(missing for missing in lost.values())
    agenda.done(install("alone"))
    assert agenda.begin() == ()  # nothing that is left can be done
