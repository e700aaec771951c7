"""`install --plan FILE`: what of the command line has a say, and the plan as it is applied."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meshctl.errors import ConfigError, Where

if TYPE_CHECKING:
    from meshctl.actions.plan_file import Opened
    from meshctl.cli.app import App
    from meshctl.model.release import Release
    from meshctl.ports import World

PLAN = click.option(
    "--plan",
    "file",
    metavar="FILE",
    help="Apply what `meshctl plan -o json` wrote, if the cluster has not moved on; `-`: standard input.",
)
_DECIDED = {"take_over": "--take-over", "adopt": "--adopt", "timeout": "--timeout", "dry_run": "--dry-run"}
"""What a plan was made with, and cannot be told otherwise when it is applied."""


def planned(app: App, file: str, asked: dict[str, Any]) -> tuple[World, Opened]:
    """A plan from a file, for the cluster as it is.

    Raises:
        ConfigError: the file or the command line is wrong.
        ConflictError: the cluster has moved on.
    """
    from meshctl.actions.plan_file import opened
    from meshctl.cli.inputs import loaded
    from meshctl.cli.inputs import opened as doors

    _refuse_what_is_decided()
    text, name = _read(file)
    if any(_is_given(each) for each in asked):
        world, wanted = doors(app, loaded(app, asked))
        return world, opened(world, text, name, wanted)
    world = app.target.world()
    return world, opened(world, text, name)


def headline(release: Release, cluster: str) -> str:
    """What a plan is about to make."""
    named = f", revision {release.revision}" if release.revision else ""
    return f"Istio {release.version}, profile {release.profile}{named}, into {cluster}, as planned"


def _refuse_what_is_decided() -> None:
    said = [flag for option, flag in _DECIDED.items() if _is_given(option)]
    if said:
        raise ConfigError(
            "plan-decides",
            f"a plan was made with or without {said[0]}, and cannot be told otherwise",
            where=Where("--plan"),
            hint=f"leave {said[0]} away, or plan again with it",
        )


def _is_given(option: str) -> bool:
    """Whether the user typed an option."""
    source = click.get_current_context().get_parameter_source(option)
    return source not in (None, click.core.ParameterSource.DEFAULT)


def _read(file: str) -> tuple[str, str]:
    if file == "-":
        return sys.stdin.read(), "<stdin>"
    try:
        return Path(file).read_text("utf-8-sig"), file
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            "no-such-file",
            f"cannot read the plan: {(reason or str(fault)).lower()}",
            where=Where(file),
            hint="check the path given to --plan",
        ) from fault
