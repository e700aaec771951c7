"""Container images without a registry: made from what was built, and kept as a filled containerd folder.

Unpacking images takes seconds each, so it is done once: a containerd of our own imports one archive of
all images into a folder in the cache. A cluster starts from a copy of that folder, in which the
layers, which nobody ever writes to, are hard links.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meshctl.errors import MeshctlError
from meshctl.model.event import Changed, Done, Event, Started, Unchanged, Waiting
from meshctl.sandbox import cache, rootfs
from meshctl.sandbox.binaries import Binaries
from meshctl.sandbox.ledger import Folder, Ledger, Process
from meshctl.sandbox.paths import cache_root
from meshctl.sandbox.process import alive, clock, kill, run, spawn
from meshctl.sandbox.versions import APP_IMAGE, ENVOY_WHEEL, HUB, PAUSE_IMAGE
from meshctl.sandbox.waiting import until

GROUP = "images"
_ECHO = Path(__file__).parent / "echo.py"


@dataclass(frozen=True, slots=True)
class Layer:
    """Files of an image: a whole tree, or single files by their path in the image."""

    tree: Path | None = None
    files: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Image:
    """An image: its name with tag, its layers from the bottom up, and how it runs."""

    name: str
    layers: tuple[Layer, ...]
    config: dict[str, Any]


def images(binaries: Binaries) -> tuple[Image, ...]:
    """All images; those on the pod's root file system share it as their lowest layer."""
    base = Layer(tree=rootfs.POD.path)
    envoy = Layer(
        files={
            "usr/local/bin/envoy": binaries.envoy,
            "var/lib/istio/envoy/envoy_bootstrap_tmpl.json": binaries.bootstrap,
        }
    )
    echo = Layer(files={"usr/local/bin/echo.py": _ECHO})
    user = f"{rootfs.PROXY_USER}:{rootfs.PROXY_USER}"
    path = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}
    found = [
        Image(PAUSE_IMAGE, (base,), {**path, "Entrypoint": ["sleep", "infinity"]}),
        Image(APP_IMAGE, (base, echo), {**path, "Entrypoint": ["python3", "/usr/local/bin/echo.py"]}),
    ]
    for tag, folder in binaries.istio.items():
        pilot = Layer(files={"usr/local/bin/pilot-discovery": folder / "pilot-discovery"})
        agent = Layer(files={"usr/local/bin/pilot-agent": folder / "pilot-agent"})
        run_pilot = {**path, "Entrypoint": ["/usr/local/bin/pilot-discovery"], "User": user}
        run_agent = {**path, "Entrypoint": ["/usr/local/bin/pilot-agent"]}
        found.append(Image(f"{HUB}/pilot:{tag}", (base, pilot), run_pilot))
        found.append(Image(f"{HUB}/proxyv2:{tag}", (base, envoy, agent), run_agent))
    return tuple(found)


def template(binaries: Binaries) -> Path:
    """Where the filled containerd folder is, once `make` has filled it.

    Its name says what is in it, and not where that was: a build, a tree and a wheel each carry their
    own key in their folder's name.
    """
    parts = [json.dumps([image.name, image.config], sort_keys=True) for image in images(binaries)]
    builds = [folder.name for folder in binaries.istio.values()]
    content = [rootfs.POD.path.name, *builds, ENVOY_WHEEL, run(["containerd", "--version"])]
    return cache.entry("containerd", cache.key(*parts, *content, _ECHO.read_bytes()))


def make(ledger: Ledger, binaries: Binaries) -> Iterator[Event]:
    """Fill the containerd folder unless it is in the cache.

    Raises:
        FailedError: containerd did not come up, or refused the archive.
    """
    lock = cache_root() / "images.lock"
    yield from cache.locked(lock, GROUP, _make(ledger, binaries))


def unpack(binaries: Binaries, folder: Path) -> None:
    """Give a cluster's containerd its own copy of the filled folder, before it starts.

    The two databases are copied in full: containerd writes to them in place. Where cache and state
    are on different file systems, all is copied.
    """
    source = template(binaries)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        run(["cp", "-a", "--link", f"{source}/.", str(folder)])
    except MeshctlError:
        run(["cp", "-a", f"{source}/.", str(folder)], seconds=600)
    for database in source.glob("*/*.db"):
        own = folder / database.relative_to(source)
        own.unlink()
        shutil.copy2(database, own)


def _make(ledger: Ledger, binaries: Binaries) -> Iterator[Event]:
    path = template(binaries)
    if path.is_dir():
        yield Unchanged(GROUP, "in the cache")
        return
    begun = clock()
    wanted = images(binaries)
    path.parent.mkdir(parents=True, exist_ok=True)
    archive = ledger.path.parent / "images.tar"
    with cache.filling(path) as part:
        yield Started(GROUP, "archive")
        write_archive(archive, wanted)
        yield Waiting(GROUP, "import", f"{archive.stat().st_size // 2**20} MiB, {clock() - begun:.0f} s")
        yield from _import(ledger, archive, part)
    archive.unlink()
    yield Changed(GROUP, f"{len(wanted)} images", "made")
    yield Done(GROUP, seconds=clock() - begun)


def _import(ledger: Ledger, archive: Path, root: Path) -> Iterator[Event]:
    socket = Path(f"/run/meshctl-{ledger.path.parent.name}-images.sock")
    state = ledger.path.parent / "images"
    configuration = ledger.path.parent / "images.toml"
    configuration.write_text(
        f'version = 2\nroot = "{root}"\nstate = "{state}"\n'
        f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\n  address = "{socket}"\n'
    )
    ledger.record(Folder(str(socket)))
    ledger.record(Folder(f"{socket}.ttrpc"))
    log = ledger.path.parent / "images.log"
    # In a mount namespace of its own: what unpacking mounts goes with it.
    argv = ["unshare", "--mount", "--propagation", "private", "containerd", "--config", str(configuration)]
    containerd = spawn(ledger, "images/containerd", argv, log=log)
    control = ["ctr", "--address", str(socket), "--namespace", "k8s.io"]
    try:
        yield from until(
            GROUP, "containerd", lambda: _unanswered(control, socket), process=containerd, log=log, seconds=30
        )
        run([*control, "images", "import", str(archive)], seconds=600)
    finally:
        _end(containerd)


def _unanswered(control: list[str], socket: Path) -> str:
    if not socket.exists():
        return "starting"
    try:
        run([*control, "version"], seconds=10)
    except MeshctlError as error:
        return error.details[-1] if error.details else error.message
    return ""


def _end(containerd: Process) -> None:
    """Its databases are written by then: each change is a transaction on disk."""
    kill(containerd)
    for _ in until(GROUP, "containerd", lambda: "ending" if alive(containerd) else "", seconds=30):
        pass


def write_archive(path: Path, wanted: tuple[Image, ...]) -> None:
    """One archive of all images in the format of `docker save`; layers that are equal are in it once."""
    manifest = []
    known: dict[int, str] = {}
    folder = path.with_suffix(".layers")
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for image in wanted:
            digests = []
            for layer in image.layers:
                if id(layer) not in known:
                    known[id(layer)] = _add_layer(archive, layer, folder / "layer.tar")
                digests.append(known[id(layer)])
            config = {
                "architecture": "amd64",
                "os": "linux",
                "config": image.config,
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
            }
            raw = json.dumps(config, sort_keys=True).encode()
            name = f"{hashlib.sha256(raw).hexdigest()}.json"
            _add_bytes(archive, name, raw)
            layers = [f"{digest}/layer.tar" for digest in digests]
            manifest.append({"Config": name, "RepoTags": [image.name], "Layers": layers})
        _add_bytes(archive, "manifest.json", json.dumps(manifest, sort_keys=True).encode())
    shutil.rmtree(folder)


def _add_layer(archive: tarfile.TarFile, layer: Layer, part: Path) -> str:
    if layer.tree is not None:
        command = ["tar", "--numeric-owner", "--sort=name", "--exclude=./dev/*", "-C", str(layer.tree)]
        run([*command, "-cf", str(part), "."], seconds=600)
    else:
        with tarfile.open(part, "w") as files:
            for name, source in sorted(layer.files.items()):
                _add_file(files, name, source)
    with part.open("rb") as raw:
        digest = hashlib.file_digest(raw, "sha256").hexdigest()
    archive.add(part, f"{digest}/layer.tar")
    part.unlink()
    return digest


def _add_file(archive: tarfile.TarFile, name: str, source: Path) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = source.stat().st_size
    entry.mode = 0o755
    with source.open("rb") as content:
        archive.addfile(entry, content)


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
