"""The record of the upgrade under way, as a Secret of the cluster it is made in; see `ports.Releases`.

There is one at most for a mesh: it is written before each step of the story, and gone at its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshctl.adapters.record import NAMESPACE
from meshctl.adapters.upgrade_codec import FORM, decode, encode
from meshctl.model.labels import MESH
from meshctl.model.objects import Ref

if TYPE_CHECKING:
    from meshctl.model.upgrade import Upgrade
    from meshctl.ports import Cluster


@dataclass(frozen=True)
class UpgradeRecord:
    """The record of a mesh's upgrade in one cluster."""

    cluster: Cluster
    mesh: str

    @property
    def ref(self) -> Ref:
        """What names the Secret."""
        return Ref("v1", "Secret", NAMESPACE, f"meshctl.{self.mesh}.upgrade")

    def read(self) -> Upgrade | None:
        """The upgrade under way; None when there is none.

        Raises:
            UnsupportedError: it is damaged, or of a format that this version does not know.
        """
        secret = self.cluster.get(self.ref)
        if secret is None or secret.is_leaving:
            return None
        return decode(FORM.data(secret), self.ref.name)

    def write(self, upgrade: Upgrade) -> None:
        """Create or replace it.

        Raises:
            ConfigError: the record is larger than a Secret may be.
        """
        secret = FORM.secret(self.ref, {MESH: self.mesh}, encode(upgrade))
        self.cluster.apply(secret, take_over=True)

    def forget(self) -> None:
        """Take it away; something already gone is no error, and asks for no right to remove it."""
        if self.cluster.get(self.ref) is not None:
            self.cluster.delete(self.ref)
