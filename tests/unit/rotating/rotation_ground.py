"""Two clusters in memory under one root, whose istiods and proxies work with real certificates."""

from __future__ import annotations

import base64
import threading
from collections.abc import Generator, Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest

from meshctl import pki
from meshctl.actions.doing import do
from meshctl.actions.install import install
from meshctl.actions.rotation import looking as rotation_looking
from meshctl.actions.rotation import proving as rotation_proving
from meshctl.actions.rotation.looking import Run
from meshctl.actions.rotation.preparing import Prepared, prepared
from meshctl.actions.rotation.rotate import Summary, abort, begin, go_on, under_way
from meshctl.adapters import envoy_secrets, istiod_ca
from meshctl.adapters.xds import Caller, Server
from meshctl.errors import UnreachableError
from meshctl.model.envoy import Identity
from meshctl.model.mesh import Cluster, Inputs, Mesh, Role, Source, Trust
from meshctl.model.objects import Object, Ref
from meshctl.model.rotation import Renewal, Scope, Stage
from meshctl.ports import World
from meshctl.stages.moving.injectors import CONFIGURATIONS
from meshctl.stages.settings.load import load
from meshctl.stages.trusting import cacerts
from tests.fake_kinds import KINDS
from tests.fakes import FakeClock, FakeFiles
from tests.unit.actions.canary_ground import GATEWAYS, SETS, Records
from tests.unit.actions.living import LivingCluster

HOME = "istio-system"
BEGIN = datetime(2026, 1, 1, 12, tzinfo=UTC)
FOLDER = "ca"


@cache
def control_plane() -> tuple[dict[str, Any], ...]:
    """The Deployment and the injector that an install makes."""
    clock = FakeClock()
    cluster = LivingCluster("any", kinds=(*KINDS, GATEWAYS), clock=clock)
    world = World({"any": cluster}, {"any": Records(cluster, clock)}, clock, FakeFiles())
    for wave in install(world, load(Inputs(profile="minimal", sets=SETS, version="1.31.0", cluster="any"))):
        list(do(world, wave.plan))
    made = (*cluster.list("apps/v1", "Deployment"), *cluster.list(*CONFIGURATIONS))
    return tuple({**each.content, "metadata": _own(each)} for each in made)


def _own(obj: Object) -> dict[str, Any]:
    kept = ("name", "namespace", "labels")
    return {key: each for key, each in obj.content["metadata"].items() if key in kept}


class Roots:
    """The roots of a folder in memory."""

    def __init__(self, *made: pki.Authority) -> None:
        self.made = list(made)
        self.unlocked: list[str] = []

    def add(self, name: str) -> pki.Authority:
        root = pki.new_authority(pki.Subject(name), BEGIN, path_length=1)
        self.made.insert(0, root)
        return root

    def roots(self, folder: str) -> tuple[bytes, ...]:
        return tuple(each.pair.certificate for each in self.made)

    def unlock(self, folder: str, root: str) -> None:
        self.unlocked.append(root)

    def sign(
        self, request: bytes, now: datetime, *, folder: str, root: str, days: int, permitted: Iterable[str]
    ) -> bytes:
        signer = next(each for each in self.made if pki.fingerprint(each.pair.certificate) == root)
        return signer.sign_authority(request, now, days=days, permitted=tuple(permitted))


class Place:
    """One cluster: its istiod, which reads `cacerts` as istiod does, and its proxies."""

    def __init__(self, name: str, root: pki.Authority, clock: FakeClock) -> None:
        self.cluster = LivingCluster(name, kinds=(*KINDS, GATEWAYS), clock=clock)
        self.records = Records(self.cluster, clock)
        self.multiroot = True
        self.deaf: set[str] = set()
        self.stubborn: set[str] = set()
        self.silent: set[str] = set()
        self.stuck = False
        self.is_slow = False
        self._word = ""
        self.restarts = 0
        self.loaded: dict[str, bytes] = {}
        self._template = ""
        self.identities: dict[str, Identity] = {}
        self.lock = threading.RLock()
        self.served: list[Place] = []
        self._root = root

    def furnish(self, mesh: str) -> None:
        """Install a control plane and workloads, with an intermediate under the root."""
        self.populate()
        name, root = self.cluster.name, self._root
        made = root.intermediate(pki.Subject(f"Intermediate CA of {name}"), BEGIN)
        files = {
            cacerts.CERTIFICATE: made.pair.certificate,
            cacerts.KEY: made.pair.key,
            cacerts.CHAIN: made.pair.certificate,
            cacerts.ROOTS: root.pair.certificate,
        }
        self.cluster.apply(cacerts.secret(HOME, mesh, files))
        env = [{"name": "ISTIO_MULTIROOT_MESH", "value": "true"}]
        self.cluster.seed(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "istiod-1", "namespace": HOME, "labels": {"app": "istiod"}},
                "spec": {"containers": [{"name": "discovery", "env": env}]},
                "status": {"phase": "Running"},
            }
        )
        self.start()

    def populate(self) -> None:
        """Put workloads there, and what injects them."""
        self.cluster.seed({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}})
        for content in control_plane():
            self.cluster.seed(content)
        labels = {"istio-injection": "enabled"}
        self.cluster.seed(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}}
        )
        self.cluster.workload("Deployment", "shop", "web", replicas=2)
        self.cluster.workload("Deployment", "shop", "api")

    # istiod.

    def start(self) -> None:
        """Begin with what is there now."""
        self._template = str(self._deployment().at("spec.template.metadata.annotations", {}))
        self.restarts += 1
        self.load()

    def look(self) -> None:
        """What istiod does when its files have changed."""
        if str(self._deployment().at("spec.template.metadata.annotations", {})) != self._template:
            self.start()
        there = self.files()
        if there == self.loaded or self.stuck or (self.is_slow and not self._is_hurried()):
            return
        old, new = (set(pki.split(each[cacerts.ROOTS])) for each in (self.loaded, there))
        changed = there[cacerts.ROOTS] != self.loaded[cacerts.ROOTS]
        if changed and (not self.multiroot or not (old <= new or new <= old)):
            return
        self.load()

    def load(self) -> None:
        """Work with what is there; proxies that listen renew where the text of the roots is another."""
        before, self.loaded = self.loaded, self.files()
        for place in (self, *self.served):
            place.publish()
            if self.multiroot and before and before[cacerts.ROOTS] != self.loaded[cacerts.ROOTS]:
                place.hear()

    def hear(self) -> None:
        """Proxies are told of roots, and those that listen renew."""
        for pod in self.pods():
            if not self._is_one(pod, self.deaf) and not self._is_one(pod, self.stubborn):
                self.identities[pod.ref.name] = self.sign()

    def _is_hurried(self) -> bool:
        """Whether anything of its pod has changed, so that the kubelet has looked at its volumes again."""
        pod = self.cluster.get(Ref("v1", "Pod", HOME, "istiod-1"))
        word = str(pod.labels) if pod else ""
        is_new, self._word = word != self._word, word
        return is_new

    def publish(self) -> None:
        for namespace in (HOME, "shop"):
            ref = Ref("v1", "ConfigMap", namespace, "istio-ca-root-cert")
            content = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": ref.name, "namespace": namespace},
                "data": {"root-cert.pem": self.loaded[cacerts.ROOTS].decode()},
            }
            if self.cluster.get(ref) is None:
                self.cluster.seed(content)
            else:
                self.cluster.edit(ref, {"data": content["data"]})

    def sign(self) -> Identity:
        """What a proxy gets now."""
        pair = pki.Pair(self.loaded[cacerts.CERTIFICATE], self.loaded[cacerts.KEY])
        leaf = pki.Authority(pair).issue(
            pki.Subject(uris=("spiffe://cluster.local/ns/shop/sa/web",)), BEGIN, days=1
        )
        chain = (leaf.certificate, *pki.split(self.loaded[cacerts.CHAIN]))
        roots = self.loaded[cacerts.ROOTS]
        return Identity(chain, pki.split(roots), roots)

    # Proxies.

    def pods(self) -> list[Object]:
        return [pod for pod in self.cluster.list("v1", "Pod", namespace="shop") if not pod.is_leaving]

    def identity(self, pod: str) -> Identity:
        with self.lock:
            self.look()
            there = {each.ref.name for each in self.pods()}
            self.identities = {name: each for name, each in self.identities.items() if name in there}
            if pod not in self.identities:
                self.identities[pod] = self.sign()
            return self.identities[pod]

    def renew(self) -> None:
        """Let every proxy renew, as when half of its certificate's life is over."""
        self.identities.clear()

    def _is_one(self, pod: Object, workloads: set[str]) -> bool:
        return pod.labels.get("app") in workloads

    def hears(self, pod: Object) -> bool:
        return not self._is_one(pod, self.deaf)

    # What tests look at.

    def files(self) -> dict[str, bytes]:
        secret = self.cluster.get(cacerts.ref(HOME))
        assert secret is not None
        return {name: base64.b64decode(text) for name, text in secret.at("data").items()}

    def issuers(self) -> set[str]:
        """Subjects of the roots under which proxies have their certificates."""
        found = set()
        for pod in self.pods():
            identity = self.identity(pod.ref.name)
            root = pki.root_of(identity.chain[0], identity.chain[1:], identity.roots)
            found.add(pki.facts(root).subject if root else "?")
        return found

    def trusted(self) -> set[frozenset[str]]:
        return {
            frozenset(pki.facts(root).subject for root in self.identity(pod.ref.name).roots)
            for pod in self.pods()
        }

    def _deployment(self) -> Object:
        found = self.cluster.get(Ref("apps/v1", "Deployment", HOME, "istiod"))
        assert found is not None
        return found


class Remote(Place):
    """A cluster whose proxies have their certificates from the istiod of another."""

    def __init__(self, name: str, server: Place, clock: FakeClock) -> None:
        super().__init__(name, server._root, clock)
        self._server = server
        server.served.append(self)
        self.populate()
        self.publish()

    def look(self) -> None:
        self._server.look()

    def sign(self) -> Identity:
        return self._server.sign()

    def publish(self) -> None:
        self.loaded = self._server.loaded
        super().publish()


class Ground:
    """A mesh of two clusters under the root `old`, and what a rotation sees of it.

    With `remote`, a third one is served by the istiod of `west`.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, remote: bool = False) -> None:
        self.clock = FakeClock()
        self.old = pki.new_authority(pki.Subject("old"), BEGIN, path_length=1)
        self.signer = Roots(self.old)
        self.places = {name: Place(name, self.old, self.clock) for name in ("east", "west")}
        for place in self.places.values():
            place.furnish("shop")
        clusters = [Cluster(name) for name in self.places]
        if remote:
            self.places["far"] = Remote("far", self.places["west"], self.clock)
            clusters.append(Cluster("far", role=Role.REMOTE, control_plane="west"))
        trust = Trust(source=Source.MANAGED, root=FOLDER)
        self.mesh = Mesh("shop", tuple(clusters), trust=trust)
        world = World(
            {name: each.cluster for name, each in self.places.items()},
            {name: each.records for name, each in self.places.items()},
            self.clock,
            FakeFiles(),
            self.signer,
        )
        self.run = Run(world, (self.mesh,), dict.fromkeys(self.places, HOME), seconds=120)
        self.calls: list[str] = []
        monkeypatch.setattr(rotation_proving, "PAUSE", 15.0)
        monkeypatch.setattr(istiod_ca, "handed_out", self._handed_out)
        monkeypatch.setattr(envoy_secrets, "identity", self._identity)
        monkeypatch.setattr(rotation_looking, "hears_of_roots", self._hears)
        monkeypatch.setattr(rotation_looking, "_is_multiroot", self._is_multiroot)
        monkeypatch.setattr(rotation_looking, "_caller", lambda *_: Caller(HOME, b"", ""))

    def _handed_out(self, door: LivingCluster, server: Server, caller: Caller, **_: Any) -> Identity:
        place = self.places[door.name]
        with place.lock:
            place.look()
            return place.sign()

    def _identity(self, door: LivingCluster, namespace: str, pod: str, **_: Any) -> Identity:
        if pod.rpartition("-")[0].rpartition("-")[0] in self.places[door.name].silent:
            raise UnreachableError("envoy-silent", f"the Envoy of Pod {namespace}/{pod} does not answer")
        return self.places[door.name].identity(pod)

    def _hears(self, pod: Object) -> bool:
        """Which cluster it is in is not known here: what is deaf in one is so in all."""
        return all(each.hears(pod) for each in self.places.values())

    def _is_multiroot(self, pod: Object) -> bool:
        return all(each.multiroot for each in self.places.values())

    def prepared(self, scope: Scope = Scope.ROOT, **how: Any) -> Prepared:
        how = {"renewal": Renewal.AUTO, "lenient": False, **how}
        return prepared(self.run, scope, **how)

    def rotate(self, scope: Scope = Scope.ROOT, **how: Any) -> Summary:
        return ended(begin(self.run, self.prepared(scope, **how).rotation))

    def go_on(self, **changes: Any) -> Summary:
        return ended(go_on(self.run, **changes))

    def abort(self) -> Summary:
        return ended(abort(self.run))

    @property
    def under_way(self) -> Any:
        return under_way(self.run)

    def are_trusting(self) -> bool:
        """Whether every proxy believes every other one just now."""
        identities = [each.identity(pod.ref.name) for each in self.places.values() for pod in each.pods()]
        return all(_believes(other.roots, one.chain) for one in identities for other in identities)

    def snapshot(self) -> dict[str, Any]:
        """Who vouches for whom, everywhere."""
        return {name: (each.issuers(), each.trusted(), self.left(name)) for name, each in self.places.items()}

    def left(self, name: str) -> list[str]:
        """Secrets besides those that belong there."""
        secrets = self.places[name].cluster.list("v1", "Secret")
        return [str(each.ref) for each in secrets if "rotation" in each.ref.name]


@cache
def _believes(roots: tuple[bytes, ...], chain: tuple[bytes, ...]) -> bool:
    return pki.root_of(chain[0], chain[1:], roots) is not None


def ended(story: Generator[Any, None, Summary]) -> Summary:
    while True:
        try:
            next(story)
        except StopIteration as end:
            assert isinstance(end.value, Summary)
            return end.value


def cut_in(ground: Ground, stage: Stage) -> None:
    """Begin a rotation, and kill it right after the record of this stage."""
    story = begin(ground.run, ground.prepared().rotation)
    for _ in story:
        if ground.under_way is not None and ground.under_way.stage is stage:
            story.close()
            return
    raise AssertionError(f"it was never at {stage}")
