"""A mesh's world on one Linux machine: real Kubernetes clusters and systemd hosts, or a light stand-in.

`up(Settings(...))` and `down(name)` give events as they work; `status(name)` tells what is there.
"""

from meshctl.sandbox.hosts import HostStatus
from meshctl.sandbox.inspection import ClusterStatus, ComponentStatus, Status, status
from meshctl.sandbox.lifecycle import down, up
from meshctl.sandbox.settings import Settings

__all__ = ["ClusterStatus", "ComponentStatus", "HostStatus", "Settings", "Status", "down", "status", "up"]
