"""A folder in which no file can be written stops a service at its start, by the name of the setting."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest

from shared.errors import SettingError
from shared.media.storage_folder import prepare_storage
from tests.servers import StartService


@pytest.mark.parametrize("service", ["services.gateway", "services.dispatcher"])
async def test_it_is_named(start_service: StartService, tmp_path: Path, service: str) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file" / "below", tmp_path / "file", Path("/proc/paceline")):
        started = await start_service(service, wait=False, FILE_STORAGE_ROOT=str(folder))
        assert await started.ended() == 2
        told = started.log_text()
        assert f"does not start:\nFILE_STORAGE_ROOT: no file can be written in '{folder}'" in told
        assert "Traceback" not in told


async def test_one_that_is_missing_is_made(start_service: StartService, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    await start_service("services.dispatcher", FILE_STORAGE_ROOT=str(folder))
    assert folder.is_dir()
    assert list(folder.iterdir()) == [], "nothing of the trial is left"


@pytest.mark.parametrize(("number", "refused"), [(errno.ENOSPC, False), (errno.EDQUOT, False), (errno.EROFS, True)])
def test_a_disk_that_is_full_now_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, refused: bool
) -> None:
    def fail(**_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "TemporaryFile", fail)
    if not refused:
        prepare_storage(tmp_path)
        return
    with pytest.raises(SettingError, match="FILE_STORAGE_ROOT"):
        prepare_storage(tmp_path)
