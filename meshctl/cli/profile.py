"""`profile`: what installs start from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meshctl.cli.app import App, command
from meshctl.cli.report import table
from meshctl.cli.status import FINDINGS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshctl.model.values import Values

_VERSION = click.option(
    "--istio-version",
    "version",
    metavar="VERSION",
    help="Istio minor or version; not given: the default one.",
)
_FILES = (".yaml", ".yml", ".json")


@click.command("list")
@command()
def list_profiles(app: App) -> None:
    """Names and summaries: of profiles, and of the files that meshes of several clusters start from.

    \b
    Examples:
      meshctl profile list
      meshctl profile list -o json
    """
    from meshctl.stages.settings import catalogue

    profiles = [(name, catalogue.profile(name)[-1].summary) for name in catalogue.profiles()]
    topologies = list(catalogue.topologies().items())
    text = table(profiles, ("PROFILE", "SUMMARY"))
    if topologies:
        text += f"\n\n{table(topologies, ('TOPOLOGY', 'SUMMARY'))}"
    data = [{"name": name, "summary": summary, "topology": False} for name, summary in profiles]
    data += [{"name": name, "summary": summary, "topology": True} for name, summary in topologies]
    app.report.result(data, text)


@click.command("dump")
@click.argument("name", default="default")
@click.option("--path", default="", metavar="PATH", help="Only what stands here, such as values.pilot.")
@click.option("--origins", is_flag=True, help="One setting a line, with the file and line that says it.")
@_VERSION
@command()
def dump_profile(app: App, name: str, path: str, origins: bool, version: str | None) -> None:
    """All settings that a profile settles, defaults too, in the form of an IstioOperator.

    NAME may also be a topology, whose starting mesh.yaml is printed, or an IstioOperator file or a file of
    values. -o json gives the settings as data.

    \b
    Examples:
      meshctl profile dump demo
      meshctl profile dump ambient --path values.cni
      meshctl profile dump demo --path components --origins
      meshctl profile dump multi-primary > mesh.yaml
    """
    from meshctl.errors import ConfigError, Where
    from meshctl.model.values import is_missing, look, steps
    from meshctl.stages.rendering.emit import block
    from meshctl.stages.settings import catalogue

    if name in catalogue.topologies() and name not in catalogue.profiles():
        text = catalogue.topology(name)
        app.report.result({"name": name, "topology": text}, text.rstrip())
        return
    values = _settled(name, version, catalogue.topologies())
    spec = values.plain()
    where = () if path in ("", "spec") else ((path,) if path in spec else steps(path))
    found = look(spec, where)
    if is_missing(found):
        raise ConfigError(
            "no-such-setting",
            f"profile {name!r} settles nothing at {path!r}",
            where=Where("--path"),
            hint=f"`meshctl profile dump {name} --origins` lists every path",
        )
    if origins:
        _tell_origins(app, values, where, found)
    elif app.report.form != "text":
        app.report.result({**_about(name, values), "path": path, "settings": found}, "")
    elif path:
        click.echo(block(found), nl=False)
    else:
        head = "".join(f"# {line}\n" for line in _about(name, values)["chain"])
        click.echo(head + block(_operator(values)), nl=False)


@click.command("diff")
@click.argument("left")
@click.argument("right")
@_VERSION
@command()
def diff_profiles(app: App, left: str, right: str, version: str | None) -> int:
    """What two profiles set differently: each setting, both values, and the line that says it.

    Either may also be an IstioOperator file or a file of values, with the profile it names below it. Exit
    code 3 when they differ. What this changes in objects is told by `meshctl manifest diff`.

    \b
    Examples:
      meshctl profile diff default demo
      meshctl profile diff default operator.yaml -o json
    """
    from meshctl.cli.differences import settings_data, settings_text
    from meshctl.stages.comparing.values_difference import compare

    found = compare(_settled(left, version), _settled(right, version))
    app.report.result(settings_data(found, left, right), settings_text(found, left, right))
    return FINDINGS if found else 0


def _settled(name: str, version: str | None, others: Iterable[str] = ()) -> Values:
    """The values of a profile, or of a file on the profile that it names; `others` are known names too."""
    from meshctl.errors import ConfigError, Where, listed, nearest
    from meshctl.model.mesh import Inputs
    from meshctl.stages.settings import catalogue
    from meshctl.stages.settings.load import load
    from meshctl.stages.settings.resolve import resolve

    is_file = name.endswith(_FILES) or "/" in name
    known = (*catalogue.profiles(), *others)
    if not is_file and name not in catalogue.profiles():
        near = nearest(name, known)
        raise ConfigError(
            "unknown-profile",
            f"unknown profile {name!r}" + (f"; did you mean {near!r}?" if near else ""),
            where=Where(name),
            hint=f"choose one of {listed(known)}, or a file that ends in .yaml, .yml or .json",
        )
    inputs = Inputs(files=(name,), version=version) if is_file else Inputs(profile=name, version=version)
    asked = load(inputs)
    return resolve(asked, asked.mesh.clusters[0])


def _about(name: str, values: Values) -> dict[str, Any]:
    from meshctl.stages.settings import catalogue

    chain = [f"{each.name}: {each.summary}" for each in reversed(catalogue.profile(values.profile))]
    return {"name": Path(name).name, "version": values.version.full, "chain": chain}


def _operator(values: Values) -> dict[str, Any]:
    return {
        "apiVersion": "install.istio.io/v1alpha1",
        "kind": "IstioOperator",
        "spec": {"profile": values.profile, **values.plain()},
    }


def _tell_origins(app: App, values: Values, base: Any, found: Any) -> None:
    import json

    from meshctl.model.mesh import dotted
    from meshctl.stages.comparing.values_difference import leaves, origin

    told = [(path, value, origin(values, path)) for path, value in leaves(found, tuple(base))]
    data = [
        {
            "path": dotted(path),
            "value": value,
            "file": where.file if where else None,
            "line": where.line if where else None,
        }
        for path, value, where in told
    ]
    rows = [
        (each["path"], json.dumps(each["value"], ensure_ascii=False), f"{each['file']}:{each['line']}")
        for each in data
    ]
    app.report.result(data, table(rows, ("SETTING", "VALUE", "FROM")))
