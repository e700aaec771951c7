"""Go's text/template with sprig's functions, in Python: what istiod makes of its injection templates.

    template = parse("{{ .name | default `web` | quote }}", name="sidecar")
    text = template.render({"name": ""})

`values` says how Go's values are told in Python; `calling` how a function says its types. Numbers
of data that Go decoded from JSON or YAML must be floats: `as_json` makes them so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from meshctl.errors import nearest
from meshctl.gotemplate import sprig
from meshctl.gotemplate.calling import Value
from meshctl.gotemplate.errors import CallError, TemplateError
from meshctl.gotemplate.evaluate import Evaluation, MissingKey
from meshctl.gotemplate.functions import BUILTINS
from meshctl.gotemplate.parse import Parsed, parse_text
from meshctl.gotemplate.values import (
    MISSING,
    Int32,
    Int64,
    List,
    Map,
    Nil,
    Struct,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    as_json,
)

__all__ = [
    "MISSING",
    "CallError",
    "Int32",
    "Int64",
    "List",
    "Map",
    "Nil",
    "Struct",
    "Template",
    "TemplateError",
    "Uint8",
    "Uint16",
    "Uint32",
    "Uint64",
    "Value",
    "as_json",
    "parse",
]


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed text, which may be rendered many times."""

    name: str
    _parsed: Parsed

    def render(
        self,
        data: object,
        functions: Mapping[str, Callable[..., object]] | None = None,
        missing_key: MissingKey = "default",
    ) -> str:
        """The text the template makes of `data`.

        Args:
            data: what `.` is at the start; see `values`.
            functions: more functions, or others in place of Go's and sprig's of the same name. One
                raises `CallError` when it cannot do what is asked.
            missing_key: what a map gives for the field it does not have: no value, the zero of its
                elements, or an error.

        Raises:
            TemplateError: the template names an unknown function, or does not go with its data.
        """
        known = {**BUILTINS, **sprig.FUNCTIONS, **(functions or {})}
        for name, line in self._parsed.functions.items():
            if name not in known and name not in ("and", "or"):
                raise TemplateError(
                    f"no function is called {name!r}", self.name, line, _suggestion(name, known)
                )
        run = Evaluation(self.name, self._parsed.definitions, known, missing_key)
        try:
            run.run(self.name, data, 1)
        except RecursionError:
            raise TemplateError("nested too deep", self.name, 1) from None
        return "".join(run.out)


def parse(text: str, name: str) -> Template:
    """Parse a template; `name` is its name in errors and in `{{template}}`.

    Raises:
        TemplateError: the first mistake, with its line.
    """
    return Template(name, parse_text(text, name))


def _suggestion(name: str, known: Mapping[str, object]) -> str:
    near = nearest(name, known)
    return f"did you mean {near!r}?" if near else "istiod has Go's, sprig's and its own functions only"
