"""The user may do everything that an install does."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule
from meshctl.model.right import ANY, Grant, Needs, policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from meshctl.checks.site import Site
    from meshctl.model.finding import Finding
    from meshctl.model.objects import Kind
    from meshctl.model.right import Right
    from meshctl.ports import Cluster

RIGHTS_COMPLETE = Rule(
    code="rights-complete",
    level=Level.ERROR,
    summary="You may do everything that an install does.",
    hint="have an administrator grant these rules to you, or use another --context",
)
RIGHTS_TO_GRANT = Rule(
    code="rights-to-grant",
    level=Level.ERROR,
    summary="You may grant what the mesh's own roles grant.",
    hint="hold all that the mesh's roles grant yourself, or be granted `escalate` and `bind` on them",
)
_AT_ONCE = 12


def missing(cluster: Cluster, needs: Needs, kinds: Sequence[Kind] = ()) -> Needs:
    """What of this the API server does not allow; asked many at once.

    Args:
        cluster: whom to ask.
        needs: what some work needs.
        kinds: what the cluster serves: who may not list everything by one rule may still list each.
    """
    if cluster.allowed(ANY, ANY, ANY):
        return Needs()
    with ThreadPoolExecutor(_AT_ONCE) as pool:

        def refused(rights: Iterable[Right]) -> tuple[Right, ...]:
            asked = tuple(dict.fromkeys(rights))
            answers = list(pool.map(lambda right: _is_allowed(cluster, right, kinds), asked))
            return tuple(right for right, allowed in zip(asked, answers, strict=True) if not allowed)

        lacking = refused(needs.rights)
        barred = set(refused(each.instead for each in needs.grants))
        handed = [each for each in needs.grants if each.instead in barred]
        unheld = set(refused(right for each in handed for right in each.held))
    return Needs(lacking, tuple(_lacking(each, unheld) for each in handed if _is_short(each, unheld)))


def as_rules(rights: Iterable[Right]) -> tuple[str, ...]:
    """Rights as the RBAC rules that grant them, one a line, verbs of one resource together."""
    return tuple(
        f"- {{{', '.join(f'{key}: {json.dumps(value)}' for key, value in rule.content().items())}}}"
        f"  # {f'Role in namespace {namespace}' if namespace else 'ClusterRole'}"
        for namespace, rules in policy(replace(right, why="") for right in rights).items()
        for rule in rules
    )


@check(rules=(RIGHTS_COMPLETE,), after=("kube-reachable",), moment=Moment.BEFORE, seconds=60.0)
def rights(site: Site) -> Iterator[Finding]:
    """Ask for each verb and resource; one finding holds all rules that are missing."""
    lacking = missing(site.cluster, Needs(site.needs.rights), site.kinds).rights
    if lacking:
        rules = "\n".join(as_rules(lacking))
        message = f"{len(lacking)} rights are missing; these rules grant them:\n{rules}"
        yield RIGHTS_COMPLETE.at(f"cluster {site.cluster.name}", message)


@check(rules=(RIGHTS_TO_GRANT,), after=("kube-reachable",), moment=Moment.BEFORE, seconds=60.0)
def rights_to_grant(site: Site) -> Iterator[Finding]:
    """Roles may hold only what their maker holds, or may escalate; bindings likewise."""
    for grant in missing(site.cluster, Needs((), site.needs.grants)).grants:
        rules = "\n".join(as_rules(grant.held or (grant.instead,)))
        yield RIGHTS_TO_GRANT.at(
            f"cluster {site.cluster.name}", f"to hand on {grant.role}, these rules are missing:\n{rules}"
        )


def _is_allowed(cluster: Cluster, right: Right, kinds: Sequence[Kind]) -> bool:
    if cluster.allowed(right.verb, right.group, right.resource, right.namespace, right.name):
        return True
    served = [kind for kind in kinds if right.verb in kind.verbs and right.group in (ANY, kind.group)]
    return (
        right.resource == ANY
        and bool(served)
        and all(
            cluster.allowed(right.verb, kind.group, kind.plural, right.namespace, right.name)
            for kind in served
        )
    )


def _is_short(grant: Grant, unheld: set[Right]) -> bool:
    return not grant.held or not unheld.isdisjoint(grant.held)


def _lacking(grant: Grant, unheld: set[Right]) -> Grant:
    return replace(grant, held=tuple(right for right in grant.held if right in unheld))
