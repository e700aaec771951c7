"""Wheels of the payload: kept in a folder, and fetched by pip from the index that it is set up for."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from meshctl.adapters.bundle_files import PACKAGE
from meshctl.adapters.programs import run
from meshctl.errors import ConfigError, FailedError, InternalError, MeshctlError, Where
from meshctl.model.bundle import Requirement
from meshctl.model.wheel import Wheel, best, normal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meshctl.model.bundle import Target

REQUIREMENTS: Final = PACKAGE / "agent" / "requirements.txt"
_SECONDS: Final = 1200.0
_NEWEST_GLIBC: Final = 39
"""Minor version of the newest C library that wheels are looked at for; older ones are preferred."""
_OLDEST_GLIBC: Final = 17
_LINE = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)(?P<hashes>(\s+--hash=sha256:[0-9a-f]{64})+)")


def requirements(file: Path = REQUIREMENTS) -> tuple[Requirement, ...]:
    """The packages of a file of pip's, each with version and hashes."""
    text = re.sub(r"^\s*#.*$", "", file.read_text("utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [_LINE.fullmatch(line) for line in lines]
    if not all(found):
        raise InternalError("bad-requirements", f"{file.name!r} has a line without a version or a hash")
    return tuple(
        Requirement(
            normal(each["name"]), each["version"], frozenset(re.findall(r"[0-9a-f]{64}", each["hashes"]))
        )
        for each in found
        if each
    )


def find(requirement: Requirement, target: Target, folder: Path) -> Path | None:
    """The wheel of a package for a kind of host among a folder's files; None: there is none."""
    named = (Wheel.named(each.name) for each in sorted(folder.glob("*.whl")))
    fitting = best(
        (
            each
            for each in named
            if each and (each.name, each.version) == (requirement.name, requirement.version)
        ),
        target,
    )
    return folder / fitting.file if fitting else None


def verify(wheel: Path, requirement: Requirement) -> None:
    """Refuse a wheel whose bytes are others than those that were tried.

    Raises:
        ConfigError: it is another one.
    """
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found not in requirement.hashes:
        raise ConfigError(
            "wheel-differs",
            f"{wheel.name!r} is not the wheel of {requirement} that the agent was tried with",
            where=Where(str(wheel)),
            hint="remove it, and take the one of the package index",
            details=(f"its SHA-256 is {found}",),
        )


def require(missing: Iterable[tuple[Requirement, Target]], folder: Path) -> None:
    """Refuse a folder that lacks wheels, all of them told at once.

    Raises:
        ConfigError: there are some.
    """
    lines = [f"{requirement} for {target}" for requirement, target in missing]
    if lines:
        raise ConfigError(
            "wheel-missing",
            f"{str(folder)!r} lacks wheels that the payload needs",
            where=Where("--wheels"),
            hint="fetch them where there is an index, with `meshctl vm bundle` or with pip download",
            details=lines,
        )


def fetch(wanted: Iterable[Requirement], target: Target, folder: Path) -> None:
    """Have pip fetch the wheels of packages for a kind of host; only whole and right ones come into `folder`.

    Raises:
        ConfigError: there is no pip beside this Python.
        FailedError: pip cannot get them; its last words are in the details.
    """
    if importlib.util.find_spec("pip") is None:
        raise ConfigError(
            "no-pip",
            "wheels are fetched by pip, which this Python does not have",
            hint=f"install it for {sys.executable}, or name a folder of wheels with --wheels",
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as part:
        asked = Path(part) / "requirements.txt"
        asked.write_text("".join(_asked(each) for each in wanted))
        words = [sys.executable, "-m", "pip", "download", *_choice(target), f"--dest={part}", f"-r{asked}"]
        try:
            run(
                words,
                environment={"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
                seconds=_SECONDS,
            )
        except MeshctlError as error:
            raise FailedError(
                "wheels-not-fetched",
                f"pip cannot fetch the wheels for {target}",
                hint="see whether pip reaches its index, or name a folder of wheels with --wheels",
                details=error.details,
            ) from error
        for wheel in Path(part).glob("*.whl"):
            shutil.move(wheel, folder / wheel.name)


def _asked(requirement: Requirement) -> str:
    hashes = "".join(f" --hash=sha256:{each}" for each in sorted(requirement.hashes))
    return f"{requirement}{hashes}\n"


def _choice(target: Target) -> list[str]:
    """Flags of pip that ask for what another machine needs."""
    minor = target.python.replace(".", "")
    platforms = [
        f"manylinux_2_{each}_{target.architecture}" for each in range(_OLDEST_GLIBC, _NEWEST_GLIBC + 1)
    ]
    return [
        *("--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", "--implementation=cp"),
        f"--python-version={target.python}",
        *(f"--abi={each}" for each in (f"cp{minor}", "abi3", "none")),
        *(f"--platform={each}" for each in (f"manylinux2014_{target.architecture}", *platforms)),
    ]
