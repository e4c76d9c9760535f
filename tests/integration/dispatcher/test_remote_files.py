"""Files behind addresses are fetched beside everything else, and no host takes all the room for that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.dispatcher.sending.payloads import Upload
from services.dispatcher.sending.remote_files import MediaLater, RemoteFiles
from shared.media.file_types import FileTypes
from shared.messages import Kind
from shared.outbound.address_guard import AddressGuard, new_fetching_session
from tests.integration.dispatcher.remote_site import Answer, RemoteSite, answer, remote_site

PDF = b"%PDF-1.7\nan offer"


@pytest.fixture
async def site() -> AsyncIterator[RemoteSite]:
    async with remote_site() as site:
        yield site


@pytest.fixture
async def files(tmp_path: Path) -> AsyncIterator[RemoteFiles]:
    guard = AddressGuard(["127.0.0.1", "localhost"])
    async with new_fetching_session(guard) as session:
        files = RemoteFiles(tmp_path, guard, session, FileTypes(), retry_limit=60)
        yield files
        await files.close()


async def test_a_slow_host_holds_up_no_other(site: RemoteSite, files: RemoteFiles) -> None:
    released = asyncio.Event()
    slow = [site.says(f"/slow{number}.pdf", Answer(answer(PDF).raw, released)) for number in range(40)]
    quick = site.says("/quick.pdf", answer(PDF)).replace("127.0.0.1", "localhost")
    waiting = [asyncio.create_task(files.upload_for(Kind.FILE, url, "")) for url in slow]
    async with asyncio.timeout(20):
        while len(site.asked) < 8:  # noqa: ASYNC110 - the site tells nobody
            await asyncio.sleep(0.001)
        found = await files.upload_for(Kind.FILE, quick, "")
    assert found is not None
    assert found.path.read_bytes() == PDF
    assert len(site.asked) == 9, "one host is asked for a few of them at once"
    released.set()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in ended].count(Upload) == 8
    assert [type(one) for one in ended].count(MediaLater) == 32
    assert await files.upload_for(Kind.FILE, slow[-1], "") is not None, "its turn comes once there is room"
