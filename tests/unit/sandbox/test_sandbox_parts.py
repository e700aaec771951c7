"""The pure halves of the parts: flags, configurations, addresses, decisions."""

from __future__ import annotations

import json
import shutil
import tarfile
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from meshctl.errors import ConfigError, FailedError, UnsupportedError, Where
from meshctl.sandbox import build, controlplane, debian, dns, images, node, preflight
from meshctl.sandbox.controlplane import Plane
from meshctl.sandbox.images import Image, Layer
from meshctl.sandbox.loadbalancer import Pool, held, wanted
from meshctl.sandbox.names import MAX_CLUSTERS, Layout
from meshctl.sandbox.node import Node
from meshctl.sandbox.settings import Settings
from meshctl.sandbox.versions import ISTIO_TAGS, KUBERNETES

CLUSTER = Layout("ci", 0, Path("/state")).cluster(1)
NODE = Node(CLUSTER, "ci", Path("/bin"), masquerade=False)
PLANE = Plane(
    name="c1",
    group="cluster c1",
    folder=CLUSTER.folder,
    binaries=Path("/bin"),
    etcd=Path("/etcd"),
    bind=CLUSTER.address,
    advertise=CLUSTER.address,
    services=CLUSTER.services,
    pods=CLUSTER.pods,
)


def test_versions_are_linked_in() -> None:
    assert f"-X k8s.io/component-base/version.gitVersion=v{KUBERNETES}" in " ".join(
        build.kubernetes().flags()
    )
    tag = ISTIO_TAGS[1]
    assert f"-X istio.io/istio/pkg/version.buildVersion={tag}" in " ".join(
        build.istio(tag, istioctl=False).flags()
    )


def test_another_flag_or_another_go_is_another_entry_of_the_cache() -> None:
    target = build.COREDNS
    folder = target.folder("go1.26.0")
    assert folder == target.folder("go1.26.0")
    assert folder != target.folder("go1.26.1")
    assert folder != replace(target, tags="x").folder("go1.26.0")
    assert folder != replace(target, symbols={"a.b": "c"}).folder("go1.26.0")


def test_every_module_pins_its_sums() -> None:
    for target in (build.kubernetes(), build.istio("1.32.0", istioctl=True), build.COREDNS, build.KWOK):
        assert target.folder("go1.26.0")  # reads go.mod and go.sum


def test_no_secret_is_in_a_command_line() -> None:
    commands = (controlplane.api_server_command(PLANE), controlplane.controller_manager_command(PLANE))
    for argument in (argument for command in commands for argument in command):
        assert "token" not in argument.lower()
        assert "password" not in argument.lower()


def test_the_audit_log_can_be_left_out() -> None:
    assert any("audit-log-path" in one for one in controlplane.api_server_command(PLANE))
    assert not any("audit" in one for one in controlplane.api_server_command(replace(PLANE, audit=False)))


def test_light_mode_can_choose_every_port() -> None:
    moved = replace(PLANE, port=7443, etcd_port=3379, controller_port=7257, scheduler_port=7259)
    assert "--secure-port=7443" in controlplane.api_server_command(moved)
    assert "--etcd-servers=http://127.0.0.1:3379" in controlplane.api_server_command(moved)
    assert any("3380" in one for one in controlplane.etcd_command(moved))
    assert "--secure-port=7257" in controlplane.controller_manager_command(moved)
    assert "--secure-port=7259" in controlplane.scheduler_command(moved)


def test_pods_run_in_the_clusters_own_control_group() -> None:
    configuration = node.kubelet_configuration(NODE)
    assert configuration["cgroupRoot"] == "/meshctl-ci/c1/pods"
    # Without it the kubelet names no group, and pods land outside the sandbox's.
    assert configuration["cgroupsPerQOS"] is True
    assert configuration["clusterDNS"] == [str(CLUSTER.dns)]


def test_pods_hide_behind_their_node_only_on_separate_networks() -> None:
    assert node.pod_network(NODE)["plugins"][0]["ipMasq"] is False
    assert node.pod_network(replace(NODE, masquerade=True))["plugins"][0]["ipMasq"] is True


def test_dns_answers_on_the_node_and_knows_nothing_outside() -> None:
    text = dns.corefile(CLUSTER, Path("/conf"))
    assert f"bind {CLUSTER.address}" in text
    assert "forward" not in text


def test_services_get_the_addresses_they_hold_and_free_ones_are_given_again() -> None:
    pool = Pool(["10.0.0.1", "10.0.0.2"])
    assert pool.give("a/x", held="10.0.0.2") == "10.0.0.2"
    assert pool.give("a/y", held="192.0.2.1") == "10.0.0.1"
    assert pool.give("a/x") == "10.0.0.2"
    assert pool.give("a/z") is None
    assert pool.take_back("a/y") == "10.0.0.1"
    assert pool.take_back("a/y") is None
    assert pool.give("a/z") == "10.0.0.1"


def test_only_load_balancers_of_no_other_class_are_served() -> None:
    assert wanted({"spec": {"type": "LoadBalancer"}})
    assert not wanted({"spec": {"type": "LoadBalancer", "loadBalancerClass": "other"}})
    assert not wanted({"spec": {"type": "ClusterIP"}})
    assert held({"status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}}}) == "10.0.0.1"
    assert held({"status": {"loadBalancer": {}}}) == ""


def test_images_that_share_a_layer_have_it_in_the_archive_once(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "base").write_text("base")
    base = Layer(tree=tree)
    own = Layer(files={"usr/local/bin/base": tree / "base"})
    archive = tmp_path / "images.tar"
    images.write_archive(
        archive, (Image("hub/a:1", (base,), {}), Image("hub/b:1", (base, own), {"User": "1"}))
    )
    with tarfile.open(archive) as opened:
        names = opened.getnames()
        manifest = json.loads(opened.extractfile("manifest.json").read())
        config = json.loads(opened.extractfile(manifest[1]["Config"]).read())
    assert sum(name.endswith("layer.tar") for name in names) == 2
    assert [one["RepoTags"] for one in manifest] == [["hub/a:1"], ["hub/b:1"]]
    assert manifest[0]["Layers"] == manifest[1]["Layers"][:1]
    assert config["config"] == {"User": "1"}
    assert [
        f"{digest.removeprefix('sha256:')}/layer.tar" for digest in config["rootfs"]["diff_ids"]
    ] == manifest[1]["Layers"]


@pytest.mark.parametrize(
    ("light", "reason", "chosen"),
    [(None, "", False), (None, "not root", True), (True, "", True), (False, "", False)],
)
def test_light_mode_is_chosen_when_full_mode_cannot_be(light: bool | None, reason: str, chosen: bool) -> None:
    assert preflight.is_light(Settings(light=light), reason) is chosen


def test_full_mode_that_was_asked_for_and_cannot_be_is_an_error_with_the_reason() -> None:
    with pytest.raises(UnsupportedError, match="not root"):
        preflight.is_light(Settings(light=False), "not root")


def test_hosts_are_refused_in_light_mode() -> None:
    with pytest.raises(UnsupportedError):
        preflight.is_light(Settings(hosts=1), "not root")
    with pytest.raises(UnsupportedError):
        preflight.is_light(Settings(hosts=1, light=True), "")


def test_more_clusters_than_load_balancers_have_addresses_for_need_light_mode() -> None:
    many = MAX_CLUSTERS + 1
    assert preflight.is_light(Settings(clusters=many, light=True), "")
    with pytest.raises(ConfigError, match="a full sandbox has") as told:
        preflight.is_light(Settings(clusters=many), "")
    assert told.value.where == Where("--clusters")
    with pytest.raises(ConfigError, match="outside"):
        Settings(clusters=many, light=False)


def test_packages_are_installed_where_no_service_can_start() -> None:
    command = debian.install_command(["containerd"])
    assert command[:2] == ["unshare", "--mount"]
    assert "/run/systemd" in " ".join(command)
    assert command[-1] == "containerd"


def test_the_api_server_of_a_cluster_is_reached_at_the_nodes_address() -> None:
    assert CLUSTER.api == f"https://{CLUSTER.address}:6443"
    assert CLUSTER.kubernetes_service == IPv4Address("10.96.16.1")


def test_too_few_inotify_instances_are_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "_instances", lambda wanted: wanted - 1)
    with pytest.raises(FailedError, match="40 inotify instances, and this user has 39 left") as told:
        preflight.check_watches(Settings(clusters=2), light=False)
    assert told.value.code == "inotify-exhausted"
    assert "sysctl fs.inotify.max_user_instances=" in told.value.hint


def test_a_full_disk_is_refused_with_figures_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type(shutil.disk_usage(tmp_path))(100 * preflight.GIB, 99 * preflight.GIB, preflight.GIB // 2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(FailedError, match=r"needs 2\.0 GiB, and .* has 0\.5 free"):
        preflight.check_disk(Settings(clusters=2), (tmp_path / "not" / "yet",), cold=False, light=False)
