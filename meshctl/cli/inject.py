"""`inject` and `uninject`: sidecars into files of workloads, and out of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meshctl.cli.app import App, command
from meshctl.errors import ConfigError, Where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from meshctl.stages.injecting.documents import Changed, File
    from meshctl.stages.injecting.inject import Ask
    from meshctl.stages.injecting.injector import Injector

_FILES = (
    click.argument("names", nargs=-1, metavar="[FILE|DIR|-]..."),
    click.option(
        "-f",
        "--filename",
        "files",
        multiple=True,
        metavar="FILE|DIR|-",
        help="File, folder with all below it, or `-`: standard input; may be given several times.",
    ),
    click.option(
        "--out",
        metavar="FILE|DIR",
        help="Write here instead of standard output; to a folder, each file under its own name.",
    ),
    click.option("--write", is_flag=True, help="Write back to the files that were read."),
)
_SETTINGS = (
    click.option("--offline", is_flag=True, help="Ask no webhook: evaluate the injection template here."),
    click.option(
        "--profile", metavar="NAME", help="With --offline: profile of the mesh; `default` when not given."
    ),
    click.option(
        "-s",
        "--set",
        "sets",
        multiple=True,
        metavar="PATH=VALUE",
        help="With --offline: one setting of the mesh.",
    ),
    click.option(
        "--mesh-file",
        "mesh_files",
        multiple=True,
        metavar="FILE",
        help="With --offline: IstioOperator or Helm-style values file of the mesh.",
    ),
    click.option(
        "--istio-version", "version", metavar="VERSION", help="With --offline: Istio minor or version."
    ),
    click.option(
        "--inject-config",
        metavar="FILE",
        help="With --offline: exported ConfigMap istio-sidecar-injector, or its `config`.",
    ),
    click.option("--values", metavar="FILE", help="With --inject-config: `values` of that ConfigMap."),
    click.option(
        "--mesh-config", metavar="FILE", help="With --inject-config: exported ConfigMap istio, or its `mesh`."
    ),
    click.option(
        "--native-sidecars/--no-native-sidecars",
        "native",
        default=None,
        help="With --offline: sidecars as init containers; not given: as the settings say.",
    ),
)


def _with(options: Iterable[Callable[..., Any]]) -> Callable[..., Any]:
    def wrap(function: Any) -> Any:
        for option in reversed([*options]):
            function = option(function)
        return function

    return wrap


@click.command()
@_with(_FILES)
@click.option("-r", "--revision", metavar="NAME", help="Revision or tag of the injector.")
@_with(_SETTINGS)
@command(cluster=True)
def inject(app: App, names: tuple[str, ...], files: tuple[str, ...], **asked: Any) -> None:
    """Add the sidecar to the workloads in files, as the cluster's injector would.

    Asks the cluster's webhook. With --offline it evaluates the injection template itself: by the settings of
    a mesh (--profile, --set), by exported ConfigMaps (--inject-config), or by those in a cluster (--context).
    Without a cluster to look at, sidecars are native only where the settings say so.

    Deployments, StatefulSets, DaemonSets, ReplicaSets, ReplicationControllers, Jobs, CronJobs, Pods and
    Lists of them are injected; everything else passes through. Where an object names no namespace, it is -n,
    or `default`. Injecting twice changes nothing. -o json gives one List, which kubectl takes.

    \b
    Examples:
      meshctl inject -f web.yaml | kubectl apply -f -
      meshctl inject -f web.yaml --revision canary
      meshctl inject --offline -f k8s/ --out injected/
      meshctl inject --offline --set meshConfig.defaultConfig.holdApplicationUntilProxyStarts=true -f web.yaml
      kubectl -n istio-system get cm istio-sidecar-injector -o yaml > injector.yaml
      meshctl inject --offline --inject-config injector.yaml -f web.yaml
    """
    from meshctl.actions.inject import inject_files

    write = asked.pop("write")
    out = asked.pop("out")
    known = _read((*names, *files), write=write, out=out)
    ask = _by_settings(app, asked) if asked["offline"] else _by_webhook(app, asked)
    _tell(
        app,
        inject_files(known, ask, app.target.namespace or "default"),
        out=out,
        write=write,
        names=(*names, *files),
    )


@click.command()
@_with(_FILES)
@command()
def uninject(app: App, names: tuple[str, ...], files: tuple[str, ...], out: str | None, write: bool) -> None:
    """Take the sidecar out of workloads that `inject`, istioctl or a webhook has injected.

    What was injected passes back to what it was; everything else passes through. Needs no cluster.

    \b
    Examples:
      meshctl uninject -f injected.yaml
      meshctl uninject -f k8s/ --write
      kubectl get deployment web -o yaml | meshctl uninject -f - | kubectl apply -f -
    """
    from meshctl.actions.inject import uninject_files

    known = _read((*names, *files), write=write, out=out)
    _tell(app, uninject_files(known), out=out, write=write, names=(*names, *files))


def _read(names: tuple[str, ...], *, write: bool, out: str | None) -> list[File]:
    from meshctl.stages.injecting.documents import read

    if not names:
        raise ConfigError(
            "nothing-to-read", "no file is named", hint="name files with -f, or - for standard input"
        )
    if write and (out or "-" in names):
        what = "--out" if out else "standard input"
        raise ConfigError("no-place", f"--write and {what} do not go together", hint="leave --write out")
    return list(read(names, sys.stdin.read() if "-" in names else ""))


def _by_webhook(app: App, asked: dict[str, Any]) -> Ask:
    from meshctl.actions.inject import asking_webhook

    given = sorted(name for name, value in asked.items() if value and name not in ("offline", "revision"))
    if given:
        flag = {"sets": "set", "mesh_files": "mesh-file", "version": "istio-version"}.get(given[0], given[0])
        raise ConfigError(
            "offline-only",
            "the cluster's webhook goes by the cluster's own settings",
            where=Where(f"--{flag.replace('_', '-')}"),
            hint="add --offline to evaluate the template here",
        )
    (cluster,) = app.target.world().clusters.values()
    return asking_webhook(cluster, asked["revision"] or "")


def _by_settings(app: App, asked: dict[str, Any]) -> Ask:
    from meshctl.stages.injecting.inject import by_configuration

    return by_configuration(_injector(app, asked))


def _injector(app: App, asked: dict[str, Any]) -> Injector:
    from meshctl.actions import inject as action

    revision, native = asked["revision"] or "", asked["native"]
    if asked["inject_config"]:
        files = [_text(asked[name], name) for name in ("inject_config", "values", "mesh_config")]
        assert files[0] is not None
        more = {"revision": "" if revision == "default" else revision, "native": bool(native)}
        return action.settings_of_files(files[0], files[1], files[2], **more)
    for name in ("values", "mesh_config"):
        if asked[name]:
            raise ConfigError(
                "inject-config-needed",
                "this goes with --inject-config only",
                where=Where(f"--{name.replace('_', '-')}"),
                hint="name the exported ConfigMap istio-sidecar-injector with --inject-config",
            )
    if app.target.context or app.target.kubeconfig:
        (cluster,) = app.target.world().clusters.values()
        return action.settings_of_cluster(cluster, app.target.istio_namespace, revision, native)
    return action.settings_of_values(_values(app, asked), native)


def _values(app: App, asked: dict[str, Any]) -> Any:
    from meshctl.cli.inputs import loaded, one_cluster
    from meshctl.stages.settings.resolve import resolve

    given = {
        "files": asked["mesh_files"],
        **{name: asked[name] for name in ("sets", "profile", "version", "revision")},
    }
    wanted = loaded(app, given)
    return resolve(wanted, one_cluster(wanted))


def _text(file: str | None, option: str) -> tuple[str, str] | None:
    if file is None:
        return None
    try:
        return Path(file).read_text("utf-8"), file
    except (OSError, UnicodeDecodeError) as fault:
        raise ConfigError(
            "no-such-file",
            f"cannot read {file!r}: {str(fault).lower()}",
            where=Where(f"--{option.replace('_', '-')}"),
            hint="check the path, and that you may read it",
        ) from fault


def _tell(
    app: App, changed: Iterable[Changed], *, out: str | None, write: bool, names: tuple[str, ...]
) -> None:
    """Every file's outcomes to stderr, and the files to where they are wanted."""
    from meshctl.adapters.folder import write_file

    found = list(changed)
    for each in found:
        for workload, line, outcome in each.told:
            why = f": {outcome.reason}" if outcome.reason else ""
            app.report.note(f"{each.name}:{line}: {workload}: {outcome.verdict.value}{why}")
    if write:
        for each in found:
            if each.is_changed:
                write_file(Path(each.name), _shown(each.contents, each.name), "--write")
    elif out and _is_folder(out, names):
        for each in found:
            place = Path(out) / _below(each.name, names)
            write_file(place, _shown(each.contents, each.name), "--out")
    else:
        contents = [content for each in found for content in each.contents]
        if app.report.form == "json":
            app.report.result({"apiVersion": "v1", "kind": "List", "items": contents}, "")
        elif out:
            write_file(Path(out), _shown(contents, out), "--out")
        else:
            click.echo(_shown(contents, ""), nl=False)


def _shown(contents: Iterable[Any], name: str) -> str:
    """Documents as YAML; a JSON file with one document stays JSON."""
    import json

    from meshctl.stages.rendering.emit import block

    listed = list(contents)
    if name.endswith(".json") and len(listed) == 1:
        return json.dumps(listed[0], indent=2, ensure_ascii=False) + "\n"
    return "".join(f"---\n{block(each)}" for each in listed)


def _is_folder(out: str, names: tuple[str, ...]) -> bool:
    return out.endswith("/") or Path(out).is_dir() or any(Path(name).is_dir() for name in names)


def _below(file: str, names: tuple[str, ...]) -> Path:
    """A file's place in the folder of results: as it lay in the folder that was named."""
    if file == "<stdin>":
        return Path("stdin.yaml")
    roots = (name for name in names if Path(name).is_dir() and Path(file).is_relative_to(name))
    root = next(roots, None)
    return Path(file).relative_to(root) if root else Path(Path(file).name)
