"""The commands of the installer. The script before this module has found a Python, and says which payload."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from meshctl.errors import ConfigError, FailedError, MeshctlError
from meshctl.installer.host import check, check_means, check_root, here
from meshctl.installer.installing import install, prune, verify
from meshctl.installer.places import Installed
from meshctl.installer.removing import remove
from meshctl.installer.unpacking import Payload

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXAMPLES = """\
examples:
  sudo sh {name} check              would it work here?
  sudo sh {name} install            the payload beside this file; installing it again changes nothing
  ssh HOST sudo sh {name} install --from - < PAYLOAD
  sudo sh {name} --python=/opt/python/bin/python3 install
  sudo sh {name} verify             is it in use, with every file as it was installed?
  sudo sh {name} remove             service, files, user and group; nothing stays

exit codes: 0 done, 1 failed or refused, 2 usage
"""


_QUIET = {"check": "it would work here", "verify": "in use, and as it was installed"}
"""What is said where nothing is changed."""


def main(script: str, name: str, argv: Sequence[str]) -> int:
    """Do what is asked; the exit code.

    Args:
        script: the file that this runs from.
        name: of the payload that it installs.
        argv: the user's words.
    """
    args = _parser(script).parse_args(argv)
    places = Installed(Path(os.environ.get("MESHCTL_AGENT_ROOT", "/")))
    told: dict[str, Any] = {"command": args.command, "payload": name}
    try:
        told["changed"] = _do(args, places, name)
    except (MeshctlError, OSError) as error:
        fault = error if isinstance(error, MeshctlError) else _of_system(error)
        _complain(args, told, fault)
        return fault.exit_code
    if args.output == "json":
        _say(json.dumps({**told, "host": here().data()}))
    else:
        _say("\n".join(told["changed"]) or _QUIET.get(args.command, "nothing to do"))
    return 0


def _parser(script: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        f"sh {Path(script).name}",
        description="Installs the meshctl agent on this host, and takes it away again.",
        epilog=_EXAMPLES.format(name=Path(script).name),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=("check", "install", "verify", "prune", "remove"))
    parser.add_argument(
        "--from",
        dest="payload",
        metavar="FILE",
        default=str(Path(script).with_suffix(".tar")),
        help="the payload; - is standard input; the file beside this one when not given",
    )
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text")
    return parser


def _do(args: argparse.Namespace, places: Installed, name: str) -> list[str]:
    if places.is_host:
        check_root()
    match args.command:
        case "check":
            with _opened(args.payload) as file:
                found = Payload(file, name)
            check(here(), found.manifest)
            check_means(places, found.manifest, here())
            return []
        case "install":
            return install(places, here(), name, lambda: _opened(args.payload))
        case "verify":
            verify(places, name)
            return []
        case "prune":
            return prune(places)
        case _:
            return remove(places)


def _opened(payload: str) -> IO[bytes]:
    if payload == "-":
        return sys.stdin.buffer
    try:
        return Path(payload).open("rb")
    except OSError as error:
        raise ConfigError(
            "no-payload",
            f"{payload!r} cannot be read: {error.strerror}",
            hint="put the payload beside this file, or name it with --from",
        ) from error


def _of_system(error: OSError) -> FailedError:
    hint = (
        "make room on that disk" if error.errno == errno.ENOSPC else "look at that place; then run it again"
    )
    return FailedError("host-failed", str(error), hint=hint)


def _complain(args: argparse.Namespace, told: dict[str, Any], error: MeshctlError) -> None:
    if args.output == "json":
        said = {"code": error.code, "message": error.message, "hint": error.hint, "details": error.details}
        _say(json.dumps({**told, "error": said}))
        return
    lines = [f"error: {error.code}", f"  {error.message}", *(f"    {each}" for each in error.details)]
    sys.stderr.write("\n".join(lines + ([f"  hint: {error.hint}"] if error.hint else [])) + "\n")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
