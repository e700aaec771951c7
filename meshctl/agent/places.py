"""Where everything of the agent is on a host."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

USER = "meshctl-agent"
"""The agent's and Envoy's user and group, which traffic capture leaves alone."""
UNIT = "meshctl-agent.service"


@dataclass(frozen=True)
class Places:
    """The agent's files and folders.

    Attributes:
        root: what they are under; `/` but in tests.
    """

    root: Path = Path("/")

    @property
    def settings(self) -> Path:
        """Folder of what the operator has set."""
        return self.root / "etc/meshctl-agent"

    @property
    def environment(self) -> Path:
        """Who this workload is, as shell variables: `cluster.env`."""
        return self.settings / "cluster.env"

    @property
    def proxy(self) -> Path:
        """How its proxy works: `proxy.json`."""
        return self.settings / "proxy.json"

    @property
    def roots(self) -> Path:
        """Certificates that istiod is known by: `root-cert.pem`."""
        return self.settings / "root-cert.pem"

    @property
    def token(self) -> Path:
        """By which the first certificate is asked for; may be missing, and may be replaced at any time."""
        return self.settings / "token"

    @property
    def state(self) -> Path:
        """Folder of what outlives a restart, for the agent's user alone."""
        return self.root / "var/lib/meshctl-agent"

    @property
    def identity(self) -> Path:
        """Folder of the key and its certificates."""
        return self.state / "identity"

    @property
    def bootstrap(self) -> Path:
        """What Envoy starts with."""
        return self.state / "envoy.json"

    @property
    def capture(self) -> Path:
        """Folder of what traffic capture has changed on this host, for root alone."""
        return self.root / "var/lib/meshctl-agent-capture"

    @property
    def running(self) -> Path:
        """Folder of the sockets, which goes with the service."""
        return self.root / "run/meshctl-agent"

    @property
    def xds(self) -> Path:
        """Socket where Envoy asks for its configuration."""
        return self.running / "xds.sock"

    @property
    def sds(self) -> Path:
        """Socket where Envoy asks for certificates."""
        return self.running / "sds.sock"

    @property
    def admin(self) -> Path:
        """Socket of Envoy's administration."""
        return self.running / "admin.sock"

    @property
    def status(self) -> Path:
        """Socket where the agent says how it is."""
        return self.running / "status.sock"

    @property
    def programs(self) -> Path:
        """Folder of the installed payloads, each named by its hash; `current` leads to the one in use."""
        return self.root / "opt/meshctl-agent"
