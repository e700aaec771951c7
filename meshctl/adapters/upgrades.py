"""The record of the upgrade under way, as a Secret of the cluster it is made in; see `ports.Releases`.

There is one at most for a mesh: it is written before each step of the story, and gone at its end.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshctl.adapters.upgrade_codec import decode, encode, unreadable
from meshctl.errors import ConfigError
from meshctl.model.labels import MESH
from meshctl.model.objects import Object, Ref

if TYPE_CHECKING:
    from meshctl.model.upgrade import Upgrade
    from meshctl.ports import Cluster

NAMESPACE = "kube-system"
TYPE = "meshctl.dev/upgrade"

_LARGEST = 1024 * 1024  # what the API server takes in one Secret


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
        try:
            data = base64.b64decode(secret.at("data.upgrade", ""), validate=True)
        except (binascii.Error, ValueError) as error:
            raise unreadable(self.ref.name, str(error)) from error
        return decode(data, self.ref.name)

    def write(self, upgrade: Upgrade) -> None:
        """Create or replace it.

        Raises:
            ConfigError: the record is larger than a Secret may be.
        """
        data = encode(upgrade)
        if len(data) > _LARGEST:
            raise ConfigError(
                "upgrade-too-large",
                f"the record of the upgrade of mesh {self.mesh!r} takes {len(data)} bytes; "
                f"a Secret may have {_LARGEST}",
                hint="upgrade in place, or split the mesh's gateways over several meshes",
            )
        meta = {"name": self.ref.name, "namespace": self.ref.namespace, "labels": {MESH: self.mesh}}
        content = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": meta,
            "type": TYPE,
            "data": {"upgrade": base64.b64encode(data).decode()},
        }
        self.cluster.apply(Object(content), take_over=True)

    def forget(self) -> None:
        """Take it away; something already gone is no error, and asks for no right to remove it."""
        if self.cluster.get(self.ref) is not None:
            self.cluster.delete(self.ref)
