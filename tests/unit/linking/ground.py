"""Two clusters in memory that are linked: what is there, and what is done there."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pytest

from meshctl.actions.doing import do
from meshctl.actions.links import linking
from meshctl.actions.links.linking import Ends
from meshctl.actions.links.remote_clusters import SYNCED, Reading
from meshctl.actions.links.unlinking import release_plan, unlink_plan
from meshctl.adapters.releases import ClusterReleases
from meshctl.model.mesh import Inputs
from meshctl.model.objects import Object, Ref
from meshctl.model.plan import Plan
from meshctl.ports import World
from meshctl.stages.settings.load import load_all
from tests.fakes import FakeClock, FakeCluster, FakeFiles

NAMESPACE = "istio-system"
ACCOUNT = Ref("v1", "ServiceAccount", NAMESPACE, "istio-reader-service-account")
MULTI_PRIMARY = """
apiVersion: meshctl.dev/v1alpha1
kind: Mesh
metadata: {name: prod}
spec:
  clusters:
    - {name: west, context: w}
    - {name: east, context: e}
"""
EXTERNAL = """
apiVersion: meshctl.dev/v1alpha1
kind: Mesh
metadata: {name: prod}
spec:
  namespace: outside
  clusters:
    - {name: control, context: c, role: external}
    - {name: west, context: w, role: config}
    - {name: east, context: e, role: remote, controlPlane: control}
"""


class Ground:
    """The clusters of a mesh.yaml."""

    def __init__(self, text: str = MULTI_PRIMARY) -> None:
        self.clock = FakeClock()
        self.asked = load_all(Inputs(files=("-",)), stdin=text)
        names = [each.name for one in self.asked for each in one.mesh.clusters]
        self.clusters = {name: FakeCluster(name, clock=self.clock) for name in names}
        records = {name: ClusterReleases(door, self.clock) for name, door in self.clusters.items()}
        self.world = World(self.clusters, records, self.clock, FakeFiles())

    def ends(self, server: str, reads: str) -> Ends:
        """The link by which the istiod of `server` reads `reads`."""
        found = linking.links(self.asked)
        return next(each for each in found if (each.link.server, each.link.reads) == (server, reads))

    def do(self, plan: Plan) -> None:
        for _ in do(self.world, plan):
            pass

    def link(self, server: str = "west", reads: str = "east", *, renew: bool = False) -> None:
        ends = self.ends(server, reads)
        self.do(linking.access_plan(self.world, ends, renew=renew))
        self.do(linking.link_plan(self.world, ends, renew=renew))

    def unlink(self, server: str = "west", reads: str = "east") -> None:
        ends = self.ends(server, reads)
        self.do(unlink_plan(self.world, ends))
        self.do(release_plan(self.world, ends))

    def plans(self, server: str = "west", reads: str = "east") -> tuple[Plan, Plan]:
        ends = self.ends(server, reads)
        return linking.access_plan(self.world, ends), linking.link_plan(self.world, ends)

    def secret(self, server: str = "west", name: str = "istio-remote-secret-east") -> Object:
        found = self.clusters[server].get(Ref("v1", "Secret", self.ends_namespace, name))
        assert found is not None, f"there is no {name} in {server}"
        return found

    @property
    def ends_namespace(self) -> str:
        return linking.links(self.asked)[0].serving.namespace

    def holders(self, reads: str = "east") -> list[str]:
        """Names of the Secrets on which tokens hang."""
        found = self.clusters[reads].list("v1", "Secret", labels="meshctl.dev/reader")
        return [each.ref.name for each in found]


def kubeconfig(secret: Object, key: str) -> str:
    return base64.b64decode(secret.content["data"][key]).decode()


def objects(cluster: FakeCluster) -> set[Ref]:
    return {each.ref for each in cluster.all()}


def istiods_say(monkeypatch: pytest.MonkeyPatch, *answers: Mapping[str, str] | None) -> list[str]:
    """Let istiods say one of these each time they are asked, the last one for ever; None: none runs."""
    asked: list[str] = []

    def remote_clusters(_world: World, _mesh: object, server: str, _namespace: str) -> tuple[Reading, ...]:
        told = answers[min(len(asked), len(answers) - 1)]
        asked.append(server)
        return () if told is None else (Reading("istiod-1", "default", told),)

    monkeypatch.setattr(linking, "remote_clusters", remote_clusters)
    return asked


IN_SYNC = {"west": SYNCED, "east": SYNCED}
