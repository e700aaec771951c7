"""Our CustomResourceDefinitions judge as upstream's do, in a real API server, and so does `validate`.

The same drawn objects go by server-side dry-run, with `fieldValidation=Strict`, to an API server with
upstream's definitions and to one with ours; the third judge needs no server.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from meshctl.adapters.clock import SystemClock
from meshctl.adapters.kube import KubeCluster
from meshctl.adapters.kube_config import load_access
from meshctl.adapters.kube_http import Http
from meshctl.crds import crds
from meshctl.crds.validation import examined
from meshctl.model.objects import Object, Ref
from tests.cluster.mutants import objects
from tests.parity.test_crds import upstream

pytestmark = pytest.mark.cluster

MINORS = ("1.32", "1.31", "1.30")
GLANCE, SLICE, WHOLE = 5, 20, 220
"""Objects drawn for each version of each kind: of older minors, of the newest, and of all with `--long`."""
DEFINITION = "CustomResourceDefinition"
GROUP = "apiextensions.k8s.io/v1"
SHOWN = 2000
"""Characters of an object in a failure."""
PATIENCE = 60.0
"""Seconds for an API server to take definitions up, or to let them go."""

STRICTER = {str(2**31 - 1): "istiod's type has 32 bits, and the API server does not look"}
"""Where `validate` refuses on purpose what an API server takes, by what its hint holds, and why."""


@dataclass(frozen=True)
class Case:
    """An object, and where it is sent."""

    path: str
    content: dict[str, Any]

    def __str__(self) -> str:
        return json.dumps({**self.content, "spec": "…"} if len(str(self.content)) > SHOWN else self.content)


def cases(minor: str, count: int) -> Iterator[Case]:
    """Drawn objects of every version of every kind."""
    for crd in crds(minor):
        group, names = crd["spec"]["group"], crd["spec"]["names"]
        for version in crd["spec"]["versions"]:
            head = {"apiVersion": f"{group}/{version['name']}", "kind": names["kind"]}
            path = f"/apis/{group}/{version['name']}/namespaces/default/{names['plural']}"
            schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
            seed = f"{minor} {head['apiVersion']} {names['kind']}"
            for content in objects(head, schema, count, seed):
                yield Case(path, content)


@pytest.fixture(scope="module")
def http(kubeconfig: str) -> Iterator[Http]:
    found = Http(load_access(kubeconfig, None), SystemClock())
    yield found
    found.close()


def replace_definitions(cluster: KubeCluster, http: Http, definitions: list[dict[str, Any]]) -> None:
    """Let these definitions be all of Istio's that the API server has, and serve nothing of earlier ones."""
    refs = [Ref(GROUP, DEFINITION, "", crd["metadata"]["name"]) for crd in definitions]
    for ref in refs:
        cluster.delete(ref)
    wait_until(lambda: not any(cluster.get(ref) for ref in refs))
    for crd in definitions:
        cluster.apply(Object({**crd, "metadata": {"name": crd["metadata"]["name"]}}))
    served = {case.path for case in cases(MINORS[0], 1)}
    wait_until(lambda: all(http.call("GET", path).code == 200 for path in served))


def wait_until(holds: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "the API server does not take the definitions up"
        time.sleep(0.2)


def verdicts(http: Http, asked: list[Case]) -> list[str]:
    """Of each object, why the API server refuses it; empty where it takes it."""

    def ask(case: Case) -> str:
        query = [("dryRun", "All"), ("fieldValidation", "Strict")]
        reply = http.call("POST", case.path, query=query, body=case.content)
        assert reply.code in (201, 400, 422), f"{case}: {reply.code} {reply.body}"
        return "" if reply.code == 201 else str(reply.status["message"])

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(ask, asked))


def offline(case: Case, minor: str) -> str | None:
    """Why `validate` refuses an object, but for what it is stricter about; None when it cannot tell."""
    result = examined(case.content, minor)
    if result.unread and not result.problems:
        return None
    return "; ".join(
        f"{each.path} {each.message}"
        for each in result.problems
        if not any(word in each.hint for word in STRICTER)
    )


def different(asked: list[Case], one: list[str], other: list[str | None]) -> list[str]:
    """Objects that one judge takes and the other refuses, with what the one that refuses says."""
    return [
        f"{case}: {f'only the first refuses, as {mine}' if mine else f'only the second, as {theirs}'}"
        for case, mine, theirs in zip(asked, one, other, strict=True)
        if theirs is not None and bool(mine) != bool(theirs)
    ]


@pytest.mark.parametrize("minor", MINORS)
def test_ours_upstreams_and_the_offline_judge_agree_on_every_object(
    minor: str, cluster: KubeCluster, http: Http, pytestconfig: pytest.Config
) -> None:
    whole = pytestconfig.getoption("--long")
    if minor != MINORS[0] and not whole:
        pytest.skip("minors but the newest are held against upstream's with --long")
    asked = list(cases(minor, WHOLE if whole else SLICE))
    replace_definitions(cluster, http, list(upstream(minor).values()))
    theirs = verdicts(http, asked)
    replace_definitions(cluster, http, list(crds(minor)))
    ours = verdicts(http, asked)
    alone = [offline(case, minor) for case in asked]
    count = Counter(bool(why) for why in theirs)
    differ = [len(different(asked, theirs, other)) for other in (ours, alone)]
    print(f"Istio {minor}: upstream's refuse {count[True]} of {len(asked)} objects and take {count[False]};")
    print(f"ours differ on {differ[0]}, offline on {differ[1]}, which cannot tell of {alone.count(None)}")
    assert different(asked, theirs, ours) == []
    assert different(asked, theirs, alone) == []
    assert alone.count(None) < len(asked) / 100
    assert count[True] >= 200
    assert count[False] >= 100


@pytest.mark.parametrize("minor", MINORS[1:])
def test_the_definitions_of_older_minors_are_served_and_judge_as_offline(
    minor: str, cluster: KubeCluster, http: Http
) -> None:
    replace_definitions(cluster, http, list(crds(minor)))
    asked = list(cases(minor, GLANCE))
    assert different(asked, verdicts(http, asked), [offline(case, minor) for case in asked]) == []
