"""What this mesh will notice of the versions it goes through."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.checks.site import Site
    from meshctl.model.finding import Finding

SETTINGS_HEEDED = Rule(
    code="settings-heeded",
    level=Level.WARNING,
    summary="Every setting of this mesh still does what it did.",
    hint="change the setting with --set, or try it on a cluster that may fail",
)
BEHAVIOUR_KEPT = Rule(
    code="behaviour-kept",
    level=Level.INFO,
    summary="Nothing that this mesh leaves to Istio is otherwise than before.",
    hint="--set compatibilityVersion=MINOR keeps the defaults of a minor",
)


@check(rules=(SETTINGS_HEEDED, BEHAVIOUR_KEPT), after=("kube-reachable",), moment=Moment.UPGRADE)
def new_behaviour(site: Site) -> Iterator[Finding]:
    """Read what the version data says of settings that this mesh has."""
    for each in site.path.behaviours if site.path else ():
        rule = SETTINGS_HEEDED if each.matters else BEHAVIOUR_KEPT
        yield replace(rule.at(each.setting, each.what), hint=each.hint)
