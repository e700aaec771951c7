"""One mesh.yaml and one install: pods of one cluster call services of another; uninstall leaves nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cluster.fleet.calls import Member, calls
from tests.cluster.fleet.conftest import Fleet, Operator

pytestmark = [pytest.mark.cluster, pytest.mark.full("traffic between pods of several clusters")]

HEAD = "apiVersion: meshctl.dev/v1alpha1\nkind: Mesh\nmetadata: {{name: {name}}}\nspec:\n"
SPEC = "  profile: minimal\n  trust: {{ca: managed, root: {root}{domain}}}\n{more}  clusters:\n"


@dataclass(frozen=True)
class Case:
    """A topology.

    Attributes:
        meshes: documents of the mesh.yaml, by name: `{one}` and its like are contexts.
        members: clusters with workloads; those that hold Istio's configuration end in `*`.
        namespace: of istiod.
        domains: trust domain of a mesh's identities, where it is not Istio's own.
        flat: whether pods reach each other without a gateway.
        revision: of the control plane; empty: the unnamed one.
    """

    meshes: dict[str, tuple[str, ...]]
    members: tuple[str, ...] = ("one*", "two*")
    namespace: str = ""
    domains: tuple[str, ...] = ()
    flat: bool = False
    revision: str = ""

    def text(self, fleet: Fleet, root: Path) -> str:
        """The mesh.yaml."""
        found = []
        more = f"  namespace: {self.namespace}\n" if self.namespace else ""
        more += f"  revision: {self.revision}\n" if self.revision else ""
        for index, (name, clusters) in enumerate(self.meshes.items()):
            domain = f", domain: {self.domains[index]}" if self.domains else ""
            head = HEAD.format(name=name) + SPEC.format(root=root, domain=domain, more=more)
            lines = "".join(f"    - {{{{{each}, context: {{{_name(each)}}}}}}}\n" for each in clusters)
            found.append(head + lines.format(**{name: fleet.context(name) for name in fleet.doors}))
        return "---\n".join(found)

    def placed(self, fleet: Fleet) -> list[Member]:
        """The members, with their doors."""
        found = []
        for index, each in enumerate(self.members):
            name = each.removesuffix("*")
            domain = self.domains[index] if self.domains else "cluster.local"
            found.append(Member(name, fleet.doors[name], domain, each.endswith("*")))
        return found


def _name(cluster: str) -> str:
    return cluster.removeprefix("name: ").partition(",")[0]


CASES = {
    "multi-primary on one network": Case(
        {"flat": ("name: one, network: shared", "name: two, network: shared")}, flat=True
    ),
    "multi-primary on two networks": Case({"mesh": ("name: one, network: n1", "name: two, network: n2")}),
    "primary and remote on two networks": Case(
        {"mesh": ("name: one, network: n1", "name: two, role: remote, network: n2")}, ("one*", "two")
    ),
    "external control plane": Case(
        {
            "mesh": (
                "name: three, role: external",
                "name: one, role: config, controlPlane: three, network: n1",
                "name: two, role: remote, controlPlane: three, network: n2",
            )
        },
        ("one*", "two"),
        namespace="external-istiod",
    ),
    "primary and remote of a revision on one network": Case(
        {"mesh": ("name: one, network: shared", "name: two, role: remote, network: shared")},
        ("one*", "two"),
        flat=True,
        revision="r1",
    ),
    "two meshes that trust each other": Case(
        {"shop": ("name: one, network: n1",), "bank": ("name: two, network: n2",)},
        domains=("shop.example", "bank.example"),
    ),
}


SLICE = ("external control plane",)
"""Of the cases, those tried in every run, with links, remotes and gateways; `--long` tries all."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    names = CASES if metafunc.config.getoption("--long") else SLICE
    metafunc.parametrize("case", [CASES[name] for name in names], ids=names)


def test_one_install_lets_pods_call_across_clusters_and_uninstall_leaves_nothing(
    case: Case, fleet: Fleet, operator: Operator, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    names = [_name(each) for clusters in case.meshes.values() for each in clusters]
    before = fleet.snapshots(*names)
    operator.write(case.text(fleet, operator.root))
    with fleet.flat("one", "two") if case.flat else nullcontext():
        began = time.monotonic()
        operator.run("install", "--yes")
        installing = time.monotonic() - began
        labels = {"istio.io/rev": case.revision} if case.revision else {"istio-injection": "enabled"}
        with calls(case.placed(fleet), tmp_path, labels) as flowing:
            flowing.last(3)
            done = flowing.end()
            assert not done.failures, str(done)
        operator.run("install", "--yes")
        began = time.monotonic()
        operator.run("uninstall", "--purge", "--yes")
        figure(f"installed in {installing:.0f} s, removed in {time.monotonic() - began:.0f} s; {done}")
    assert fleet.snapshots(*names) == before
