"""A cluster leaves its mesh in the midst of a rotation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.errors import ConflictError

if TYPE_CHECKING:
    from meshctl.ports import World


def left(world: World, cluster: str, mesh: str) -> None:
    """Forget the rotation under way in a cluster that a mesh is removed from; others go on without it.

    Raises:
        ConflictError: the authority there was the user's, and would be lost.
    """
    records = world.releases[cluster]
    rotation = records.rotation(mesh)
    if rotation is None:
        return
    theirs = [seat for seat in rotation.seats if seat.cluster == cluster and not seat.is_ours]
    if theirs:
        raise ConflictError(
            "rotation-under-way",
            f"the authority that you brought to {cluster!r} is being rotated",
            hint="`meshctl ca rotate` ends that, `meshctl ca rotate --abort` gives it back to you",
        )
    records.forget_rotation(mesh)
