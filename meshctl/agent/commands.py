"""Commands of the program: what a host's administrator and systemd may ask of it."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from meshctl.agent.places import Places
from meshctl.errors import ConfigError, InternalError, MeshctlError, ProblemsError, Where

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

NOT_READY: Final = 3
"""Exit code of `status` when the agent answers, and the proxy does not serve."""

_LONGEST: Final = 1 << 20
"""Bytes of a file of certificates that are read."""
_SUMMARY: Final = "The part of a service mesh that runs on this host."
_EXAMPLES: Final = """\
examples:
  meshctl-agent status                     is the proxy ready, what does it know, what went wrong last
  meshctl-agent status -o json
  meshctl-agent log-level debug            of the agent, until it restarts
  meshctl-agent log-level ads=debug envoy=info envoy.http2=trace
  meshctl-agent csr > vm1.csr              have a certificate signed elsewhere, and install it:
  meshctl-agent certificate vm1.pem
  meshctl-agent capture show               the rules by which traffic goes through the proxy
  meshctl-agent drain                      let open requests end, take no new ones

exit codes: 0 done, 1 failed, 2 usage or settings, 3 not ready, 70 a fault of ours
"""


def main(argv: Sequence[str]) -> int:
    """Do what is asked; the exit code."""
    _spare_memory()
    args = _parser(*argv[:1]).parse_args(argv)
    places = Places(Path(os.environ.get("MESHCTL_AGENT_ROOT", "/")))
    try:
        code: int = args.does(args, places)
    except MeshctlError as error:
        _complain(error)
        return error.exit_code
    except BrokenPipeError:  # whoever reads the answer has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - a fault of ours, said as such
        _complain(InternalError("internal", f"{type(error).__name__}: {error}"))
        return InternalError.exit_code
    return code


def _spare_memory() -> None:
    """Hide libraries that others would load, and nobody here uses: OpenSSL, which takes 8 MiB.

    TLS is gRPC's; `http.tls` takes `ssl` back when it needs it. Hashes are Python's own, where it has them.
    """
    sys.modules.setdefault("ssl", cast("Any", None))
    if find_spec("_sha2") or find_spec("_sha256"):
        sys.modules.setdefault("_hashlib", cast("Any", None))


def _parser(first: str = "") -> argparse.ArgumentParser:
    """The parser for what begins with the word `first`."""
    parser = argparse.ArgumentParser(
        "meshctl-agent",
        description=_SUMMARY,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, does: Any, summary: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        made.set_defaults(does=does)
        return made

    command("run", _run, "be the agent; systemd runs this")
    status = command("status", _status, "how the agent on this host is")
    status.add_argument("-o", "--output", choices=("text", "json"), default="text")
    level = command("log-level", _log_level, "change what a running agent logs")
    level.add_argument(
        "levels",
        nargs="+",
        metavar="[PART=]LEVEL",
        help="of the agent, of a part of it, of `envoy` or of one of its loggers: `envoy.http2`",
    )
    command("drain", _drain, "have the proxy take no new connections, and end those that it has")
    command("csr", _csr, "print a signing request of this host's key, which is made when there is none")
    certificate = command("certificate", _certificate, "install a certificate that was signed for the key")
    certificate.add_argument("file", type=Path, help="certificates in PEM, this host's first; `-` reads them")
    version = command("version", _version, "versions of the agent and what it stands on")
    version.add_argument("-o", "--output", choices=("text", "json"), default="text")
    rules = command("capture", _capture, "the rules by which traffic of this host goes through the proxy")
    if first == "capture":  # the agent itself needs nothing of it
        from meshctl.agent.capture.command import configure

        configure(rules)
    return parser


def _run(args: argparse.Namespace, places: Places) -> int:
    from meshctl.agent.main import run

    return run(places)


def _status(args: argparse.Namespace, places: Places) -> int:
    import json
    import time

    from meshctl.agent.status import ask, shown

    document = _wait(ask(places.status))
    print(json.dumps(document, indent=2) if args.output == "json" else shown(document, time.time()))  # noqa: T201
    return 0 if document["ready"] else NOT_READY


def _log_level(args: argparse.Namespace, places: Places) -> int:
    pairs = [word.rpartition("=") for word in args.levels]
    return _order(places, "log-level", {part: level for part, _, level in pairs})


def _drain(args: argparse.Namespace, places: Places) -> int:
    return _order(places, "drain", {})


def _csr(args: argparse.Namespace, places: Places) -> int:
    from meshctl.agent.identity import by_hand
    from meshctl.agent.settings import load

    print(by_hand.csr(load(places).identity, places), end="")  # noqa: T201
    return 0


def _certificate(args: argparse.Namespace, places: Places) -> int:
    import time

    from meshctl.agent.identity import by_hand

    print(by_hand.install(places, _content(args.file), time.time()))  # noqa: T201
    return 0


def _version(args: argparse.Namespace, places: Places) -> int:
    import json

    from meshctl.agent.version import versions

    found = versions()
    lines = (f"{name}: {version}" for name, version in found.items())
    print(json.dumps(found, indent=2) if args.output == "json" else "\n".join(lines))  # noqa: T201
    return 0


def _capture(args: argparse.Namespace, places: Places) -> int:
    from meshctl.agent.capture.command import run
    from meshctl.agent.settings import load

    said, code = run(args, places, lambda: load(places).capture)
    print(said)  # noqa: T201
    return code


def _content(file: Path) -> bytes:
    """A file of certificates, or standard input."""
    try:
        with sys.stdin.buffer if str(file) == "-" else file.open("rb") as opened:
            return opened.read(_LONGEST)
    except OSError as error:
        raise ConfigError(
            "file-unreadable", f"the file cannot be read: {error}", where=Where(str(file))
        ) from error


def _order(places: Places, name: str, what: dict[str, str]) -> int:
    from meshctl.agent.status import order

    print(_wait(order(places.status, name, what)))  # noqa: T201
    return 0


def _wait(work: Coroutine[Any, Any, Any]) -> Any:
    import asyncio

    return asyncio.run(work)


def _complain(error: MeshctlError) -> None:
    """Say what is wrong, where, and what to do, on standard error."""
    problems = error.problems if isinstance(error, ProblemsError) else (error,)
    for problem in problems:
        where = f"{problem.where}: " if isinstance(problem, ConfigError) and problem.where else ""
        lines = [f"error: {where}{problem.message}", *(f"  {line}" for line in problem.details)]
        if problem.hint:
            lines.append(f"  {problem.hint}")
        print("\n".join(lines), file=sys.stderr)  # noqa: T201
