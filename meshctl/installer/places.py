"""What the installer makes on a host, beside the places that the agent knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshctl.agent.places import UNIT, Places

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Installed(Places):
    """Files and folders of an installed agent."""

    @property
    def unit(self) -> Path:
        """The service."""
        return self.root / "etc/systemd/system" / UNIT

    @property
    def logs(self) -> Path:
        """Folder of logs, which systemd makes for the service."""
        return self.root / "var/log/meshctl-agent"

    @property
    def current(self) -> Path:
        """The link to the payload in use."""
        return self.programs / "current"

    @property
    def record(self) -> Path:
        """What was made on this host, so that all of it, and nothing else, is taken away."""
        return self.programs / "made.json"

    @property
    def copies(self) -> Path:
        """Folder of copies that the host keeps of its lists of users, as they were before ours was added."""
        return self.programs / "copies"

    @property
    def is_host(self) -> bool:
        """Whether this is a host, and not a folder that stands for one in a test."""
        return str(self.root) == "/"

    def payload(self, name: str) -> Path:
        """Folder of one payload."""
        return self.programs / name
