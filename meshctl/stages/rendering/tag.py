"""Revision tags: further names under which namespaces choose a control plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from meshctl.stages.rendering.context import view
from meshctl.stages.rendering.parts import Job, in_order, owned, part_of, scoped, words_for
from meshctl.stages.rendering.templates import contents
from meshctl.stages.settings import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meshctl.model.manifest import Part
    from meshctl.model.values import Tree, Values

DEFAULT: Final = "default"
"""The tag of whatever names no revision; who has it also validates what names none."""
COMPONENT: Final = "tag"


def tag_part(values: Values, name: str, *, owner: str = "") -> Part:
    """The objects that make a tag lead to the control plane that these values describe.

    Args:
        values: settled values of the control plane.
        name: of the tag, such as `stable`. `default` gets the validating webhook as well.
        owner: name of the mesh that is written on each object; empty leaves them unmarked.

    Returns:
        The injection webhooks and the Service of the tag. It is ready once istiod has put its CA there.
    """
    component = catalogue.components()[COMPONENT]
    job = Job(in_order(values), owner, install=True)
    context = words_for(job, component, view(job.values, component), values.namespace)
    made = scoped(tag_contents(context, name, alone=True), component, context)
    named = COMPONENT if name == DEFAULT else f"{COMPONENT}/{name}"
    part = part_of(component, named, made, {})
    return owned(part, owner) if owner else part


def tag_contents(context: Mapping[str, Any], name: str, *, alone: bool = False) -> list[Tree]:
    """What a tag's templates make of a control plane's words.

    Args:
        context: words of the component `istiod`, or of `tag`.
        name: of the tag.
        alone: whether the tag is made for itself, as `istioctl tag generate` makes it: with the control
            plane's CA bundle where the user gave one, and with the validating webhook of `default`. As
            part of a control plane it has neither, as upstream's charts render it.
    """
    return contents(COMPONENT, {**context, "tag": name, "alone": alone})
