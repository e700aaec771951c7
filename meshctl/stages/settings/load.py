"""From files and flags to overlays, each of whose leaves knows its place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from meshctl.errors import ConfigError, ProblemsError, UnsupportedError, Where, listed, nearest
from meshctl.model.mesh import Cluster, Inputs, Mesh, Overlay
from meshctl.stages.fleet import meshfile
from meshctl.stages.settings import operator, setpath, versions
from meshctl.stages.settings.document import documents, only
from meshctl.stages.settings.layering import Given, faults, gather, layered

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meshctl.model.values import Version
    from meshctl.stages.fleet.meshfile import Declared
    from meshctl.stages.settings.document import Document


@dataclass(frozen=True)
class Share:
    """What one cluster's values are settled from.

    Attributes:
        mesh: the whole mesh that the cluster is a part of.
        profile: name of the profile.
        overlays: component defaults, version, profiles, files and settings, lowest first.
        place: where the cluster is declared; None where no mesh.yaml does.
    """

    mesh: Mesh
    profile: str
    overlays: tuple[Overlay, ...]
    place: Where | None = None


@dataclass(frozen=True)
class Loaded:
    """What was asked for, checked, and not yet settled for a cluster.

    Attributes:
        mesh: the mesh, with those of its clusters that are asked for.
        version: Istio's version.
        shares: what each of these clusters is settled from, by its name.
        is_fleet: whether a mesh.yaml says which clusters there are.
        wanted: what was said of the version, such as `1.32`; empty when nobody said anything.
    """

    mesh: Mesh
    version: Version
    shares: Mapping[str, Share]
    is_fleet: bool = False
    wanted: str = ""

    @property
    def profile(self) -> str:
        """Name of the first cluster's profile."""
        return next(iter(self.shares.values())).profile

    def share(self, cluster: Cluster) -> Share:
        """What a cluster is settled from. Without a mesh.yaml, clusters of any name are alike."""
        return self.shares[cluster.name] if self.is_fleet else next(iter(self.shares.values()))

    def knowing(self, found: Mapping[str, str]) -> Loaded:
        """The same, with addresses at which east-west gateways were found, by name of the cluster."""
        shares = {name: replace(each, mesh=_located(each.mesh, found)) for name, each in self.shares.items()}
        return replace(self, mesh=_located(self.mesh, found), shares=shares)


def _located(mesh: Mesh, found: Mapping[str, str]) -> Mesh:
    clusters = (replace(each, found=found.get(each.name, each.found)) for each in mesh.clusters)
    return replace(mesh, clusters=tuple(clusters))


@dataclass(frozen=True)
class _Files:
    """Files, read. `overlays` holds None where the mesh.yaml stands among them."""

    overlays: tuple[Overlay | None, ...]
    meshes: tuple[Declared, ...]
    problems: tuple[ConfigError, ...]


def load(inputs: Inputs, *, stdin: str = "") -> Loaded:
    """Read and check everything the user gave for one mesh.

    Args:
        inputs: what the command line says.
        stdin: standard input, for a file named `-`.

    Raises:
        ConfigError: one thing is wrong, or several meshes are asked for.
        ProblemsError: several things are wrong; all are told.
        UnsupportedError: a version that the catalogue does not hold.
    """
    found = load_all(inputs, stdin=stdin)
    if len(found) > 1:
        raise ConfigError(
            "several-meshes",
            f"this is for one mesh, and the file holds {listed(each.mesh.name for each in found)}",
            where=next(iter(found[1].shares.values())).place,
            hint="choose one cluster with --cluster",
        )
    return found[0]


def load_all(inputs: Inputs, *, stdin: str = "") -> tuple[Loaded, ...]:
    """As `load`, for every mesh of a mesh.yaml; without one, a mesh of one cluster."""
    files = _read(inputs.files, stdin)
    problems = list(files.problems)
    wishes = [each for said in inputs.sets if (each := gather(problems, lambda: setpath.setting(said)))]  # noqa: B023 - called at once
    if None not in files.overlays:
        meshes = [meshfile.implied(Mesh(inputs.mesh, (Cluster(inputs.cluster, inputs.context),)))]
    else:
        meshes = list(files.meshes)
    if inputs.only is not None and (None not in files.overlays or meshes):
        problems += _unknown_cluster(inputs.only, files)
    found = [_loaded(inputs, files, wishes, each, problems) for each in meshes]
    if not meshes:  # the mesh.yaml is wrong; what else is?
        problems += [fault for each in files.overlays if each for fault in operator.problems(each)]
    end(problems)
    return tuple(each for each in found if each.mesh.clusters)


def _loaded(
    inputs: Inputs,
    files: _Files,
    wishes: Sequence[setpath.Setting],
    declared: Declared,
    problems: list[ConfigError],
) -> Loaded:
    """One mesh, with those of its clusters that are asked for."""
    version = _version(inputs, declared)
    overlays = [declared.common if each is None else each for each in files.overlays]
    problems += [fault for each in overlays for fault in faults(each, version)]
    asked = [each for each in declared.mesh.clusters if inputs.only in (None, each.name)]
    shares = {}
    for cluster in asked:
        given = Given(inputs, wishes, overlays, declared.own.get(cluster.name), version)
        profile, laid = layered(given, problems)
        shares[cluster.name] = Share(declared.mesh, profile, laid, declared.places.get(cluster.name))
    return Loaded(
        replace(declared.mesh, clusters=tuple(asked)),
        version,
        shares,
        None in files.overlays,
        inputs.version or declared.version or "",
    )


def _version(inputs: Inputs, declared: Declared) -> Version:
    """The version that the command line names, else the mesh.yaml, else the default one."""
    try:
        return versions.version(inputs.version or declared.version)
    except UnsupportedError as fault:
        if inputs.version is None:
            fault.where = declared.common.where(("version",))
        raise


def _unknown_cluster(name: str, files: _Files) -> list[ConfigError]:
    known = [cluster.name for each in files.meshes for cluster in each.mesh.clusters]
    if name in known:
        return []
    near = nearest(name, known)
    guess = f"; did you mean {near!r}?" if near else ""
    hint = f"choose one of {listed(known)}" if known else "clusters are named in a mesh.yaml, given with -f"
    what = f"no cluster is called {name!r}{guess}"
    return [ConfigError("unknown-cluster", what, where=Where("--cluster"), hint=hint)]


def end(problems: list[ConfigError]) -> None:
    """Raise what was found, each thing once: clusters share files."""
    once = {(each.code, each.message, each.where): each for each in problems}
    if len(once) == 1:
        raise next(iter(once.values()))
    if once:
        raise ProblemsError(once.values())


# Files.


def _read(names: Sequence[str], stdin: str) -> _Files:
    """Every file, and what is wrong with them."""
    problems: list[ConfigError] = []
    overlays: list[Overlay | None] = []
    meshes: tuple[Declared, ...] = ()
    for name in names:
        told = gather(problems, lambda: documents(_text(name, stdin), _shown(name)))  # noqa: B023 - called at once
        if not told:
            continue
        if not any(meshfile.is_mesh(each) for each in told):
            given = gather(problems, lambda: operator.overlay(only(told)))  # noqa: B023 - as above
            overlays += [given] if given else []
        elif None in overlays:
            problems.append(_second(told))
        else:
            meshes, faults = meshfile.read(told)
            problems += faults
            overlays.append(None)
    return _Files(tuple(overlays), meshes, tuple(problems))


def _second(told: Sequence[Document]) -> ConfigError:
    return ConfigError(
        "second-mesh-file",
        "this is the second mesh.yaml",
        where=Where(told[0].file),
        hint="put meshes that trust each other into one file, as documents of it",
    )


def _shown(name: str) -> str:
    return "<stdin>" if name == "-" else name


def _text(name: str, stdin: str) -> str:
    if name == "-":
        return stdin
    try:
        return Path(name).read_text("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise ConfigError(
            "bad-yaml", "the file is not UTF-8 text", where=Where(name), hint="save it as UTF-8"
        ) from fault
    except OSError as fault:
        raise ConfigError(
            "no-such-file",
            f"cannot read the file: {(fault.strerror or str(fault)).lower()}",
            where=Where(name),
            hint="check the path given to -f",
        ) from fault
