"""Names and addresses: sandboxes of one machine never meet."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

from meshctl.sandbox.names import MAX_CLUSTERS, MAX_HOSTS, MAX_LIGHT_CLUSTERS, SLOTS, Layout

STATE = Path("/state")
LAYOUTS = [Layout("sandbox", slot, STATE) for slot in range(SLOTS)]


def test_no_two_slots_share_an_address() -> None:
    for one, other in combinations(LAYOUTS, 2):
        assert not any(ours.overlaps(theirs) for ours in one.ranges for theirs in other.ranges)


def test_the_ranges_of_a_sandbox_do_not_overlap() -> None:
    for layout in LAYOUTS:
        assert not any(one.overlaps(other) for one, other in combinations(layout.ranges, 2))


def test_the_ranges_of_clusters_lie_in_their_sandboxes_and_do_not_overlap() -> None:
    layout = LAYOUTS[5]
    ranges = [
        found for cluster in layout.clusters(MAX_LIGHT_CLUSTERS) for found in (cluster.pods, cluster.services)
    ]
    assert not any(one.overlaps(other) for one, other in combinations(ranges, 2))
    assert all(any(one.subnet_of(outer) for outer in layout.ranges) for one in ranges)


def test_every_address_on_the_bridge_is_given_once() -> None:
    layout = LAYOUTS[0]
    clusters = layout.clusters(MAX_LIGHT_CLUSTERS)
    given = [layout.gateway]
    given += [cluster.address for cluster in clusters]
    given += [address for cluster in clusters for address in cluster.load_balancers]
    given += [host.address for host in layout.hosts(MAX_HOSTS)]
    assert len(set(given)) == len(given)
    usable = set(layout.network.hosts())
    assert set(given) <= usable


def test_interface_names_fit_into_the_kernels_fifteen_characters() -> None:
    for layout in LAYOUTS:
        links = [layout.bridge]
        links += [cluster.link for cluster in layout.clusters(MAX_CLUSTERS)]
        links += [host.link for host in layout.hosts(MAX_HOSTS)]
        assert max(map(len, links)) <= 15
        assert len(set(links)) == len(links)


def test_a_context_says_which_sandbox_and_which_cluster() -> None:
    assert Layout("ci", 0, STATE).cluster(2).context == "ci-c2"
