"""A remote secret to be put in place by others: what `istioctl create-remote-secret` gives, with an end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshctl.actions.links.access import authority_of
from meshctl.actions.links.linking import holders_of, offline, own_endpoints, refs_of
from meshctl.errors import FailedError, Where
from meshctl.model.link import Link, LinkKind
from meshctl.model.objects import Ref
from meshctl.stages.linking.addressing import are_processes, is_loopback, refusal, url
from meshctl.stages.linking.plans import access, recipe
from meshctl.stages.linking.reader import Reader, place, reader
from meshctl.stages.linking.secrets import fingerprint
from meshctl.stages.linking.standing import Seen, Wanted
from meshctl.stages.seeing.observe import look

if TYPE_CHECKING:
    from meshctl import ports
    from meshctl.model.mesh import Tokens
    from meshctl.model.plan import Plan
    from meshctl.model.recipe import Access
    from meshctl.model.values import Values
    from meshctl.ports import World
    from meshctl.stages.settings.load import Loaded


@dataclass(frozen=True)
class Choices:
    """What kind of remote secret.

    Attributes:
        kind: what istiod reads the cluster for.
        name: of the cluster, as its istiods know it; empty: as a mesh.yaml has it, or its UID.
        account: ServiceAccount in whose name it is read; empty: the kind's own.
        creates: whether an account that is not there is made.
        server: address of its API server; empty: as a mesh.yaml or the kubeconfig has it.
        tls_name: name that its certificate is for; empty: that of the address.
        tokens: how long tokens live; None: as a mesh.yaml has it.
        reader: cluster of the istiod that reads.
    """

    kind: LinkKind = LinkKind.REMOTE
    name: str = ""
    account: str = ""
    creates: bool = True
    server: str = ""
    tls_name: str = ""
    tokens: Tokens | None = None
    reader: str = "istiod"


def remote_secret(world: World, asked: Loaded, choices: Choices) -> tuple[Plan, Access]:
    """What has to be in a cluster so that it can be read, and the recipe for the Secret. Only reads.

    Args:
        world: the door to the cluster, under its name as its istiods know it; see `named`.
        asked: that cluster, by a mesh.yaml or without.
        choices: what kind.

    Raises:
        ConfigError: nobody else reaches the address of its API server, or nothing lets anybody read it.
        FailedError: the account is not there, and is not to be made.
    """
    [cluster] = asked.mesh.clusters
    [(name, door)] = world.clusters.items()
    values = offline(asked, cluster)
    mesh, link = values.mesh, Link(choices.reader, name, choices.kind)
    who = _account(door, values, choices)
    server = _server(door, values, choices)
    authority = fingerprint(authority_of(door, server))
    tokens = choices.tokens or mesh.tokens
    secret = link.secret(values.namespace)
    wanted = Wanted(mesh.name, link, secret, who.account, server, authority, tokens)
    seen = Seen(None, door.get(who.account), holders_of(door, mesh.name, link, who.account.namespace))
    live = look(door, refs_of(who.parts))
    plan = access(wanted, seen, who, live, world.clock.now(), owner=mesh.name)
    return plan, replace(recipe(wanted, seen), tls_name=choices.tls_name)


def named(world: World, choices: Choices, asked: Loaded) -> World:
    """The one cluster under the name by which istiods are to know it: its UID where nobody says one."""
    [(known, door)] = world.clusters.items()
    name = choices.name or (known if asked.is_fleet else _uid(door))
    return replace(world, clusters={name: door}, releases={name: world.releases[known]})


def _uid(door: ports.Cluster) -> str:
    system = door.get(Ref("v1", "Namespace", "", "kube-system"))
    return system.uid if system else door.name


def _account(door: ports.Cluster, values: Values, choices: Choices) -> Reader:
    """Who reads; one of the user's own has rights of the user's own."""
    if choices.account:
        who = Reader(Ref("v1", "ServiceAccount", values.namespace, choices.account), ())
    else:
        who = reader(values, choices.kind)
    if (choices.account or not choices.creates) and door.get(who.account) is None:
        raise FailedError(
            "account-missing",
            f"there is no {who.account} in {door.name!r}",
            hint="install the mesh there first, or leave out what keeps it from being made",
        )
    return who if choices.creates else replace(who, parts=())


def _server(door: ports.Cluster, values: Values, choices: Choices) -> str:
    where = Where("--server") if choices.server or not values.cluster.server else place(values)
    said = choices.server or values.cluster.server
    if said:
        return url(said, where)
    address = door.server.rstrip("/")
    if is_loopback(address) and not are_processes(door.list("v1", "Node")):
        raise refusal(values.cluster.name, address, own_endpoints(door), where)
    return address
