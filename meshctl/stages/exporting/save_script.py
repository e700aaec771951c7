"""A shell script that carries images to where there is no internet."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from meshctl.errors import ConfigError, Where

if TYPE_CHECKING:
    from collections.abc import Iterable

# What may stand before an image's name: a host, perhaps with a port, and a path.
_REGISTRY = re.compile(r"[\w.:\[\]-]+(?:/[\w.-]+)*/?\Z", re.A)

_HEAD = """\
#!/bin/sh
# {what}
# Made by meshctl for Istio {version}. Needs docker, podman or nerdctl, or the one that TOOL names.
set -eu

if [ -z "${{TOOL:-}}" ]; then
  for TOOL in docker podman nerdctl ''; do
    command -v "$TOOL" >/dev/null 2>&1 && break
  done
fi
if [ -z "$TOOL" ]; then
  echo "none of docker, podman and nerdctl is here; install one, or name another in TOOL" >&2
  exit 1
fi
"""
_SAVE = """
ARCHIVE="${{1:-{archive}}}"
{pulls}
"$TOOL" save -o "$ARCHIVE" \\
{references}
echo "saved to $ARCHIVE; on the other side: $TOOL load -i $ARCHIVE" >&2
"""


def save_script(references: Iterable[str], version: str, registry: str = "") -> str:
    """A POSIX shell script that saves images to an archive, or copies them to a registry.

    Args:
        references: whole image references.
        version: Istio's, for the archive's name.
        registry: registry and path that the images are copied to, `registry.example.com/istio`; empty
            saves them to a tar archive.

    Raises:
        ConfigError: no image could be called by that registry, or two would have the same name there.
    """
    wanted = sorted(set(references))
    pulls = [f'"$TOOL" pull {shlex.quote(each)}' for each in wanted]
    if registry:
        _want_registry(registry)
        _refuse_collisions(wanted, registry)
        head = _HEAD.format(what=f"Copies the images of a mesh to {registry}.", version=version)
        body = [
            f'{pull}\n"$TOOL" tag {shlex.quote(each)} {new}\n"$TOOL" push {new}'
            for pull, each in zip(pulls, wanted, strict=True)
            for new in [shlex.quote(moved(each, registry))]
        ]
        return head + "\n" + "\n".join(body) + "\n"
    head = _HEAD.format(what="Saves the images of a mesh to one archive.", version=version)
    names = " \\\n".join(f"  {shlex.quote(each)}" for each in wanted)
    return head + _SAVE.format(archive=f"istio-{version}.tar", pulls="\n".join(pulls), references=names)


def moved(reference: str, registry: str) -> str:
    """The reference of an image once it is in another registry: its last name and tag stay.

    `global.hub` is then the registry, and nothing else must be set.
    """
    return f"{registry.rstrip('/')}/{reference.rpartition('/')[2]}"


def _want_registry(registry: str) -> None:
    if not _REGISTRY.match(registry):
        raise ConfigError(
            "wrong-value",
            f"{registry!r} is no registry",
            where=Where("--to"),
            hint="name a host and perhaps a path, as in registry.example.com:5000/istio, without a scheme",
        )


def _refuse_collisions(references: Iterable[str], registry: str) -> None:
    taken: dict[str, str] = {}
    for each in references:
        other = taken.setdefault(moved(each, registry), each)
        if other != each:
            raise ConfigError(
                "images-collide",
                f"{other!r} and {each!r} would both be {moved(each, registry)!r}",
                hint="copy them to different registries, or save them to an archive",
            )
