"""`rbac print`: the least rights that a command needs."""

from __future__ import annotations

from typing import Any

import click

from meshctl.cli.app import ISTIO_NAMESPACE, App, Target, command
from meshctl.cli.inputs import inputs_options, loaded, one_cluster

PURPOSES = ("install", "upgrade", "uninstall", "vm", "debug")


@click.command("print")
@click.option(
    "--for",
    "purposes",
    type=click.Choice(PURPOSES),
    multiple=True,
    required=True,
    help="What the rights are for; several give one role for all.",
)
@click.option(
    "--subject",
    "subjects",
    multiple=True,
    metavar="WHO",
    help="Bind to user:NAME, group:NAME or serviceaccount:NAMESPACE/NAME.",
)
@click.option("--name", default="", metavar="NAME", help="Name of the roles; made of --for when not given.")
@click.option(
    "--generations",
    type=click.IntRange(1, 1000),
    default=50,
    show_default=True,
    metavar="N",
    help="How many installs' records the rights reach over; their names are granted one by one.",
)
@click.option(
    "--from-revision",
    default="",
    metavar="NAME",
    help="Of an upgrade: the revision that is removed in the end; empty is the unnamed one.",
)
@click.option(
    "--vm-namespace",
    "machines",
    default="default",
    show_default=True,
    metavar="NAME",
    help="Namespace of the virtual machines' workloads.",
)
@click.option(
    "--escalate",
    "escalating",
    is_flag=True,
    help="Grant `escalate` and `bind` on the mesh's own roles instead of all that these hold.",
)
@inputs_options
@ISTIO_NAMESPACE
@command()
def print_roles(
    app: App,
    purposes: tuple[str, ...],
    subjects: tuple[str, ...],
    from_revision: str,
    istio_namespace: str,
    name: str,
    generations: int,
    machines: str,
    escalating: bool,
    **asked: Any,
) -> None:
    """Print the roles and bindings that allow a command on this mesh, and nothing beyond.

    They are made from the plan of the mesh that the options describe; no cluster is asked. Namespaces that
    Roles stand in are printed too, so an administrator makes them, and an uninstall with these rights
    leaves them. `vm` covers what that command will do.

    \b
    Examples:
      meshctl rbac print --for install --subject serviceaccount:ci/deployer | kubectl apply -f -
      meshctl rbac print --for install --for uninstall --profile demo --subject user:jane
      meshctl rbac print --for debug --subject group:on-call -o json
    """
    from meshctl.actions.rbac import Purpose, Wish, rbac
    from meshctl.stages.permitting.roles import Subject

    app = App(app.report, Target(istio_namespace=istio_namespace))
    wish = Wish(
        tuple(dict.fromkeys(map(Purpose, purposes))),
        tuple(map(Subject.parse, subjects)),
        name,
        generations,
        former=loaded(app, {**asked, "revision": from_revision}) if "upgrade" in purposes else None,
        machines=machines,
        escalating=escalating,
    )
    wanted = loaded(app, asked)
    one_cluster(wanted)
    found = rbac(wanted, wish)
    if app.report.form == "json":
        app.report.result(found.contents(), "")
    else:
        click.echo(found.text(), nl=False)
