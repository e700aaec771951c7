"""`meshctl-agent capture`: the commands of traffic capture, each a short process of root's."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from meshctl.agent.capture.control import Capture, Outcome, capture

if TYPE_CHECKING:
    from meshctl.agent.capture.placing import Wanted
    from meshctl.agent.capture.settings import CaptureSettings
    from meshctl.agent.places import Places

FOUND: Final = 3
"""The exit code of `check` when something is not as it should be."""
_SECONDS: Final = re.compile(r"([0-9]{1,5})(s|m)?", re.ASCII)
_LONGEST: Final = 3600
_WRONG_SETTINGS: Final = "2"
"""Exit status of an agent that systemd does not start again."""

_EXAMPLES: Final = """examples:
  meshctl-agent capture show                          the rules that the settings mean
  meshctl-agent capture apply                         put them in place
  meshctl-agent capture apply --confirm-within 30s    and take them back in 30 seconds, unless …
  meshctl-agent capture confirm                       … somebody still gets in to say this
  meshctl-agent capture check                         whether they are as they were put there
  meshctl-agent capture remove                        leave no trace
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the commands to the parser of `meshctl-agent capture`."""
    parser.description = "Which traffic of this host goes through Envoy."
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="capture", required=True, metavar="COMMAND")
    apply = commands.add_parser("apply", help="put the rules in place that the settings mean")
    apply.add_argument(
        "--confirm-within",
        type=seconds,
        metavar="TIME",
        help="take them back after that time (30s, 5m) unless `capture confirm` is called",
    )
    commands.add_parser("confirm", help="the last change stays")
    remove = commands.add_parser("remove", help="take away all rules of ours, and what a crash has left")
    remove.add_argument(
        "--unless-restarting",
        action="store_true",
        help="leave them when systemd is about to start a crashed agent again; it says so in the environment",
    )
    commands.add_parser("show", help="print the rules that the settings mean, and change nothing")
    commands.add_parser("check", help="whether the rules are as they were put there; exit code 3 if not")
    for each in commands.choices.values():
        each.add_argument("-o", "--output", choices=("text", "json"), default="text", help="how to print")


def run(
    arguments: argparse.Namespace,
    places: Places,
    load: Callable[[], CaptureSettings],
    environment: Mapping[str, str] = os.environ,
) -> tuple[str, int]:
    """Do what a command says.

    Args:
        arguments: as `configure`'s parser has read them.
        places: where the agent's files are.
        load: reads the settings; removal and confirmation need none.
        environment: of this process, where systemd says how the agent ended.

    Returns:
        What to print, and the exit code.

    Raises:
        MeshctlError: as `Capture` says.
    """
    host = capture(places)
    if arguments.capture == "show":
        return _shown(host.wanted(load()), arguments.output), 0
    if arguments.capture == "check":
        return _checked(host.check(load()), arguments.output)
    outcome = _done(host, arguments, load, environment)
    return (
        json.dumps(_json(outcome)) if arguments.output == "json" else _text(arguments.capture, outcome)
    ), 0


def seconds(text: str) -> float:
    """A time such as `30s` or `5m`, up to an hour.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    found = _SECONDS.fullmatch(text)
    value = int(found[1]) * (60 if found[2] == "m" else 1) if found else 0
    if not 1 <= value <= _LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is no time from 1s to 60m")
    return float(value)


def restarting(environment: Mapping[str, str]) -> bool:
    """Whether systemd starts the agent again: it crashed, and not because its settings are wrong.

    Source: systemd.exec(5), $SERVICE_RESULT, $EXIT_CODE and $EXIT_STATUS.
    """
    wrong = (environment.get("EXIT_CODE"), environment.get("EXIT_STATUS")) == ("exited", _WRONG_SETTINGS)
    return environment.get("SERVICE_RESULT", "") not in ("", "success") and not wrong


def _done(
    host: Capture,
    arguments: argparse.Namespace,
    load: Callable[[], CaptureSettings],
    environment: Mapping[str, str],
) -> Outcome:
    if arguments.capture == "apply":
        return host.apply(load(), arguments.confirm_within)
    if arguments.capture == "confirm":
        return host.confirm()
    if arguments.unless_restarting and restarting(environment):
        return Outcome(False, None)
    return host.remove()


def _shown(wanted: Wanted, output: str) -> str:
    tables = [(f"IPv{each.family} {each.table}", each.lines) for each in wanted.tables]
    name = wanted.flavour.name if wanted.flavour else "none"
    if output == "json":
        return json.dumps({"flavour": name, "tables": dict(tables), "notes": wanted.notes})
    notes = [f"# note: {note}" for note in wanted.notes]
    return "\n".join([f"# {name}", *notes, *(line for at, lines in tables for line in (f"# {at}", *lines))])


def _checked(found: tuple[str, ...], output: str) -> tuple[str, int]:
    code = FOUND if found else 0
    if output == "json":
        return json.dumps({"findings": found}), code
    return "\n".join(found or ("all rules are as they were put there",)), code


def _json(outcome: Outcome) -> dict[str, Any]:
    applied = outcome.applied
    return {
        "changed": outcome.changed,
        "flavour": applied.flavour if applied else "none",
        "tables": [f"IPv{each.family} {each.table}" for each in applied.tables] if applied else [],
        "notes": applied.notes if applied else (),
        "confirmWithin": outcome.waits,
    }


def _text(command: str, outcome: Outcome) -> str:
    lines = [_said(command, outcome)]
    if command == "apply" and outcome.applied:
        lines += [f"note: {note}" for note in outcome.applied.notes]
    if outcome.waits is not None:
        lines.append(f"taken back in {outcome.waits:.0f} s unless `capture confirm` is called")
    return "\n".join(lines)


def _said(command: str, outcome: Outcome) -> str:
    if command == "confirm":
        return "the last change stays" if outcome.changed else "nothing waits to be confirmed"
    if outcome.applied is None:
        return "nothing of ours is there any more" if outcome.changed else "there is nothing to do"
    done = "traffic is captured" if outcome.changed else "traffic is captured already"
    return f"{done} by {outcome.applied.flavour}"
