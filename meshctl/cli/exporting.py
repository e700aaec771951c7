"""The options that say in which form a manifest goes to a folder, and the writing of it."""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meshctl.errors import ConfigError, Where

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from meshctl.model.manifest import Manifest
    from meshctl.model.values import Values

_READ_FROM_GIT = ("argocd", "flux")
_OPTIONS = (
    click.option(
        "--as",
        "form",
        type=click.Choice(["kustomize", "helm", "argocd", "flux"]),
        help="What the folder of -o is to hold: files for this tool.",
    ),
    click.option("--repository", metavar="URL", help="Git repository that Argo CD or Flux reads."),
    click.option(
        "--source", metavar="NAME", help="GitRepository that Flux reads already, as `flux bootstrap` made it."
    ),
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
    source: str | None
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
        if self.source and self.form != "flux":
            raise _odd("--source", "only Flux reads by a GitRepository", "add --as flux, or leave it out")
        if self.source and self.repository:
            raise _odd("--source", f"{self.source!r} names the repository already", "leave --repository out")
        if self.form in _READ_FROM_GIT and not (self.repository or self.source):
            raise _odd("--as", f"{self.form} reads a git repository", "name it: --repository URL")
        if self.form not in _READ_FROM_GIT and (self.repository or self.path):
            raise _odd("--repository", "only Argo CD and Flux read a repository", "add --as argocd or flux")

    def write(self, found: Iterable[tuple[Values, Manifest]], folder: str, *, by_folder: bool) -> None:
        """Write the cluster to the folder, or every cluster to a folder each below it.

        Raises:
            ConfigError: files there would be lost, or it cannot be written.
        """
        from meshctl.adapters import folder as folders
        from meshctl.stages.exporting.export import Git
        from meshctl.stages.exporting.fleet import exported_cluster, exported_fleet

        git = Git(self.repository or "", (self.path or "").strip("/"), self.branch, self.source or "")
        if by_folder:
            files = exported_fleet(found, self.form, git)
        else:
            [(values, manifest)] = found
            files = exported_cluster(values, manifest, self.form, git)
        folders.write(Path(folder), files, overwrite=self.overwrite)


def export_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add these options, given as one `Export`."""

    @functools.wraps(function)
    def callback(**given: Any) -> Any:
        own = {each.name: given.pop(each.name) for each in fields(Export)}
        return function(export=Export(**own), **given)

    made: Callable[..., Any] = callback
    for option in reversed(_OPTIONS):
        made = option(made)
    return made


def _odd(flag: str, message: str, hint: str) -> ConfigError:
    return ConfigError("options-do-not-fit", message, where=Where(flag), hint=hint)
