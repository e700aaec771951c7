"""`vm bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meshctl.cli.app import App, command
from meshctl.model.bundle import ARCHITECTURES, PYTHONS

if TYPE_CHECKING:
    from meshctl.model.bundle import Bundle, Target


@click.command("bundle")
@click.option(
    "--arch",
    "architectures",
    multiple=True,
    type=click.Choice(ARCHITECTURES),
    help="Architecture of hosts, as `uname -m` says it; may be given several times; all when not given.",
)
@click.option(
    "--python",
    "pythons",
    multiple=True,
    type=click.Choice(PYTHONS),
    help="Python that hosts have; may be given several times; all when not given.",
)
@click.option(
    "--wheels",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder with all wheels; nothing is fetched.",
)
@click.option(
    "--envoy",
    "envoys",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="An Envoy of your own in place of the package's; one an architecture.",
)
@click.option(
    "--out",
    default=".",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder for the payload and its installer.",
)
@command(works=True)
def bundle(
    app: App,
    architectures: tuple[str, ...],
    pythons: tuple[str, ...],
    wheels: Path | None,
    envoys: tuple[Path, ...],
    out: Path,
) -> None:
    """Make the payload of hosts: agent, its wheels and Envoy in one file, and one script that installs it.

    Every file in it is known by its hash, and the whole by one hash, which the script has: nothing of it runs
    on a host before all of it was verified there. The same versions give the same bytes. Hosts need Python
    3.10 or later, glibc and systemd, and nothing from the internet. Wheels come from the index that pip is
    set up for, and are kept; where there is no index, name a folder with --wheels.

    \b
    Examples:
      meshctl vm bundle
      meshctl vm bundle --arch x86_64 --python 3.11 --out /srv/agent
      meshctl vm bundle --wheels /mnt/wheels --envoy ./envoy --arch aarch64 -o json
      scp meshctl-agent-* HOST: && ssh HOST sudo sh meshctl-agent-0123456789ab.sh install
    """
    from meshctl.actions.hosts.bundle import Order, build
    from meshctl.adapters.bundle_files import write
    from meshctl.sandbox.paths import cache_root

    order = Order(_chosen(architectures, ARCHITECTURES), _chosen(pythons, PYTHONS), wheels, envoys)
    story = build(order, cache_root() / "bundle")
    try:
        while True:
            app.report.event(next(story))
    except StopIteration as end:
        made: Bundle = end.value
    payload, script = write(made, out)
    app.report.result(_data(made, payload, script), _text(made, payload, script))


def _chosen(given: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    """What was chosen, in the order in which we know it; all when nothing was."""
    return tuple(each for each in known if each in given) or known


def _sent(made: Bundle, target: Target) -> int:
    return sum(each.size for each in made.manifest.needed([target]))


def _glibc(made: Bundle, target: Target) -> str:
    from meshctl.model.wheel import number

    return max((each.glibc for each in made.manifest.needed([target])), key=number)


def _data(made: Bundle, payload: Path, script: Path) -> dict[str, Any]:
    return {
        "name": made.name,
        "version": made.manifest.version,
        "envoy": made.manifest.envoy,
        "payload": str(payload),
        "installer": str(script),
        "size": payload.stat().st_size,
        "targets": [
            {
                "architecture": each.architecture,
                "python": each.python,
                "glibc": _glibc(made, each),
                "size": _sent(made, each),
            }
            for each in made.manifest.targets
        ],
        "entries": [each.data() for each in made.manifest.entries],
    }


def _text(made: Bundle, payload: Path, script: Path) -> str:
    from meshctl.cli.report import pairs, table

    facts = [
        ("bundle", made.name),
        ("version", f"meshctl {made.manifest.version}, Envoy {made.manifest.envoy}"),
        ("payload", f"{payload}, {_mebibytes(payload.stat().st_size)}"),
        ("installer", str(script)),
    ]
    rows = [
        (each.architecture, each.python, f"{_glibc(made, each) or 'any'}", _mebibytes(_sent(made, each)))
        for each in made.manifest.targets
    ]
    return f"{pairs(facts)}\n\n{table(rows, ('ARCHITECTURE', 'PYTHON', 'GLIBC FROM', 'A HOST NEEDS'))}"


def _mebibytes(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
