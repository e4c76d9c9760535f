"""What becomes of one call, by how its connection ends. The other side is a socket that does exactly what the test says."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp.payload import BytesPayload

from services.dispatcher.sending import client as clients
from services.dispatcher.sending import deadline as deadlines
from services.dispatcher.sending.client import MOST_BYTES, SenderClient, forgetful_socket
from services.dispatcher.sending.deadline import START_LIMIT, StartDeadline
from services.dispatcher.sending.payloads import Request, Upload, request_for
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


def answering(status: str, body: bytes) -> Behaviour:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head(status, len(body)) + body)
        await writer.drain()

    return answer


async def type_to(client: SenderClient, endpoint: Endpoint) -> Answer | bool:
    return await client.show_typing(endpoint, "15550100001@s.whatsapp.net", "start")


async def test_typing_tells_whether_it_was_shown(client: SenderClient) -> None:
    async with listening(answering("200 OK", SENT)) as (endpoint, requests):
        assert await type_to(client, endpoint) is True
    assert b'"action"' in requests[0]
    assert requests[0].startswith(b"POST /send/chat-presence ")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("400 Bad Request", b'{"code":"INVALID_JID","message":"Phone 1@s.whatsapp.net is not on whatsapp"}'),
        ("400 Bad Request", b'{"code":"VALIDATION_ERROR","message":"phone: cannot be blank."}'),
        ("500 Internal Server Error", b'{"code":"INTERNAL_SERVER_ERROR","message":"something of its own"}'),
        # Before 7.1 there is no typing; where there is no sender at all, the send says so.
        ("404 Not Found", b"Cannot POST /send/chat-presence"),
        ("405 Method Not Allowed", b"Method Not Allowed"),
    ],
)
async def test_typing_that_concerns_this_recipient_alone_is_nothing(
    client: SenderClient, status: str, body: bytes
) -> None:
    async with listening(answering(status, body)) as (endpoint, _):
        assert await type_to(client, endpoint) is False


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        ("401 Unauthorized", b"Unauthorized", Verdict.MISCONFIGURED),
        ("401 Unauthorized", b'{"code":"AUTHENTICATION_ERROR","message":"you are not logged in"}', Verdict.LOGGED_OUT),
        ("404 Not Found", b'{"code":"DEVICE_NOT_FOUND","message":"device not found"}', Verdict.LOGGED_OUT),
        ("500 Internal Server Error", b'{"code":"INVALID_WA_CLI","message":"invalid or empty"}', Verdict.LOGGED_OUT),
        ("400 Bad Request", b'{"code":"DEVICE_ID_REQUIRED","message":"device_id is required"}', Verdict.MISCONFIGURED),
        ("502 Bad Gateway", b"<html>", Verdict.NOT_SENT),
        ("503 Service Unavailable", b'{"code":"DEVICE_MANAGER_UNAVAILABLE","message":"not ready"}', Verdict.NOT_SENT),
    ],
)
async def test_what_cannot_type_cannot_send(client: SenderClient, status: str, body: bytes, verdict: Verdict) -> None:
    async with listening(answering(status, body)) as (endpoint, _):
        answer = await type_to(client, endpoint)
    assert isinstance(answer, Answer)
    assert answer.verdict is verdict


async def test_typing_that_is_not_answered_is_the_accounts(
    client: SenderClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    nobody = Endpoint("nobody", f"http://127.0.0.1:{free_port()}", "")
    answers = [await type_to(client, nobody)]
    for behave in (hang_up, silence):
        monkeypatch.setattr(clients, "_TYPING_SECONDS", 0.3)
        async with listening(behave) as (endpoint, _):
            answers.append(await type_to(client, endpoint))
        client._targets.clear()
    assert [isinstance(answer, Answer) and answer.breaker_outcome for answer in answers] == ["fail"] * 3


@asynccontextmanager
async def cutting(after: int) -> AsyncIterator[Endpoint]:
    """An endpoint that cuts the connection once it has read so many bytes of a request; 0: it never reads, nor cuts."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if after:
                await reader.readexactly(after)
                writer.transport.abort()
            else:
                await ended.wait()
        finally:
            writer.close()

    ended = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024)
    async with server:
        yield Endpoint("cut", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "")
        ended.set()


def upload(path: Path, size: int, deadline: StartDeadline) -> Request:
    path.write_bytes(b"x" * size)
    file = Upload(path, "offer.pdf", "application/pdf")
    return request_for(Kind.FILE, "15550100001@s.whatsapp.net", {}, file, deadline)


async def test_an_upload_that_breaks_off_was_not_sent(client: SenderClient, tmp_path: Path) -> None:
    deadline = StartDeadline(boottime())
    async with cutting(after=64_000) as endpoint:
        answer = await client.send(endpoint, Kind.FILE, upload(tmp_path / "file", 40_000_000, deadline), deadline)
    assert answer.verdict is Verdict.NOT_SENT, answer.reason
    assert not answer.too_late


async def test_an_upload_that_is_whole_may_have_been_sent(client: SenderClient, tmp_path: Path) -> None:
    """All of it is in the socket's hands, wherever the other side stopped reading."""
    deadline = StartDeadline(boottime())
    async with cutting(after=1_000) as endpoint:
        answer = await client.send(endpoint, Kind.FILE, upload(tmp_path / "file", 2_000, deadline), deadline)
    assert answer.verdict is Verdict.UNKNOWN, answer.reason


async def test_an_upload_that_takes_too_long_uses_a_try(tmp_path: Path) -> None:
    settings = EndpointSettings(whatsapp_base_url="http://unused", whatsapp_media_timeout=timedelta(milliseconds=300))
    deadline = StartDeadline(boottime())
    async with SenderClient(settings) as client, cutting(after=0) as endpoint:
        answer = await client.send(endpoint, Kind.FILE, upload(tmp_path / "file", 40_000_000, deadline), deadline)
    assert answer.verdict is Verdict.TRANSIENT, answer.reason


async def test_a_body_over_the_senders_limit_is_refused_before_it_is_sent(client: SenderClient, tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        file.truncate(MOST_BYTES)
    deadline = StartDeadline(boottime())
    made = request_for(Kind.FILE, "1@s.whatsapp.net", {}, Upload(path, "offer.pdf", "application/pdf"), deadline)
    answer = await client.send(Endpoint("one", f"http://127.0.0.1:{free_port()}", ""), Kind.FILE, made, deadline)
    assert answer.verdict is Verdict.REFUSED
    assert str(MOST_BYTES) in answer.reason


def test_the_time_for_an_answer_is_longer_than_the_senders_own() -> None:
    settings = EndpointSettings(whatsapp_base_url="http://unused")
    assert settings.request_seconds(Kind.MESSAGE) > 45
    assert settings.request_seconds(Kind.IMAGE) == settings.request_seconds(Kind.FILE) >= 150


def test_the_kernel_gives_up_what_the_client_has_given_up() -> None:
    """Without it a request goes on being sent for minutes after its client hung up, through a network that heals."""
    make = forgetful_socket(70.0)
    with make((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 1))) as made:
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 70_000


async def test_each_connection_to_a_sender_does() -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head() + SENT)

    settings = EndpointSettings(
        whatsapp_base_url="http://x",
        whatsapp_text_timeout=timedelta(seconds=7),
        whatsapp_media_timeout=timedelta(seconds=9),
    )
    made: list[socket.socket] = []

    def noting(seconds: float) -> Callable[..., socket.socket]:
        make = forgetful_socket(seconds)
        return lambda address: made.append(make(address)) or made[-1]  # type: ignore[func-returns-value]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("services.dispatcher.sending.client.forgetful_socket", noting)
        async with listening(answer) as (endpoint, _), SenderClient(settings) as client:
            request = Request("/send/file", BytesPayload(b"{}", content_type="application/json"))
            answered = await client.send(endpoint, Kind.FILE, request, StartDeadline(boottime()))
            assert answered.verdict is Verdict.SENT
            [connection] = made
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7_000
