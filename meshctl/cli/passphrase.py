"""Where the passphrase of a root's key comes from: a file, the environment, or whoever sits there."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from meshctl.errors import ConfigError, Where

if TYPE_CHECKING:
    from meshctl.cli.app import App
    from meshctl.ports import Signer

_VARIABLE: Final = "MESHCTL_CA_PASSPHRASE"

PASSPHRASE_FILE = click.option(
    "--passphrase-file",
    metavar="FILE",
    help=f"File with the passphrase of the root's key; not given: {_VARIABLE}, or you are asked.",
)


def signer(app: App, passphrase_file: str | None = None) -> Signer:
    """The roots of meshes on this machine; a passphrase is asked for when a key is used, and once."""
    from meshctl.adapters.root import RootFolders

    return RootFolders(lambda key: _known(passphrase_file) or _asked(app, f"Passphrase of {key}"))


def new_passphrase(app: App, passphrase_file: str | None) -> bytes:
    """A passphrase for a key that is to be made; a person has to give it twice.

    Raises:
        ConfigError: the file cannot be read, or there is nobody to ask.
    """
    return _known(passphrase_file) or _asked(app, "Passphrase for the root's key", twice=True)


def _known(file: str | None) -> bytes:
    """What a file or the environment says; empty where neither does.

    Raises:
        ConfigError: the file cannot be read, or says nothing.
    """
    if file is None:
        return os.environ.get(_VARIABLE, "").encode()
    try:
        said = Path(file).read_bytes().rstrip(b"\r\n")
    except OSError as error:
        what = f"it cannot be read: {error.strerror or error}"
        raise ConfigError("file-not-read", what, where=Where(file)) from error
    if not said:
        raise ConfigError("no-passphrase", "there is no passphrase in it", where=Where(file))
    return said


def _asked(app: App, words: str, *, twice: bool = False) -> bytes:
    if not sys.stdin.isatty():
        raise ConfigError(
            "nobody-to-ask",
            "this needs the passphrase of a root, and there is no terminal to ask on",
            hint=f"name a file with --passphrase-file, or set {_VARIABLE}",
        )
    app.report.pause()
    said: str = click.prompt(words, hide_input=True, err=True, confirmation_prompt=twice)
    return said.encode()
