"""The options that say in which form a manifest goes to a folder, and the writing of it."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meshctl.errors import ConfigError, Where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from meshctl.model.manifest import Manifest
    from meshctl.model.values import Values
    from meshctl.stages.exporting.objects import Files

_READ_FROM_GIT = ("argocd", "flux")
_OPTIONS = (
    click.option(
        "--as",
        "form",
        type=click.Choice(["kustomize", "helm", "argocd", "flux"]),
        help="What the folder of -o is to hold: files for this tool.",
    ),
    click.option("--repository", metavar="URL", help="Git repository that Argo CD or Flux reads."),
    click.option("--branch", default="main", show_default=True, metavar="NAME", help="Its branch."),
    click.option("--path", metavar="PATH", help="Where in it the folder of -o will stand; its root."),
    click.option(
        "--overwrite", is_flag=True, help="Replace files that were edited since, or are not meshctl's."
    ),
)


@dataclass(frozen=True, slots=True)
class Export:
    """What these options say."""

    form: str | None
    repository: str | None
    branch: str
    path: str | None
    overwrite: bool

    def check(self, folder: str | None, out: str | None) -> None:
        """Refuse options that do not go together.

        Raises:
            ConfigError: which, and what to add or leave out.
        """
        if folder and out:
            raise _odd("--out", "-o names a folder and --out another place", "leave one of them out")
        if self.form and not folder:
            raise _odd("--as", f"{self.form} files need a folder", "name one: -o DIR")
        if self.form in _READ_FROM_GIT and not self.repository:
            raise _odd("--as", f"{self.form} reads a git repository", "name it: --repository URL")
        if self.form not in _READ_FROM_GIT and (self.repository or self.path):
            raise _odd("--repository", "only Argo CD and Flux read a repository", "add --as argocd or flux")

    def write(self, found: Iterable[tuple[Values, Manifest]], folder: str, *, by_folder: bool) -> None:
        """Write every cluster to the folder, or to a folder each below it.

        Raises:
            ConfigError: files there would be lost, or it cannot be written.
        """
        from meshctl.adapters import folder as folders

        files: Files = {}
        for values, manifest in found:
            below = f"{values.cluster.name}/" if by_folder else ""
            files |= {f"{below}{path}": text for path, text in self._files(values, manifest, below).items()}
        folders.write(Path(folder), files, overwrite=self.overwrite)

    def _files(self, values: Values, manifest: Manifest, below: str) -> Files:
        from meshctl.stages.exporting.export import Place, plain
        from meshctl.stages.exporting.forms import exported

        if not self.form:
            return plain(manifest)
        name = f"{values.mesh.name}-{values.cluster.name}" if below else values.mesh.name
        place = Place(name, values.namespace, values.version.full)
        path = f"{(self.path or '').strip('/')}/{below}".strip("/")
        place = replace(place, repository=self.repository or "", folder=path, branch=self.branch)
        return exported(manifest, self.form, place)


def export_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--as`, `--repository`, `--branch`, `--path` and `--overwrite`, given as one `Export`."""

    @functools.wraps(function)
    def callback(form: str, repository: str, branch: str, path: str, overwrite: bool, **rest: Any) -> Any:
        return function(export=Export(form, repository, branch, path, overwrite), **rest)

    made: Callable[..., Any] = callback
    for option in reversed(_OPTIONS):
        made = option(made)
    return made


def _odd(flag: str, message: str, hint: str) -> ConfigError:
    return ConfigError("options-do-not-fit", message, where=Where(flag), hint=hint)
