"""The templates of components, run: from a folder and the words it may name to objects' contents."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import yaml

from meshctl.errors import ConfigError, InternalError, Where
from meshctl.registry import data
from meshctl.stages.rendering.context import FILTERS
from meshctl.stages.settings.document import LOADER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Environment

    from meshctl.model.values import Tree


def contents(folder: str, context: Mapping[str, Any]) -> list[Tree]:
    """Objects of every template in a component's folder, in the order of file names, without nulls.

    Raises:
        ConfigError: a setting of free form lacks something that its object needs.
        InternalError: a template is wrong.
    """
    from jinja2 import TemplateError, UndefinedError

    found: list[Tree] = []
    for template in _names(folder):
        try:
            found += _objects(_environment().get_template(template).render(context))
        except UndefinedError as fault:  # every known setting is filled in, so this one is the user's
            raise ConfigError(
                "incomplete-value",
                f"a setting for {template.removesuffix('.yaml.j2')} is incomplete: {fault.message}",
                where=Where(f"templates/{template}", _line(fault)),
                hint="look at the lists and maps among your values that this template reads",
            ) from fault
        except TemplateError as fault:
            raise InternalError("template-failed", f"the template {template} failed: {fault}") from fault
    return found


@lru_cache(maxsize=256)
def _objects(text: str) -> tuple[Tree, ...]:
    """The objects in a text. Much of what clusters of a fleet hold is the same, and is shared."""
    return tuple(without_nulls(each) for each in yaml.load_all(text, Loader=LOADER) if each)


def _line(fault: Exception) -> int | None:
    """Line of a template on which it failed: Jinja puts it into the traceback."""
    trace = fault.__traceback__
    found = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.endswith(".j2"):
            found = trace.tb_lineno
        trace = trace.tb_next
    return found


@cache
def _names(folder: str) -> tuple[str, ...]:
    return tuple(sorted(f"{folder}/{each.name}" for each in (data("templates") / folder).glob("*.yaml.j2")))


def without_nulls(tree: Any) -> Any:
    """A tree without keys that hold nothing, as the API server would keep it."""
    if isinstance(tree, dict):
        return {key: without_nulls(value) for key, value in tree.items() if value is not None}
    if isinstance(tree, list):
        return [without_nulls(each) for each in tree]
    return tree


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
    from jinja2.runtime import Context

    from meshctl.stages.rendering.compiled import Compiled

    @pass_context
    def revisioned(context: Context, name: str) -> str:
        """A name that every revision has its own of."""
        return f"{name}{context['suffix']}"

    environment = Environment(  # noqa: S701 - YAML, into which values go as JSON; there is no HTML
        loader=FileSystemLoader(data("templates")),
        undefined=StrictUndefined,
        auto_reload=False,
        bytecode_cache=Compiled(data("templates")),
    )
    environment.filters.update(FILTERS)
    environment.filters["revisioned"] = revisioned
    return environment
