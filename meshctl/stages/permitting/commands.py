"""What each command needs, from its first look to its last step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from meshctl.model.manifest import Manifest
from meshctl.model.objects import Kind, Ref
from meshctl.model.observation import Observation
from meshctl.model.plan import Apply, Delete, Record
from meshctl.model.release import Release, Status
from meshctl.model.removal import Scope
from meshctl.model.right import ANY, Needs, Right
from meshctl.stages.permitting import steps as of_steps
from meshctl.stages.planning.kinds import DEFINITION, WORKLOADS
from meshctl.stages.planning.plan import plan
from meshctl.stages.removing.belongings import CA_SECRET, is_definition
from meshctl.stages.removing.removal import removal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from meshctl.model.plan import Step

_CACERTS = "cacerts"  # where istiod takes an authority that is plugged in
_INVENTORY = "names of all that is there: what a removal is compared with"
_STAYS = frozenset({DEFINITION, "Namespace"})
"""Kinds that an install never prunes."""
_ROOTS = ("istio-ca-root-cert", "istio-ca-crl")
_GATEWAY_CLASS = Kind("gateway.networking.k8s.io/v1", "GatewayClass", "gatewayclasses", namespaced=False)
_MOVING = (
    ("", "namespaces", ("get", "list", "patch")),
    ("", "pods", ("get", "watch", "delete")),
    ("", "pods/eviction", ("create",)),
    ("", "events", ("watch",)),
    ("", "replicationcontrollers", ("get", "watch")),
    ("apps", "replicasets", ("get", "watch")),
    *(("apps", each, ("get", "watch", "patch")) for each in ("daemonsets", "deployments", "statefulsets")),
    ("gateway.networking.k8s.io", "gateways", ("get", "patch")),
)
"""What moving anybody's workloads needs, besides listing; owners of other kinds are known to a plan only."""


@dataclass(frozen=True)
class Work:
    """What a command is to do, as far as that decides about rights.

    Attributes:
        desired: what an install sends, or what a removal takes away.
        mesh: name of the mesh.
        namespace: the mesh's namespace.
        revision: control-plane revision; empty for the unnamed one.
        generations: numbers that the records to be written or removed may have.
        kinds: what the cluster serves, where it was asked.
        authority: whether the mesh has a say in the certificate authority of the cluster.
    """

    desired: Manifest
    mesh: str
    namespace: str
    revision: str = ""
    generations: tuple[int, ...] = (1,)
    kinds: tuple[Kind, ...] = ()
    authority: bool = False

    @property
    def release(self) -> Release:
        """The record of such a release, with nothing in it that rights hang on."""
        return Release(
            mesh=self.mesh,
            cluster="",
            generation=self.generations[0],
            status=Status.DEPLOYED,
            version="",
            revision=self.revision,
            profile="",
            namespace=self.namespace,
            created="",
            manifest=self.desired,
            values={},
        )


def install(work: Work) -> Needs:
    """To install into an empty cluster, to change what is there, and to prune what is asked for no more."""
    first = plan(work.desired, Observation("", ""), replace(work.release, manifest=Manifest()))
    needs = of_steps.needs([step for step in first.steps if not isinstance(step, Record)], work.kinds)
    pruned = [ref for ref in sorted(work.desired.refs) if ref.kind not in _STAYS]
    rights = (
        *_records(work, "patch", "create", "delete"),
        *_under_way(work, "get"),
        *_gone(pruned, work.kinds),
        *_authority(work, "get", "patch", "create"),
        Right("", ANY, ANY, "list", why=_INVENTORY),
    )
    return needs | Needs(rights)


def uninstall(work: Work, *, purge: bool = True) -> Needs:
    """To remove a mesh from the namespace that holds these rights, which therefore stays.

    Pods and elections have names that nobody knows beforehand: those of the mesh's own namespaces may all
    go. What istiod made for a `Gateway` elsewhere is known to a plan only.
    """
    home = Ref("v1", "Namespace", "", work.namespace)
    secret = Ref("v1", "Secret", work.namespace, CA_SECRET)
    record = replace(work.release, inventory=(home,))
    seen = Observation(
        "",
        "",
        kinds=work.kinds or (_GATEWAY_CLASS,),
        objects={obj.ref: obj for obj in work.desired.objects},
        releases=(record,),
    )
    scope = Scope(work.mesh, work.namespace, purge=purge, revision=None if purge else work.revision)
    last = removal(seen, scope, sorted({*work.desired.refs, home, secret}))
    needs = of_steps.needs([step for step in last.steps if not isinstance(step, Record)], work.kinds)
    looked_at = [
        right for ref in sorted(work.desired.refs) for right in _on(ref, ("get",), work.kinds, of_steps.GO)
    ]
    rights = (
        *_records(work, "patch", "delete"),
        *_under_way(work, "get"),
        *looked_at,
        *_made(work),
        *_saved(work),
        *_authority(work, "delete"),
    )
    return needs | Needs((*rights, Right("", ANY, ANY, "list", why=_INVENTORY)))


def _authority(work: Work, *verbs: str) -> Iterator[Right]:
    """Rights on the authority that is plugged in; one of istiod's own making is looked at alone."""
    if not work.authority:
        return
    why = "the certificate authority of the cluster, with its key"
    for verb in verbs:
        yield Right(work.namespace, "", "secrets", verb, _CACERTS, why)
    if "get" in verbs:
        yield Right(work.namespace, "", "secrets", "get", CA_SECRET, why)


def upgrade(work: Work, former: Work) -> Needs:
    """To put a revision beside another one, move what hangs on it, and remove the other one; or in place."""
    why = "move namespaces and workloads to the new revision, and see what their proxies acknowledge"
    moving = tuple(
        Right("", group, resource, verb, why=why) for group, resource, verbs in _MOVING for verb in verbs
    )
    return beside(work, former, homes=("",), tried=work.namespace) | Needs(moving)


def beside(work: Work, former: Work, *, homes: Iterable[str], tried: str) -> Needs:
    """What an upgrade by a second control plane needs but for the moves, which a plan tells.

    Args:
        work: the control plane that comes.
        former: the one that is removed in the end.
        homes: namespaces whose workloads move; an empty one stands for all.
        tried: namespace in which the new injector is tried.
    """
    alone = replace(former, desired=_without(former.desired, work.desired))
    rights = (
        *_under_way(work, "patch", "create", "delete"),
        *_gate(work.namespace, homes),
        *_probe(work.namespace, tried),
    )
    return install(work) | uninstall(alone, purge=False) | debug(work.namespace) | Needs(rights)


def in_place(steps: Sequence[Step], source: Release, *, tried: str, kinds: tuple[Kind, ...] = ()) -> Needs:
    """What a plan of another version over a release needs: to be done, to be proven, and to be taken back.

    Args:
        steps: of the plan.
        source: the release that is sent again where the new version does not come right.
        tried: namespace in which the new injector is tried.
        kinds: what the cluster serves.
    """
    made = [step.ref for step in steps if isinstance(step, Apply) and step.live is None]
    changed = {step.ref for step in steps if isinstance(step, Apply | Delete)}
    again = [
        Apply(part.name, obj)
        for part in source.manifest.parts
        for obj in part.objects
        if obj.ref in changed.difference(made)
    ]
    last = max((step.release.generation for step in steps if isinstance(step, Record)), default=0)
    rights = (
        *_gone((ref for ref in made if ref.kind not in _STAYS), kinds),
        *of_steps.of_record(source, (last + 1,), ("patch", "create")),
        *_probe(source.namespace, tried),
    )
    return of_steps.needs(steps, kinds) | of_steps.needs(again, kinds) | Needs(rights)


def debug(namespace: str) -> Needs:
    """For `status`, `history`, `proxy-status`, `check` and `version --remote`, which only read."""
    return Needs((*_whole(), *_asking_istiod(namespace), *_certificates(namespace), *_past()))


def vm(namespace: str, home: str) -> Needs:
    """To bring virtual machines into the mesh, and out again.

    Args:
        namespace: the mesh's namespace.
        home: namespace of the machines' workloads.
    """
    account = "an account, and tokens by which a machine gets its certificate"
    group = "the group that machines join, and the entries by which they are known"
    root = "the mesh root, the mesh's configuration, and the address of istiod"
    table = (
        (home, "", "serviceaccounts", ("get", "patch", "create"), account),
        (home, "", "serviceaccounts/token", ("create",), account),
        (home, "networking.istio.io", "workloadgroups", ("get", "list", "patch", "create", "delete"), group),
        (home, "networking.istio.io", "workloadentries", ("get", "list", "watch", "delete"), group),
        (namespace, "", "configmaps", ("get", "list"), root),
        (namespace, "", "services", ("get", "list"), root),
    )
    rights = [
        Right(place, api, resource, verb, why=why)
        for place, api, resource, verbs, why in table
        for verb in verbs
    ]
    return Needs((*rights, *_asking_istiod(namespace)))


def _without(former: Manifest, kept: Manifest) -> Manifest:
    """What only the former one has: control planes share definitions and roles, and these stay."""
    parts = tuple(
        replace(part, objects=tuple(obj for obj in part.objects if obj.ref not in kept.refs))
        for part in former.parts
    )
    return replace(former, parts=parts)


def _under_way(work: Work, *verbs: str) -> Iterator[Right]:
    """Rights on the record of an upgrade; whether a rotation is under way is looked at by all."""
    record = f"meshctl.{work.mesh}"
    yield Right(of_steps.RECORDS, "", "secrets", "get", f"{record}.rotation", of_steps.RECORD)
    for verb in verbs:
        yield Right(of_steps.RECORDS, "", "secrets", verb, f"{record}.upgrade", of_steps.RECORD)


def _records(work: Work, *verbs: str) -> Iterator[Right]:
    yield from of_steps.of_record(work.release, work.generations, verbs)
    yield from of_steps.of_lock(work.mesh)


def _on(ref: Ref, verbs: Iterable[str], kinds: Iterable[Kind], why: str) -> Iterator[Right]:
    return of_steps.on(ref, verbs, why, {(kind.group, kind.kind): kind.plural for kind in kinds})


def _gone(refs: Iterable[Ref], kinds: tuple[Kind, ...]) -> Iterator[Right]:
    for ref in refs:
        yield from _on(ref, ("get", "watch", "delete"), kinds, of_steps.SEND)


def _made(work: Work) -> Iterator[Right]:
    """On what controllers make: under names of their own, or in every namespace."""
    for namespace in sorted({ref.namespace for ref in work.desired.refs if ref.kind in WORKLOADS}):
        for group, resource in (("", "pods"), ("apps", "replicasets")):
            yield Right(namespace, group, resource, "delete", why="let pods end within their time")
    made = "what istiod makes: root certificates, elections, the key of its certificate authority"
    for name in _ROOTS:
        yield Right("", "", "configmaps", "delete", name, made)
    yield Right(work.namespace, "", "configmaps", "delete", why=made)
    yield Right(work.namespace, "coordination.k8s.io", "leases", "delete", why=made)


def _saved(work: Work) -> Iterator[Right]:
    groups = {ref.name.partition(".")[2] for ref in work.desired.refs if is_definition(ref)}
    for group in sorted(groups):
        yield Right("", group, ANY, "get", why="save your Istio resources before their definitions go")


def _gate(namespace: str, homes: Iterable[str]) -> Iterator[Right]:
    why = "ask moved proxies what they hold and reject, and see what of a batch is still there"
    yield Right(namespace, "", "pods", "get", why=why)
    for home in sorted(set(homes)):
        yield Right("", "", "namespaces", "get", home, why)
        for verb in ("get", "create"):
            yield Right(home, "", "pods/portforward", verb, why=why)


def _probe(namespace: str, tried: str) -> Iterator[Right]:
    if tried:
        yield Right(tried, "", "pods", "create", why=of_steps.PROBE)
    yield Right(namespace, "networking.istio.io", "virtualservices", "create", why=of_steps.PROBE)


def _whole() -> Iterator[Right]:
    """What `status` and `check` read of the whole cluster."""
    why = "what runs, whether it is ready, and which proxies there are"
    for group, resource in (
        ("", "nodes"),
        ("", "pods"),
        ("", "events"),
        ("apps", "daemonsets"),
        ("apps", "deployments"),
        ("apps", "replicasets"),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
        ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
        ("discovery.k8s.io", "endpointslices"),
        ("networking.istio.io", "workloadentries"),
    ):
        yield Right("", group, resource, "list", why=why)


def _asking_istiod(namespace: str) -> Iterator[Right]:
    why = "ask istiod what its proxies acknowledge, as an account that may do nothing else"
    yield Right(namespace, "", "pods", "list", why=why)
    yield Right(namespace, "", "configmaps", "get", "istio-ca-root-cert", why)
    yield Right(namespace, "", "serviceaccounts/token", "create", "default", why)
    for verb in ("get", "create"):  # which of the two, newer API servers and older ones do not agree on
        yield Right(namespace, "", "pods/portforward", verb, why=why)


def _certificates(namespace: str) -> Iterator[Right]:
    why = "when the certificate authority ends; the Secret holds its key as well: leave this out if unwanted"
    for name in (_CACERTS, CA_SECRET):
        yield Right(namespace, "", "secrets", "get", name, why)


def _past() -> Iterator[Right]:
    yield Right(of_steps.RECORDS, "", "secrets", "list", why=of_steps.RECORD)
