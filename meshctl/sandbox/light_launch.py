"""How a container of Istio becomes a process: which program, with which arguments and variables.

A container has ports, addresses and a file system of its own; a process shares the machine's. So its
ports become the stand-ins of its place, on loopback; its files stand below its working folder; and
istiod, which it would find by a name of the cluster's DNS, is named by its stand-in.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from meshctl.errors import FailedError
from meshctl.sandbox import light_mesh
from meshctl.sandbox.api import Api
from meshctl.sandbox.binaries import Binaries
from meshctl.sandbox.light_fields import environment, expand
from meshctl.sandbox.light_ports import POD_PORTS, Ports
from meshctl.sandbox.versions import HUB

_PROGRAMS = {"pilot": "pilot-discovery", "proxyv2": "pilot-agent"}
_KUBECONFIG = "kubeconfig"
NO_STATUS_PORT = {"status.sidecar.istio.io/port": "0"}
"""Annotation by which an agent does not answer on its status port: it would on all addresses.

The same setting elsewhere has to be above 0.
"""

_READINESS = re.compile(r'("prefix": "/healthz/ready"\s*},\s*"route": {\s*)')
_TEMPLATE = "var/lib/istio/envoy/envoy_bootstrap_tmpl.json"
_DISCOVERY_PORTS = {
    "httpAddr": 8080,
    "grpcAddr": 15010,
    "secureGRPCAddr": 15012,
    "monitoringAddr": 15014,
    "httpsAddr": 15017,
}


@dataclass(frozen=True, slots=True)
class Image:
    """What the name of an image says: its registry, the program it is about, and Istio's version."""

    registry: str
    program: str
    tag: str


@dataclass(frozen=True, slots=True)
class Launch:
    """A process to start.

    Attributes:
        argv: program and arguments.
        env: all of its environment.
        probe: loopback port and path that answer 200 once it is ready; None when nothing says so.
    """

    argv: tuple[str, ...]
    env: dict[str, str]
    probe: tuple[int, str] | None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is the same for every process of one cluster.

    Attributes:
        api: its API server.
        binaries: the programs.
        ports: its ports.
        discovery: finds the loopback port of an istiod by the address a proxy is given for it, such
            as `istiod.istio-system.svc:15012`; None while none runs.
    """

    api: Api
    binaries: Binaries
    ports: Ports
    discovery: Callable[[str], int | None]


def image_of(container: dict[str, Any]) -> Image | None:
    """What the container runs, if it is a program of Istio."""
    path, _, tag = container.get("image", "").partition("@")[0].rpartition(":")
    registry, _, name = path.rpartition("/")
    program = _PROGRAMS.get(name)
    return None if program is None else Image(registry, program, tag)


def chosen_container(pod: dict[str, Any]) -> dict[str, Any] | None:
    """The container that runs as a process: the first of Istio's that is meant to stay."""
    spec = pod["spec"]
    staying = [one for one in spec.get("initContainers", []) if one.get("restartPolicy") == "Always"]
    return next((one for one in [*spec["containers"], *staying] if image_of(one)), None)


def prepare(
    around: Surroundings, pod: dict[str, Any], container: dict[str, Any], place: int, root: Path
) -> Launch:
    """How to start the container at `place`, with the folder `root` as its root.

    Raises:
        FailedError: the sandbox has no such program, or something it needs is missing; the code is
            `image-unknown` for the first.
    """
    image = image_of(container)
    folder = around.binaries.istio.get(image.tag) if image and image.registry == HUB else None
    if image is None or folder is None:
        known = ", ".join(f"{HUB}/...:{tag}" for tag in around.binaries.istio)
        raise FailedError(
            "image-unknown", f'Back-off pulling image "{container["image"]}": the sandbox has {known}'
        )
    env = environment(around.api, pod, container)
    given = [expand(one, env) for one in container.get("args", [])]
    base = {"PATH": os.defpath, "HOME": str(root)}
    if image.program == "pilot-discovery":
        (root / _KUBECONFIG).write_text(_kubeconfig(around.api, root))
        env |= light_mesh.write(root, pod["metadata"]["namespace"], env)
        argv = [str(folder / image.program), *given, *_discovery_flags(around.ports, place)]
        return Launch(tuple(argv), base | env, _probe(container, around.ports, place))
    env = _agent_environment(around, env, place)
    template = root / _TEMPLATE
    template.parent.mkdir(parents=True, exist_ok=True)
    template.write_text(_loopback_only(around.binaries.bootstrap.read_text()))
    argv = [str(folder / image.program), *given]
    return Launch(tuple(argv), base | env, _probe(container, around.ports, place))


def _discovery_flags(ports: Ports, place: int) -> list[str]:
    """Flags for pilot-discovery that come after the pod's own and so win."""
    return [
        *(f"--{flag}=127.0.0.1:{ports.stand_in(place, port)}" for flag, port in _DISCOVERY_PORTS.items()),
        "--ctrlz_address=127.0.0.1",
        f"--ctrlz_port={ports.stand_in(place, 9876)}",
        f"--kubeconfig={_KUBECONFIG}",
        f"--meshConfig={light_mesh.MESH}",
    ]


def _agent_environment(around: Surroundings, env: dict[str, str], place: int) -> dict[str, str]:
    ports = around.ports
    config = yaml.safe_load(env.get("PROXY_CONFIG") or "{}") or {}
    wanted = config.get("discoveryAddress") or env.get("CA_ADDR") or "istiod.istio-system.svc:15012"
    port = around.discovery(wanted)
    if port is None:
        raise FailedError("istiod-missing", f"no istiod runs for {wanted}")
    config |= {
        "discoveryAddress": f"127.0.0.1:{port}",
        "binaryPath": str(around.binaries.envoy),
        "proxyBootstrapTemplatePath": _TEMPLATE,
        "terminationDrainDuration": "0s",
        "proxyAdminPort": ports.stand_in(place, 15000),
    }
    return env | {
        "PROXY_CONFIG": yaml.safe_dump(config, default_flow_style=True, width=1 << 20).strip(),
        # The certificate is for the name, whatever the address; the agent heeds this for the CA too
        # only where the CA has no address of its own.
        "ISTIOD_SAN": wanted.rpartition(":")[0],
        "CA_ADDR": "",
        "ENVOY_STATUS_PORT": str(ports.stand_in(place, 15021)),
        "ENVOY_PROMETHEUS_PORT": str(ports.stand_in(place, 15090)),
        "DNS_PROXY_ADDR": f"127.0.0.1:{ports.stand_in(place, 15053)}",
        # No rules redirect traffic here, so istiod is asked for listeners with ports of their own,
        # and for none below 1024, which take root.
        "ISTIO_META_INTERCEPTION_MODE": "NONE",
        "ISTIO_META_UNPRIVILEGED_POD": "true",
    }


def _probe(container: dict[str, Any], ports: Ports, place: int) -> tuple[int, str] | None:
    asked = (container.get("readinessProbe") or container.get("startupProbe") or {}).get("httpGet")
    if asked is None:
        return None
    port = asked["port"]
    if isinstance(port, str):
        port = next(
            (one["containerPort"] for one in container.get("ports", []) if one.get("name") == port), 0
        )
    return (ports.stand_in(place, port), asked.get("path", "/")) if port in POD_PORTS else None


def _kubeconfig(api: Api, root: Path) -> str:
    account = root / "var/run/secrets/kubernetes.io/serviceaccount"
    cluster = {"server": api.server, "certificate-authority": str(account / "ca.crt")}
    # Read again and again by the client, so that a new token takes effect.
    user = {"tokenFile": str(account / "token")}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "here", "cluster": cluster}],
            "users": [{"name": "pod", "user": user}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "pod"}}],
            "current-context": "here",
        }
    )


def _loopback_only(template: str) -> str:
    """Envoy's bootstrap template with its listeners on loopback, not on all the machine's addresses.

    What it would ask the agent (`NO_STATUS_PORT`), it asks its own admin port.
    """
    ours = template.replace("{{ .wildcard }}", "127.0.0.1")
    ours = ours.replace("{{ .config.StatusPort }}", "{{ .config.ProxyAdminPort }}")
    return _READINESS.sub(r'\1"prefix_rewrite": "/ready", ', ours)
