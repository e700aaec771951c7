"""Who else writes into what we send, and has a reason to: controllers, and what a platform does itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meshctl.model.plan import Holder

_PERSON = re.compile(r"kubectl(-.+)?")


@dataclass(frozen=True, slots=True)
class Mutator:
    """A part of a platform that changes fields of anybody's objects, and would change them again.

    Attributes:
        manager: the field manager by which it is known.
        what: what it is.
        kinds: kinds that it changes.
        path: what it changes there, as a component's `yields` has it.
    """

    manager: str
    what: str
    kinds: frozenset[str]
    path: str

    def is_it(self, holder: Holder) -> bool:
        """Whether a field is held by this mutator."""
        return holder.manager == self.manager


MUTATORS = (
    Mutator(
        "kube-controller-manager",
        "an autoscaler, also one that somebody has put beside the mesh",
        frozenset({"Deployment", "StatefulSet"}),
        "spec.replicas",
    ),
    Mutator(
        "admissionsenforcer",
        "keeps webhooks away from the namespaces that AKS runs itself; a selector is held as a whole",
        frozenset({"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}),
        "webhooks[*].namespaceSelector",
    ),
)


def is_controller(holder: Holder) -> bool:
    """Whether a field is held by a controller, rather than by a person with kubectl."""
    return not _PERSON.fullmatch(holder.manager)
