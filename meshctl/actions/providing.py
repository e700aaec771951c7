"""Objects that hold keys or tokens, made when their turn in a plan comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from meshctl import pki
from meshctl.adapters import key_files
from meshctl.errors import FailedError, ProblemsError
from meshctl.model.recipe import Access, Copied, Intermediate, PluggedIn
from meshctl.stages.trusting import cacerts
from meshctl.stages.trusting.files import OPTIONAL, problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meshctl.model.objects import Object
    from meshctl.model.recipe import Recipe
    from meshctl.ports import World


def provide(world: World, recipe: Recipe) -> Object:
    """The object that a recipe stands for, with what must not be planned or recorded.

    Raises:
        ConfigError: the root cannot be opened, or files of the user's are not sound.
        FailedError: a root that is to be trusted is nowhere to be found.
    """
    match recipe:
        case Intermediate():
            return cacerts.secret(recipe.namespace, recipe.mesh, intermediate(world, recipe))
        case PluggedIn():
            files = plugged_in(world, recipe.folder)
            return cacerts.secret(recipe.namespace, recipe.mesh, files)
        case Copied():
            from meshctl.actions.rotation.copying import copied_secret

            return copied_secret(world, recipe)
        case Access():
            from meshctl.actions.links.access import access_secret

            return access_secret(world, recipe)
        case _:
            assert_never(recipe)


def intermediate(world: World, recipe: Intermediate) -> dict[str, bytes]:
    """A new key and its certificate under the root of the mesh: the files that istiod reads.

    Raises:
        ConfigError: the root cannot be opened, or has come to its end.
        FailedError: a root that is to be trusted is nowhere to be found.
    """
    assert world.signer, "a world in which authorities are made has somebody who signs them"
    roots = _found(world, recipe, recipe.trusted)
    key = pki.new_key()
    subject = pki.Subject(recipe.cluster, (recipe.mesh,))  # names have 64 letters at most, and these have 63
    certificate = world.signer.sign(
        pki.signing_request(key, subject),
        world.clock.now(),
        folder=recipe.folder,
        root=recipe.signer,
        days=recipe.days,
        permitted=recipe.permitted,
    )
    return {
        cacerts.CERTIFICATE: certificate,
        cacerts.KEY: key,
        cacerts.CHAIN: certificate,  # what workloads show after their own; whoever checks it has the root
        cacerts.ROOTS: cacerts.bundle(roots, first=recipe.signer),
    }


def plugged_in(world: World, folder: str) -> dict[str, bytes]:
    """An authority's files of the user's.

    Raises:
        ProblemsError: everything that is wrong with them.
        ConfigError: there is no such folder, or a file cannot be read.
    """
    hint = "`files` in spec.trust names a folder for each cluster, with {cluster} for its name"
    files = key_files.read_folder(folder, (*cacerts.FILES, *OPTIONAL), hint)
    found = problems(files, folder, world.clock.now())
    if found:
        raise ProblemsError(found)
    return files


def _found(world: World, recipe: Intermediate, wanted: Iterable[str]) -> Sequence[bytes]:
    """The roots with these SHA-256, from the folder of the mesh and from what the cluster trusts already.

    Raises:
        FailedError: one is in neither.
    """
    known = {pki.fingerprint(each): each for each in _known(world, recipe)}
    missing = sorted(set(wanted) - known.keys())
    if missing:
        raise FailedError(
            "unknown-root",
            f"a root that {recipe.cluster!r} is to trust is neither in {recipe.folder!r} nor there",
            hint="`meshctl ca status` tells which root each cluster has",
            details=missing,
        )
    return [known[mark] for mark in wanted]


def _known(world: World, recipe: Intermediate) -> Iterable[bytes]:
    if world.signer is not None:
        yield from world.signer.roots(recipe.folder)
    door = world.clusters.get(recipe.cluster)
    live = door.get(cacerts.ref(recipe.namespace)) if door is not None else None
    if live is not None:
        yield from cacerts.held(live).roots
