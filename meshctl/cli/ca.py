"""`ca init`, `ca issue` and `ca status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from meshctl.cli.app import App, command
from meshctl.cli.inputs import fleet_options, loaded, one_cluster, opened_all
from meshctl.cli.passphrase import PASSPHRASE_FILE, new_passphrase, signer
from meshctl.cli.report import pairs
from meshctl.cli.status import FINDINGS

if TYPE_CHECKING:
    from meshctl.adapters.root import Root
    from meshctl.model.certificate import Facts


_LONGEST_NAME: Final = 64  # RFC 5280, appendix A.1: ub-common-name


@click.command("init")
@click.argument("folder", default="ca", metavar="[DIR]")
@click.option("--name", metavar="NAME", help="Name of the root in its certificate; not given: Mesh Root CA.")
@click.option(
    "--days",
    type=click.IntRange(1, 36500),
    help="Days that the root is valid; not given: 3650.",
)
@click.option("--another", is_flag=True, help="Make one beside those that are there, to rotate to.")
@click.option("--certificate", metavar="FILE", help="A root that you have already, PEM.")
@click.option("--key", metavar="FILE", help="Its key, which stays where it is.")
@PASSPHRASE_FILE
@command()
def init(
    app: App,
    folder: str,
    name: str | None,
    days: int | None,
    another: bool,
    certificate: str | None,
    key: str | None,
    passphrase_file: str | None,
) -> None:
    """Make the root of a mesh, or name one that you have, in the folder DIR; not given: ca.

    Its key is encrypted with a passphrase, and leaves this folder never: clusters get authorities of
    their own, signed by it. Keep the folder out of Git, and where only those can read it who may
    install clusters. With --certificate and --key nothing is made: the folder names your files.

    \b
    Examples:
      meshctl ca init
      meshctl ca init ca --name "Example Mesh Root" --days 7300
      meshctl ca init ca --certificate root.pem --key /media/stick/root.key
      meshctl ca init ca --another            then: meshctl ca rotate -f mesh.yaml
    """
    from meshctl import pki
    from meshctl.adapters import root
    from meshctl.adapters.clock import SystemClock
    from meshctl.cli.trust_data import certificate_data

    _check_root(name, days, certificate, key)
    root.require_room(folder, another=another)
    if certificate and key:
        root.refer(folder, certificate, key)
    else:
        number = root.next_number(folder)  # two of one name could not be told apart
        subject = pki.Subject(name or ("Mesh Root CA" if number == 1 else f"Mesh Root CA {number}"))
        made = pki.new_authority(subject, SystemClock().now(), days=days or 3650, path_length=1)
        root.keep(folder, made.pair, new_passphrase(app, passphrase_file))
    newest = root.roots(folder)[0]
    facts = pki.facts(newest.certificate)
    data = {"certificate": str(newest.path), "key": str(newest.key), "root": certificate_data(facts)}
    app.report.result(data, _made_text(newest, facts))


@click.command("issue")
@fleet_options
@click.option("--out", required=True, metavar="DIR", help="Folder for the files, which is made.")
@PASSPHRASE_FILE
@command()
def issue(app: App, out: str, passphrase_file: str | None, **asked: Any) -> None:
    """Write the authority of one cluster as files, for those who bring it there themselves.

    The files are those of the Secret `cacerts`, with a new key each time. `meshctl install` needs none
    of it: it issues what a cluster has not got. No cluster is asked.

    \b
    Examples:
      meshctl ca issue -f mesh.yaml --cluster west --out west-cacerts
      kubectl create secret generic cacerts -n istio-system --from-file west-cacerts
    """
    from meshctl import pki
    from meshctl.actions.trust.authorities import issued
    from meshctl.adapters import key_files
    from meshctl.adapters.clock import SystemClock
    from meshctl.adapters.files import LocalFiles
    from meshctl.cli.trust_data import certificate_data
    from meshctl.ports import World
    from meshctl.stages.trusting.cacerts import CERTIFICATE, ROOTS

    wanted = loaded(app, asked)
    cluster = one_cluster(wanted)
    world = World({}, {}, SystemClock(), LocalFiles(), signer(app, passphrase_file))
    files = issued(world, wanted.mesh, cluster)
    facts = pki.facts(files[CERTIFICATE])
    roots = [pki.facts(each) for each in pki.split(files[ROOTS])]
    data = {
        "cluster": cluster.name,
        "folder": out,
        "files": sorted(files),
        "authority": certificate_data(facts),
        "roots": [certificate_data(each) for each in roots],
    }
    key_files.write_folder(out, files)
    app.report.result(data, _issued_text(cluster.name, out, facts))


@click.command("status")
@fleet_options
@click.option("--no-proxies", is_flag=True, help="Do not ask live proxies.")
@command(cluster=True)
def status(app: App, no_proxies: bool, **asked: Any) -> int:
    """Every root and authority, who trusts which, and when they end.

    Looks at the Secrets of authorities, at the roots that namespaces are given, at what each istiod
    would sign now, and at the certificates in live proxies. Without a mesh.yaml it looks at one
    cluster. Exit code 3 when something is not as it should be, or could not be looked at.

    \b
    Examples:
      meshctl ca status -f mesh.yaml
      meshctl ca status -n shop
      meshctl ca status -f mesh.yaml --no-proxies -o json
    """
    from meshctl.actions.trust.status import Place, places, trust_status
    from meshctl.cli.trust_data import trust_data
    from meshctl.cli.trust_text import trust_text

    if asked["files"]:
        from meshctl.actions.links.linking import offline

        world, meshes = opened_all(app, asked)
        whole = [each.mesh for each in meshes]
        where = places(
            whole,
            {one.name: offline(each, one).namespace for each in meshes for one in each.mesh.clusters},
        )
    else:
        world, whole = app.target.world(), []
        where = {name: Place(app.target.istio_namespace, name, name) for name in world.clusters}
    answer = trust_status(world, where, whole, namespace=app.target.namespace, proxies=not no_proxies)
    app.report.result(trust_data(answer), trust_text(answer))
    return 0 if answer.is_sound else FINDINGS


def _check_root(name: str | None, days: int | None, certificate: str | None, key: str | None) -> None:
    """Refuse options that do not go together.

    Raises:
        ConfigError: which, and what to add or leave out.
    """
    from meshctl.errors import ConfigError, Where

    if bool(certificate) != bool(key):
        raise ConfigError(
            "incomplete-root",
            "a root that you have is named by its certificate and its key",
            where=Where("--key" if certificate else "--certificate"),
            hint="give both, or neither to have one made",
        )
    if certificate and (name is not None or days is not None):
        raise ConfigError(
            "no-effect",
            "a root that you have keeps its name and its end",
            where=Where("--days" if name is None else "--name"),
            hint="leave it out",
        )
    if name is not None and not 1 <= len(name) <= _LONGEST_NAME:
        raise ConfigError(
            "wrong-value",
            f"a name in a certificate has 1 to {_LONGEST_NAME} letters, and this has {len(name)}",
            where=Where("--name"),
            hint="choose another",
        )


def _made_text(root: Root, facts: Facts) -> str:
    told = [
        ("root", f"{facts.name}, until {facts.ends:%Y-%m-%d}"),
        ("certificate", str(root.path)),
        ("key", f"{root.key}" + (" (which stays there)" if root.is_elsewhere else " (encrypted)")),
        ("SHA-256", facts.fingerprint),
    ]
    return pairs(told)


def _issued_text(cluster: str, folder: str, facts: Facts) -> str:
    told = [
        ("cluster", cluster),
        ("authority", f"{facts.name}, until {facts.ends:%Y-%m-%d}"),
        ("SHA-256", facts.fingerprint),
        ("files", folder),
    ]
    return pairs(told)
