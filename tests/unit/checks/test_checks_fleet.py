"""Whether the clusters of a fleet work together: each cause is named in a line."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from meshctl.actions.checks import checks
from meshctl.model.check import Moment
from meshctl.model.mesh import Cluster, Network, NetworkGateway, Role
from meshctl.model.verification import (
    Call,
    ClusterSeen,
    FleetSeen,
    GatewaySeen,
    IstiodSeen,
    ProxyPlace,
    SecretSeen,
    ServiceSeen,
    Traffic,
    Trusted,
)
from tests.unit.checks.fleet_ground import NOW, OTHER, ROOT, call, fleet, opened, outcomes, seen, told

WEST, EAST = seen("west", "east"), seen("east", "west")


def place(cluster: str, **more: str) -> ProxyPlace:
    own = {"network": f"net-{cluster}", "mesh": "shop", "trust_domain": "cluster.local", "version": "1.31.0"}
    return ProxyPlace("Pod shop/odd", cluster, **{**own, **more})


def test_a_fleet_in_which_all_is_well_passes_every_check_but_those_of_traffic_that_was_not_tried() -> None:
    found = outcomes(fleet())
    assert [each.check for each in found.values() if each.findings] == []
    skipped = {name: each.skipped for name, each in found.items() if each.skipped}
    assert set(skipped.values()) == {"no traffic was tried"}
    assert set(skipped) == {"fleet_traffic", "fleet_gateways_reached", "fleet_calls", "fleet_identities"}


def test_traffic_in_which_all_is_well_passes_too() -> None:
    tried = Traffic((call("west", "east"), call("east", "west")), (opened("west", "east"),))
    assert told(fleet(WEST, EAST, traffic=tried)) == []


def test_checks_of_fleets_are_asked_of_fleets_alone() -> None:
    of_fleets = {each.name for each in checks() if each.fits(Moment.FLEET)}
    for moment in (Moment.BEFORE, Moment.AFTER, Moment.UPGRADE):
        assert of_fleets.isdisjoint(each.name for each in checks() if each.fits(moment))


# Clusters and names.


def test_a_cluster_that_does_not_answer_is_told_once_and_the_others_are_judged() -> None:
    silent = replace(EAST, why="the API server does not answer", injected=None, istiods=())
    assert told(fleet(WEST, silent)) == [
        ("fleet-clusters-there", "cluster east: the API server does not answer")
    ]


def test_what_could_not_be_read_is_told() -> None:
    assert told(fleet(replace(WEST, unread=(("pods", "may not list pods"),)), EAST)) == [
        ("fleet-clusters-read", "cluster west: pods: may not list pods")
    ]


def test_two_entries_of_one_cluster_are_told() -> None:
    [found] = told(fleet(WEST, replace(EAST, uid=WEST.uid)))
    assert found == ("fleet-clusters-distinct", "clusters west, east: they are one and the same cluster")


def test_a_duplicated_cluster_name_is_told_with_whose_it_is() -> None:
    copied = replace(EAST.istiods[0], cluster="west")
    assert told(fleet(WEST, replace(EAST, istiods=(copied,)))) == [
        (
            "fleet-names-unique",
            "cluster east: it is called 'west', which is the name of another cluster, by istiod istiod-1",
        )
    ]


def test_proxies_that_know_their_cluster_by_another_name_are_told_in_one_line() -> None:
    odd = place("Kubernetes", network="net-east")
    found = told(fleet(WEST, replace(EAST, proxies=(odd, replace(odd, subject="Pod shop/odd-2")))))
    assert found == [
        ("fleet-names-unique", "cluster east: it is called 'Kubernetes', by Pod shop/odd, Pod shop/odd-2")
    ]


def test_an_external_istiod_is_known_by_the_name_of_its_config_cluster() -> None:
    hub = replace(seen("west"), cluster=Cluster("west", role=Role.EXTERNAL), injected=None, proxies=())
    hub = replace(hub, istiods=(IstiodSeen("istiod-1", "east", "1.31.0", {"east": "synced"}),))
    hub = replace(hub, secrets=(SecretSeen("Secret istio-system/istio-kubeconfig", "east"),))
    served = replace(
        EAST, cluster=Cluster("east", role=Role.CONFIG, control_plane="west", network="net-east")
    )
    assert told(fleet(hub, replace(served, istiods=(), secrets=(), authority=None))) == []


def test_pods_that_get_no_proxy_are_told() -> None:
    assert told(fleet(WEST, replace(EAST, injected=None, injection_fault="nobody answers"))) == [
        ("fleet-injection-works", "cluster east: pods get no proxy: nobody answers")
    ]


# Mesh ID and trust domain.


def test_another_mesh_id_is_told() -> None:
    assert told(fleet(WEST, replace(EAST, proxies=(place("east", mesh="other"),)))) == [
        ("fleet-mesh-id-equal", "cluster east: mesh ID 'other' in place of 'shop': Pod shop/odd")
    ]


@pytest.mark.parametrize("said", ["", "cluster.local"])
def test_another_trust_domain_is_told_also_where_the_mesh_names_none(said: str) -> None:
    odd = replace(EAST, proxies=(place("east", trust_domain="east.example"),))
    assert told(fleet(WEST, odd, trust_domain=said)) == [
        (
            "fleet-trust-domain-equal",
            "cluster east: trust domain 'east.example' in place of 'cluster.local': Pod shop/odd",
        )
    ]


# Roots.


def rooted(name: str, *others: str, root: str, trusts: frozenset[str]) -> ClusterSeen:
    cluster = seen(name, *others)
    assert cluster.authority is not None
    assert cluster.published is not None
    return replace(
        cluster,
        authority=replace(cluster.authority, root=root, roots=trusts),
        published=replace(cluster.published, roots=trusts),
        trusted=(Trusted("Pod shop/web", trusts),),
    )


def test_a_wrong_root_is_one_line_about_the_cluster_that_has_it() -> None:
    every = ("west", "east", "north")
    clusters = [seen(name, *(each for each in every if each != name)) for name in ("west", "north")]
    wrong = rooted("east", "west", "north", root=OTHER, trusts=frozenset({OTHER}))
    assert told(fleet(clusters[0], wrong, clusters[1])) == [
        (
            "fleet-roots-shared",
            "cluster east: it signs under root bbbbbbbbbbbb, not trusted in west, north",
        )
    ]


def test_a_root_that_is_rotated_is_no_finding_as_long_as_all_trust_both() -> None:
    both = frozenset({ROOT, OTHER})
    west = rooted("west", "east", root=ROOT, trusts=both)
    east = rooted("east", "west", root=OTHER, trusts=both)
    assert told(fleet(west, east)) == []


def test_a_remote_to_which_another_root_was_published_is_told() -> None:
    late = Trusted("ConfigMap istio-system/istio-ca-root-cert", frozenset({OTHER}))
    remote = Cluster("east", role=Role.REMOTE, control_plane="west", network="net-east")
    east = replace(EAST, cluster=remote, authority=None, istiods=(), secrets=(), published=late, trusted=())
    west = replace(WEST, istiods=WEST.istiods)
    assert told(fleet(west, east)) == [
        ("fleet-roots-shared", "cluster east: it does not trust root aaaaaaaaaaaa, that of west")
    ]


def test_live_proxies_that_have_not_heard_of_a_root_are_told() -> None:
    late = replace(EAST, trusted=(Trusted("Pod shop/late", frozenset({OTHER})), *EAST.trusted))
    assert told(fleet(WEST, late)) == [
        (
            "fleet-roots-live",
            "cluster east: 1 of 2 proxies do not trust root aaaaaaaaaaaa, that of west, east: Pod shop/late",
        )
    ]


def test_an_istiod_that_has_not_read_its_secret_is_told() -> None:
    assert EAST.authority is not None
    changed = replace(EAST.authority, roots=frozenset({ROOT, OTHER}))
    [(code, line)] = told(fleet(WEST, replace(EAST, authority=changed)))
    assert code == "fleet-roots-in-use"
    assert "Secret istio-system/cacerts has root aaaaaaaaaaaa, root bbbbbbbbbbbb" in line


def test_an_authority_that_has_expired_or_that_no_root_vouches_for_is_told() -> None:
    assert EAST.authority is not None
    ended = replace(EAST.authority, ends=NOW - timedelta(days=1))
    [(code, line)] = told(fleet(WEST, replace(EAST, authority=ended)))
    assert (code, "expired 2025-12-31" in line) == ("fleet-authority-valid", True)
    orphan = replace(EAST.authority, root="")
    [(code, line)] = told(fleet(WEST, replace(EAST, authority=orphan)))
    assert (code, "none of the roots" in line) == ("fleet-authority-valid", True)


# Remote secrets.


def test_a_missing_remote_secret_is_told_and_sync_is_not_asked_about() -> None:
    site = fleet(WEST, replace(EAST, secrets=(), istiods=(IstiodSeen("istiod-1", "east", "1.31.0"),)))
    assert told(site) == [
        ("fleet-links-there", "cluster east: its istiod has no remote secret for cluster west")
    ]
    assert outcomes(site)["fleet_synced"].skipped


def test_an_expired_token_is_told_with_when() -> None:
    late = replace(EAST.secrets[0], ends=NOW - timedelta(hours=1), refused="token has expired")
    assert told(fleet(WEST, replace(EAST, secrets=(late,)))) == [
        (
            "fleet-tokens-taken",
            "cluster east: the token in Secret istio-system/istio-remote-secret-west expired at "
            "2026-01-01T11:00:00+00:00",
        )
    ]


def test_a_token_that_was_revoked_is_told() -> None:
    revoked = replace(EAST.secrets[0], refused="its Secret is gone")
    [(code, line)] = told(fleet(WEST, replace(EAST, secrets=(revoked,))))
    assert code == "fleet-tokens-taken"
    assert line.endswith("istio-remote-secret-west is not taken by cluster west: its Secret is gone")


def test_a_secret_that_istiod_cannot_use_and_one_cluster_in_two_are_told() -> None:
    [secret] = EAST.secrets
    [(code, line)] = told(fleet(WEST, replace(EAST, secrets=(replace(secret, fault="it is empty"),))))
    assert (code, line.endswith("for west: it is empty")) == ("fleet-links-usable", True)
    twice = (secret, replace(secret, subject="Secret istio-system/old"))
    [(code, line)] = told(fleet(WEST, replace(EAST, secrets=twice)))
    assert (code, "west is in several remote secrets" in line) == ("fleet-links-usable", True)


def test_an_istiod_that_is_not_in_sync_is_told_with_the_server_that_it_reads() -> None:
    late = replace(EAST.istiods[0], reads={"east": "synced", "west": "timeout"})
    assert told(fleet(WEST, replace(EAST, istiods=(late,)))) == [
        (
            "fleet-links-synced",
            "cluster east: istiod istiod-1 is not in sync with west: timeout; it reads by "
            "Secret istio-system/istio-remote-secret-west (https://192.0.2.1:6443)",
        )
    ]


def test_an_istiod_that_does_not_say_is_told_and_not_taken_for_out_of_sync() -> None:
    mute = IstiodSeen("istiod-1", "east", "1.31.0", why="no answer")
    assert told(fleet(WEST, replace(EAST, istiods=(mute,)))) == [
        ("fleet-istiods-answer", "cluster east: istiod istiod-1: no answer")
    ]


# Networks.


def test_a_missing_network_label_is_told() -> None:
    assert told(fleet(WEST, replace(EAST, network_label=None))) == [
        (
            "fleet-network-labelled",
            "cluster east: Namespace istio-system lacks the label topology.istio.io/network=net-east",
        )
    ]


def test_a_network_label_of_another_network_is_told() -> None:
    [(code, line)] = told(fleet(WEST, replace(EAST, network_label="net-west")))
    assert code == "fleet-network-labelled"
    assert "topology.istio.io/network=net-west in place of 'net-east'" in line


def test_proxies_on_another_network_are_told() -> None:
    assert told(fleet(WEST, replace(EAST, proxies=(place("east", network=""),)))) == [
        ("fleet-network-told", "cluster east: network '' in place of 'net-east': Pod shop/odd")
    ]


def test_a_gateway_without_its_label_without_an_address_or_with_another_label_is_told() -> None:
    [own] = EAST.gateways
    causes = {
        (): "no Service has the label topology.istio.io/network=net-east",
        (replace(own, addresses=(), why="it has no address"),): "istio-eastwestgateway: it has no address",
        (replace(own, network="net-west"),): "no Service leads into network 'net-east', but into others",
    }
    for gateways, cause in causes.items():
        [(code, line)] = told(fleet(WEST, replace(EAST, gateways=gateways)))
        assert (code, cause in line) == ("fleet-gateway-there", True), line


def test_a_network_whose_gateways_the_mesh_file_names_needs_no_labelled_one() -> None:
    networks = (Network("net-east", (NetworkGateway("gw.example.com"),)), Network("net-west"))
    assert told(fleet(WEST, replace(EAST, gateways=()), networks=networks)) == []


def test_one_network_needs_neither_labels_nor_gateways() -> None:
    flat = [
        replace(each, cluster=Cluster(each.name), network_label=None, gateways=()) for each in (WEST, EAST)
    ]
    flat = [
        replace(
            each,
            injected=replace(each.injected, network=""),
            proxies=tuple(replace(one, network="") for one in each.proxies),
        )
        for each in flat
        if each.injected
    ]
    assert told(fleet(*flat)) == []


@pytest.mark.parametrize(
    ("ranges", "words"), [("10.1.0.0/16", "10.1.0.0/16"), ("10.1.4.0/24", "10.1.4.0/24")]
)
def test_overlapping_pod_ranges_are_told_on_one_network_alone(ranges: str, words: str) -> None:
    assert told(fleet(WEST, replace(EAST, ranges=(ranges,)))) == []
    west, east = seen("west", "east", network="flat"), seen("east", "west", network="flat", ranges=(ranges,))
    [(code, line)] = told(fleet(west, east))
    assert (code, words in line) == ("fleet-pod-ranges-apart", True)


def test_ranges_of_two_families_do_not_overlap() -> None:
    west = seen("west", "east", network="flat", ranges=("10.1.0.0/16", "fd00:1::/64"))
    east = seen("east", "west", network="flat", ranges=("10.2.0.0/16", "fd00:2::/64"))
    assert told(fleet(west, east)) == []


# Clocks and versions.


@pytest.mark.parametrize(
    ("seconds", "codes"), [(2.0, []), (30.0, ["fleet-clocks-close"]), (300.0, ["fleet-clocks-agree"])]
)
def test_a_clock_that_is_apart_from_the_others_is_told(seconds: float, codes: list[str]) -> None:
    north = seen("north", "west", "east")
    readers = [
        replace(each, secrets=(*each.secrets, SecretSeen("Secret x/north", "north"))) for each in (WEST, EAST)
    ]
    readers = [
        replace(
            each,
            istiods=(
                replace(each.istiods[0], reads={"west": "synced", "east": "synced", "north": "synced"}),
            ),
        )
        for each in readers
    ]
    site = fleet(readers[0], replace(readers[1], ahead=-seconds), north)
    assert [code for code, _ in told(site)] == codes


def test_our_own_clock_does_not_matter() -> None:
    assert told(fleet(replace(WEST, ahead=4000.0), replace(EAST, ahead=4001.0))) == []


def test_the_clock_of_a_node_is_compared_with_its_api_server() -> None:
    [(code, line)] = told(fleet(replace(WEST, nodes_ahead={"n1": 0.4, "n2": 90.0}), EAST))
    assert code == "fleet-clocks-agree"
    assert line == "cluster west: the clock of node n2 is 90 s ahead of its API server's"


@pytest.mark.parametrize(
    ("version", "code"), [("1.32.1", "fleet-versions-same"), ("1.33.0", "fleet-versions-close")]
)
def test_control_planes_of_different_versions_are_told(version: str, code: str) -> None:
    newer = replace(EAST, istiods=(replace(EAST.istiods[0], version=version),))
    found = told(fleet(WEST, newer))
    assert found == [(code, found[0][1])]
    assert f"west 1.31.0, east {version}" in found[0][1]


def test_proxies_that_are_too_old_or_newer_than_any_control_plane_are_told() -> None:
    for version in ("1.28.3", "1.32.0-distroless"):
        [(code, line)] = told(fleet(WEST, replace(EAST, proxies=(place("east", version=version),))))
        assert (code, line) == (
            "fleet-proxies-close",
            f"cluster east: 1 of 1 proxies: Pod shop/odd ({version})",
        )


# Services.


def with_service(site: FleetSeen, **services: ServiceSeen) -> FleetSeen:
    clusters = tuple(
        replace(each, services=(services[each.name],)) if each.name in services else each
        for each in site.clusters
    )
    return replace(site, clusters=clusters)


def test_a_service_that_is_headless_in_one_cluster_alone_is_told() -> None:
    west, east = ServiceSeen("shop", "db", headless=True), ServiceSeen("shop", "db", headless=False)
    assert told(with_service(fleet(), west=west, east=east)) == [
        ("fleet-services-alike", "Service shop/db: in west headless; in east with an address")
    ]


def test_a_service_with_other_ports_elsewhere_is_told() -> None:
    west = ServiceSeen("shop", "web", headless=False, ports=("http 80/TCP",))
    [(code, line)] = told(with_service(fleet(), west=west, east=replace(west, ports=("http 8080/TCP",))))
    assert (code, line) == (
        "fleet-services-alike",
        "Service shop/web: in west http 80/TCP; in east http 8080/TCP",
    )


def test_a_headless_service_is_told_that_callers_elsewhere_do_not_find() -> None:
    db = ServiceSeen("shop", "db", headless=True)
    assert told(with_service(fleet(), west=db)) == [
        ("fleet-headless-known", "Service shop/db: it is headless, in west, and not in east")
    ]
    assert told(with_service(fleet(), west=db, east=db)) == [
        (
            "fleet-headless-within-network",
            "Service shop/db: it is headless, and in networks net-east, net-west",
        )
    ]


# Traffic.


def test_a_gateway_that_is_not_reached_is_one_line_whoever_tried() -> None:
    tried = Traffic((), (opened("west", "east", "no answer"), opened("north", "east", "no answer")))
    assert told(fleet(WEST, EAST, traffic=tried)) == [
        (
            "fleet-gateways-reached",
            "cluster east: Service istio-system/gateway at 192.0.2.7:15443 is not reached from pods in "
            "west, north: no answer",
        )
    ]


def test_calls_that_fail_or_that_another_answers_are_told() -> None:
    calls = (
        call("west", "east", answered_by="", caller="", called="", fault="no endpoint"),
        call("east", "west", answered_by="east"),
    )
    assert told(fleet(WEST, EAST, traffic=Traffic(calls))) == [
        ("fleet-calls-arrive", "call west → east: no endpoint"),
        ("fleet-calls-arrive", "call east → west: the server of cluster east answered"),
    ]


def lost(client: str, server: str, *path: str) -> Call:
    return call(client, server, answered_by="", caller="", called="", fault="no connection", path=path)


def test_a_call_that_fails_says_what_else_was_seen_on_its_way() -> None:
    door = opened("west", "east", "no answer")
    tried = Traffic((lost("west", "east", door.address), lost("east", "west", door.address)), (door,))
    found = [line for code, line in told(fleet(WEST, EAST, traffic=tried)) if code == "fleet-calls-arrive"]
    assert found == [
        "call west → east: no connection; that gateway is not reached",
        "call east → west: no connection",
    ]
    wrong = rooted("east", "west", root=OTHER, trusts=frozenset({OTHER}))
    site = fleet(WEST, wrong, traffic=Traffic((lost("west", "east"),)))
    assert [line for code, line in told(site) if code == "fleet-calls-arrive"] == [
        "call west → east: no connection; west does not trust the root of east; "
        "east does not trust the root of west"
    ]


def test_calls_without_mtls_or_with_other_identities_are_told() -> None:
    calls = (
        call("west", "east", caller="", called=""),
        call("east", "west", caller="spiffe://evil/east"),
        call("east", "east", called="spiffe://cluster.local/west"),
    )
    assert told(fleet(WEST, EAST, traffic=Traffic(calls))) == [
        (
            "fleet-identities-proven",
            "call west → east: it was not mTLS: the server's proxy saw no certificate",
        ),
        (
            "fleet-identities-proven",
            "call east → west: the caller is spiffe://evil/east in place of spiffe://cluster.local/east",
        ),
        (
            "fleet-identities-proven",
            "call east → east: the server is spiffe://cluster.local/west in place of "
            "spiffe://cluster.local/east",
        ),
    ]


def test_a_cluster_that_took_no_part_is_told() -> None:
    assert told(fleet(WEST, EAST, traffic=Traffic(skipped={"east": "pods get no proxy"}))) == [
        ("fleet-traffic-tried", "cluster east: pods get no proxy")
    ]


def test_a_gateway_service_seen_by_istiod_is_one_with_the_label() -> None:
    flat = GatewaySeen("Service istio-system/gw", "net-east", ("192.0.2.9",))
    assert told(fleet(WEST, replace(EAST, gateways=(flat,)))) == []
