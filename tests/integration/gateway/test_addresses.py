"""Addresses of media are judged when they are accepted, as far as that is certain, and slow ones hold up nobody else."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from services.gateway.shapes import AcceptedMessage
from shared.database.connection import Database
from tests.integration.accepting import message_row
from tests.integration.gateway.conftest import Client, StartGateway, refused_fields, results
from tests.integration.gateway.test_uploads import PDF, form

PUBLIC = "93.184.216.34"
NameServer = Callable[[str], str]


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Callable[[NameServer], None]:
    """Lets a function answer for names under .example, with an address or by raising."""
    real = socket.getaddrinfo

    def use(answer: NameServer) -> None:
        def getaddrinfo(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
            if not str(host).endswith(".example"):
                return real(host, port, *arguments, **options)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answer(str(host)), int(port or 0)))]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return use


def by_address(kind: str, host: str, **fields: str) -> dict[str, str]:
    return {"phone": "15550100001", f"{kind}_url": f"https://{host}/a.pdf", **fields}


async def test_a_name_server_without_an_answer_leaves_it_to_the_dispatcher(
    client: Client, store: Database, name_server: Callable[[NameServer], None]
) -> None:
    def answer(_: str) -> str:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    name_server(answer)
    for kind in ("image", "file"):
        body = by_address(kind, "cdn.example")
        found = await results(await client.post(f"/api/send/{kind}", json=body), AcceptedMessage, 202)
        row = await message_row(store, UUID(found["message_id"]))
        assert (row["status"], row["content"]) == ("queued", {f"{kind}_url": body[f"{kind}_url"]})


@pytest.mark.usefixtures("nothing_is_queued")
async def test_a_name_that_does_not_exist_is_refused(
    gateway: Client, name_server: Callable[[NameServer], None]
) -> None:
    def answer(_: str) -> str:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    name_server(answer)
    response = await gateway.post("/api/send/file", json=by_address("file", "cdn.example"))
    assert await refused_fields(response, 400) == ["file_url"]


async def test_slow_names_hold_up_no_upload(client: Client, name_server: Callable[[NameServer], None]) -> None:
    """The event loop has six threads of its own on two processors, and files are written with them."""
    answered = threading.Event()
    asked: list[str] = []

    def answer(host: str) -> str:
        asked.append(host)
        answered.wait(30)
        return PUBLIC

    name_server(answer)
    slow = [
        asyncio.create_task(client.post("/api/send/file", json=by_address("file", f"slow{number}.example")))
        for number in range(40)
    ]
    try:
        async with asyncio.timeout(10):
            while len(asked) < len(slow):  # noqa: ASYNC110 - threads tell the loop nothing
                await asyncio.sleep(0.001)
        response = await client.post("/api/send/file", data=form("file", PDF, "a.pdf", "application/pdf"))
        assert response.status == 202
        response = await client.post("/api/send/file", json=by_address("file", PUBLIC))
        assert response.status == 202
        assert not any(task.done() for task in slow), "the slow ones were answered first"
    finally:
        answered.set()
    assert {response.status for response in await asyncio.gather(*slow)} == {202}


async def test_a_file_by_its_address_can_be_named(client: Client, store: Database) -> None:
    body = by_address("file", PUBLIC, filename=" Angebot – März.pdf ", caption="x")
    found = await results(await client.post("/api/send/file", json=body), AcceptedMessage, 202)
    content = (await message_row(store, UUID(found["message_id"])))["content"]
    assert content == {"file_url": body["file_url"], "filename": "Angebot – März.pdf", "caption": "x"}
    for none in ("", "  "):
        body = by_address("file", PUBLIC, filename=none)
        found = await results(await client.post("/api/send/file", json=body), AcceptedMessage, 202)
        assert (await message_row(store, UUID(found["message_id"])))["content"] == {"file_url": body["file_url"]}


async def test_a_sender_that_fetches_itself_takes_no_name(start_gateway: StartGateway) -> None:
    client = await start_gateway(remote_media="pass")
    body = by_address("file", PUBLIC, filename="a.pdf")
    response = await client.post("/api/send/file", json=body)
    assert await refused_fields(response, 400) == ["filename"]
    assert "REMOTE_MEDIA=pass" in (await response.json())["message"]
