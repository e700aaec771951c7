"""The API server answers, and is of a version that Istio runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl.errors import AccessError, UnreachableError, UnsupportedError
from meshctl.model.check import Moment, check
from meshctl.model.finding import Level, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meshctl.checks.site import Site
    from meshctl.model.finding import Finding

KUBE_REACHABLE = Rule(
    code="kube-reachable",
    level=Level.ERROR,
    summary="The API server answers and accepts the credentials.",
    hint="compare with `kubectl version` under the same --context",
)
KUBERNETES_SUPPORTED = Rule(
    code="kubernetes-in-range",
    level=Level.ERROR,
    summary="Kubernetes is of a version that this Istio runs on.",
    hint="choose another Istio with --istio-version, or upgrade the cluster first",
)
KUBERNETES_TESTED = Rule(
    code="kubernetes-tested",
    level=Level.WARNING,
    summary="Kubernetes is of a version that this Istio was tested with.",
    hint="try it on a cluster that may fail, or take a newer Istio with --istio-version",
)


@check(rules=(KUBE_REACHABLE,), settles=True)
def api_server_answers(site: Site) -> Iterator[Finding]:
    """Ask for the version, which needs no rights."""
    try:
        site.cluster.version()
    except (UnreachableError, AccessError) as error:
        words = "; ".join((error.message, *error.details))
        yield KUBE_REACHABLE.at(f"cluster {site.cluster.name}", words)


@check(rules=(KUBERNETES_SUPPORTED, KUBERNETES_TESTED), after=(KUBE_REACHABLE.code,), moment=Moment.BEFORE)
def kubernetes_version(site: Site) -> Iterator[Finding]:
    """Hold the server's version against the range in Istio's version data."""
    try:
        warning = site.require_kubernetes(site.cluster.version())
        if warning:
            yield KUBERNETES_TESTED.at(f"cluster {site.cluster.name}", warning)
    except UnsupportedError as error:
        yield KUBERNETES_SUPPORTED.at(f"cluster {site.cluster.name}", error.message)
