"""The folder for files under way: made and tried when a service starts, since to find out with the first file is too late."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

from shared.errors import SettingError

_MAY_PASS = (errno.ENOSPC, errno.EDQUOT)
"""A disk that is full now is no mistake in a setting; uploads and sends wait for it."""


def prepare_storage(root: Path) -> None:
    """Makes the folder where it is missing. Raises SettingError naming FILE_STORAGE_ROOT when no file can be written in it."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as error:
        if error.errno in _MAY_PASS:
            return
        raise SettingError(
            f"FILE_STORAGE_ROOT: no file can be written in '{root.absolute()}': {error.strerror}; name a folder that this user"
            " may write to"
        ) from None
