"""Which images a mesh needs, and the script that carries them."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from meshctl.errors import ConfigError
from meshctl.model.mesh import Inputs
from meshctl.stages.exporting.images import images
from meshctl.stages.exporting.save_script import save_script
from meshctl.stages.rendering.render import render
from meshctl.stages.settings.load import load
from meshctl.stages.settings.resolve import resolve

HUB = ("hub=hub.example/istio", "tag=9.9.9")


def found(*sets: str, profile: str = "default") -> dict[str, tuple[str, ...]]:
    asked = load(Inputs(profile=profile, sets=(*HUB, *sets)))
    values = resolve(asked, asked.mesh.clusters[0])
    return {each.reference: each.users for each in images(render(values), values)}


def test_images_of_workloads_and_of_injected_proxies_are_listed():
    assert found() == {
        "hub.example/istio/pilot:9.9.9": ("Deployment istio-system/istiod",),
        "hub.example/istio/proxyv2:9.9.9": (
            "Deployment istio-system/istio-ingressgateway",
            "injected init containers",
            "injected proxies, gateways and waypoints",
        ),
    }


def test_a_gateway_whose_image_the_injector_fills_in_runs_the_proxys_image():
    listed = found("values.gateways.istio-ingressgateway.injectionTemplate=gateway")
    assert "auto" not in listed
    assert "Deployment istio-system/istio-ingressgateway" in listed["hub.example/istio/proxyv2:9.9.9"]


def test_a_variant_replaces_the_ending_of_the_tag_as_istiod_does():
    listed = found("values.global.variant=distroless", "tag=9.9.9-debug", profile="minimal")
    assert "hub.example/istio/proxyv2:9.9.9-distroless" in listed


def test_an_image_that_is_a_whole_reference_stays_as_it_is():
    assert "other.example/envoy:1" in found("values.global.proxy.image=other.example/envoy:1")


def test_agentgateway_is_listed_once_it_is_switched_on():
    assert any("agentgateway" in each for each in found("values.pilot.env.PILOT_ENABLE_AGENTGATEWAY=true"))
    assert not any("agentgateway" in each for each in found())


def test_a_mesh_without_istiod_needs_no_proxies():
    assert found(profile="empty") == {}


def run(script: str, folder: Path, *arguments: str, **environment: str) -> list[str]:
    """What the script asked of a container tool."""
    tool = folder / "docker"
    tool.write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\n')
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    path = f"{folder}:{os.environ['PATH']}"
    subprocess.run(
        ["/bin/sh", "-s", *arguments], input=script, text=True, check=True, env={"PATH": path, **environment}
    )
    return (folder / "asked").read_text().splitlines()


def test_the_script_saves_every_image_to_the_archive_that_is_asked_for(tmp_path: Path):
    script = save_script(["b.example/x:1", "a.example/y:2", "a.example/y:2"], "1.2.3")
    assert run(script, tmp_path, "my file.tar") == [
        "pull a.example/y:2",
        "pull b.example/x:1",
        "save -o my file.tar a.example/y:2 b.example/x:1",
    ]


def test_the_archive_is_named_after_the_version_unless_said(tmp_path: Path):
    assert "save -o istio-1.2.3.tar a.example/y:2" in run(
        save_script(["a.example/y:2"], "1.2.3"), tmp_path, TOOL="docker"
    )


def test_the_script_copies_images_to_a_registry_under_their_last_names(tmp_path: Path):
    script = save_script(["a.example/deep/er/y:2"], "1.2.3", "mine.example/istio/")
    assert run(script, tmp_path) == [
        "pull a.example/deep/er/y:2",
        "tag a.example/deep/er/y:2 mine.example/istio/y:2",
        "push mine.example/istio/y:2",
    ]


def test_images_that_would_have_one_name_in_a_registry_are_refused():
    with pytest.raises(ConfigError, match="would both be"):
        save_script(["a.example/y:2", "b.example/y:2"], "1.2.3", "mine.example")


def test_without_any_container_tool_the_script_says_which_ones_it_takes():
    done = subprocess.run(
        ["/bin/sh", "-s"], input=save_script(["a.example/y:2"], "1"), text=True, capture_output=True,
        env={"PATH": "/nowhere"}, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "install one, or name another in TOOL" in done.stderr


@pytest.mark.parametrize(
    "registry", ["mine.example\nrm -rf x", "mine.example; id", "https://mine.example", "/"]
)
def test_what_is_no_registry_gets_no_script(registry: str) -> None:
    with pytest.raises(ConfigError, match="is no registry"):
        save_script(["a.example/y:2"], "1.2.3", registry)


@pytest.mark.parametrize("registry", ["localhost:5000", "[::1]:5000/a", "mine.example/istio_x/y-z/"])
def test_hosts_ports_and_paths_are_registries(registry: str) -> None:
    assert f"{registry.rstrip('/')}/y:2" in save_script(["a.example/y:2"], "1.2.3", registry)
