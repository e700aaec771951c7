"""`manifest diff`: what is rendered, against files, other inputs, or a live cluster."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from meshctl.cli.app import App, command
from meshctl.cli.differences import comparison_data, comparison_text
from meshctl.cli.inputs import inputs_options, loaded, one_cluster, opened
from meshctl.cli.status import FINDINGS
from meshctl.errors import ConfigError, Where

if TYPE_CHECKING:
    from meshctl.model.comparison import Comparison, Side
    from meshctl.stages.comparing.picking import Picked

_SOURCES = ("against", "against_profile", "against_version", "live")


@click.command()
@click.argument("files_to_compare", nargs=-1, metavar="[FILE FILE]")
@click.option("--against", metavar="FILE|DIR|-", help="Compare with the objects of a file or a folder.")
@click.option("--against-profile", metavar="NAME", help="Compare with the same inputs on another profile.")
@click.option("--against-version", metavar="VERSION", help="Compare with the same inputs on another Istio.")
@click.option("--live", is_flag=True, help="Compare with the cluster, by its API server's own dry run.")
@click.option(
    "--select",
    "--selectResources",
    "select",
    multiple=True,
    metavar="KIND:NS:NAME",
    help="Only these objects; each part a glob, commas between several.",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="[KIND:NS:NAME:]PATH",
    help="Not this field and what is below it; `*` is one step, `**` any number.",
)
@click.option(
    "--ignore-objects",
    "--ignoreResources",
    "ignore_objects",
    multiple=True,
    metavar="KIND:NS:NAME",
    help="Not these objects.",
)
@click.option(
    "--rename",
    "--renameResources",
    "rename",
    multiple=True,
    metavar="OLD=NEW",
    help="Objects of the left side that the right one calls otherwise, each KIND:NS:NAME.",
)
@inputs_options
@command(cluster=True)
def diff(
    app: App,
    files_to_compare: tuple[str, ...],
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    ignore_objects: tuple[str, ...],
    rename: tuple[str, ...],
    **asked: Any,
) -> int:
    """Compare, object by object and field by field, what the options render with something else.

    What it is compared with is on the left (-), the rendering on the right (+). Two files or folders are
    compared with each other. The order of containers, ports, variables and the like does not matter, nor
    how YAML within a ConfigMap is laid out; contents of Secrets, keys and tokens are not shown. With
    --live, fields that a controller has taken over, such as replicas under an autoscaler, are left alone.
    Exit code 3 when something differs.

    \b
    Examples:
      meshctl manifest diff before.yaml after.yaml
      meshctl manifest diff --profile demo --against-profile default
      meshctl manifest diff -f mesh.yaml --live --context prod
      meshctl manifest diff --against rendered/ --select 'Deployment' --ignore metadata.labels
      meshctl manifest diff --istio-version 1.32 --against-version 1.31 -o json
    """
    from meshctl.stages.comparing.picking import Ignored, Pattern, Picked, Renamed

    chosen_objects = [Pattern.parse(each, "--select") for each in _listed(select)]
    picked = Picked(
        tuple(each.within(app.target.namespace) for each in chosen_objects or [Pattern()]),
        tuple(Pattern.parse(each, "--ignore-objects") for each in _listed(ignore_objects)),
        tuple(map(Ignored.parse, ignore)),
        tuple(map(Renamed.parse, _listed(rename))),
    )
    chosen = {name: asked.pop(name) for name in _SOURCES}
    _check(chosen, files_to_compare, asked)
    found, left, right = _compared(app, files_to_compare, chosen, asked, picked)
    app.report.result(comparison_data(found, left, right), comparison_text(found, left, right))
    return 0 if found.is_equal else FINDINGS


def _compared(
    app: App, files: tuple[str, ...], chosen: dict[str, Any], asked: dict[str, Any], picked: Picked
) -> tuple[Comparison, str, str]:
    from meshctl.actions.diff import against_cluster, called, from_files, from_rendering
    from meshctl.stages.comparing.objects_difference import compare

    stdin = sys.stdin.read() if "-" in (*files, chosen["against"], *asked["files"]) else ""
    if chosen["live"]:
        wanted = loaded(app, asked, stdin=stdin)
        world, there = opened(app, wanted)
        found = against_cluster(world, there, picked)
        return found, f"cluster {there.mesh.clusters[0].name}", called(there)
    left: Side
    if files:
        left, right = (from_files([each], stdin) for each in files)
    else:
        wanted = loaded(app, asked, stdin=stdin)
        right = from_rendering(wanted, one_cluster(wanted))
        if chosen["against"]:
            left = from_files([chosen["against"]], stdin)
        else:
            former = loaded(app, {**asked, **_other(chosen)}, stdin=stdin)
            left = from_rendering(former, one_cluster(former))
    return compare(left, right, picked), left.name, right.name


def _other(chosen: dict[str, Any]) -> dict[str, Any]:
    named = {"profile": chosen["against_profile"], "version": chosen["against_version"]}
    return {name: value for name, value in named.items() if value}


def _check(chosen: dict[str, Any], files: tuple[str, ...], asked: dict[str, Any]) -> None:
    """Whether the options name two sides, and one standard input.

    Raises:
        ConfigError: they do not.
    """
    given = [name for name in _SOURCES if chosen[name]]
    kinds = {"against_profile", "against_version"}
    hint = "give two files, or one of --against, --against-profile, --against-version and --live"
    if len(files) not in (0, 2) or (files and given) or (len(given) > 1 and not kinds.issuperset(given)):
        raise ConfigError("unclear-sides", "it is not clear what to compare with what", hint=hint)
    if not files and not given:
        raise ConfigError("unclear-sides", "there is nothing to compare with", hint=hint)
    said = [name for name, value in asked.items() if value]
    if files and said:
        raise ConfigError(
            "unclear-sides",
            "two files are compared as they are; options that render do not go with them",
            hint=f"leave --{said[0].rstrip('s')} out, or compare with --against FILE",
        )
    if [*files, chosen["against"], *asked["files"]].count("-") > 1:
        raise ConfigError(
            "stdin-twice", "standard input can be read once", where=Where("-"), hint="name a file"
        )


def _listed(said: tuple[str, ...]) -> list[str]:
    return [part.strip() for each in said for part in each.split(",") if part.strip()]
