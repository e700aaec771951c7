"""What tests of trust stand on: roots, authorities in Secrets, a mesh, and somebody who signs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from meshctl import pki
from meshctl.adapters.files import LocalFiles
from meshctl.adapters.root import RootFolders, keep
from meshctl.model.mesh import Cluster, Mesh, Role, Source, Trust
from meshctl.model.objects import Object
from meshctl.ports import Signer, World
from meshctl.stages.trusting import cacerts
from tests.fake_clock import NOON, FakeClock
from tests.fakes import FakeCluster, FakeReleases

HOME = "istio-system"
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}}


@cache
def root(name: str = "root", days: int = 3650) -> pki.Authority:
    return pki.new_authority(pki.Subject(name), NOON, days=days, path_length=1)


def mark(authority: pki.Authority) -> str:
    return pki.fingerprint(authority.pair.certificate)


def folder_with(place: Path, *roots: pki.Authority) -> str:
    for each in roots:
        keep(str(place), each.pair, b"open sesame")
    return str(place)


def signer(ask: Callable[[Path], bytes] = lambda _: b"open sesame") -> RootFolders:
    return RootFolders(ask)


def mesh(*names: str, trust: Trust, trust_domain: str = "", **roles: Role) -> Mesh:
    clusters = tuple(Cluster(each, role=roles.get(each, Role.PRIMARY)) for each in names)
    return Mesh("prod", clusters, identifier="prod", trust=trust, trust_domain=trust_domain)


def managed(folder: str, **more: Any) -> Trust:
    return Trust(Source.MANAGED, root=folder, **more)


def world(*clusters: FakeCluster, clock: FakeClock | None = None, signs: Signer | None = None) -> World:
    return World(
        {each.name: each for each in clusters},
        {each.name: FakeReleases() for each in clusters},
        clock or FakeClock(),
        LocalFiles(),
        signs,
    )


def files(authority: pki.Authority, *trusted: pki.Authority) -> dict[str, bytes]:
    """The four files of an authority under the first of `trusted`."""
    return {
        cacerts.CERTIFICATE: authority.pair.certificate,
        cacerts.KEY: authority.pair.key,
        cacerts.CHAIN: authority.pair.certificate,
        cacerts.ROOTS: b"".join(each.pair.certificate for each in trusted),
    }


def secret_of(content: Mapping[str, bytes], name: str = cacerts.CACERTS) -> dict[str, Any]:
    """A Secret of the user's with these files."""
    made = cacerts.secret(HOME, "prod", content).content
    return {**made, "metadata": {"name": name, "namespace": HOME}}


def certificate_in(secret: Object, name: str = cacerts.CERTIFICATE) -> pki.Facts:
    return pki.facts(cacerts.files_of(secret)[name])
