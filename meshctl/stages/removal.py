"""From what is seen of a mesh to the steps that leave nothing of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from meshctl.errors import listed
from meshctl.model.objects import Ref
from meshctl.model.plan import Await, Condition, Delete, Phase, Plan, Record, Save, Strip, Unlabel
from meshctl.model.release import Status
from meshctl.stages.belongings import (
    CA_SECRET,
    GENERATED,
    INJECTION,
    MESH,
    Belonging,
    belonging,
    controllers_own,
    is_born_with,
    is_definition,
    is_everywhere,
    is_istio,
    is_istiod,
    links_clusters,
    made_soon,
)
from meshctl.stages.kinds import DEFINITION, WEBHOOKS, WORKLOADS, same
from meshctl.stages.plan import current

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from meshctl.model.objects import Object
    from meshctl.model.observation import Observation

_Key: TypeAlias = tuple[str, str, str, str]

_ORDER = ("base", "cni", "istiod", "ztunnel")
"""Components in the order in which they are installed; all others stand on these. It is said here
once more because a mesh whose record is lost, or that another tool installed, has no `needs`."""

_ADMISSION = frozenset({*WEBHOOKS, "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"})
_WAS_THERE = "it was there before the mesh was installed"
_SYSTEM = frozenset({"default", "kube-node-lease", "kube-public", "kube-system"})


@dataclass(frozen=True, slots=True)
class Scope:
    """How much is to go.

    Attributes:
        mesh: name of the mesh.
        namespace: the mesh's namespace.
        purge: also definitions with all resources of their kinds, links to other clusters, and
            what other installers left.
        keep_ca: leave the certificate authority's key, so that a new install signs with it again.
        revision: only this control plane; None is all of them. Empty is the unnamed one.
        strip: take finalizers of resources away whose definitions go, so that they cannot hold them.
        file: where the user's resources are saved before their definitions go.
        seconds: budget of each wait.
    """

    mesh: str
    namespace: str = "istio-system"
    purge: bool = False
    keep_ca: bool = False
    revision: str | None = None
    strip: bool = False
    file: str = "istio-resources.yaml"
    seconds: float = 300.0


@dataclass(frozen=True, slots=True)
class _Doomed:
    ref: Ref
    component: str
    why: str


def removal(seen: Observation, scope: Scope, present: Sequence[Ref]) -> Plan:
    """The steps that remove a mesh, in an order in which nothing can stand in the way.

    It hangs on nothing of the mesh being in order: webhooks go first, so that a broken istiod blocks
    nothing; what istiod's controllers make goes after istiod, which would make it again.

    Args:
        seen: the cluster with its records; `objects` holds what the records list and what
            `belongings.sight` finds.
        scope: how much is to go.
        present: names of all objects of the cluster, as `observe.inventory` gives them.

    Returns:
        Phases: record the intent; save resources whose definitions go; webhooks; workloads; the
        namespace, definitions and all the rest; wait until that is gone; what istiod's controllers
        made elsewhere; labels of namespaces put back; forget the records.
        Objects that stood before the first install stay, and so does a namespace that holds what
        others made: `warnings` says so. A plan with nothing to do is empty.
    """
    return _Removal(seen, scope, tuple(sorted(present))).plan()


def doomed(plan: Plan) -> tuple[Ref, ...]:
    """Everything that a plan removes by name."""
    return tuple(step.ref for step in plan.steps if isinstance(step, Delete))


class _Removal:
    """One removal being planned; see `removal`."""

    def __init__(self, seen: Observation, scope: Scope, present: Sequence[Ref]) -> None:
        self.seen = seen
        self.scope = scope
        self.present = present
        records = [each for each in seen.releases if each.mesh == scope.mesh]
        self.records = [each for each in records if scope.revision in (None, each.revision)]
        self.shared = {
            same(ref)
            for revision in {each.revision for each in records} - {each.revision for each in self.records}
            for each in current(records, scope.mesh, revision)
            for ref in each.refs
        }
        self.before = {same(ref) for each in records[-1:] for ref in each.inventory}
        self.warnings: list[str] = []

    def plan(self) -> Plan:
        components = self._components()
        going = {same(each.ref) for each in components}
        others = sorted(
            obj.ref.place
            for obj in self.seen.objects.values()
            if is_istiod(obj) and same(obj.ref) not in going
        )
        runs = any(is_istiod(self.seen.objects[each.ref]) for each in components)
        made = () if others else tuple(self._made(runs=runs))
        if others:
            self.warnings.append(f"what control planes share stays, as these remain: {listed(others)}")
        definitions = self._definitions() if self.scope.purge and not others else ()
        going |= {same(each.ref) for each in (*made, *definitions)}
        namespace = self._namespace(going, definitions, others)
        home = {each.ref.name for each in namespace}
        # Keys are named even where they go with their namespace: whoever reads the plan must see it.
        rest = [each for each in made if each.ref.namespace not in home or each.ref.kind == "Secret"]
        body = [
            *self._saving(definitions),
            *self._stripping(definitions),
            *self._removing(components, definitions, namespace),
            *self._waiting(components, definitions, namespace),
            *_deleting("Remove what istiod made", rest),
            *self._labels(),
        ]
        self._tell_gateways(others)
        if not body and not self.records:
            return Plan(self.seen.cluster, (), tuple(self.warnings))
        return Plan(self.seen.cluster, tuple(self._recorded(body)), tuple(self.warnings))

    def _recorded(self, body: Sequence[Phase]) -> Iterator[Phase]:
        if self.records:
            intent = Record(replace(self.records[-1], status=Status.UNINSTALLING))
            yield Phase("Record what is intended", (intent,))
        yield from body
        if self.records:
            forgotten = tuple(Record(each, forget=True) for each in self.records)
            yield Phase("Forget the records", forgotten)

    def _components(self) -> tuple[_Doomed, ...]:
        """What records list and what labels tell, without definitions, namespaces and custom resources."""
        found: dict[_Key, _Doomed] = {}
        for record in self.records:
            for part in record.manifest.parts:
                for obj in part.objects:
                    if obj.ref in self.seen.objects and obj.ref.kind not in (DEFINITION, "Namespace"):
                        found[same(obj.ref)] = _Doomed(obj.ref, part.component, "part of the mesh")
        for obj in self.seen.objects.values():
            if same(obj.ref) not in found and (each := self._claimed(obj)):
                found[same(obj.ref)] = each
        for each in self._orphaned_webhooks(found):
            found[same(each.ref)] = each
        self._explain([found[key].ref for key in found.keys() & self.before], _WAS_THERE)
        going = found.keys() - self.before - self.shared
        return tuple(sorted((found[key] for key in going), key=_by_ref))

    def _claimed(self, obj: Object) -> _Doomed | None:
        """An object that no record lists, when it is ours to remove all the same.

        While there is a record, another installer's objects are another mesh's unless all is to go.
        """
        told = belonging(obj, self.scope.namespace)
        if told is None or obj.ref.kind == "GatewayClass":
            return None
        mesh = obj.labels.get(MESH)
        if mesh is None and self.records and not self.scope.purge and GENERATED not in obj.labels:
            return None
        if mesh not in (None, self.scope.mesh) or not self._is_of_revision(obj):
            return None
        return _Doomed(obj.ref, told.component, told.why)

    def _is_of_revision(self, obj: Object) -> bool:
        wanted = self.scope.revision
        return wanted is None or obj.labels.get("istio.io/rev", "default") == (wanted or "default")

    def _orphaned_webhooks(self, found: Collection[_Key]) -> Iterator[_Doomed]:
        """Webhooks that nobody will answer any more; each would refuse pods or configuration for ever."""
        ours = self.scope.namespace
        left = {
            ref.name
            for ref in self.present
            if ref.kind == "Service" and ref.namespace == ours and same(ref) not in found
        }
        for ref, obj in self.seen.objects.items():
            if ref.kind not in WEBHOOKS or same(ref) in found or belonging(obj, ours) is None:
                continue
            services = [each.get("clientConfig", {}).get("service") for each in obj.at("webhooks", ())]
            if all(services) and not left.intersection(each["name"] for each in services):
                yield _Doomed(ref, "istiod", "a webhook that nothing will answer")

    def _made(self, *, runs: bool) -> Iterator[_Doomed]:
        """What Istio's controllers made; it goes once no control plane is left to make it again.

        Where one `runs`, it may still make the rest of it before it ends.
        """
        namespaces = [ref.name for ref in self.present if (ref.kind, ref.group) == ("Namespace", "")]
        staying = [name for name in namespaces if not self._is_leaving(Ref("v1", "Namespace", "", name))]
        soon = made_soon(staying, self.scope.namespace, self.seen.kinds) if runs else ()
        for ref in sorted({*self.present, *soon}):
            if same(ref) not in self.before and (each := self._made_by_istiod(ref)):
                yield each

    def _made_by_istiod(self, ref: Ref) -> _Doomed | None:
        mine = ref.namespace == self.scope.namespace
        if ref.kind == "GatewayClass":
            live = self.seen.objects.get(ref)
            told = belonging(live, self.scope.namespace) if live else Belonging("istiod", "istiod makes it")
            return _Doomed(ref, told.component, told.why) if told else None
        if (why := controllers_own(ref)) and (mine or is_everywhere(ref)):
            return _Doomed(ref, "istiod", why)
        if mine and (ref.group, ref.kind, ref.name) == ("", "Secret", CA_SECRET):
            if not self.scope.keep_ca:
                return _Doomed(ref, "istiod", "the key of istiod's own certificate authority")
            self._explain([ref], "the key of the certificate authority is kept, as you asked")
        if mine and links_clusters(ref):
            if self.scope.purge:
                return _Doomed(ref, "istiod", "lets an istiod reach another cluster")
            self._explain([ref], "it links clusters; `--purge` removes it")
        return None

    def _definitions(self) -> tuple[_Doomed, ...]:
        refs = [ref for ref in self.present if is_definition(ref)]
        self._explain(
            [ref for ref in refs if same(ref) in self.before], "was there before the mesh was installed"
        )
        going = [ref for ref in refs if same(ref) not in self.before]
        return tuple(_Doomed(ref, "base", "defines a kind of Istio's") for ref in going)

    def _saving(self, definitions: Sequence[_Doomed]) -> Iterator[Phase]:
        groups = {each.ref.name.partition(".")[2] for each in definitions}
        sent = {same(ref) for record in self.records for ref in record.refs}
        users = sorted(
            ref
            for ref in self.seen.objects
            if is_istio(ref.group) and ref.group in groups and same(ref) not in sent
        )
        if users:
            yield Phase("Save your Istio resources", (Save("base", tuple(users), self.scope.file),))

    def _removing(
        self,
        components: Sequence[_Doomed],
        definitions: Sequence[_Doomed],
        namespace: Sequence[_Doomed],
    ) -> Iterator[Phase]:
        """Webhooks, then workloads, from gateways inwards, then all the rest at once.

        The namespace is asked first of the rest, as its controller lets five seconds pass before it
        begins; roles, configuration and definitions need no pods to have ended either.
        """
        admission = [each for each in components if each.ref.kind in _ADMISSION]
        yield from _deleting("Remove webhooks and admission policies", admission)
        workloads = [each for each in components if each.ref.kind in WORKLOADS]
        yield from _deleting("Remove workloads", sorted(workloads, key=_outermost_first))
        asked = [each for each in namespace if not self._is_leaving(each.ref)]
        others = sorted(set(components) - set(admission) - set(workloads), key=_outermost_first)
        yield from _deleting("Remove all the rest", [*asked, *others, *definitions])

    def _waiting(self, components: Sequence[_Doomed], *others: Sequence[_Doomed]) -> Iterator[Phase]:
        """One wait for all that does not go at once.

        Definitions and the namespace are asked to go before it: neither needs pods to have ended, and
        the namespace's controller lets five seconds pass before it begins.
        """
        slow = [each for each in components if each.ref.kind in WORKLOADS or self._lingers(each.ref)]
        waits = tuple(
            Await(each.component, each.ref, Condition.GONE, self.scope.seconds)
            for each in (*slow, *chain.from_iterable(others))
        )
        if waits:
            yield Phase("Wait until they are gone", waits)

    def _lingers(self, ref: Ref) -> bool:
        """Whether finalizers keep an object for a while, as a load balancer's does."""
        live = self.seen.objects.get(ref)
        return live is not None and bool(live.at("metadata.finalizers"))

    def _stripping(self, definitions: Sequence[_Doomed]) -> Iterator[Phase]:
        """Definitions take the resources of their kinds with them, and wait for their finalizers."""
        held = [
            Strip("base", ref, tuple(obj.at("metadata.finalizers")))
            for ref, obj in sorted(self.seen.objects.items())
            if definitions and is_istio(ref.group) and obj.at("metadata.finalizers")
        ]
        if held and self.scope.strip:
            yield Phase("Strip finalizers", tuple(held))
            return
        for each in held:
            self.warnings.append(
                f"{each.ref} goes only when its finalizers are done: {listed(each.finalizers)}; "
                "their controller must run, or `--strip-finalizers` takes them away"
            )

    def _labels(self) -> Iterator[Phase]:
        """Put back labels that we set on namespaces; those that others set are told."""
        before = {name: dict(labels) for record in self.records[::-1] for name, labels in record.labelled}
        steps = []
        for ref, obj in sorted(self.seen.objects.items()):
            if ref.kind != "Namespace" or ref.group:
                continue
            if ref.name in before:
                past = before[ref.name]
                changed = [
                    (key, past.get(key)) for key in sorted(INJECTION) if obj.labels.get(key) != past.get(key)
                ]
                if changed:
                    steps.append(Unlabel("namespaces", ref, tuple(changed), "labelled by meshctl"))
            elif self.scope.purge and ref.name != self.scope.namespace:
                kept = sorted(f"{key}={obj.labels[key]}" for key in INJECTION & obj.labels.keys())
                if kept:
                    self._explain(
                        [ref], f"you labelled it {listed(kept)}; take the labels away if no mesh follows"
                    )
        if steps:
            yield Phase("Put labels of namespaces back", tuple(steps))

    def _namespace(
        self, going: Collection[_Key], definitions: Sequence[_Doomed], others: Sequence[str]
    ) -> tuple[_Doomed, ...]:
        """The mesh's namespace, where it may go or is going already."""
        ref = Ref("v1", "Namespace", "", self.scope.namespace)
        live = self.seen.objects.get(ref)
        if live is None or ref.name in _SYSTEM or same(ref) in self.shared:
            return ()
        reason = "" if self._is_leaving(ref) else self._namespace_stays(live, going, definitions, others)
        if reason:
            self._explain([ref], reason)
            return ()
        return (_Doomed(ref, "namespace", "made for the mesh"),)

    def _is_leaving(self, ref: Ref) -> bool:
        live = self.seen.objects.get(ref)
        return live is not None and bool(live.at("metadata.deletionTimestamp"))

    def _namespace_stays(
        self,
        live: Object,
        going: Collection[_Key],
        definitions: Sequence[_Doomed],
        others: Sequence[str],
    ) -> str:
        """Why the mesh's namespace must not go; empty when it may."""
        key = same(live.ref)
        if key in self.before:
            return _WAS_THERE
        ours = any(key == same(ref) for record in self.records for ref in record.refs)
        if not ours and not self.scope.purge and live.labels.get(MESH) != self.scope.mesh:
            return "nothing says that it was made for the mesh; `--purge` removes it"
        groups = {each.ref.name.partition(".")[2] for each in definitions}
        foreign = [
            str(ref)
            for ref in self.present
            if ref.namespace == live.ref.name
            and not is_born_with(ref)
            and same(ref) not in going
            and ref.group not in groups
        ]
        if foreign:
            return f"it holds what is not the mesh's: {listed(foreign)}"
        return f"control planes remain: {listed(others)}" if others else ""

    def _tell_gateways(self, others: Sequence[str]) -> None:
        mine = [
            ref
            for ref, obj in self.seen.objects.items()
            if ref.kind == "Gateway"
            and ref.group == "gateway.networking.k8s.io"
            and str(obj.at("spec.gatewayClassName", "")).startswith("istio")
        ]
        if not others:
            self._explain(mine, "you made it; nothing serves it any more")

    def _explain(self, refs: Sequence[Ref], why: str) -> None:
        self.warnings += [f"{ref} stays: {why}" for ref in sorted(refs)]


def _by_ref(each: _Doomed) -> Ref:
    return each.ref


def _layer(each: _Doomed) -> int:
    return _ORDER.index(each.component) if each.component in _ORDER else len(_ORDER)


def _outermost_first(each: _Doomed) -> tuple[int, Ref]:
    return -_layer(each), each.ref


def _deleting(title: str, group: Sequence[_Doomed]) -> Iterator[Phase]:
    if group:
        yield Phase(title, tuple(Delete(each.component, each.ref, each.why) for each in group))
