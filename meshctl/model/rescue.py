"""Webhooks that stop a cluster because nobody answers them, and what is done about each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshctl.model.objects import Ref


class Remedy(StrEnum):
    """What is done about a webhook that nobody answers."""

    REPOINT = "repoint"
    """A tag is made to lead to a control plane that answers."""
    RESTORE = "restore"
    """Its control plane runs, and the Service that led there is put back as it was recorded."""
    REMOVE = "remove"
    """The configuration goes: the control plane behind it is gone."""
    TRIM = "trim"
    """Only its entries go that nobody answers."""
    WAIT = "wait"
    """Nothing: its control plane is there and not ready, and mending that mends this."""
    TELL = "tell"
    """Nothing: it is not Istio's. The command that removes it is told."""


@dataclass(frozen=True, slots=True)
class Blocker:
    """A webhook configuration that refuses what it is asked about, as nobody answers.

    Attributes:
        ref: the configuration.
        entries: names of those of its webhooks that nobody answers.
        why: what is missing.
        blocks: what the API server refuses meanwhile: `pods`, `networking.istio.io/*`.
        remedy: what is done.
        revision: the control plane it leads to; empty is the unnamed one, or nobody's.
        tag: the revision tag it stands for; empty: none.
        advice: what a person can do, where nothing is done; empty otherwise.
    """

    ref: Ref
    entries: tuple[str, ...]
    why: str
    blocks: tuple[str, ...]
    remedy: Remedy
    revision: str = ""
    tag: str = ""
    advice: str = ""
