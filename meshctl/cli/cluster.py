"""`cluster list`, `cluster link` and `cluster unlink`."""

from __future__ import annotations

from typing import Any

import click

from meshctl.cli.app import App, command
from meshctl.cli.inputs import TIMEOUT, fleet_options, opened_all
from meshctl.cli.status import FINDINGS

DRY_RUN = click.option("--dry-run", is_flag=True, help="Only show what would change.")


@click.command("list")
@fleet_options
@command(cluster=True)
def list_clusters(app: App, **asked: Any) -> int:
    """The clusters of a mesh.yaml, which istiod reads which, until when, and whether it is in sync.

    Without a mesh.yaml it tells which clusters the istiods of one cluster read. Exit code 3 when a cluster
    does not answer, or a link is not as it should be.

    \b
    Examples:
      meshctl cluster list -f mesh.yaml
      meshctl cluster list -f mesh.yaml -o json
      meshctl cluster list --context west
    """
    from meshctl.actions.fleet.listing import listing
    from meshctl.cli.links import listing_data, listing_text

    world, meshes = opened_all(app, asked)
    found = listing(world, meshes, istio_namespace=app.target.istio_namespace)
    app.report.result(listing_data(found), listing_text(found))
    return 0 if found.is_sound else FINDINGS


@click.command("link")
@click.argument("names", nargs=-1, metavar="[CLUSTER]...")
@fleet_options
@DRY_RUN
@TIMEOUT
@command(cluster=True, yes=True, works=True)
def link(app: App, names: tuple[str, ...], dry_run: bool, timeout: float, **asked: Any) -> int:
    """Let istiods read the clusters that the topology asks for, and renew what comes to its end.

    In the cluster that is read it makes an account with the least rights, and a token that ends; beside
    the istiod the remote secret. `meshctl install` does the same. Run it again, in time, by a timer: a token
    is renewed when less than a third of its life is left, and the former is revoked once istiod reads by the
    new one. Without names every link is meant; with one those from and to it; with several those between.

    \b
    Examples:
      meshctl cluster link -f mesh.yaml
      meshctl cluster link west east -f mesh.yaml --dry-run
      meshctl cluster link -f mesh.yaml --yes -o json
    """
    from meshctl.actions.links.tasks import chosen
    from meshctl.cli.links import change

    world, meshes = opened_all(app, asked)
    return change(app, world, chosen(meshes, names), dry_run=dry_run, seconds=timeout)


@click.command("unlink")
@click.argument("names", nargs=-1, required=True, metavar="CLUSTER...")
@fleet_options
@DRY_RUN
@TIMEOUT
@command(cluster=True, yes=True, works=True)
def unlink(app: App, names: tuple[str, ...], dry_run: bool, timeout: float, **asked: Any) -> int:
    """Take links away, on both sides: the remote secret, then tokens and an account that nobody needs.

    With one name every link from and to that cluster goes, with several those between them. A mesh.yaml
    that still names the clusters brings the links back with the next `meshctl install`.

    \b
    Examples:
      meshctl cluster unlink east -f mesh.yaml
      meshctl cluster unlink west east -f mesh.yaml --dry-run
    """
    from meshctl.actions.links.tasks import chosen
    from meshctl.cli.links import change

    world, meshes = opened_all(app, asked)
    return change(app, world, chosen(meshes, names), dry_run=dry_run, seconds=timeout, away=True)
