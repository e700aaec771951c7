"""What is to be done in several clusters, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from meshctl.errors import MeshctlError, StoppedError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.model.event import Event
    from meshctl.model.link import Link


class Work(StrEnum):
    """What is done in one cluster at a time."""

    PREPARE = "prepare"
    """Namespace and certificate authority, before there is an istiod."""
    INSTALL = "install"
    ADDRESS = "address"
    """Wait until the gateway has an address at which clusters reach the istiod that serves them."""
    ACCESS = "access"
    """An account by which the istiod of another cluster reads this one."""
    LINK = "link"
    """A remote secret, by which the istiod here reads another cluster."""
    UNLINK = "unlink"
    """The end of a link beside the istiod that reads."""
    RELEASE = "release"
    """The end of a link in the cluster that is read."""
    UNINSTALL = "uninstall"


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work: a plan in one cluster.

    Attributes:
        work: what is done.
        cluster: where it is done.
        link: which link it is for; None where it is for none.
    """

    work: Work
    cluster: str
    link: Link | None = None

    def __str__(self) -> str:
        if self.link is None:
            return str(self.work)
        other = self.link.reads if self.link.server == self.cluster else self.link.server
        return f"{self.work} {_WORDS[self.work]} {other}"


_WORDS = {Work.ACCESS: "by", Work.LINK: "to", Work.UNLINK: "from", Work.RELEASE: "from"}

Needs: TypeAlias = "Mapping[Task, frozenset[Task]]"
"""Tasks in the order in which they are told, each with those that have to be done before."""


@dataclass(frozen=True, slots=True)
class Told:
    """What happened in a cluster, as it happened."""

    cluster: str
    event: Event


@dataclass(frozen=True, slots=True)
class Ended:
    """How a task ended.

    Attributes:
        task: the task.
        changed: whether anything was sent.
        error: why it failed; None where it did not, or was not begun.
        lacking: tasks that it needs and that failed or were not begun: then it was not begun either.
    """

    task: Task
    changed: bool = False
    error: MeshctlError | None = None
    lacking: tuple[Task, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether the cluster is as this task wants it."""
        return self.error is None and not self.lacking

    @property
    def is_cut_off(self) -> bool:
        """Whether the cluster did not answer, or the work was stopped: the same command continues."""
        return isinstance(self.error, UnreachableError | StoppedError)
