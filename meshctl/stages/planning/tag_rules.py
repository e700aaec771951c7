"""What must hold before a tag is set or removed, and what is told about it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshctl.errors import ConfigError, ConflictError, FailedError, Where, listed, nearest
from meshctl.model.labels import TAG
from meshctl.model.plan import Apply
from meshctl.model.tag import DEFAULT
from meshctl.stages.planning import injection
from meshctl.stages.planning.tags import INJECTOR, revision_of, tags

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from meshctl.model.objects import Object
    from meshctl.model.plan import Plan
    from meshctl.model.release import Release
    from meshctl.model.tag import Tag

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LONGEST = 63 - len("istiod-revision-tag-")


@dataclass(frozen=True)
class Sight:
    """What of a cluster has to do with tags.

    Attributes:
        configurations: webhook configurations, anybody's.
        services: those with a tag.
        namespaces: all.
        pods: those that have a say of their own in who injects them.
    """

    configurations: tuple[Object, ...]
    services: tuple[Object, ...]
    namespaces: tuple[Object, ...]
    pods: tuple[Object, ...]

    @property
    def tags(self) -> tuple[Tag, ...]:
        """By name, whoever made them."""
        return tags((*self.configurations, *self.services))

    @property
    def revisions(self) -> Mapping[str, Object]:
        """Control planes by name (empty: the unnamed one), each with its own injector."""
        return {
            revision_of(each): each
            for each in self.configurations
            if each.ref.kind == INJECTOR and TAG not in each.labels and injection.injects(each)
        }

    def tag(self, name: str) -> Tag | None:
        """The tag of this name."""
        return next((each for each in self.tags if each.name == name), None)


def control_plane(sight: Sight, revision: str) -> Object:
    """The own injector of a control plane; empty is the unnamed one.

    Raises:
        FailedError: there is none of the name.
    """
    known = sight.revisions
    if revision in known:
        return known[revision]
    names = sorted(each or DEFAULT for each in known)
    asked = revision or DEFAULT
    tag = sight.tag(revision)
    near = nearest(asked, names)
    if tag is not None:
        hint = f"{asked!r} is a tag, which leads to {tag.revision or DEFAULT!r}"
    elif near:
        hint = f"did you mean {near!r}?"
    else:
        hint = f"choose one of {listed(names)}" if names else "install a control plane first"
    raise FailedError("no-such-revision", f"no control plane here is revision {asked!r}", hint=hint)


def require_name(name: str) -> None:
    """Refuse what no tag can be called.

    Raises:
        ConfigError: always with the rule that it breaks.
    """
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise ConfigError(
            "bad-tag-name",
            f"a tag cannot be called {name!r}",
            where=Where("NAME"),
            hint=f"use up to {_LONGEST} lower-case letters, digits and dashes",
        )


def refuse_taken(sight: Sight, name: str, revision: str, *, overwrite: bool) -> None:
    """Refuse a name that stands for something else, unless a tag may be overwritten.

    Raises:
        ConflictError: it is a control plane's, or a tag's that leads elsewhere or is another tool's.
    """
    if name != DEFAULT and name in sight.revisions:
        raise ConflictError(
            "tag-is-a-revision",
            f"{name!r} is the name of a control plane, so it cannot be a tag",
            hint="namespaces labelled with it would have two injectors; choose another name",
        )
    there = sight.tag(name)
    if there is None or overwrite:
        return
    if there.revision != revision:
        raise ConflictError(
            "tag-exists",
            f"tag {name!r} leads to {there.revision or DEFAULT!r}",
            hint=f"--overwrite makes it lead to {revision or DEFAULT!r}",
        )
    if there.by != "meshctl":
        raise ConflictError(
            "tag-exists",
            f"tag {name!r} leads there already; {there.by or 'another tool'} made it",
            hint="--overwrite makes it ours",
        )


def refuse_doubled(sight: Sight, after: Sequence[Object], name: str) -> None:
    """Refuse a tag with which several webhooks would inject the same pods.

    Args:
        sight: the cluster.
        after: mutating webhook configurations as they will be.
        name: of the tag.

    Raises:
        ConflictError: tells where, and which webhooks.
    """
    found = [
        f"{place}: {listed(each.ref.name for each in asked)}"
        for place, asked in injection.doubled(after, sight.namespaces, sight.pods)
        if any(each.labels.get(TAG) == name for each in asked)
    ]
    if found:
        raise ConflictError(
            "injected-twice",
            f"with tag {name!r}, several webhooks would inject the same pods",
            hint="take a label off these namespaces, or remove the other webhook configuration",
            details=found,
        )


def no_tag(name: str, sight: Sight) -> FailedError:
    """That there is no such tag, with the nearest there is."""
    names = [each.name for each in sight.tags]
    near = nearest(name, names)
    if name in sight.revisions:
        hint = f"it is a control plane; `meshctl uninstall --revision {name}` removes it"
    elif near:
        hint = f"did you mean {near!r}?"
    else:
        hint = f"there are {listed(names)}" if names else "there are no tags"
    return FailedError("no-such-tag", f"there is no tag {name!r}", hint=hint)


def set_warnings(plan: Plan, name: str, revision: str) -> Iterator[str]:
    """What follows from a plan that sets a tag, beyond what its steps say."""
    if name != DEFAULT or plan.is_empty:
        return
    yield (
        f"revision {revision or DEFAULT!r} will inject all that is labelled istio-injection=enabled, and "
        "validate Istio objects without a revision"
    )
    for step in plan.steps:
        if isinstance(step, Apply) and TAG not in step.object.labels:
            yield f"{step.ref} rests from then on: it would inject the same pods a second time"


def remove_warnings(records: Iterable[Release], tag: Tag) -> Iterator[str]:
    """What follows from removing a tag; `records` are those of its mesh, oldest first."""
    if tag.name == DEFAULT:
        yield (
            "nobody will inject what is labelled istio-injection=enabled, nor validate Istio objects "
            "without a revision"
        )
    own = [each for each in records if each.revision == tag.revision]
    if own and any(obj.labels.get(TAG) == tag.name for obj in own[-1].manifest.objects):
        where = "every install makes it" if tag.name == DEFAULT else "values.revisionTags names it"
        yield f"the next install of revision {tag.revision or DEFAULT!r} makes it again: {where}"
