"""The payload of the working tree, brought onto hosts as an operator does: script and archive over SSH."""

from __future__ import annotations

import io
import json
import platform
import shlex
from typing import Any

from meshctl.actions.hosts.bundle import Order, build
from meshctl.adapters.bundle_files import send
from meshctl.model.bundle import Bundle
from meshctl.sandbox.paths import cache_root
from tests.cluster.vm.host import Host

_MINOR = "import sys; print('%d.%d' % sys.version_info[:2])"
_SCRIPT = "/run/meshctl-installer"


def payload_for(*hosts: Host) -> Bundle:
    """The agent of the working tree with what hosts of this kind need of wheels, which are kept."""
    pythons = {host.run(f"python3 -c {shlex.quote(_MINOR)}").strip() for host in hosts}
    story = build(Order((platform.machine(),), tuple(sorted(pythons))), cache_root() / "bundle")
    while True:
        try:
            next(story)
        except StopIteration as end:
            made: Bundle = end.value
            return made


def archive(payload: Bundle) -> bytes:
    """What is sent to a host."""
    said = io.BytesIO()
    send(payload, payload.manifest.entries, said)
    return said.getvalue()


def installed(host: Host, payload: Bundle) -> Any:
    """Install a payload; what the installer says, in JSON."""
    return installer(host, payload, "install --from -", stdin=archive(payload))


def removed(host: Host, payload: Bundle) -> Any:
    """Take all that was installed away; what the installer says, in JSON."""
    return installer(host, payload, "remove")


def installer(host: Host, payload: Bundle, words: str, *, stdin: bytes = b"", check: int = 0) -> Any:
    """What the installer says, in JSON."""
    host.write(_SCRIPT, payload.installer)
    said = host.sudo(
        f"sh {_SCRIPT} {words} --output json; code=$?; rm {_SCRIPT}; exit $code", stdin=stdin, check=check
    )
    return json.loads(said)
