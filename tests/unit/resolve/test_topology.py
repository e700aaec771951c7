"""What a cluster's place in a mesh.yaml means for its values."""

from __future__ import annotations

from pathlib import Path

import pytest

from meshctl.errors import ConfigError
from meshctl.model.mesh import Inputs
from meshctl.model.values import Values
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve

HEAD = "apiVersion: meshctl.dev/v1alpha1\nkind: Mesh\nmetadata: {name: prod}\n"


def settled(cluster: str, *said: str, spec: str = "", sets: tuple[str, ...] = ()) -> Values:
    lines = "".join(f"    - {{{each}}}\n" for each in said)
    text = f"{HEAD}spec:\n{spec}  clusters:\n{lines}"
    asked = load(Inputs(files=("-",), only=cluster, sets=sets, version="1.32"), stdin=text)
    return resolve(asked, asked.mesh.clusters[0])


def test_every_cluster_knows_its_own_name_its_mesh_and_its_network() -> None:
    values = settled("b", "name: a, network: n1", "name: b, network: n2")
    assert values.at("global.meshID") == "prod"
    assert values.at("global.multiCluster.clusterName") == "b"
    assert values.at("global.network") == "n2"
    assert settled("a", "name: a", spec="  meshID: other\n").at("global.meshID") == "other"


def test_what_the_topology_says_is_explained_by_the_line_of_the_cluster() -> None:
    values = settled("b", "name: a, network: n1", "name: b, network: n2")
    (value, where), *_ = values.explain("global.network")
    assert (value, str(where)) == ("n2", "<stdin>:7  values.global.network")


def test_settings_beat_each_other_in_one_order() -> None:
    said = "name: a, values: {pilot: {env: {C: cluster, S: cluster}}}"
    spec = "  values: {pilot: {env: {F: file, C: file, S: file}}}\n"
    values = settled("a", said, spec=spec, sets=("values.pilot.env.S=set",))
    assert values.at("pilot.env") == {"F": "file", "C": "cluster", "S": "set"}
    assert [value for value, _ in values.explain("pilot.env.S")] == ["set", "cluster", "file"]


def test_a_set_beats_the_topology_and_a_file_does_not_without_a_warning(tmp_path: Path) -> None:
    forced = settled("a", "name: a, network: n", sets=("values.global.network=x",))
    assert forced.at("global.network") == "x"
    text = f"{HEAD}spec:\n  clusters: [{{name: a, network: n}}]\n"
    file = tmp_path / "values.yaml"
    file.write_text("global: {network: x, meshID: prod}\n")
    asked = load(Inputs(files=("-", str(file))), stdin=text)
    values = resolve(asked, asked.mesh.clusters[0])
    assert values.at("global.network") == "n"
    assert values.warnings == (
        f"{file}:1  global.network: changes nothing; the topology of the mesh says it",
    )


def test_the_platform_of_a_cluster_is_laid_below_its_own_settings() -> None:
    values = settled("a", "name: a, platform: k3s, values: {cni: {cniBinDir: /own}}")
    assert values.at("cni.cniBinDir") == "/own"
    assert values.at("cni.cniConfDir") == "/var/lib/rancher/k3s/agent/etc/cni/net.d"
    assert values.at("global.platform") == "k3s"


def test_a_primary_says_that_it_serves_others_only_when_it_does() -> None:
    assert settled("a", "name: a", "name: b").at("global.externalIstiod") is False
    primary = settled("a", "name: a, address: 192.0.2.1", "name: b, role: remote")
    assert primary.at("global.externalIstiod") is True


def test_a_remote_finds_its_istiod_and_says_who_it_is() -> None:
    values = settled("b", "name: a, address: 192.0.2.1, network: n", "name: b, role: remote, network: n")
    assert values.at("global.remotePilotAddress") == "192.0.2.1"
    assert values.at("istiodRemote.enabled") is True
    assert values.at("istiodRemote.injectionPath") == "/inject/cluster/b/net/n"
    assert not values.at("components.ingressGateways[0].enabled")


def test_a_remote_without_a_network_says_only_its_name() -> None:
    values = settled("b", "name: a, address: 192.0.2.1", "name: b, role: remote")
    assert values.at("istiodRemote.injectionPath") == "/inject/cluster/b"


def test_a_remote_takes_revision_and_namespace_of_its_istiod() -> None:
    server = "name: a, address: 192.0.2.1, revision: r1, namespace: mesh"
    values = settled("b", server, "name: b, role: remote", "name: c, role: remote")
    assert (values.revision, values.namespace) == ("r1", "mesh")


def test_an_address_that_nobody_said_is_asked_for_where_the_cluster_is_declared() -> None:
    with pytest.raises(ConfigError) as told:
        settled("b", "name: a", "name: b, role: remote")
    assert told.value.code == "unknown-address"
    assert str(told.value.where) == "<stdin>:7  spec.clusters[1]"


EXTERNAL = (
    "name: far, role: external, address: {}",
    "name: a, role: config, network: n",
    "name: b, role: remote, network: m",
)


def external(cluster: str, address: str, **more: str) -> Values:
    return settled(cluster, *(each.format(address) for each in EXTERNAL), **more)  # type: ignore[arg-type]


def test_clusters_of_an_external_istiod_with_a_host_name_call_it_by_that_name() -> None:
    config, other = external("a", "istiod.example.com"), external("b", "istiod.example.com")
    url = "https://istiod.example.com:15017/inject/cluster"
    assert config.at("istiodRemote.injectionURL") == f"{url}/a/net/n"
    assert config.at("base.validationURL") == "https://istiod.example.com:15017/validate"
    assert other.at("istiodRemote.injectionURL") == f"{url}/b/net/m"
    assert other.at("base.validationURL") == ""
    assert config.at("global.configCluster") is True
    assert other.at("global.configCluster") is False


def test_clusters_of_an_external_istiod_with_an_ip_address_call_it_through_a_service() -> None:
    config = external("a", "192.0.2.1")
    assert config.at("global.remotePilotAddress") == "192.0.2.1"
    assert config.at("istiodRemote.injectionPath") == "/inject/cluster/a/net/n"
    assert config.at("istiodRemote.injectionURL") == ""


def test_an_external_istiod_works_as_its_config_cluster_and_patches_webhooks_it_can_name() -> None:
    values = external("far", "192.0.2.1", spec="  namespace: far\n  revision: r1\n")
    assert values.at("global.multiCluster.clusterName") == "a"
    assert values.at("global.network") == "n"
    env = values.at("pilot.env")
    assert env["INJECTION_WEBHOOK_CONFIG_NAME"] == "istio-sidecar-injector-r1-far"
    assert env["VALIDATION_WEBHOOK_CONFIG_NAME"] == "istio-validator-r1-far"
    assert env["SHARED_MESH_CONFIG"] == "istio-r1"
    by_name = external("far", "istiod.example.com").at("pilot.env")
    assert by_name["INJECTION_WEBHOOK_CONFIG_NAME"] == ""


def found_at(address: str, cluster: str) -> Values:
    """Values of a cluster whose external istiod has an address that nobody said, but somebody saw."""
    lines = "".join(f"    - {{{each}}}\n" for each in EXTERNAL).replace(", address: {}", "")
    asked = load(Inputs(files=("-",), version="1.32"), stdin=f"{HEAD}spec:\n  clusters:\n{lines}")
    asked = asked.knowing({"far": address})
    found = asked.mesh.cluster(cluster)
    assert found is not None
    return resolve(asked, found)


def test_a_load_balancer_leads_to_an_external_istiod_that_has_no_host_name_of_the_users() -> None:
    assert gateways(found_at("", "far")) == [{"enabled": True, "exposes": ["istiod"], "direct": True}]
    assert gateways(external("far", "192.0.2.1")) == gateways(found_at("192.0.2.7", "far"))
    assert gateways(external("far", "istiod.example.com")) == []
    none = settled("far", f"{EXTERNAL[0]}, eastWestGateway: false".format("192.0.2.1"), *EXTERNAL[1:])
    assert gateways(none) == []


def test_an_address_that_was_found_serves_where_none_is_said_and_a_name_of_a_cloud_needs_no_certificate() -> (
    None
):
    by_name = found_at("lb-1.cloud.example", "a")
    assert by_name.at("global.remotePilotAddress") == "lb-1.cloud.example"
    assert by_name.at("istiodRemote.injectionURL") == ""
    env = found_at("lb-1.cloud.example", "far").at("pilot.env")
    assert env["INJECTION_WEBHOOK_CONFIG_NAME"] == "istio-sidecar-injector"


def gateways(values: Values) -> list[dict[str, object]]:
    found = values.at("components.eastWestGateways") or []
    assert isinstance(found, list)
    return found


def test_east_west_gateways_are_where_the_topology_needs_them() -> None:
    assert gateways(settled("a", "name: a, network: n", "name: b, network: n")) == []
    (across,) = gateways(settled("a", "name: a, network: n", "name: b, network: m"))
    assert across["exposes"] == ["services"]
    (serving,) = gateways(settled("a", "name: a, address: 192.0.2.1", "name: b, role: remote"))
    assert serving["exposes"] == ["istiod"]
    both = "name: a, address: 192.0.2.1, network: n", "name: b, role: remote, network: m"
    assert [gateways(settled(each, *both))[0]["exposes"] for each in "ab"] == [["services", "istiod"], []]
    assert gateways(settled("a", "name: a, network: n, eastWestGateway: false", "name: b, network: m")) == []
    (wanted,) = gateways(settled("a", "name: a, eastWestGateway: true"))
    assert wanted["exposes"] == ["istiod"]


def test_meshes_on_different_networks_have_gateways_between_them() -> None:
    other = HEAD.replace("prod", "lab") + "spec: {clusters: [{name: b, network: m}]}\n"
    text = f"{HEAD}spec: {{clusters: [{{name: a, network: n}}]}}\n---\n{other}"
    asked = load(Inputs(files=("-",), only="a"), stdin=text)
    assert gateways(resolve(asked, asked.mesh.clusters[0]))


def test_networks_whose_gateways_are_said_are_told_to_istiod() -> None:
    spec = "  networks: [{name: n, gateways: [{address: gw.example.com}]}, {name: m}]\n"
    values = settled("b", "name: a, network: n", "name: b, network: m", spec=spec)
    assert values.at("global.meshNetworks") == {
        "n": {
            "endpoints": [{"fromRegistry": "a"}],
            "gateways": [{"address": "gw.example.com", "port": 15443}],
        }
    }


def test_an_ambient_mesh_across_networks_asks_istiod_for_its_gateways() -> None:
    spec = "  profile: ambient\n"
    values = settled("a", "name: a, network: n", "name: b, network: m", spec=spec)
    assert gateways(values)[0]["ambient"] is True
    assert values.at("pilot.env.AMBIENT_ENABLE_MULTI_NETWORK") == "true"
    with pytest.raises(ConfigError, match="is ambient and spans networks"):
        settled(
            "a", "name: a, network: n, address: 192.0.2.1", "name: b, role: remote, network: m", spec=spec
        )
