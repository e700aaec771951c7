"""Files that the user keeps, on this machine."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from meshctl.errors import ConfigError


class LocalFiles:
    """Files on this machine; see `ports.Files`."""

    def write(self, path: str, text: str) -> None:
        """Write a file readable by its owner alone, whole or not at all.

        What stands there with other content is kept beside it under a numbered name: after an
        interrupted removal the objects saved the first time may exist nowhere else.

        Raises:
            ConfigError: the folder is missing or not writable.
        """
        target = Path(path)
        try:
            if target.exists() and target.read_text() != text:
                target.rename(_spare_name(target))
            _write_whole(target, text)
        except OSError as error:
            raise ConfigError(
                "file-not-written",
                f"{path!r} cannot be written: {error.strerror or error}",
                hint="name a file in a folder that exists and is yours",
            ) from error


def _write_whole(target: Path, text: str) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # 0600 from the start
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _spare_name(target: Path) -> Path:
    number = 1
    while (spare := target.with_name(f"{target.name}.{number}")).exists():
        number += 1
    return spare
