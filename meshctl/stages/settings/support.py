"""Which Kubernetes an Istio runs on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from semver import Version as Number

from meshctl.errors import UnsupportedError

if TYPE_CHECKING:
    from meshctl.model.values import Version


def require(version: Version, server: str) -> str:
    """A warning where a Kubernetes is newer than what upstream tests, else an empty string.

    Args:
        version: Istio's version, with the range that upstream tests, such as `>=1.32, <1.37`.
        server: the API server's version, `v1.34.4-gke.1`.

    Raises:
        UnsupportedError: it is too old, or no version.
    """
    have = number(server)
    oldest, beyond = _range(version.kubernetes)
    if have < oldest:
        least = f"{oldest.major}.{oldest.minor}"
        raise UnsupportedError(
            "kubernetes-too-old",
            f"this is Kubernetes {server}, and Istio {version.full} needs {least} or newer",
            hint=f"upgrade the cluster to {least}, or choose an older Istio with --istio-version",
        )
    if have >= beyond:
        newest = f"{beyond.major}.{beyond.minor - 1}"
        tested = f"the newest that Istio {version.full} was tested with"
        return f"Kubernetes {server} is newer than {newest}, {tested}"
    return ""


def number(server: str) -> Number:
    """The number of an API server's version; what vendors add after it orders nothing.

    Raises:
        UnsupportedError: it is no version.
    """
    found = re.match(r"v?(\d+\.\d+(\.\d+)?)", server)
    if found is None:
        raise UnsupportedError("kubernetes-version-unknown", f"the API server says its version is {server!r}")
    return Number.parse(found[1], optional_minor_and_patch=True)


def _range(text: str) -> tuple[Number, Number]:
    oldest, beyond = (part.strip() for part in text.split(","))
    return number(oldest.removeprefix(">=")), number(beyond.removeprefix("<"))
