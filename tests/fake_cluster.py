"""An API server in memory."""

from __future__ import annotations

import base64
import contextlib
import copy
import itertools
import json
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from meshctl.errors import ConflictError, FailedError, MeshctlError, UnreachableError
from meshctl.model.objects import Kind, Object, Ref
from tests.fake_clock import FakeClock
from tests.fake_fields import Owners, dotted, leaves, managed_fields, merged, owners, remove
from tests.fake_kinds import ALL, KINDS

Key = tuple[str, str, str, str]
"""Group, kind, namespace, name."""


class FakeWatch:
    """A watch on a `FakeCluster`."""

    def __init__(
        self, cluster: FakeCluster, wants: Callable[[Object], bool], until: float, clock: FakeClock
    ) -> None:
        self.wants = wants
        self._cluster = cluster
        self._until = until
        self._clock = clock
        self._inbox: queue.SimpleQueue[tuple[str, Object] | None] = queue.SimpleQueue()
        self._closed = False

    def tell(self, change: str, obj: Object) -> None:
        if self.wants(obj):
            self._inbox.put((change, obj))

    def __iter__(self) -> Iterator[tuple[str, Object]]:
        while not self._closed:
            try:
                news = self._inbox.get(timeout=0.02)
            except queue.Empty:
                if self._clock.monotonic() >= self._until:
                    return
                continue
            if news is None:
                return
            yield news

    def close(self) -> None:
        self._closed = True
        self._cluster.forget_watch(self)
        self._inbox.put(None)


class FakeCluster:
    """An API server in memory: server-side apply with owners, watches, finalizers, cascades.

    `settles` makes workloads ready as soon as they are applied, as controllers would in time; without
    it a test sets `status` itself with `edit`. `writes` lists what was asked of it that changes
    something, as `apply Deployment istio-system/istiod`.
    """

    def __init__(
        self,
        name: str = "c1",
        *objects: Mapping[str, Any],
        version: str = "v1.34.4",
        kinds: Sequence[Kind] = KINDS,
        clock: FakeClock | None = None,
        settles: bool = True,
    ) -> None:
        self._name = name
        self._version = version
        self._kinds = list(kinds)
        self._clock = clock or FakeClock()
        self._settles = settles
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._objects: dict[Key, dict[str, Any]] = {}
        self._owners: dict[Key, Owners] = {}
        self._watches: list[FakeWatch] = []
        self._faults: list[tuple[str, str, MeshctlError, list[int]]] = []
        self.writes: list[str] = []
        self.denied: set[tuple[str, str]] = set()
        self.log_lines: dict[tuple[str, str, str], str] = {}
        self.targets: dict[tuple[str, str, int], tuple[str, int]] = {}
        for namespace in ("default", "kube-node-lease", "kube-public", "kube-system"):
            self.seed({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        for obj in objects:
            self.seed(obj)

    # What tests do to it.

    def seed(self, content: Mapping[str, Any], manager: str = "kubectl", operation: str = "Update") -> Object:
        """Put an object there as somebody else, who then owns all its fields."""
        with self._lock:
            made = self._create(Object(content), manager, operation)
            return made

    def edit(
        self,
        ref: Ref,
        patch: Mapping[str, Any],
        manager: str = "kube-controller-manager",
        operation: str = "Update",
    ) -> Object:
        """Change an object as somebody else."""
        with self._lock:
            done = self._patch(ref, patch, manager, operation)
            assert done is not None, f"there is no {ref}"
            return done

    def fail(self, verb: str, subject: str, error: MeshctlError, times: int = 1) -> None:
        """Let the next `times` calls of a method on `subject` (a `str(ref)`) raise `error`."""
        self._faults.append((verb, subject, error, [times]))

    def all(self) -> tuple[Object, ...]:
        """Every object there, sorted by name."""
        with self._lock:
            return tuple(sorted((self._shown(key) for key in self._objects), key=lambda each: each.ref))

    def forget_watch(self, watch: FakeWatch) -> None:
        """A watch was closed."""
        with self._lock:
            if watch in self._watches:
                self._watches.remove(watch)

    # The port.

    @property
    def name(self) -> str:
        return self._name

    @property
    def server(self) -> str:
        return f"https://{self._name}.example:6443"

    @property
    def at_once(self) -> int:
        return 12

    @property
    def authority(self) -> bytes | None:
        return f"authority of {self._name}".encode()

    def version(self) -> str:
        return self._version

    def kinds(self) -> tuple[Kind, ...]:
        with self._lock:
            first: dict[tuple[str, str], Kind] = {}
            for kind in self._kinds:
                first.setdefault((kind.group, kind.kind), kind)
            return tuple(sorted(first.values()))

    def get(self, ref: Ref) -> Object | None:
        with self._lock:
            self._trip("get", ref)
            key = _key(ref)
            if self._kind(ref.api_version, ref.kind) is None or key not in self._objects:
                return None
            return self._shown(key, ref.api_version)

    def list(
        self, api_version: str, kind: str, *, namespace: str = "", labels: str = "", fields: str = ""
    ) -> tuple[Object, ...]:
        with self._lock:
            if self._kind(api_version, kind) is None:
                return ()
            group = api_version.rpartition("/")[0]
            found = [
                self._shown(key, api_version)
                for key in sorted(self._objects)
                if key[:2] == (group, kind) and namespace in ("", key[2])
            ]
            return tuple(obj for obj in found if _selected(obj, labels) and _has_fields(obj, fields))

    def names(self, kind: Kind, *, labels: str = "") -> tuple[Ref, ...]:
        return tuple(obj.ref for obj in self.list(kind.api_version, kind.kind, labels=labels))

    def apply(self, obj: Object, *, take_over: bool = False, dry_run: bool = False) -> Object:
        with self._lock:
            if not dry_run:
                self.writes.append(f"apply {obj.ref}")
            self._trip("apply", obj.ref)
            self._check_place(obj.ref)
            key = _key(obj.ref)
            if not dry_run:
                return self._apply(key, obj, take_over)
            return self._rehearsed(key, lambda: self._apply(key, obj, take_over))

    def patch(self, ref: Ref, patch: Mapping[str, Any]) -> Object | None:
        with self._lock:
            self.writes.append(f"patch {ref}")
            self._trip("patch", ref)
            return self._patch(ref, patch, "meshctl")

    def create(self, obj: Object, *, manager: str = "meshctl", dry_run: bool = False) -> Object:
        with self._lock:
            if dry_run:
                self._trip("create", obj.ref)
                return self._rehearsed(_key(obj.ref), lambda: self._create(obj, manager))
            self.writes.append(f"create {obj.ref}")
            self._trip("create", obj.ref)
            return self._create(obj, manager)

    def replace(self, obj: Object, *, manager: str = "meshctl", dry_run: bool = False) -> Object:
        with self._lock:
            if not dry_run:
                self.writes.append(f"replace {obj.ref}")
            self._trip("replace", obj.ref)
            key = _key(obj.ref)
            if key not in self._objects:
                raise FailedError("not-found", f"the API server refused to replace {obj.ref}")
            there = self._objects[key]["metadata"]["resourceVersion"]
            if obj.at("metadata.resourceVersion", there) != there:
                raise ConflictError("object-changed", f"the API server refused to replace {obj.ref}")

            def work() -> Object:
                return self._update(key, copy.deepcopy(dict(obj.content)), manager)

            return self._rehearsed(key, work) if dry_run else work()

    def delete(self, ref: Ref, *, foreground: bool = False, grace: int | None = None) -> bool:
        with self._lock:
            self.writes.append(f"delete {ref}")
            self._trip("delete", ref)
            return self._delete(_key(ref))

    def evict(self, ref: Ref, *, uid: str = "") -> bool:
        with self._lock:
            self.writes.append(f"evict {ref}")
            self._trip("evict", ref)
            pod = self.get(ref)
            if pod is None or uid not in ("", pod.uid):
                return False
            budgets = [
                each
                for each in self.list("policy/v1", "PodDisruptionBudget", namespace=ref.namespace)
                if _covers(each, pod)
            ]
            if len(budgets) > 1:
                raise FailedError("request-refused", "the pod has more than one disruption budget")
            if budgets and pod.at("status.phase") == "Running" and not pod.is_leaving:
                self._ask_budget(budgets[0], ref)
            return self._delete(_key(ref))

    def _ask_budget(self, budget: Object, ref: Ref) -> None:
        covered = [each for each in self.list("v1", "Pod", namespace=ref.namespace) if _covers(budget, each)]
        healthy = sum(_is_ready(each) and not each.is_leaving for each in covered)
        expected = int(budget.at("status.expectedPods", len(covered)))
        least = budget.at("spec.minAvailable", expected - int(budget.at("spec.maxUnavailable", 0)))
        if healthy <= least:
            name = budget.ref.name
            raise FailedError(
                "budget-exhausted",
                f"a disruption budget does not let {ref} end now",
                details=[f"The disruption budget {name} needs {least} healthy pods and has {healthy}"],
            )

    def watch(
        self, api_version: str, kind: str, *, namespace: str = "", name: str = "", seconds: float = 300.0
    ) -> FakeWatch:
        with self._lock:
            group = api_version.rpartition("/")[0]

            def wants(obj: Object) -> bool:
                ref = obj.ref
                return (
                    (ref.group, ref.kind) == (group, kind)
                    and namespace in ("", ref.namespace)
                    and name in ("", ref.name)
                )

            watch = FakeWatch(self, wants, self._clock.monotonic() + seconds, self._clock)
            for obj in self.list(api_version, kind, namespace=namespace):
                watch.tell("ADDED", obj)
            if self._kind(api_version, kind) is None:
                watch.close()
            else:
                self._watches.append(watch)
            return watch

    def token(
        self,
        namespace: str,
        account: str,
        *,
        audiences: Sequence[str] = (),
        seconds: int,
        bound: Object | None = None,
    ) -> str:
        if self.get(Ref("v1", "ServiceAccount", namespace, account)) is None:
            raise FailedError("not-found", f"there is no ServiceAccount {namespace}/{account}")
        if audiences:
            return f"token-of-{namespace}-{account}-for-{'-'.join(audiences)}"
        now = int(self._clock.now().timestamp())
        to = {"uid": bound.uid} if bound else {}
        claims = {"iat": now, "exp": now + seconds, "sub": f"{namespace}/{account}", "bound": to}
        body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
        return f"eyJhbGciOiJub25lIn0.{body}.{'signature'.ljust(16, '0')}"

    def allowed(self, verb: str, group: str, resource: str, namespace: str = "", name: str = "") -> bool:
        if resource == "*":
            return not any(verb in ("*", refused) for refused, _ in self.denied)
        return (verb, resource) not in self.denied

    def logs(self, namespace: str, pod: str, container: str, *, lines: int = 20) -> str:
        return "\n".join(self.log_lines.get((namespace, pod, container), "").splitlines()[-lines:])

    @contextlib.contextmanager
    def forward(self, namespace: str, pod: str, port: int) -> Iterator[tuple[str, int]]:
        if (namespace, pod, port) not in self.targets:
            raise UnreachableError(
                "pod-unreachable", f"nothing listens on port {port} of Pod {namespace}/{pod}"
            )
        yield self.targets[namespace, pod, port]

    # How it works.

    def _kind(self, api_version: str, kind: str) -> Kind | None:
        return next(
            (each for each in self._kinds if (each.api_version, each.kind) == (api_version, kind)), None
        )

    def _trip(self, verb: str, ref: Ref) -> None:
        for fault in self._faults:
            if fault[:2] == (verb, str(ref)) and fault[3][0]:
                fault[3][0] -= 1
                raise fault[2]

    def _shown(self, key: Key, api_version: str = "") -> Object:
        content = copy.deepcopy(self._objects[key])
        content["apiVersion"] = api_version or content["apiVersion"]
        fields = managed_fields(self._owners[key], content["apiVersion"])
        content["metadata"]["managedFields"] = fields
        return Object(content)

    def _check_place(self, ref: Ref) -> None:
        kind = self._kind(ref.api_version, ref.kind)
        if kind is None:
            raise FailedError("not-found", f"the cluster does not know {ref.kind} of {ref.api_version}")
        if not kind.namespaced:
            return
        home = self._objects.get(("", "Namespace", "", ref.namespace))
        if home is None:
            raise FailedError("not-found", f"namespaces {ref.namespace!r} not found")
        if home["metadata"].get("deletionTimestamp") and _key(ref) not in self._objects:
            raise FailedError("namespace-terminating", f"namespace {ref.namespace!r} is being deleted")

    def _rehearsed(self, key: Key, work: Callable[[], Object]) -> Object:
        """What `work` gives, with nothing of it kept and nobody told."""
        before = copy.deepcopy((self._objects.get(key), self._owners.get(key)))
        watches, self._watches = self._watches, []
        try:
            return work()
        finally:
            self._watches = watches
            for shelf, old in zip((self._objects, self._owners), before, strict=True):
                shelf.pop(key, None)  # type: ignore[attr-defined]
                if old is not None:
                    shelf[key] = old  # type: ignore[index]

    def _apply(self, key: Key, obj: Object, take_over: bool) -> Object:
        me = ("meshctl", "Apply")
        applied = copy.deepcopy(dict(obj.content))
        wanted = leaves(applied, status=False)
        live = self._objects.get(key)
        owners = self._owners.setdefault(key, {})
        if live is None:
            owners[me] = set(wanted)
            return self._store(key, applied)
        have = leaves(live)
        clashes = [
            (manager, path)
            for manager, paths in owners.items()
            for path in paths & wanted.keys()
            if manager != me and have.get(path) != wanted[path]
        ]
        if clashes and not take_over:
            lines = sorted({f"{manager[0]}: {dotted(path)}" for manager, path in clashes})
            raise ConflictError(
                "fields-owned-by-others", f"it is not possible to apply {obj.ref}", details=lines
            )
        for manager, path in clashes:
            owners[manager].discard(path)
        content = merged(live, applied, key[1])
        for path in sorted(owners.get(me, set()) - wanted.keys()):  # a list item before what is in it
            if not any(path in paths for manager, paths in owners.items() if manager != me):
                remove(content, path)
        owners[me] = set(wanted)
        return self._store(key, content)

    def _create(self, obj: Object, manager: str, operation: str = "Update") -> Object:
        self._check_place(obj.ref)
        key = _key(obj.ref)
        if key in self._objects:
            raise ConflictError("already-exists", f"the API server refused to create {obj.ref}")
        content = copy.deepcopy(dict(obj.content))
        content["metadata"].pop("managedFields", None)
        self._owners[key] = {(manager, operation): set(leaves(content))}
        return self._store(key, content)

    def _patch(
        self, ref: Ref, patch: Mapping[str, Any], manager: str, operation: str = "Update"
    ) -> Object | None:
        key = _key(ref)
        if key not in self._objects:
            return None
        content = copy.deepcopy(self._objects[key])
        there = content["metadata"]["resourceVersion"]
        _merge_patch(content, patch)
        if content["metadata"]["resourceVersion"] != there:
            raise ConflictError("object-changed", f"the API server refused to change {ref}")
        if fields := patch.get("metadata", {}).get("managedFields"):
            self._owners[key] = owners(fields)
        return self._update(key, content, manager, operation)

    def _update(self, key: Key, content: dict[str, Any], manager: str, operation: str = "Update") -> Object:
        before, after = leaves(self._objects[key]), leaves(content)
        changed = {path for path in after if before.get(path, path) != after[path]}
        gone = before.keys() - after.keys()
        held = self._owners[key]
        for paths in held.values():
            paths -= changed | gone
        held.setdefault((manager, operation), set()).update(changed)
        return self._store(key, content)

    def _store(self, key: Key, content: dict[str, Any]) -> Object:
        before = self._objects.get(key)
        meta = content["metadata"]
        old = before["metadata"] if before else {}
        for name in ("uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp"):
            meta.pop(name, None)
            if name in old:
                meta[name] = old[name]
        meta.pop("managedFields", None)
        if before is None:
            meta["uid"] = f"uid-{next(self._numbers)}"
            meta["creationTimestamp"] = self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
            meta["generation"] = 1
        elif _spec(before) != _spec(content):
            meta["generation"] = old.get("generation", 1) + 1
        self._settle(key, content)
        if before is not None and _bare(before) == _bare(content):
            self._objects[key] = content
            return self._shown(key)  # nothing changed: no new resourceVersion, no event
        meta["resourceVersion"] = str(next(self._numbers))
        self._objects[key] = content
        shown = self._shown(key)
        if meta.get("deletionTimestamp") and not meta.get("finalizers") and not self._holds(key):
            self._drop(key)
            return shown
        self._tell("ADDED" if before is None else "MODIFIED", shown)
        return shown

    def _settle(self, key: Key, content: dict[str, Any]) -> None:
        """What the API server's own controllers do at once, and the others in time."""
        if key[1] == "Namespace":
            content.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
            content["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = key[3]
            phase = "Terminating" if content["metadata"].get("deletionTimestamp") else "Active"
            content.setdefault("status", {})["phase"] = phase
        elif key[1] == "CustomResourceDefinition" and self._settles:
            content["status"] = {"conditions": [{"type": "Established", "status": "True"}]}
            self._serve(content["spec"])
        elif key[1] == "MutatingWebhookConfiguration" and self._settles:
            for webhook in content.get("webhooks", ()):
                webhook.setdefault("clientConfig", {}).setdefault("caBundle", "aXN0aW9k")
        elif self._settles and key[1] in _READY:
            content["status"] = _READY[key[1]](content)

    def _serve(self, spec: Mapping[str, Any]) -> None:
        for version in spec["versions"]:
            api_version, name = f"{spec['group']}/{version['name']}", spec["names"]
            if version.get("served", True) and self._kind(api_version, name["kind"]) is None:
                namespaced = spec["scope"] == "Namespaced"
                self._kinds.append(Kind(api_version, name["kind"], name["plural"], namespaced, ALL))

    def _delete(self, key: Key) -> bool:
        content = self._objects.get(key)
        if content is None:
            return False
        if content["metadata"].get("deletionTimestamp"):
            return True
        content = copy.deepcopy(content)
        self._objects[key] = content
        content["metadata"]["deletionTimestamp"] = self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        content["metadata"]["resourceVersion"] = str(next(self._numbers))
        if key[1] == "Namespace":
            content["status"]["phase"] = "Terminating"
        for inner in self._inside(key):
            self._delete(inner)
        if key in self._objects:
            if content["metadata"].get("finalizers") or self._holds(key):
                self._tell("MODIFIED", self._shown(key))
            else:
                self._drop(key)
        return True

    def _inside(self, key: Key) -> Sequence[Key]:
        """What goes with a namespace, or with a definition."""
        if key[1] == "Namespace":
            return [each for each in list(self._objects) if each[2] == key[3]]
        if key[1] == "CustomResourceDefinition":
            spec = self._objects[key]["spec"]
            return [
                each for each in list(self._objects) if each[:2] == (spec["group"], spec["names"]["kind"])
            ]
        return []

    def _holds(self, key: Key) -> bool:
        return any(each in self._objects for each in self._inside(key))

    def _drop(self, key: Key) -> None:
        shown = self._shown(key)
        content = self._objects.pop(key)
        self._owners.pop(key)
        if key[1] == "CustomResourceDefinition":
            group, kind = content["spec"]["group"], content["spec"]["names"]["kind"]
            self._kinds = [each for each in self._kinds if (each.group, each.kind) != (group, kind)]
        self._tell("DELETED", shown)
        for other in list(self._objects):
            owners = self._objects.get(other, {}).get("metadata", {}).get("ownerReferences", ())
            if any(each.get("uid") == shown.uid for each in owners):
                self._delete(other)
        for other in list(self._objects):
            meta = self._objects[other]["metadata"] if other in self._objects else {}
            if meta.get("deletionTimestamp") and not meta.get("finalizers") and not self._holds(other):
                self._drop(other)

    def _tell(self, change: str, obj: Object) -> None:
        for watch in list(self._watches):
            watch.tell(change, obj)


def _covers(budget: Object, pod: Object) -> bool:
    wanted = budget.at("spec.selector.matchLabels", {})
    return bool(wanted.items() <= dict(pod.labels).items())


def _is_ready(pod: Object) -> bool:
    return {"type": "Ready", "status": "True"} in pod.at("status.conditions", ())


def _key(ref: Ref) -> Key:
    return ref.group, ref.kind, ref.namespace, ref.name


def _spec(content: Mapping[str, Any]) -> Any:
    return {key: value for key, value in content.items() if key not in ("metadata", "status")}


def _bare(content: Mapping[str, Any]) -> Any:
    meta = {key: value for key, value in content["metadata"].items() if key != "resourceVersion"}
    return {**content, "metadata": meta}


def _merge_patch(content: dict[str, Any], patch: Mapping[str, Any]) -> None:
    for key, value in patch.items():
        if value is None:
            content.pop(key, None)
        elif isinstance(value, Mapping):
            inner = content.get(key)
            content[key] = inner if isinstance(inner, dict) else {}
            _merge_patch(content[key], value)
        else:
            content[key] = copy.deepcopy(value)


def _selected(obj: Object, labels: str) -> bool:
    for term in filter(None, labels.split(",")):
        key, equals, value = term.partition("=")
        negated = key.endswith("!") or key.startswith("!")
        name = key.strip("!")
        holds = obj.labels.get(name) == value.lstrip("=") if equals else name in obj.labels
        if holds == negated:
            return False
    return True


def _has_fields(obj: Object, fields: str) -> bool:
    for term in filter(None, fields.split(",")):
        path, _, value = term.partition("=")
        holds = str(obj.at(path.rstrip("!"), "")) == value.lstrip("=")
        if holds == path.endswith("!"):
            return False
    return True


def _replicas(content: Mapping[str, Any]) -> dict[str, Any]:
    count = content.get("spec", {}).get("replicas", 1)
    names = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    return {"observedGeneration": content["metadata"]["generation"], **dict.fromkeys(names, count)}


def _nodes(content: Mapping[str, Any]) -> dict[str, Any]:
    names = ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable", "numberReady")
    return {"observedGeneration": content["metadata"]["generation"], **dict.fromkeys(names, 1)}


_READY: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "Deployment": _replicas,
    "StatefulSet": _replicas,
    "DaemonSet": _nodes,
    "Job": lambda _: {"conditions": [{"type": "Complete", "status": "True"}]},
}
