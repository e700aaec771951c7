"""Values of cluster.env that are more than text."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent.reading.fields import shown
from meshctl.agent.reading.texts import go_seconds, is_host_port

if TYPE_CHECKING:
    from meshctl.agent.reading.problems import Problems
    from meshctl.agent.reading.variables import Variables

FLAGS: Final = {
    "1": True, "t": True, "T": True, "true": True, "TRUE": True, "True": True,
    "0": False, "f": False, "F": False, "false": False, "FALSE": False, "False": False,
}  # fmt: skip
"""Source: Go's strconv.ParseBool, by which Istio reads its variables."""


@dataclass(frozen=True)
class Typed:
    """Reads variables as what they have to be; each gives None where the variable is not set, or is wrong.

    Attributes:
        variables: that are read.
        problems: get what is wrong.
    """

    variables: Variables
    problems: Problems

    def text(self, name: str, pattern: str = r"(?s:.*)", wanted: str = "text") -> str | None:
        """A text that a regular expression matches as a whole."""
        value = self.variables.get(name)
        if not value:
            return None
        return value if re.fullmatch(pattern, value, re.ASCII) else self._wrong(name, wanted)

    def flag(self, name: str) -> bool | None:
        """True or false, as Go reads it."""
        value = self.variables.get(name)
        if not value:
            return None
        return FLAGS[value] if value in FLAGS else self._wrong(name, "true or false")

    def count(self, name: str, most: int = 2**31 - 1) -> int | None:
        """A whole number from 0 to `most`."""
        value = self.variables.get(name)
        if not value:
            return None
        right = re.fullmatch(r"[0-9]{1,10}", value) and int(value) <= most
        return int(value) if right else self._wrong(name, f"a whole number from 0 to {most}")

    def part(self, name: str) -> float | None:
        """A number from 0 to 1."""
        value = self.variables.get(name)
        if not value:
            return None
        right = re.fullmatch(r"[0-9]{0,9}(\.[0-9]{1,18})?", value) and float(value) <= 1
        return float(value) if right else self._wrong(name, "a number from 0 to 1")

    def duration(self, name: str) -> float | None:
        """Seconds of a duration as Go writes it."""
        value = self.variables.get(name)
        if not value:
            return None
        found = go_seconds(value)
        return self._wrong(name, "a duration such as '1h30m'") if found is None else found

    def address(self, name: str) -> str | None:
        """An address `host:port`."""
        value = self.variables.get(name)
        if not value:
            return None
        return value if is_host_port(value) else self._wrong(name, "an address such as 'host:15012'")

    def texts(self, name: str) -> tuple[str, ...] | None:
        """Texts between commas, without blanks around them; an empty variable is none."""
        if name not in self.variables.values:
            return None
        return tuple(each.strip() for each in self.variables.values[name].split(",") if each.strip())

    def json_object(self, name: str) -> dict[str, Any] | None:
        """An object of JSON."""
        value = self.variables.get(name)
        if not value:
            return None
        try:
            found = json.loads(value, parse_constant=_no_number)
        except (ValueError, RecursionError):
            found = None
        return found if isinstance(found, dict) else self._wrong(name, "an object of JSON")

    def _wrong(self, name: str, wanted: str) -> Any:
        """None, as the value of a variable that has to be something else."""
        value = shown(self.variables.get(name))
        self.problems.add(
            f"there has to be {wanted}, not {value}", self.variables.where(name), code="wrong-type"
        )
        return None


def _no_number(name: str) -> Any:
    raise ValueError(name)
