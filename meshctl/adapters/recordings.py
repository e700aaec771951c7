"""A folder with a recording of each cluster, as `meshctl observe` writes it and `plan` reads it."""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meshctl.adapters.record import Form
from meshctl.adapters.recorded import RecordedCluster
from meshctl.adapters.release_codec import refs_from_json, refs_to_json
from meshctl.errors import ConfigError, ProblemsError, UnsupportedError, Where, listed
from meshctl.model.objects import Kind, Object
from meshctl.model.recording import Question, Recording

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from meshctl.model.objects import Ref

FORM = Form(
    word="observation",
    noun="observation",
    if_unknown="observe again with this version of meshctl",
    if_damaged="run `meshctl observe` again",
    if_large="",
)
ENDING = ".observation.json.gz"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


def write(folder: Path, recording: Recording) -> Path:
    """Keep the recording of a cluster, in place of an earlier one; only its owner may read the file.

    Raises:
        ConfigError: the folder cannot be written.
    """
    target = place(folder, recording.cluster)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=folder)  # 0600 from the start
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(FORM.pack(to_json(recording)))
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as fault:
        raise ConfigError(
            "folder-not-written",
            f"{str(folder)!r} cannot be written: {fault.strerror or fault}",
            where=Where("--out"),
            hint="name a folder that is yours",
        ) from fault
    return target


def read(folder: Path, clusters: Iterable[str]) -> tuple[RecordedCluster, ...]:
    """Doors to clusters as they were recorded, in the order asked for.

    Raises:
        ConfigError: there is no recording of one of them, or it cannot be read.
        ProblemsError: of several.
    """
    found, problems = [], []
    for name in clusters:
        try:
            found.append(RecordedCluster(_read(folder, name)))
        except ConfigError as problem:
            problems.append(problem)
    if problems:
        raise problems[0] if len(problems) == 1 else ProblemsError(problems)
    return tuple(found)


def only(folder: Path) -> str:
    """Name of the one cluster that a folder has a recording of.

    Raises:
        ConfigError: there is none, or there are several.
    """
    files = sorted(folder.glob(f"*{ENDING}"))
    if len(files) != 1:
        names = [each.name.removesuffix(ENDING) for each in files]
        raise ConfigError(
            "several-observations" if files else "no-observation",
            f"there are observations of {listed(names)} in {str(folder)!r}"
            if files
            else f"there is no observation in {str(folder)!r}",
            where=Where("--observations"),
            hint="name one of them with --context"
            if files
            else f"`meshctl observe --out {folder}` makes one",
        )
    return files[0].name.removesuffix(ENDING)


def place(folder: Path, cluster: str) -> Path:
    """The file of a cluster."""
    # Contexts of cloud providers have names that no file can have.
    return folder / f"{_UNSAFE.sub('_', cluster)}{ENDING}"


def _read(folder: Path, cluster: str) -> Recording:
    file = place(folder, cluster)
    try:
        return FORM.unpack(file.read_bytes(), str(file), from_json)
    except FileNotFoundError:
        raise ConfigError(
            "no-observation",
            f"there is no observation of cluster {cluster!r}",
            where=Where(str(file)),
            hint="`meshctl observe` makes one, where the cluster is reached",
        ) from None
    except OSError as fault:
        raise ConfigError(
            "no-observation",
            f"the observation of cluster {cluster!r} cannot be read: {fault.strerror or fault}",
            where=Where(str(file)),
            hint="make it readable, or observe again",
        ) from fault
    except UnsupportedError as fault:
        raise ConfigError(
            fault.code, fault.message, where=Where(str(file)), hint=fault.hint, details=fault.details
        ) from fault


def to_json(recording: Recording) -> dict[str, Any]:
    """The recording as JSON data."""
    return {
        "cluster": recording.cluster,
        "server": recording.server,
        "authority": recording.authority,
        "taken": recording.taken,
        "version": recording.version,
        "kinds": [[*astuple(kind)] for kind in recording.kinds],
        "names": refs_to_json(recording.names),
        "counted": sorted(recording.counted),
        "objects": [recording.objects[ref].content for ref in sorted(recording.objects)],
        "absent": refs_to_json(sorted(recording.absent)),
        "lists": _lists_to_json(recording.lists),
        "picked": _lists_to_json(recording.picked),
    }


def from_json(content: Mapping[str, Any]) -> Recording:
    """The recording in JSON data; whatever is wrong with it raises as Python does."""
    objects = [Object(each) for each in content["objects"]]
    return Recording(
        cluster=content["cluster"],
        server=content["server"],
        authority=content["authority"],
        taken=content["taken"],
        version=content["version"],
        kinds=tuple(
            Kind(version, kind, plural, namespaced, tuple(verbs))
            for version, kind, plural, namespaced, verbs in content["kinds"]
        ),
        names=refs_from_json(content["names"]),
        counted=frozenset((group, kind) for group, kind in content["counted"]),
        objects={each.ref: each for each in objects},
        absent=frozenset(refs_from_json(content["absent"])),
        lists=_lists_from_json(content["lists"]),
        picked=_lists_from_json(content["picked"]),
    )


def _lists_to_json(lists: Mapping[Question, tuple[Ref, ...]]) -> list[list[Any]]:
    return [[*astuple(each), refs_to_json(lists[each])] for each in sorted(lists)]


def _lists_from_json(content: Iterable[Any]) -> dict[Question, tuple[Ref, ...]]:
    return {Question(*asked): refs_from_json(runs) for *asked, runs in content}
