"""The Go templates istiod injects and deploys proxies with.

istiod evaluates them itself, for every pod and every Gateway, so they are in its language. They
are put together here from one source, `templates/sidecar/`: a file for each template, which lists
what it consists of, and `parts/` with what they have in common. The putting-together is Jinja's
with other delimiters, so that `{{ }}` stays Go's.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from meshctl.registry import data
from meshctl.stages.rendering.context import able

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jinja2 import Environment

# What writes the bootstrap file of gRPC applications that have no agent; any image with `sh` would do.
SHELL_IMAGE = "busybox:1.28"

SUFFIX = ".yaml.gotmpl.j2"

# Templates that an istiod only knows where it has the feature.
NEEDS = {"agentgateway-waypoint": "agentgateway_waypoint"}


def injection_templates(features: Iterable[str]) -> dict[str, str]:
    """Every template by the name istiod asks for it, in the order of the names.

    Args:
        features: names of what this Istio can do, as its version says.

    Returns:
        Go template text, to be the `templates` of the injector ConfigMap's `config`.
    """
    return _of(frozenset(features))


@cache
def _of(features: frozenset[str]) -> dict[str, str]:
    environment = _environment()
    folder = data("templates") / "sidecar"
    # Templates and parts call each part by its file's name. The dictionary is shared with the parts
    # rather than copied, so that they see each other whatever the order they are loaded in.
    known = able(features)
    names: dict[str, Any] = {"features": known, "shell_image": SHELL_IMAGE}
    for path in sorted(folder.glob("parts/*.j2")):
        part = environment.get_template(f"parts/{path.name}")
        names[path.stem] = part.make_module(names, shared=True)
    written = sorted(path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}"))
    return {
        name: _tidy(environment.get_template(name + SUFFIX).render(names))
        for name in written
        if name not in NEEDS or known[NEEDS[name]]
    }


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from meshctl.stages.rendering.compiled import Compiled

    environment = Environment(  # noqa: S701 - a Go template of YAML for istiod, never HTML
        loader=FileSystemLoader(data("templates") / "sidecar"),
        undefined=StrictUndefined,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        optimized=False,  # folding constants costs more than it saves where a template is rendered once
        bytecode_cache=Compiled(data("templates") / "sidecar"),
    )
    environment.filters |= {"at": _at, "take": _take}
    return environment


def _at(text: str, column: int) -> str:
    """`text` for a place that begins at `column`: its further lines are moved there too."""
    return text.strip("\n").replace("\n", "\n" + " " * column)


def _take(part: object, names: str) -> str:
    """What the macros of `part` with these `names` write, one after the other."""
    return "".join(getattr(part, name)() for name in names.split())


def _tidy(text: str) -> str:
    """`text` without blank lines and spaces at line ends, which absent parts leave behind."""
    lines = (line.rstrip() for line in text.splitlines())
    return "\n".join(line for line in lines if line) + "\n"
