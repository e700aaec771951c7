"""Building the programs from their Go modules, once: the cache keeps them by what they are made of."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from meshctl.errors import FailedError, MeshctlError, UnsupportedError
from meshctl.model.event import Changed, Done, Event, Started, Unchanged, Waiting
from meshctl.sandbox import cache, wheels
from meshctl.sandbox.binaries import Binaries
from meshctl.sandbox.paths import cache_root, gomod
from meshctl.sandbox.process import clock, environment, lines_of, run
from meshctl.sandbox.versions import ENVOY_WHEEL, ETCD_WHEEL, GO_LEAST, GO_WHEEL, HUB, KUBERNETES

_REPORT_EVERY = 2.0  # seconds between two lines of progress
_ISTIO_BUILD_TAGS = "vtprotobuf,disable_pgv"  # as upstream builds its releases


@dataclass(frozen=True, slots=True)
class Target:
    """Programs of one module, built together.

    Attributes:
        name: what the line of progress says, after `build`.
        module: folder in `gomod/`.
        packages: import paths of the programs; each is named after its last part.
        tags: build tags.
        symbols: strings to set when linking, by their full name.
        bootstrap: the template of Envoy's bootstrap file in the pinned Istio tree goes beside them.
    """

    name: str
    module: str
    packages: tuple[str, ...]
    tags: str = ""
    symbols: dict[str, str] = field(default_factory=dict)
    bootstrap: bool = False

    def flags(self) -> list[str]:
        """Flags of `go build`, the same for everybody, so that Go's own cache serves all."""
        link = " ".join(["-s", "-w", *(f"-X {name}={self.symbols[name]}" for name in sorted(self.symbols))])
        tags = [f"-tags={self.tags}"] if self.tags else []
        return ["-mod=readonly", "-trimpath", *tags, f"-ldflags={link}"]

    def folder(self, go_version: str) -> Path:
        """Where its programs are kept: another module, flag, Go, or source of ours gives another folder."""
        module = gomod(self.module)
        ours = [
            path for name in self.packages if name.startswith(".") for path in (module / name).glob("*.go")
        ]
        parts = [path.read_bytes() for path in (module / "go.mod", module / "go.sum", *sorted(ours))]
        return cache.entry("bin", cache.key(*parts, *self.flags(), *self.packages, go_version))


def kubernetes() -> Target:
    """The programs of a node and a control plane, and kubectl."""
    major, minor, _ = KUBERNETES.split(".")
    version = {"gitVersion": f"v{KUBERNETES}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    names = ("apiserver", "controller-manager", "scheduler", "proxy")
    return Target(
        "kubernetes",
        "kubernetes",
        (
            *(f"k8s.io/kubernetes/cmd/kube-{name}" for name in names),
            "k8s.io/kubernetes/cmd/kubelet",
            "k8s.io/kubernetes/cmd/kubectl",
        ),
        symbols={
            f"k8s.io/{package}.{name}": value
            for package in ("component-base/version", "client-go/pkg/version")
            for name, value in version.items()
        },
    )


def istio(tag: str, *, istioctl: bool) -> Target:
    """The pinned Istio tree as version `tag`."""
    here = "istio.io/istio/pkg/version."
    return Target(
        f"istio {tag}",
        "istio",
        (
            "istio.io/istio/pilot/cmd/pilot-discovery",
            "istio.io/istio/pilot/cmd/pilot-agent",
            *(["istio.io/istio/istioctl/cmd/istioctl"] if istioctl else []),
        ),
        tags=_ISTIO_BUILD_TAGS,
        symbols={
            f"{here}buildVersion": tag,
            f"{here}buildTag": tag,
            f"{here}buildHub": HUB,
            f"{here}buildStatus": "Clean",
        },
        bootstrap=True,
    )


INJECTJUDGE = Target("injectjudge", "istio", ("./injectjudge",), tags=_ISTIO_BUILD_TAGS)
"""Upstream's injector with a door for many cases; the tests' judge, built as Istio itself is."""
TEMPLATEJUDGE = Target("templatejudge", "istio", ("./templatejudge",), tags=_ISTIO_BUILD_TAGS)
"""Go's text/template with sprig's functions; the tests' judge of `meshctl.gotemplate`."""
HELMJUDGE = Target("helmjudge", "istio", ("./helmjudge",), tags=_ISTIO_BUILD_TAGS)
"""Helm's renderer; it judges the charts that we export."""
DNSJUDGE = Target("dnsjudge", "istio", ("./dnsjudge",), tags=_ISTIO_BUILD_TAGS)
"""The DNS server of Istio's agent; the tests' judge of the agent's own."""
COREDNS = Target("coredns", "coredns", ("github.com/coredns/coredns",))
KWOK = Target("kwok", "kwok", ("sigs.k8s.io/kwok/cmd/kwok",))


def build(tags: tuple[str, ...], *, light: bool) -> Iterator[Event]:
    """Build what is not in the cache, and install the wheels.

    Args:
        tags: versions of Istio.
        light: kwok instead of CoreDNS.

    Raises:
        FailedError: a build failed; the compiler's last lines are in the details.
    """
    yield from cache.locked(_lock(), "build", _build(tags, light))


def program(target: Target) -> Path:
    """The only program of a target, built now unless it is in the cache.

    Raises:
        FailedError: the build failed; the compiler's last lines are in the details.
    """
    for _ in cache.locked(_lock(), "build", _alone(target)):
        pass
    return target.folder(_version(_go())) / target.packages[0].rpartition("/")[2]


def binaries(tags: tuple[str, ...], *, light: bool) -> Binaries:
    """Where everything is, after `build` with the same arguments."""
    go = _go()
    version = _version(go)
    folders = {tag: _istio(tags, tag).folder(version) for tag in tags}
    return Binaries(
        kubernetes=kubernetes().folder(version),
        istio=folders,
        istioctl=folders[tags[0]] / "istioctl",
        coredns=None if light else COREDNS.folder(version) / "coredns",
        kwok=KWOK.folder(version) / "kwok" if light else None,
        etcd=wheels.etcd(),
        envoy=wheels.envoy(),
        bootstrap=folders[tags[0]] / "envoy_bootstrap.json",
    )


def _build(tags: tuple[str, ...], light: bool) -> Iterator[Event]:
    for wheel in (ETCD_WHEEL, ENVOY_WHEEL):
        yield from wheels.install("build", wheel)
    yield from _install_go()
    go = _go()
    version = _version(go)
    istios = [_istio(tags, tag) for tag in tags]
    for target in [kubernetes(), *istios, KWOK if light else COREDNS]:
        yield from _target(go, version, target)


def _alone(target: Target) -> Iterator[Event]:
    yield from _install_go()
    go = _go()
    yield from _target(go, _version(go), target)


def _install_go() -> Iterator[Event]:
    if _go_on_path() is None and wheels.go() is None:
        yield from wheels.install("build", GO_WHEEL)


def _lock() -> Path:
    return cache_root() / "build.lock"


def _istio(tags: tuple[str, ...], tag: str) -> Target:
    return istio(tag, istioctl=tag == tags[0])


def _target(go: Path, version: str, target: Target) -> Iterator[Event]:
    group = f"build {target.name}"
    folder = target.folder(version)
    if folder.is_dir():
        yield Unchanged(group, "in the cache")
        return
    begun = clock()
    yield Started(group, f"{len(target.packages)} programs")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with cache.filling(folder) as part:
        yield from _compile(go, target, part, group, begun)
        if target.bootstrap:
            shutil.copyfile(_bootstrap(go), part / "envoy_bootstrap.json")
    yield Changed(group, f"{len(target.packages)} programs", "built")
    yield Done(group, seconds=clock() - begun)


def _compile(go: Path, target: Target, out: Path, group: str, begun: float) -> Iterator[Event]:
    where = gomod(target.module)
    command = [str(go), "build", *target.flags(), "-v", "-o", f"{out}/", *target.packages]
    total, count, told = 0, 0, begun
    scratch = out / "scratch"  # beside the programs, so that a killed build leaves nothing elsewhere
    scratch.mkdir()
    for line in lines_of(command, env={**_env(), "GOTMPDIR": str(scratch)}, cwd=where):
        if "/" in line and " " not in line:
            count += 1
        if clock() - told < _REPORT_EVERY:
            continue
        told = clock()
        if not line:
            yield Waiting(group, "link", f"{told - begun:.0f} s")
            continue
        # Asked only once a build turns out to be long: with a warm cache it would cost more than it tells.
        total = total or _package_count(go, target)
        share = min(99, 100 * count // total)
        yield Waiting(group, "compile", f"{share} %, {count} of {total} packages, {told - begun:.0f} s")
    shutil.rmtree(scratch)


def _package_count(go: Path, target: Target) -> int:
    tags = [f"-tags={target.tags}"] if target.tags else []
    command = [str(go), "list", "-mod=readonly", *tags, "-deps", *target.packages]
    return max(1, len(run(command, env=_env(), cwd=gomod(target.module), seconds=600).splitlines()))


def _bootstrap(go: Path) -> Path:
    """The template of Envoy's bootstrap file in the pinned tree, which Go keeps unpacked."""
    command = [str(go), "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", "istio.io/istio"]
    module = run(command, env=_env(), cwd=gomod("istio"), seconds=600).strip()
    return Path(module) / "tools" / "packaging" / "common" / "envoy_bootstrap.json"


def _env() -> dict[str, str]:
    return environment(CGO_ENABLED="0", GOFLAGS="", GOWORK="off", GOTOOLCHAIN="local")


def _go() -> Path:
    go = _go_on_path() or wheels.go()
    if go is None:
        raise FailedError("no-go", "there is no Go to build with", hint="run `meshctl sandbox up` again")
    return go


def _go_on_path() -> Path | None:
    """The Go on PATH, if it is new enough."""
    found = shutil.which("go")
    if found is None:
        return None
    try:
        numbers = _version(Path(found)).removeprefix("go").split(".")
        return Path(found) if (int(numbers[0]), int(numbers[1])) >= GO_LEAST else None
    except (MeshctlError, ValueError, IndexError):
        return None


def _version(go: Path) -> str:
    """The version of a Go, such as `go1.26.8`."""
    words = run([str(go), "env", "GOVERSION"], env=_env()).strip()
    if not words.startswith("go"):
        raise UnsupportedError("unknown-go", f"{str(go)!r} does not tell its version")
    return words.split()[0]
