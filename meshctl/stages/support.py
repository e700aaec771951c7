"""Which Kubernetes an Istio runs on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from meshctl.errors import UnsupportedError

if TYPE_CHECKING:
    from meshctl.model.values import Version


def oldest(version: Version) -> tuple[int, int]:
    """The oldest Kubernetes minor that upstream tests with this Istio, such as `(1, 32)`."""
    return _bound(version.kubernetes, ">=")


def newest(version: Version) -> tuple[int, int]:
    """The newest Kubernetes minor that upstream tests with this Istio."""
    major, minor = _bound(version.kubernetes, "<")
    return major, minor - 1


def minor(server: str) -> tuple[int, int]:
    """The minor of an API server's version, `(1, 34)` of `v1.34.4-gke.1`.

    Raises:
        UnsupportedError: it is no version.
    """
    found = re.match(r"v?(\d+)\.(\d+)", server)
    if found is None:
        raise UnsupportedError("kubernetes-version-unknown", f"the API server says its version is {server!r}")
    return int(found[1]), int(found[2])


def require(version: Version, server: str) -> str:
    """A warning where `server` is newer than what was tested, else an empty string.

    Raises:
        UnsupportedError: it is too old.
    """
    have = minor(server)
    if have < oldest(version):
        least = _words(oldest(version))
        raise UnsupportedError(
            "kubernetes-too-old",
            f"this is Kubernetes {server}, and Istio {version.full} needs {least} or newer",
            hint=f"upgrade the cluster to {least}, or choose an older Istio with --istio-version",
        )
    if have > newest(version):
        return (
            f"Kubernetes {server} is newer than {_words(newest(version))}, "
            f"the newest that Istio {version.full} was tested with"
        )
    return ""


def _words(number: tuple[int, int]) -> str:
    return ".".join(map(str, number))


def _bound(text: str, sign: str) -> tuple[int, int]:
    found = re.search(rf"{sign}(\d+)\.(\d+)", text)
    assert found is not None, f"no {sign} in {text!r}"  # the catalogue's own files, tested
    return int(found[1]), int(found[2])
