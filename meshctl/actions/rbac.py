"""Which rights a command needs, made from what it would do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, assert_never

from meshctl.model.mesh import Source
from meshctl.model.right import Needs
from meshctl.stages.permitting import commands
from meshctl.stages.permitting.commands import Work
from meshctl.stages.permitting.roles import roles
from meshctl.stages.rendering.render import render
from meshctl.stages.settings.resolve import resolve

if TYPE_CHECKING:
    from meshctl.model.right import Right
    from meshctl.stages.permitting.roles import Roles, Subject
    from meshctl.stages.settings.load import Loaded

NAMESPACE = "Namespace"


class Purpose(StrEnum):
    """What the rights are for."""

    INSTALL = "install"
    UPGRADE = "upgrade"
    UNINSTALL = "uninstall"
    VM = "vm"
    DEBUG = "debug"


@dataclass(frozen=True)
class Wish:
    """Whose rights are wanted, and for what.

    Attributes:
        purposes: one or more.
        subjects: who is to hold the rights; none: roles without bindings.
        name: of all roles; empty: made of the purposes.
        generations: how many records of installs the rights reach over.
        former: of an upgrade, what is removed in the end; None otherwise.
        machines: namespace of the virtual machines' workloads.
        escalating: name the verbs `escalate` and `bind` instead of all that the mesh's roles hold.
    """

    purposes: tuple[Purpose, ...]
    subjects: tuple[Subject, ...] = ()
    name: str = ""
    generations: int = 50
    former: Loaded | None = None
    machines: str = "default"
    escalating: bool = False


def rbac(asked: Loaded, wish: Wish) -> Roles:
    """The least roles for some commands on a mesh, made from its plan. Asks no cluster.

    Raises:
        ConfigError: the inputs are wrong.
    """
    work = _work(asked, wish.generations)
    needs = Needs()
    for purpose in wish.purposes:
        needs |= _needs(purpose, work, wish)
    name = wish.name or f"meshctl-{'-'.join(wish.purposes)}"
    sends = bool({Purpose.INSTALL, Purpose.UPGRADE}.intersection(wish.purposes))
    homes = _homes(work) if sends else frozenset()
    rights = (each for each in needs.flat(escalating=wish.escalating) if not _makes(each, homes))
    return roles(name, rights, wish.subjects, homes)


def _needs(purpose: Purpose, work: Work, wish: Wish) -> Needs:
    match purpose:
        case Purpose.INSTALL:
            return commands.install(work)
        case Purpose.UPGRADE:
            former = _work(wish.former, wish.generations) if wish.former else replace(work, revision="")
            return commands.upgrade(work, former)
        case Purpose.UNINSTALL:
            return commands.uninstall(work)
        case Purpose.VM:
            return commands.vm(work.namespace, wish.machines)
        case Purpose.DEBUG:
            return commands.debug(work.namespace)
    assert_never(purpose)


def _work(asked: Loaded, generations: int) -> Work:
    values = resolve(asked, asked.mesh.clusters[0])
    desired = render(values, owner=asked.mesh.name, install=True)
    cluster, trust = asked.mesh.clusters[0], asked.mesh.trust
    return Work(
        desired,
        asked.mesh.name,
        values.namespace,
        values.revision,
        tuple(range(1, generations + 1)),
        authority=cluster.has_istiod and trust.source is not Source.THERE,
    )


def _homes(work: Work) -> frozenset[str]:
    """The mesh's namespaces: Roles stand in them, so they are there before anybody holds these rights."""
    return frozenset({work.namespace, *(ref.name for ref in work.desired.refs if ref.kind == NAMESPACE)})


def _makes(right: Right, homes: frozenset[str]) -> bool:
    return (right.resource, right.verb) == ("namespaces", "create") and right.name in homes
