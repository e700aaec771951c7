"""`remote-secret create`, `remote-secret rotate` and `remote-secret list`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from meshctl.cli.app import App, command
from meshctl.cli.cluster import DRY_RUN
from meshctl.cli.inputs import TIMEOUT, fleet_options, inputs_options, loaded, opened, opened_all
from meshctl.cli.status import FINDINGS

if TYPE_CHECKING:
    from meshctl.model.objects import Object

_NAME = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"


@click.command("create")
@inputs_options
@click.option("--name", default="", metavar="NAME", help="Cluster's name in the mesh; its UID if not given.")
@click.option(
    "--type",
    "kind",
    type=click.Choice(["remote", "config"]),
    default="remote",
    show_default=True,
    help="config: the kubeconfig by which an external istiod finds its configuration.",
)
@click.option(
    "--service-account", "account", default="", metavar="NAME", help="Account of your own to read with."
)
@click.option(
    "--create-service-account/--no-create-service-account",
    "creates",
    default=True,
    show_default=True,
    help="Make account and roles where they are not there.",
)
@click.option("--server", default="", metavar="URL", help="Address of its API server as istiods reach it.")
@click.option(
    "--tls-server-name",
    "tls_name",
    default="",
    metavar="NAME",
    help="Name that the API server's certificate is for, where it is not that of --server.",
)
@click.option("--days", type=click.IntRange(1, 36500), help="Days that the token is valid; 90 if not said.")
@click.option("--long-lived", is_flag=True, help="A token that does not end by itself.")
@click.option(
    "--reader",
    default="istiod",
    show_default=True,
    metavar="NAME",
    help="Cluster of the istiod that reads; names the token, so that it can be revoked alone.",
)
@command(cluster=True, works=True)
def create(
    app: App, name: str, kind: str, days: int | None, long_lived: bool, reader: str, **asked: Any
) -> None:
    """Print the Secret by which an istiod elsewhere reads a cluster, for kubectl or for a repository.

    The token in it ends, and it is revoked by removing the Secret meshctl-reader.MESH.READER.NUMBER from the
    cluster that is read. Keep what is printed as you keep passwords. `meshctl cluster link` puts remote
    secrets in place itself, and renews them.

    \b
    Examples:
      meshctl remote-secret create --context west --name west | kubectl --context east apply -f -
      meshctl remote-secret create -f mesh.yaml --cluster west --reader east
      meshctl remote-secret create --name west --server https://10.0.0.5:6443 --days 30
    """
    import re

    from meshctl.actions.doing import do
    from meshctl.actions.links.access import access_secret
    from meshctl.actions.links.remote_secret import Choices, named, remote_secret
    from meshctl.actions.rights import require_rights
    from meshctl.model.link import LinkKind
    from meshctl.model.mesh import Tokens

    for option, said in (("--name", name), ("--reader", reader)):
        if said and not re.fullmatch(_NAME, said):
            raise click.UsageError(
                f"{option} has up to 63 lower-case letters, digits and dashes, not {said!r}"
            )
    if days is not None and long_lived:
        raise click.UsageError("--days and --long-lived exclude each other")
    tokens = Tokens(days or Tokens().days, long_lived) if days or long_lived else None
    chosen = {key: asked.pop(key) for key in ("account", "creates", "server", "tls_name")}
    choices = Choices(LinkKind(kind), name, tokens=tokens, reader=reader, **chosen)
    world, wanted = opened(app, loaded(app, asked))
    world = named(world, choices, wanted)
    plan, recipe = remote_secret(world, wanted, choices)
    require_rights(world.clusters[plan.cluster], plan)
    for event in do(world, plan):
        app.report.event(event)
    secret = access_secret(world, recipe)
    app.report.result(_readable(secret), _text(secret))


def _readable(secret: Object) -> dict[str, Any]:
    """A Secret with its content in the clear, as whoever reads it expects."""
    import base64

    content = {**secret.content}
    data = {key: base64.b64decode(each).decode() for key, each in content.pop("data").items()}
    return {**content, "stringData": data}


def _text(secret: Object) -> str:
    from meshctl.stages.rendering.emit import block

    head = "# Made by meshctl; it holds a token that lets whoever has it read the cluster.\n"
    return f"{head}{block(_readable(secret))}---"


@click.command("rotate")
@click.argument("names", nargs=-1, metavar="[CLUSTER]...")
@fleet_options
@DRY_RUN
@TIMEOUT
@command(cluster=True, yes=True, works=True)
def rotate(app: App, names: tuple[str, ...], dry_run: bool, timeout: float, **asked: Any) -> int:
    """Give links new tokens now, though nothing is wrong with theirs; nothing stops meanwhile.

    The former token is revoked once every istiod says that it is in sync by the new one. Without names every
    link is meant; with one those from and to it; with several those between them.

    \b
    Examples:
      meshctl remote-secret rotate -f mesh.yaml
      meshctl remote-secret rotate west east -f mesh.yaml --yes
    """
    from meshctl.actions.links.tasks import chosen
    from meshctl.cli.links import change

    world, meshes = opened_all(app, asked)
    return change(app, world, chosen(meshes, names), dry_run=dry_run, seconds=timeout, renew=True)


@click.command("list")
@fleet_options
@command(cluster=True)
def list_secrets(app: App, **asked: Any) -> int:
    """The remote secrets that are there or should be: who reads whom, until when, and what istiod says.

    Exit code 3 when one is not as it should be, or a cluster does not answer.

    \b
    Examples:
      meshctl remote-secret list -f mesh.yaml
      meshctl remote-secret list --context west -o json
    """
    from meshctl.actions.fleet.listing import listing
    from meshctl.cli.links import link_data, links_text

    world, meshes = opened_all(app, asked)
    found = listing(world, meshes, istio_namespace=app.target.istio_namespace)
    app.report.result([link_data(each, found.now) for each in found.links], links_text(found))
    return 0 if found.is_sound else FINDINGS
