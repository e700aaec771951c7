"""Everything that is wrong with an input, gathered so that it is told at once."""

from __future__ import annotations

from typing import Final

from meshctl.errors import ConfigError, ProblemsError, Where

MOST: Final = 50
"""Problems that are told at once; nobody reads more."""


class Problems:
    """What was found wrong so far, and what is only odd."""

    def __init__(self) -> None:
        """Begin with none."""
        self._errors: list[ConfigError] = []
        self.warnings: list[str] = []

    def add(self, message: str, where: Where, *, code: str = "bad-setting", hint: str = "") -> None:
        """Something that has to be mended; of one value, the first thing is enough.

        Raises:
            ProblemsError: there are so many by now that the rest is left unread.
        """
        if any(each.where == where and (where.path or each.message == message) for each in self._errors):
            return
        self._errors.append(ConfigError(code, message, where=where, hint=hint))
        if len(self._errors) == MOST:
            self.settle()

    def adopt(self, error: ConfigError) -> None:
        """Something that has to be mended, and says its place itself."""
        self.add(error.message, error.where or Where(""), code=error.code, hint=error.hint)

    def warn(self, message: str, where: Where) -> None:
        """Something that is odd, and works."""
        self.warnings.append(f"{where}: {message}")

    def __bool__(self) -> bool:
        """Whether there is anything to mend."""
        return bool(self._errors)

    def settle(self) -> None:
        """Go on when nothing has to be mended.

        Raises:
            ConfigError: the one problem.
            ProblemsError: each of them, by file and line.
        """
        if len(self._errors) == 1:
            raise self._errors[0]
        if self._errors:
            raise ProblemsError(sorted(self._errors, key=_place))


def _place(error: ConfigError) -> tuple[str, int, str]:
    where = error.where
    return (where.file, where.line or 0, where.path) if where else ("", 0, "")
