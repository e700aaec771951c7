"""What of a cluster goes with a mesh, what stays, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from meshctl.errors import listed
from meshctl.model.labels import GENERATED, MESH, REVISION, TAG
from meshctl.model.objects import Ref
from meshctl.model.release import Status
from meshctl.model.removal import Doomed
from meshctl.stages.planning.kinds import DEFINITION, WEBHOOKS, same
from meshctl.stages.planning.records import current
from meshctl.stages.planning.tags import is_given_away, leads_elsewhere
from meshctl.stages.removing.belongings import (
    CA_SECRET,
    INJECTION,
    Belonging,
    belonging,
    controllers_own,
    election_of,
    is_born_with,
    is_definition,
    is_everywhere,
    is_istiod,
    links_clusters,
    made_soon,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from meshctl.model.objects import Object
    from meshctl.model.observation import Observation
    from meshctl.model.release import Release
    from meshctl.model.removal import Scope

_Key: TypeAlias = tuple[str, str, str, str]

_WAS_THERE = "it was there before the mesh was installed"
_SYSTEM = frozenset({"default", "kube-node-lease", "kube-public", "kube-system"})


@dataclass(frozen=True)
class Verdict:
    """What goes, by the turn in which it goes.

    Attributes:
        records: releases whose records are settled with it, oldest first.
        beside: whether other control planes of the mesh go on, so that these records are kept, as
            superseded, and labels of namespaces are let alone.
        components: what was installed, by label or record.
        definitions: custom resource definitions.
        namespace: the mesh's namespace, or nothing.
        made: what istiod's controllers made and no namespace takes along.
        warnings: what stays, and why.
    """

    records: tuple[Release, ...]
    beside: bool
    components: tuple[Doomed, ...]
    definitions: tuple[Doomed, ...]
    namespace: tuple[Doomed, ...]
    made: tuple[Doomed, ...]
    warnings: tuple[str, ...]


def judge(seen: Observation, scope: Scope, present: Sequence[Ref]) -> Verdict:
    """What of a cluster goes; see `removal.removal` for the arguments."""
    return _Judge(seen, scope, tuple(sorted(present))).verdict()


class _Judge:
    """One cluster being judged."""

    def __init__(self, seen: Observation, scope: Scope, present: Sequence[Ref]) -> None:
        self.seen = seen
        records = [each for each in seen.releases if each.mesh == scope.mesh]
        living = {each.revision for each in records if _lives(each)}
        if is_last(seen, scope):
            scope = replace(scope, revision=None)
        self.scope = scope
        self.present = present
        self.records = [each for each in records if scope.revision in (None, each.revision)]
        others = living - {each.revision for each in self.records}
        self.beside = bool(others)
        if self.beside:
            self.records = [each for each in self.records if _lives(each)]
        self.shared = {
            same(ref)
            for revision in others
            for each in current(records, scope.mesh, revision)
            for ref in each.refs
        }
        self.before = {same(ref) for each in records[-1:] for ref in each.inventory}
        self.warnings: list[str] = []

    def verdict(self) -> Verdict:
        components = self._components()
        going = {same(each.ref) for each in components}
        others = sorted(
            obj.ref.place
            for obj in self.seen.objects.values()
            if is_istiod(obj) and same(obj.ref) not in going
        )
        runs = any(is_istiod(self.seen.objects[each.ref]) for each in components)
        made = tuple(self._elections()) if others else tuple(self._made(runs=runs))
        if others:
            self.warnings.append(f"what control planes share stays, as these remain: {listed(others)}")
        definitions = self._definitions() if self.scope.purge and not others else ()
        going |= {same(each.ref) for each in (*made, *definitions)}
        namespace = () if self.beside else tuple(self._namespaces(going, definitions, others))
        home = {each.ref.name for each in namespace}
        named = {same(each.ref) for each in components}
        # Keys are named even where they go with their namespace: whoever reads the plan must see it.
        rest = tuple(
            each
            for each in made
            if same(each.ref) not in named and (each.ref.namespace not in home or each.ref.kind == "Secret")
        )
        self._tell_labels()
        self._tell_gateways(others)
        return Verdict(
            tuple(self.records), self.beside, components, definitions, namespace, rest, tuple(self.warnings)
        )

    def _components(self) -> tuple[Doomed, ...]:
        """What records list and what labels tell, without definitions, namespaces and custom resources."""
        found: dict[_Key, Doomed] = {}
        for record in self.records:
            for part in record.manifest.parts:
                for obj in part.objects:
                    if obj.ref in self.seen.objects and obj.ref.kind not in (DEFINITION, "Namespace"):
                        found[same(obj.ref)] = Doomed(obj.ref, part.component, "part of the mesh")
        for obj in self.seen.objects.values():
            if same(obj.ref) not in found and (each := self._claimed(obj)):
                found[same(obj.ref)] = each
        for each in self._orphaned_webhooks(found):
            found[same(each.ref)] = each
        self._explain([found[key].ref for key in found.keys() & self.before], _WAS_THERE)
        going = found.keys() - self.before - self.shared - self._given_away(found)
        return tuple(sorted((found[key] for key in going), key=_by_ref))

    def _claimed(self, obj: Object) -> Doomed | None:
        """An object that no record lists, when it is ours to remove all the same.

        While there is a record, another installer's objects are another mesh's unless all is to go.
        """
        told = belonging(obj, self.scope.namespace)
        if told is None or obj.ref.kind == "GatewayClass":
            return None
        mesh = obj.labels.get(MESH)
        if self.scope.revision is not None and TAG in obj.labels:
            return Doomed(obj.ref, told.component, told.why) if self._is_of_revision(obj) else None
        if mesh is None and self.records and not self.scope.purge and GENERATED not in obj.labels:
            return None
        if mesh not in (None, self.scope.mesh) or not self._is_of_revision(obj):
            return None
        return Doomed(obj.ref, told.component, told.why)

    def _is_of_revision(self, obj: Object) -> bool:
        """Whether it goes with the revision that goes; what names none is shared."""
        wanted = self.scope.revision
        if wanted is None:
            return True
        return REVISION in obj.labels and GENERATED not in obj.labels and not leads_elsewhere(obj, wanted)

    def _given_away(self, found: Mapping[_Key, Doomed]) -> set[_Key]:
        """Tags that lead to a control plane that stays by now."""
        wanted = self.scope.revision
        if wanted is None:
            return set()
        live = [obj for each in found.values() if (obj := self.seen.objects.get(each.ref))]
        return {same(obj.ref) for obj in live if is_given_away(obj, wanted)}

    def _orphaned_webhooks(self, found: Collection[_Key]) -> Iterator[Doomed]:
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
                yield Doomed(ref, "istiod", "a webhook that nothing will answer")

    def _elections(self) -> Iterator[Doomed]:
        """What replicas of the one revision that goes elected their leaders with."""
        for ref in self.present:
            mine = ref.namespace == self.scope.namespace and same(ref) not in self.before
            if mine and self.scope.revision is not None and election_of(ref, self.scope.revision):
                yield Doomed(ref, "istiod", controllers_own(ref))

    def _made(self, *, runs: bool) -> Iterator[Doomed]:
        """What Istio's controllers made; it goes once no control plane is left to make it again.

        Where one `runs`, it may still make the rest of it before it ends.
        """
        namespaces = [ref.name for ref in self.present if (ref.kind, ref.group) == ("Namespace", "")]
        staying = [name for name in namespaces if not self._is_leaving(Ref("v1", "Namespace", "", name))]
        soon = made_soon(staying, self.scope.namespace, self.seen.kinds) if runs else ()
        for ref in sorted({*self.present, *soon}):
            if same(ref) not in self.before and (each := self._made_by_istiod(ref)):
                yield each

    def _made_by_istiod(self, ref: Ref) -> Doomed | None:
        mine = ref.namespace == self.scope.namespace
        if ref.kind == "GatewayClass":
            live = self.seen.objects.get(ref)
            told = belonging(live, self.scope.namespace) if live else Belonging("istiod", "istiod makes it")
            return Doomed(ref, told.component, told.why) if told else None
        if (why := controllers_own(ref)) and (mine or is_everywhere(ref)):
            return Doomed(ref, "istiod", why)
        if mine and (ref.group, ref.kind, ref.name) == ("", "Secret", CA_SECRET):
            if not self.scope.keep_ca:
                return Doomed(ref, "istiod", "the key of istiod's own certificate authority")
            self._explain([ref], "the key of the certificate authority is kept, as you asked")
        if mine and links_clusters(ref) and ref not in self.seen.objects:
            if self.scope.purge:
                return Doomed(ref, "istiod", "lets an istiod reach another cluster")
            self._explain([ref], "it links clusters; `--purge` removes it")
        return None

    def _definitions(self) -> tuple[Doomed, ...]:
        refs = [ref for ref in self.present if is_definition(ref)]
        self._explain(
            [ref for ref in refs if same(ref) in self.before], "was there before the mesh was installed"
        )
        going = [ref for ref in refs if same(ref) not in self.before]
        return tuple(Doomed(ref, "base", "defines a kind of Istio's") for ref in going)

    def _namespaces(
        self, going: Collection[_Key], definitions: Sequence[Doomed], others: Sequence[str]
    ) -> Iterator[Doomed]:
        """The namespaces made for the mesh and its parts, where they may go or are going already."""
        home = Ref("v1", "Namespace", "", self.scope.namespace)
        made = {
            ref for record in self.records for ref in record.refs if (ref.kind, ref.group) == (home.kind, "")
        }
        for ref in sorted({home, *made}):
            live = self.seen.objects.get(ref)
            if live is None or ref.name in _SYSTEM or same(ref) in self.shared:
                continue
            reason = "" if self._is_leaving(ref) else self._namespace_stays(live, going, definitions, others)
            if reason:
                self._explain([ref], reason)
            else:
                yield Doomed(ref, "namespace", "made for the mesh")

    def _is_leaving(self, ref: Ref) -> bool:
        live = self.seen.objects.get(ref)
        return live is not None and live.is_leaving

    def _namespace_stays(
        self,
        live: Object,
        going: Collection[_Key],
        definitions: Sequence[Doomed],
        others: Sequence[str],
    ) -> str:
        """Why a namespace of the mesh must not go; empty when it may."""
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

    def _tell_labels(self) -> None:
        """Namespaces that the user labelled keep their labels, and are told."""
        ours = {name for record in self.records for name, _ in record.labelled}
        for ref, obj in sorted(self.seen.objects.items()):
            if ref.kind != "Namespace" or ref.group or ref.name in (*ours, self.scope.namespace):
                continue
            kept = sorted(f"{key}={obj.labels[key]}" for key in INJECTION & obj.labels.keys())
            if self.scope.purge and kept:
                self._explain(
                    [ref], f"you labelled it {listed(kept)}; take the labels away if no mesh follows"
                )


def is_last(seen: Observation, scope: Scope) -> bool:
    """Whether no other control plane stands beside the one that `scope` names, so that all goes with it."""
    if scope.revision is None:
        return True
    records = {each.revision for each in seen.releases if each.mesh == scope.mesh and _lives(each)}
    istiods = [obj for obj in seen.objects.values() if is_istiod(obj)]
    return records <= {scope.revision} and not any(leads_elsewhere(obj, scope.revision) for obj in istiods)


def _lives(release: Release) -> bool:
    return release.status is not Status.SUPERSEDED


def _by_ref(each: Doomed) -> Ref:
    return each.ref
