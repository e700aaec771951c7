"""The authority of each cluster of a mesh: planned, and written as files for those who send it themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from meshctl.actions.providing import intermediate, plugged_in
from meshctl.errors import ConfigError, Where, listed
from meshctl.model.mesh import Source
from meshctl.model.objects import Ref
from meshctl.model.plan import Provide
from meshctl.model.recipe import Intermediate
from meshctl.stages.removing.belongings import CA_SECRET
from meshctl.stages.trusting import authority, cacerts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshctl import ports
    from meshctl.model.mesh import Cluster, Mesh
    from meshctl.model.plan import Plan
    from meshctl.ports import World
    from meshctl.stages.trusting.authority import Choice, There


def authority_steps(world: World, mesh: Mesh, cluster: Cluster, namespace: str) -> tuple[Provide, ...]:
    """The steps that bring the authority of a cluster in line, to be taken before its istiod's. Only reads.

    None where it is as it should be, where the mesh leaves authorities to others, and for a cluster that
    another's istiod serves.

    Args:
        world: doors to the clusters of the mesh, of which this is one; and to its roots.
        mesh: as its mesh.yaml says.
        cluster: one of its clusters.
        namespace: of its istiod; it need not be there yet.

    Raises:
        ConfigError: the folder of the roots, or a file of the user's, is not sound, every problem at once;
            or the folder has several roots, and not every cluster can be asked which one is in use.
        ConflictError: the cluster has an authority under another root, or one that others look after.
    """
    if not cluster.has_istiod:
        return ()
    door = world.clusters[cluster.name]
    source = mesh.trust.source
    match source:
        case Source.THERE:
            return ()
        case Source.SELF_SIGNED:
            authority.refuse_plugged_in(cluster, _there(door, namespace))
            return ()
        case Source.MANAGED:
            there = _there(door, namespace)
            roots = _chosen(world, mesh, cluster, there)
            return authority.managed(mesh, cluster, namespace, there, roots, world.clock.now())
        case Source.FILES:
            files = plugged_in(world, mesh.trust.folder_of(cluster.name))
            return authority.from_files(mesh, cluster, namespace, _there(door, namespace), files)
        case _:
            assert_never(source)


def unlock(world: World, plans: Iterable[Plan]) -> None:
    """Have the keys at hand that plans will sign with, so that nobody is asked in the middle of the work.

    Raises:
        ConfigError: a key is not there, or its passphrase is missing or wrong.
    """
    recipes = [step.recipe for each in plans for step in each.steps if isinstance(step, Provide)]
    signers = {(each.folder, each.signer) for each in recipes if isinstance(each, Intermediate)}
    for folder, root in sorted(signers):
        assert world.signer, "a world in which authorities are made has somebody who signs them"
        world.signer.unlock(folder, root)


def issued(world: World, mesh: Mesh, cluster: Cluster) -> dict[str, bytes]:
    """An authority for a cluster as files, by name; no cluster is asked.

    The newest root signs it, and all roots of the folder are trusted, as others may still have an older one.

    Raises:
        ConfigError: the mesh's trust is not managed, the cluster needs no authority, or the root cannot be
            opened.
    """
    where = Where("spec.trust")
    if mesh.trust.source is not Source.MANAGED:
        raise ConfigError(
            "trust-not-managed",
            f"the authorities of mesh {mesh.name!r} are not ours to issue",
            where=where,
            hint="write `ca: managed` in spec.trust, and have `meshctl ca init` make a root",
        )
    if not cluster.has_istiod:
        raise ConfigError(
            "no-authority-needed",
            f"{cluster.name!r} has no istiod; its identities come from that of {cluster.control_plane!r}",
            hint="issue one for that cluster",
        )
    assert world.signer, "a world in which authorities are made has somebody who signs them"
    known = world.signer.roots(mesh.trust.root)
    recipe = authority.recipe(mesh, cluster, "", known[0], known)
    return intermediate(world, recipe)


def _there(door: ports.Cluster, namespace: str) -> There:
    """What a cluster has; of the Secrets, nothing but the certificates is kept."""
    plugged = door.get(cacerts.ref(namespace))
    if plugged is not None:
        return authority.There(plugged_in=cacerts.held(plugged))
    own = door.get(Ref("v1", "Secret", namespace, CA_SECRET))
    return authority.There(self_signed=cacerts.held(own) if own is not None else None)


def _chosen(world: World, mesh: Mesh, cluster: Cluster, there: There) -> Choice:
    """The roots that count; other clusters are asked only where that makes a difference."""
    assert world.signer, "a world in which authorities are made has somebody who signs them"
    known = world.signer.roots(mesh.trust.root)
    if len(known) == 1 or there.plugged_in is not None:
        return authority.chosen(known)
    unasked = [each.name for each in mesh.clusters if each.has_istiod and each.name not in world.clusters]
    if unasked:
        raise ConfigError(
            "root-undecided",
            f"{mesh.trust.root!r} has several roots, and which of them is in use is not known",
            where=Where("--cluster"),
            hint=f"leave it out, so that {listed(unasked)} can be asked",
        )
    by_name = f"metadata.name={cacerts.CACERTS}"  # in whatever namespace their istiods are
    found = [each for door in world.clusters.values() for each in door.list("v1", "Secret", fields=by_name)]
    return authority.chosen(known, [cacerts.held(each) for each in found])
