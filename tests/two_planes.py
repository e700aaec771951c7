"""A cluster in memory with two control planes, the unnamed one and `b`, that answer or are dead."""

from __future__ import annotations

from typing import Any

from meshctl.actions.doing import do
from meshctl.actions.install import install
from meshctl.adapters.releases import ClusterReleases
from meshctl.model.mesh import Inputs
from meshctl.model.objects import Object, Ref
from meshctl.model.plan import Plan
from meshctl.ports import World
from meshctl.stages.settings.load import load
from tests.fakes import FakeClock, FakeCluster, FakeFiles

HOME = "istio-system"
ADMISSION = "admissionregistration.k8s.io/v1"


def injector(name: str) -> Ref:
    """The mutating webhook configuration of this name."""
    return Ref(ADMISSION, "MutatingWebhookConfiguration", "", name)


def validator(name: str) -> Ref:
    """The validating webhook configuration of this name."""
    return Ref(ADMISSION, "ValidatingWebhookConfiguration", "", name)


DEFAULT_TAG = injector("istio-revision-tag-default")
DEFAULT_VALIDATOR = validator("istiod-default-validator")


class TwoPlanes:
    """One cluster in memory, and what is done there."""

    def __init__(self, *revisions: str, settings: tuple[str, ...] = ()) -> None:
        self.cluster = FakeCluster("here")
        self.files = FakeFiles()
        clock = FakeClock()
        self.releases = ClusterReleases(self.cluster, clock)
        self.world = World({"here": self.cluster}, {"here": self.releases}, clock, self.files)
        for revision in revisions:
            self.install(revision, *settings)
            self.answer(revision)

    def install(self, revision: str, *sets: str) -> None:
        """Install a control plane, or bring it in line."""
        self.do(self.plan(revision, *sets))

    def plan(self, revision: str, *sets: str) -> Plan:
        """What an install of a control plane would do."""
        lean = ("components.base.enabled=false", *sets)  # definitions have no part in this
        asked = load(Inputs(profile="minimal", revision=revision or None, sets=lean, cluster="here"))
        (wave,) = install(self.world, asked)
        return wave.plan

    def do(self, plan: Plan) -> list[Any]:
        """Do a plan; its events."""
        return list(do(self.world, plan))

    def answer(self, revision: str, *, ready: bool = True) -> None:
        """Let the Service of a control plane have an endpoint, ready or not."""
        name = f"istiod-{revision}" if revision else "istiod"
        ref = Ref("discovery.k8s.io/v1", "EndpointSlice", HOME, f"{name}-1")
        self.cluster.delete(ref)
        meta = {"name": ref.name, "namespace": HOME, "labels": {"kubernetes.io/service-name": name}}
        endpoint = {"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}
        self.cluster.seed(
            {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": meta, "endpoints": [endpoint]}
        )

    def kill(self, revision: str) -> None:
        """Take a control plane's Deployment and endpoints away, as by hand."""
        name = f"istiod-{revision}" if revision else "istiod"
        self.cluster.delete(Ref("apps/v1", "Deployment", HOME, name))
        self.answer(revision, ready=False)
        self.fail_closed()

    def fail_closed(self) -> None:
        """Let validators refuse what they cannot judge, as istiod has them once it answers."""
        for obj in self.cluster.list(ADMISSION, "ValidatingWebhookConfiguration"):
            hooks = [{**each, "failurePolicy": "Fail"} for each in obj.at("webhooks")]
            self.cluster.edit(obj.ref, {"webhooks": hooks}, manager="pilot-discovery")

    def namespace(self, name: str, **labels: str) -> None:
        """A namespace, with the labels `rev` and `istio_injection` under their real names."""
        known = {"rev": "istio.io/rev", "istio_injection": "istio-injection"}
        meta = {"name": name, "labels": {known[key]: value for key, value in labels.items()}}
        self.cluster.seed({"apiVersion": "v1", "kind": "Namespace", "metadata": meta})

    def pod(self, namespace: str, name: str, **labels: str) -> None:
        """A pod of the Deployment `name`."""
        owner = {
            "kind": "ReplicaSet",
            "name": f"{name}-5d4f8c7b9",
            "controller": True,
            "uid": "1",
            "apiVersion": "apps/v1",
        }
        said = {key.replace("__", "/").replace("_", "."): value for key, value in labels.items()}
        meta = {
            "name": f"{name}-5d4f8c7b9-x",
            "namespace": namespace,
            "labels": said,
            "ownerReferences": [owner],
        }
        self.cluster.seed({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": []}})

    def live(self, ref: Ref) -> Object:
        """What is there under this name."""
        found = self.cluster.get(ref)
        assert found is not None, f"there is no {ref}"
        return found

    def leads(self, ref: Ref) -> set[str]:
        """Names of the Services that a webhook configuration calls."""
        return {each["clientConfig"]["service"]["name"] for each in self.live(ref).at("webhooks")}
