"""Compiled templates, kept where Python keeps its own compiled modules.

Compiling Jinja's templates takes several times as long as everything else between values and objects.
So the compiled form goes into `__pycache__` beside the template, under Python's own rules: elsewhere with
PYTHONPYCACHEPREFIX, nowhere with PYTHONDONTWRITEBYTECODE, and silently nowhere in a folder that cannot be
written. A template that changed is compiled anew, because the cache carries a hash of its source.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from importlib.util import cache_from_source
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import BytecodeCache

if TYPE_CHECKING:
    from jinja2.bccache import Bucket


class Compiled(BytecodeCache):
    """Jinja's cache of compiled templates, one file beside each template."""

    def __init__(self, folder: Path) -> None:
        """Keep the compiled form of templates in `folder`, whose names are relative to it."""
        self._folder = folder

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        """The template's name."""
        return name

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill a bucket from its file, where there is a fitting one."""
        with contextlib.suppress(OSError), self._file(bucket).open("rb") as file:
            bucket.load_bytecode(file)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Write a bucket to its file, whole or not at all."""
        if sys.dont_write_bytecode:
            return
        target = self._file(bucket)
        with contextlib.suppress(OSError):
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=target.parent)
            with os.fdopen(handle, "wb") as file:
                bucket.write_bytecode(file)
            Path(name).replace(target)

    def _file(self, bucket: Bucket) -> Path:
        return Path(cache_from_source(str(self._folder / bucket.key)))
