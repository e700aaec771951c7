"""A folder that stands for a host, and the installer run on it as a host runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshctl.adapters import bundle_files
from meshctl.model.bundle import Bundle

HERE = "{}.{}".format(*sys.version_info[:2])
MACHINE = os.uname().machine


@dataclass(frozen=True)
class Standing:
    """A folder that stands for a host, beside the files that an operator has sent."""

    root: Path
    script: Path
    payload: Path

    def run(self, *words: str, check: int = 0, stdin: bytes = b"", **env: str) -> Any:
        """What the installer says, in JSON."""
        argv = ["sh", str(self.script), *words, "-o", "json"]
        variables = {**os.environ, "MESHCTL_AGENT_ROOT": str(self.root), **env}
        done = subprocess.run(argv, env=variables, input=stdin, capture_output=True)
        assert done.returncode == check, done.stderr.decode()
        return json.loads(done.stdout)

    def refused(self, *words: str, stdin: bytes = b"") -> str:
        """The code with which it refuses."""
        code: str = self.run(*words, check=1, stdin=stdin)["error"]["code"]
        return code

    def files(self) -> list[str]:
        return sorted(str(each.relative_to(self.root)) for each in self.root.rglob("*"))


def standing_with(bundle: Bundle, folder: Path) -> Standing:
    """A host that has been sent a payload."""
    payload, script = bundle_files.write(bundle, folder / "sent")
    for each in ("etc/systemd/system", "var/lib", "opt"):
        (folder / "host" / each).mkdir(parents=True)
    return Standing(folder / "host", script, payload)
