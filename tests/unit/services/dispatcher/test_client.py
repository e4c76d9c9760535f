"""What becomes of one call, by how its connection ends. The other side is a socket that does exactly what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from aiohttp.payload import BytesPayload

from services.dispatcher.sending import deadline as deadlines
from services.dispatcher.sending.client import SenderClient, request_seconds
from services.dispatcher.sending.deadline import START_LIMIT, StartDeadline
from services.dispatcher.sending.payloads import Request
from services.dispatcher.sending.verdict import Answer
from shared.clock import boottime
from shared.endpoints.identity import Endpoint
from shared.messages import Kind, Verdict
from shared.settings import EndpointSettings
from standalone.ports import free_port

SENT = b'{"code":"SUCCESS","message":"sent","results":{"message_id":"3EB0AA"}}'
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def head(status: str = "200 OK", length: int = len(SENT)) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode()


@asynccontextmanager
async def listening(behave: Behaviour) -> AsyncIterator[tuple[Endpoint, list[bytes]]]:
    """An endpoint that reads a request, then behaves; and the requests so far."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        try:
            while True:
                top = await reader.readuntil(b"\r\n\r\n")
                length = int(top.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                requests.append(top + await reader.readexactly(length))
                await behave(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            ended.release()

    connections: list[asyncio.StreamWriter] = []
    ended = asyncio.Semaphore(0)
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield Endpoint("one", f"http://127.0.0.1:{port}", "", "Basic c2VjcmV0"), requests
        for writer in connections:
            writer.close()
        for _ in connections:
            await ended.acquire()


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    raise ConnectionError


@pytest.fixture
async def client() -> AsyncIterator[SenderClient]:
    settings = EndpointSettings(
        whatsapp_base_url="http://unused",
        whatsapp_text_timeout=timedelta(milliseconds=300),
        whatsapp_connect_timeout=timedelta(milliseconds=300),
    )
    async with SenderClient(settings) as client:
        yield client


def request() -> Request:
    body = b'{"phone":"15550100001@s.whatsapp.net"}'
    return Request("/send/message", BytesPayload(body, content_type="application/json"))


async def send(client: SenderClient, endpoint: Endpoint, begun_ago: float = 0) -> Answer:
    return await client.send(endpoint, Kind.MESSAGE, request(), StartDeadline(boottime() - begun_ago))


async def test_an_answer_in_pieces_is_read_to_its_end(client: SenderClient) -> None:
    async def in_pieces(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in (head(), SENT[:10], SENT[10:30], SENT[30:]):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)

    async with listening(in_pieces) as (endpoint, _):
        answer = await send(client, endpoint)
    assert (answer.verdict, answer.whatsapp_id) == (Verdict.SENT, "3EB0AA")


async def test_refused_connection_is_not_sent(client: SenderClient) -> None:
    answer = await send(client, Endpoint("one", f"http://127.0.0.1:{free_port()}", ""))
    assert (answer.verdict, answer.too_late) == (Verdict.NOT_SENT, False)
    assert answer.reason == "no connection: ConnectionRefusedError"


async def test_unknown_host_is_not_sent(client: SenderClient) -> None:
    answer = await send(client, Endpoint("one", "http://gowa.invalid:3000", ""))
    assert answer.verdict is Verdict.NOT_SENT
    assert "gowa.invalid" not in answer.reason


async def test_a_connection_that_breaks_may_have_sent(client: SenderClient) -> None:
    """Also the first call on a fresh connection: how far the request came cannot be seen from here."""
    async with listening(hang_up) as (endpoint, requests):
        answer = await send(client, endpoint)
    assert answer.verdict is Verdict.UNKNOWN
    assert len(requests) == 1


async def test_a_reused_connection_that_breaks_is_not_repeated(client: SenderClient) -> None:
    answers = [SENT]

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not answers:
            await hang_up(reader, writer)
        writer.write(head() + answers.pop())

    async with listening(once) as (endpoint, requests):
        assert (await send(client, endpoint)).verdict is Verdict.SENT
        assert (await send(client, endpoint)).verdict is Verdict.UNKNOWN
    assert len(requests) == 2, "the client has repeated a send"


async def test_an_answer_that_breaks_off_may_have_sent(client: SenderClient) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + SENT[:20])
        await writer.drain()
        raise ConnectionError

    async with listening(half) as (endpoint, _):
        assert (await send(client, endpoint)).verdict is Verdict.UNKNOWN


async def test_what_is_no_http_may_have_sent(client: SenderClient) -> None:
    async def nonsense(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")

    async with listening(nonsense) as (endpoint, _):
        assert (await send(client, endpoint)).verdict is Verdict.UNKNOWN


async def test_silence_may_have_sent(client: SenderClient) -> None:
    async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(silence) as (endpoint, _):
        answer = await send(client, endpoint)
        assert answer.verdict is Verdict.UNKNOWN
        assert answer.elapsed_ms >= 299


async def test_a_redirect_is_not_followed(client: SenderClient) -> None:
    async def elsewhere(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 307 Moved\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n")

    async with listening(elsewhere) as (endpoint, requests):
        assert (await send(client, endpoint)).verdict is Verdict.MISCONFIGURED
    assert len(requests) == 1


async def test_nothing_is_written_after_the_start_limit(client: SenderClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening(hang_up) as (endpoint, requests):
        answer = await send(client, endpoint, begun_ago=START_LIMIT + 0.1)
        assert (answer.verdict, answer.too_late) == (Verdict.NOT_SENT, True)
        # Or when the time has passed while the connection was made.
        late = [False, True]
        monkeypatch.setattr(deadlines, "boottime", lambda: boottime() + (3600 if late.pop(0) else 0))
        answer = await send(client, endpoint)
        assert (answer.verdict, answer.too_late) == (Verdict.NOT_SENT, True)
        assert not late, "the time was not looked at with the connection in hand"
    assert requests == []


async def test_typing_that_fails_is_nothing(client: SenderClient) -> None:
    await client.show_typing(Endpoint("one", f"http://127.0.0.1:{free_port()}", ""), "15550100001", "start")
    async with listening(hang_up) as (endpoint, requests):
        await client.show_typing(endpoint, "15550100001@s.whatsapp.net", "start")
    assert b'"action"' in requests[0]
    assert requests[0].startswith(b"POST /send/chat-presence ")


def test_the_time_for_an_answer_is_longer_than_the_senders_own() -> None:
    settings = EndpointSettings(whatsapp_base_url="http://unused")
    assert request_seconds(settings, Kind.MESSAGE) > 45
    assert request_seconds(settings, Kind.IMAGE) == request_seconds(settings, Kind.FILE) >= 150
