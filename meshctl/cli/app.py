"""What every command shares: output form, the way to a cluster, errors to exit codes."""

from __future__ import annotations

import functools
import os
import sys
import tempfile
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from meshctl.cli.report import Json, Text, Yaml
from meshctl.errors import ConfigError, InternalError, MeshctlError, StoppedError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable

    from meshctl.cli.report import Report
    from meshctl.ports import World

F = TypeVar("F", bound="Callable[..., Any]")


@dataclass(frozen=True)
class Target:
    """The cluster a command works on, as its flags say; empty means what kubectl would use."""

    kubeconfig: str = ""
    context: str = ""
    namespace: str = ""
    istio_namespace: str = "istio-system"

    def world(self) -> World:
        """The doors to that cluster.

        Raises:
            ConfigError: no such kubeconfig or context.
        """
        from meshctl.adapters.world import world  # imported when first needed: --help stays fast

        return world(self.kubeconfig, self.context)


@dataclass(frozen=True)
class App:
    """What a command is given: where to report, which cluster, whether to ask."""

    report: Report
    target: Target = field(default_factory=Target)
    assume_yes: bool = False

    def confirm(self, question: str) -> None:
        """Ask, unless `--yes`; anything but yes stops the command with nothing done.

        Raises:
            ConfigError: there is nobody to ask.
            StoppedError: the answer was no.
        """
        if self.assume_yes:
            return
        if not sys.stdin.isatty():
            raise ConfigError(
                "nobody-to-ask",
                "this needs a yes, and there is no terminal to ask on",
                hint="add --yes to agree",
            )
        self.report.pause()
        if not click.confirm(question, err=True):
            raise StoppedError("declined", "stopped before anything was changed")


def command(
    *, cluster: bool = False, yes: bool = False, works: bool = False, folder: bool = False
) -> Callable[[F], F]:
    """Give a click callback its `App`, and the options that go with it.

    Args:
        cluster: add `--kubeconfig`, `--context`, `-n`, `-i`.
        yes: add `--yes`.
        works: add `--verbose`; for commands that tell of work in progress.
        folder: let `-o` name a folder too, which the callback is given as `folder`.
    """

    def wrap(function: F) -> F:
        @functools.wraps(function)
        def callback(**options: Any) -> Any:
            target = Target(*(options.pop(name) or "" for name in TARGET)) if cluster else Target()
            form = options.pop("output")
            if folder:
                options["folder"] = None if form in FORMS else form
            report = report_for(form, verbose=options.pop("verbose", False))
            app = App(report, target, options.pop("yes", False))
            with app.report:
                try:
                    return function(app, **options)
                except MeshctlError as error:
                    app.report.error(error)
                    return error.exit_code

        made: Any = callback
        for option in [
            *(_TARGET_OPTIONS if cluster else ()),
            *((_YES,) if yes else ()),
            *((_VERBOSE,) if works else ()),
            _OUTPUT_OR_FOLDER if folder else _OUTPUT,
        ]:
            made = option(made)
        return made  # type: ignore[no-any-return]

    return wrap


TARGET = ("kubeconfig", "context", "namespace", "istio_namespace")
FORMS = ("text", "json", "yaml")


class FormOrFolder(click.ParamType):  # type: ignore[type-arg]  # no parameter before click 8.4
    """One of the output forms, or a folder; a form that is mistyped is no folder."""

    name = "form or folder"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The form or the path, or a usage error."""
        near = nearest(str(value), FORMS)
        if value not in FORMS and near and not Path(value).exists():
            self.fail(
                f"{value!r} is no form; did you mean {near!r}? A folder is written './{value}'", param, ctx
            )
        return str(value)


_OUTPUT = click.option(
    "-o",
    "--output",
    type=click.Choice(FORMS),
    default="text",
    show_default=True,
    help="Output form.",
)
_OUTPUT_OR_FOLDER = click.option(
    "-o",
    "--output",
    type=FormOrFolder(),
    default="text",
    show_default=True,
    metavar="[text|json|yaml|DIR]",
    help="Output form, or a folder that gets a file an object.",
)
_YES = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
_VERBOSE = click.option("-v", "--verbose", is_flag=True, help="Tell of every object, line by line.")
ISTIO_NAMESPACE = click.option(
    "-i",
    "--istio-namespace",
    "--istioNamespace",
    default="istio-system",
    show_default=True,
    metavar="NAME",
    help="Namespace of the control plane.",
)
_TARGET_OPTIONS = (
    ISTIO_NAMESPACE,
    click.option("-n", "--namespace", metavar="NAME", help="Namespace to look at; all when not given."),
    click.option("--context", metavar="NAME", help="Context in the kubeconfig."),
    click.option(
        "-c", "--kubeconfig", metavar="FILE", help="Kubeconfig file; as kubectl finds it when not given."
    ),
)


def report_for(form: str, *, verbose: bool = False) -> Report:
    """The reporter for `-o`, live where a person is watching."""
    if form == "json":
        return Json()
    if form == "yaml":
        return Yaml()
    if sys.stderr.isatty() and not verbose:
        from meshctl.cli.live import Live

        return Live()
    return Text(verbose=verbose)


def run(group: click.Group) -> int:
    """Run the command line; the exit code.

    0 done, 1 failed, 2 usage or input, 3 findings, 4 stopped part-way, 70 a fault of ours.
    """
    try:
        code = group.main(prog_name="meshctl", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        Text().error(
            StoppedError("interrupted", "interrupted", hint="run the same command again to continue")
        )
        return StoppedError.exit_code
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as fault:  # noqa: BLE001 (the last net: a fault of ours is told as one)
        Text().error(_bug(fault))
        return InternalError.exit_code
    return code if isinstance(code, int) else 0


def _bug(fault: Exception) -> InternalError:
    with tempfile.NamedTemporaryFile("w", prefix="meshctl-", suffix=".log", delete=False) as log:
        traceback.print_exception(fault, file=log)
    return InternalError(
        "bug",
        f"{type(fault).__name__}: {fault}",
        hint=f"this is a fault of meshctl; please report it with {Path(log.name)}",
    )
