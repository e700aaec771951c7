"""Errors of templates, and the one a template function raises."""

from __future__ import annotations

from meshctl.errors import ConfigError, Where


class TemplateError(ConfigError):
    """A template that cannot be parsed, or does not go with its data."""

    def __init__(self, message: str, name: str, line: int, hint: str = "") -> None:
        """Say what is wrong at `line`, counted from 1, of the template `name`."""
        super().__init__("bad-template", message, where=Where(name, line), hint=hint)


class CallError(ValueError):
    """What a function of a template raises; the evaluator adds the place.

    `hint` tells what to do about it, if the function knows.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
