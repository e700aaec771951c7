"""What would keep an upgrade from working, or should be known first: each fault is found, and no other."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from meshctl.actions.checks import checks, run
from meshctl.actions.install import drafted
from meshctl.actions.preflight import preflight, refusals
from meshctl.checks.site import Site
from meshctl.model.check import Moment
from meshctl.model.finding import Level
from meshctl.model.manifest import Manifest
from meshctl.model.mesh import Inputs
from meshctl.model.objects import Object
from meshctl.model.proxy import Carrier, Seat
from meshctl.model.upgrade_path import NewBehaviour, UpgradePath
from meshctl.ports import World
from meshctl.stages.settings import versions
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve
from meshctl.stages.settings.upgrade_path import supported_until, upgrade_path
from tests.building import obj, part, release
from tests.fakes import KINDS, FakeClock, FakeCluster, FakeFiles, FakeReleases, kind_of
from tests.istiods import (
    AskedCluster,
    FakeIstiod,
    client_config,
    istiod_pod,
    proxied_pod,
    root_config_map,
)

TODAY = date(2026, 9, 10)
GROUP = "networking.istio.io"
ISTIO = tuple(kind_of(f"{GROUP}/v1", kind) for kind in ("VirtualService", "DestinationRule", "Sidecar"))
FILTERS = kind_of(f"{GROUP}/v1alpha3", "EnvoyFilter")


def way(source: str, target: str, **more: Any) -> UpgradePath:
    return UpgradePath(source, versions.version(target), TODAY, **more)


def seat(name: str, version: str = "1.31.0", **more: Any) -> Seat:
    return Seat(name, "shop", "east", Carrier.SIDECAR, version=version, **more)


def site(*objects: Object, path: UpgradePath | None = None, **more: Any) -> Site:
    cluster = FakeCluster("east", kinds=(*KINDS, *ISTIO, FILTERS), settles=False)
    cluster.seed(obj("Namespace", "shop").content)
    for each in objects:
        cluster.seed(each.content)
    return Site(cluster, path=path or way("1.31.0", "1.32"), kinds=cluster.kinds(), **more)


def found(where: Site) -> dict[str, str]:
    """What the checks of this moment alone find, by code; one finding a code."""
    chosen = [each for each in checks() if each.moment is Moment.UPGRADE]
    outcomes = run(where, chosen, FakeClock())
    assert not any(each.skipped for each in outcomes)
    findings = [finding for outcome in outcomes for finding in outcome.findings]
    told = {each.rule.code: f"{each.subject}: {each.message}" for each in findings}
    assert len(told) == len(findings)
    return told


def istio(kind: str, name: str = "web", api_version: str = f"{GROUP}/v1", **spec: Any) -> Object:
    meta = {"namespace": "shop", "name": name}
    return Object({"apiVersion": api_version, "kind": kind, "metadata": meta, "spec": spec})


def test_a_step_to_the_next_minor_of_a_sound_mesh_passes() -> None:
    assert found(site(seats=(seat("web-1"),))) == {}


def test_before_an_upgrade_all_is_asked_that_is_asked_before_an_install() -> None:
    asked = {each.name for each in checks() if each.fits(Moment.UPGRADE)}
    assert asked > {each.name for each in checks() if each.fits(Moment.BEFORE)}
    assert not any(each.fits(Moment.UPGRADE) for each in checks() if each.moment is Moment.AFTER)


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("1.29.4", "1.32", "Istio 1.32 may follow 1.31, 1.30"),
        ("1.32.0", "1.31", "the one to come is older than the one that runs"),
        ("2.0.0", "1.32", "the one to come is older than the one that runs"),
    ],
)
def test_a_way_that_nobody_tested_is_refused(source: str, target: str, words: str) -> None:
    assert found(site(path=way(source, target)))["upgrade-path-supported"].endswith(words)


def test_a_skipped_minor_matters_in_place_only() -> None:
    assert list(found(site(path=way("1.30.3", "1.32")))) == ["upgrade-skips-no-minor"]
    assert found(site(path=way("1.30.3", "1.32", is_beside=True))) == {}
    assert found(site(path=way("1.31.0", "1.31.2"))) == {}


@pytest.mark.parametrize(
    ("end", "words"),
    [(date(2026, 9, 9), "has ended, on 2026-09-09"), (date(2026, 9, 30), "ends on 2026-09-30")],
)
def test_the_end_of_upstreams_support_is_told(end: date, words: str) -> None:
    path = way("1.31.0", "1.32", supported_until={"1.32": end, "1.31": date(2020, 1, 1)})
    assert words in found(site(path=path))["target-supported"]


def test_support_ends_six_weeks_after_the_second_minor_that_follows() -> None:
    known = supported_until()
    assert known["1.28"] == date(2026, 6, 29)
    assert known["1.29"] == date(2026, 10, 12)
    assert "1.31" not in known  # nobody knows yet when 1.33 comes


def test_what_a_mesh_will_notice_is_told_with_what_to_do() -> None:
    behaviours = (
        NewBehaviour("1.31", "values.a", "it does nothing", "leave it out", matters=True),
        NewBehaviour("1.31", "values.b", "it is on", "turn it off"),
    )
    where = site(path=way("1.30.3", "1.31", behaviours=behaviours))
    assert found(where) == {
        "settings-heeded": "values.a: it does nothing",
        "behaviour-kept": "values.b: it is on",
    }


@pytest.mark.parametrize(
    ("source", "target", "version", "code"),
    [
        ("1.31.0", "1.32", "1.29.1", "proxies-served"),
        ("1.31.0", "1.32", "1.30.3-distroless", "proxies-near"),
        ("1.30.3", "1.31", "1.32.0", "proxies-near"),
        ("1.31.0", "1.32", "1.31.0", ""),
        ("1.31.0", "1.32", "latest", ""),
        ("1.31.0", "1.32", "sha256:1.2", ""),
        ("1.31.0", "1.32", "", ""),
    ],
)
def test_a_proxy_must_be_of_an_age_that_the_control_plane_serves(
    source: str, target: str, version: str, code: str
) -> None:
    told = found(site(path=way(source, target), seats=(seat("web-1", version), seat("web-2", source))))
    assert list(told) == [code] * bool(code)
    if code:
        assert told[code].startswith("proxies of shop/web-1: ")


def test_proxies_of_a_control_plane_that_stays_until_they_are_moved_are_no_trouble() -> None:
    seats = tuple(seat(f"web-{number}", "1.30.3") for number in range(5))
    assert found(site(path=way("1.30.3", "1.32", is_beside=True), seats=seats)) == {}
    told = found(site(path=way("1.31.0", "1.32"), seats=seats))
    assert told["proxies-near"].startswith("proxies of shop/web-0, shop/web-1, shop/web-2 and 2 more: ")


def definition(kind: str, plural: str, stored: str = "v1", **versions: bool) -> Object:
    listed = [
        {"name": name, "served": served, "storage": name == stored}
        for name, served in (versions or {"v1": True, "v1beta1": True}).items()
    ]
    spec = {
        "group": GROUP,
        "names": {"kind": kind, "plural": plural},
        "scope": "Namespaced",
        "versions": listed,
    }
    return obj("CustomResourceDefinition", f"{plural}.{GROUP}", spec=spec)


def test_objects_stored_in_a_version_that_goes_are_told() -> None:
    coming = definition("VirtualService", "virtualservices")
    live = Object({**coming.content, "status": {"storedVersions": ["v1alpha3", "v1"]}})
    told = found(site(live, desired=Manifest((part("base", coming),))))
    assert told["stored-versions-served"].endswith("objects may be stored as v1alpha3")


@pytest.mark.parametrize(
    ("versions", "code", "words"),
    [
        ({"v1": True, "v1beta1": True}, "resource-versions-current", "and v1 is the current one"),
        ({"v1": True, "v1beta1": False}, "resource-versions-served", "which is served no more"),
        ({"v1": True}, "resource-versions-served", "which is served no more"),
    ],
)
def test_who_writes_in_an_old_version_is_named(versions: dict[str, bool], code: str, words: str) -> None:
    coming = definition("VirtualService", "virtualservices", **versions)

    class Written(FakeCluster):
        def list(self, api_version: str, kind: str, **scope: str) -> tuple[Object, ...]:
            return tuple(written(each) for each in super().list(api_version, kind, **scope))

    def written(made: Object) -> Object:
        fields = [
            {"manager": "kubectl", "apiVersion": f"{GROUP}/v1beta1", "fieldsV1": {"f:spec": {}}},
            {"manager": "argocd", "apiVersion": f"{GROUP}/v1", "fieldsV1": {"f:spec": {}}},
            {"manager": "istiod", "apiVersion": f"{GROUP}/v1beta1", "fieldsV1": {"f:status": {}}},
        ]
        meta = {**made.content["metadata"], "managedFields": fields}
        return Object({**made.content, "metadata": meta})

    cluster = Written("east", kinds=(*KINDS, *ISTIO, FILTERS), settles=False)
    cluster.seed(obj("Namespace", "shop").content)
    for name in "abcde":
        cluster.seed(istio("VirtualService", name).content)
    where = site(desired=Manifest((part("base", coming),)))
    told = found(replace(where, cluster=cluster))
    assert list(told) == [code]
    assert told[code] == (
        f"VirtualService shop/a, shop/b, shop/c and 2 more: kubectl writes {GROUP}/v1beta1, {words}"
    )


def envoy_filter(version: str = "", **value: Any) -> Object:
    match = {"proxy": {"proxyVersion": version}} if version else {"context": "ANY"}
    patches = [{"applyTo": "HTTP_FILTER", "match": match, "patch": {"value": value}}]
    return istio("EnvoyFilter", "mine", f"{GROUP}/v1alpha3", configPatches=patches)


@pytest.mark.parametrize(
    ("version", "codes"),
    [
        (r"^1\.31.*", ["envoy-filters-apply"]),
        (r"^1\.3\d\..*", ["envoy-filters-absent"]),
        (r"^1\.29.*", ["envoy-filters-absent"]),
        ("", ["envoy-filters-absent"]),
        ("((", ["envoy-filters-absent"]),
    ],
)
def test_a_filter_for_proxies_of_one_version_is_told(version: str, codes: list[str]) -> None:
    assert list(found(site(envoy_filter(version)))) == codes


def test_a_filter_with_names_that_are_gone_is_told() -> None:
    old = {"typed_config": {"@type": "type.googleapis.com/envoy.config.filter.http.lua.v2.Lua"}}
    told = found(site(envoy_filter(**old)))
    assert told["envoy-filters-known"].endswith("envoy.config.filter.http.lua.v2.Lua")
    new = {"typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"}}
    assert list(found(site(envoy_filter(**new)))) == ["envoy-filters-absent"]


def budget(allowed: int, **labels: str) -> Object:
    status = {"disruptionsAllowed": allowed, "currentHealthy": 1, "desiredHealthy": 1}
    return obj(
        "PodDisruptionBudget", "web", "shop", spec={"selector": {"matchLabels": labels}}, status=status
    )


def test_a_budget_that_lets_no_pod_of_the_mesh_go_is_told() -> None:
    pods = [obj("Pod", name, "shop", labels={"app": name}) for name in ("web", "plain")]
    seats = (seat("web"),)
    told = found(site(*pods, budget(0, app="web"), seats=seats))
    assert told["budgets-allow"].endswith("1 pods are healthy and 1 must be, so none may go: web")
    assert found(site(*pods, budget(1, app="web"), seats=seats)) == {}
    assert found(site(*pods, budget(0, app="plain"), seats=seats)) == {}


def test_a_pod_that_is_not_well_is_told_before_anything_is_moved() -> None:
    told = found(site(seats=(seat("web-1", trouble="ImagePullBackOff"), seat("web-2"))))
    assert told == {"proxies-well": "proxy of shop/web-1: ImagePullBackOff"}


@pytest.mark.parametrize(
    ("kind", "spec", "words"),
    [
        (
            "VirtualService",
            {"http": [{}, {"fault": {"delay": {"percent": 5}}}]},
            "use http[].fault.delay.percentage",
        ),
        ("Sidecar", {"outboundTrafficPolicy": {"egressProxy": {"host": "x"}}}, "it does nothing"),
    ],
)
def test_a_field_that_another_has_replaced_is_told(kind: str, spec: dict[str, Any], words: str) -> None:
    assert found(site(istio(kind, **spec)))["fields-current"] == f"{kind} shop/web: {words}"


@pytest.mark.parametrize("spec", [{}, {"http": None}, {"http": "x"}, {"http": [None, 5, {"fault": None}]}])
def test_odd_resources_are_no_trouble(spec: dict[str, Any]) -> None:
    assert found(site(istio("VirtualService", **spec))) == {}


def behaviours(source: str, target: str, *sets: str, **recorded: Any) -> dict[str, NewBehaviour]:
    asked = load(Inputs(version=target, sets=sets))
    values = resolve(asked, asked.mesh.clusters[0])
    path = upgrade_path(release(version=source, revision="", **recorded), values, TODAY)
    assert not path.is_beside
    return {each.setting: each for each in path.behaviours}


def test_defaults_that_change_are_told_with_what_keeps_them() -> None:
    told = behaviours("1.30.3", "1.32")
    setting = "values.pilot.env.PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS"
    assert told[setting].hint.startswith(f"--set {setting}=false keeps that")
    assert "values.pilot.env.PILOT_SIDECAR_PICK_BEST_SERVICE_NAMESPACE" not in told  # changed before
    assert not told[setting].matters
    assert behaviours("1.31.0", "1.32") == {}


def test_a_default_that_the_user_has_settled_is_not_told() -> None:
    setting = "values.pilot.env.PILOT_AUTO_SEND_UNHEALTHY_ENDPOINTS"
    assert setting not in behaviours("1.30.3", "1.31", f"{setting}=true")
    assert behaviours("1.30.3", "1.31", "compatibilityVersion=1.30") == {}


def test_a_setting_that_does_nothing_any_more_is_told_where_it_is_set() -> None:
    setting = "values.pilot.env.PILOT_SPAWN_UPSTREAM_SPAN_FOR_GATEWAY"
    assert behaviours("1.30.3", "1.31", f"{setting}=true")[setting].matters
    assert setting not in behaviours("1.31.0", "1.32", f"{setting}=true")  # it did nothing before, either


def test_what_only_some_components_notice_is_told_to_a_mesh_that_has_them() -> None:
    assert "components.ztunnel.enabled" in behaviours("1.30.3", "1.31", "profile=ambient")
    assert "components.ztunnel.enabled" not in behaviours("1.30.3", "1.31")


@pytest.mark.parametrize("minor", versions.versions())
def test_every_change_says_whom_it_is_for_and_what_to_do(minor: str) -> None:
    for _, told in versions.changes(versions.version(minor)):
        assert told.keys() <= {"given", "where", "what", "hint", "matters"}
        assert told.get("given") or told.get("where")
        assert told["what"]
        assert told["hint"]


def test_a_preflight_looks_at_the_proxies_of_the_release_that_is_left() -> None:
    pods = [
        proxied_pod("old", image="istio/proxyv2:1.29.0", revision="default"),
        proxied_pod("other", image="istio/proxyv2:1.28.0", revision="other"),
        proxied_pod("broken", image="istio/proxyv2:1.31.0", revision="default", phase="Pending"),
    ]
    cluster = FakeCluster("east", obj("Namespace", "shop").content, *pods)
    source = release(version="1.31.0", revision="")
    world = World({"east": cluster}, {"east": FakeReleases(source)}, FakeClock(), FakeFiles())
    asked = load(Inputs(version="1.32", cluster="east"))
    draft = drafted(world, asked, asked.mesh.clusters[0])
    outcomes = tuple(preflight(world, "east", source, draft))
    told = {each.rule.code: each.subject for outcome in outcomes for each in outcome.findings}
    assert told["proxies-served"] == "proxies of shop/old"
    assert told["proxies-well"] == "proxy of shop/broken"
    assert cluster.writes == []


def test_a_preflight_asks_istiod_for_machines_and_for_what_proxies_reject() -> None:
    entry = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "WorkloadEntry",
        "metadata": {
            "namespace": "shop",
            "name": "vm-10.0.0.9",
            "annotations": {
                "istio.io/workloadController": "istiod-1",
                "istio.io/connectedAt": "2026-03-01T12:00:00Z",
            },
        },
    }
    proxies = (
        client_config("web-1", CDS="ERROR", error="no such filter"),
        client_config("vm-1", version="1.28.0"),
    )
    with FakeIstiod(*proxies) as istiod:
        there = (root_config_map(), istiod_pod(), proxied_pod("web-1"), entry)
        cluster = AskedCluster(*there, ports={"istiod-1": istiod.port})
        source = release(version="1.31.0", revision="")
        world = World({"home": cluster}, {"home": FakeReleases(source)}, FakeClock(), FakeFiles())
        asked = load(Inputs(version="1.32", cluster="home"))
        draft = drafted(world, asked, asked.mesh.clusters[0])
        outcomes = tuple(preflight(world, "home", source, draft))
    told = {each.rule.code: each for outcome in outcomes for each in outcome.findings}
    assert told["proxies-served"].subject == "proxies of shop/vm-1"
    assert told["proxies-well"].message == "it rejected CDS: no such filter"


def test_errors_that_are_not_ignored_refuse_an_upgrade() -> None:
    where = site(path=way("1.29.4", "1.32"), seats=(seat("web-1", trouble="it crashes"),))
    outcomes = run(where, [each for each in checks() if each.moment is Moment.UPGRADE], FakeClock())
    (refused,) = refusals(outcomes)
    assert refused.rule.level is Level.ERROR
    assert refused.rule.code == "upgrade-path-supported"
    assert refusals(outcomes, {"upgrade-path-supported"}) == ()
