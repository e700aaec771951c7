"""Authorities that a rotation keeps, puts back, or has other roots trusted beside."""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING

from meshctl.errors import FailedError
from meshctl.model.objects import Object
from meshctl.stages.trusting import cacerts

if TYPE_CHECKING:
    from meshctl.model.recipe import Copied
    from meshctl.ports import World


def copied_secret(world: World, recipe: Copied) -> Object:
    """The Secret that a recipe stands for; its key goes from one Secret of the cluster to another.

    Raises:
        FailedError: its source is gone, or cannot be read.
    """
    source = world.clusters[recipe.cluster].get(recipe.source)
    if source is None:
        raise FailedError(
            "no-authority",
            f"{recipe.cluster!r} has no {recipe.source} any more",
            hint="`meshctl ca status` tells what there is",
        )
    try:
        files = {**cacerts.files_of(source), cacerts.ROOTS: recipe.roots.encode()}
        made = cacerts.secret(recipe.target.namespace, recipe.mesh, files)
    except (binascii.Error, ValueError, KeyError) as error:
        raise FailedError(
            "authority-unreadable",
            f"{recipe.source} of {recipe.cluster!r} holds no authority that can be read",
            hint="`meshctl ca status` tells what there is",
        ) from error
    content = made.content["metadata"]
    labels = content["labels"] if recipe.is_ours else {}
    meta = {**content, "name": recipe.target.name, "labels": labels}
    return Object({**made.content, "metadata": meta})
