"""The id of a request: on refusals of every kind, on pages, and in the lines that are about several requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.gateway.intake import acceptance
from shared.errors import QueueUnavailable
from shared.observability.log_context import add_subject
from shared.runtime.request_identity import HEADER
from standalone.embedded_postgres import EmbeddedPostgres
from tests.integration.gateway.conftest import Client, StartGateway

TEXT = {"phone": "15550100001", "message": "hi"}
FRIEND = "https://app.example.com"


async def answered(client: Client, method: str, path: str, **options: Any) -> int:
    """The status of an answer that carries the id of its request."""
    headers = {HEADER: "mine"} | options.pop("headers", {})
    response = await client.request(method, path, headers=headers, **options)
    assert response.headers.getall(HEADER) == ["mine"], (method, path)
    return response.status


async def test_every_answer_carries_it(start_gateway: StartGateway) -> None:
    client = await start_gateway(max_body_size=10_000, cors_origins=FRIEND)
    found = await (await client.get("/")).text()
    script = found.partition('src="')[2].partition('"')[0].removeprefix("./")
    preflight = {"Origin": FRIEND, "Access-Control-Request-Method": "POST"}
    for method, path, options, status in (
        ("GET", "/", {}, 200),
        ("GET", f"/{script}", {}, 200),
        ("GET", "/docs", {}, 200),
        ("HEAD", "/health", {}, 200),
        ("POST", "/api/send/message", {"json": TEXT}, 202),
        ("POST", "/api/send/message", {"json": {}}, 400),
        ("POST", "/api/send/message", {"json": TEXT, "headers": {"Authorization": "Basic x"}}, 401),
        ("POST", "/api/send/message", {"json": TEXT, "headers": {"Origin": "https://evil.example"}}, 403),
        ("PATCH", "/api/stop", {}, 405),
        ("POST", "/api/send/message", {"json": TEXT | {"message": "x" * 20_000}}, 413),
        ("POST", "/api/send/message", {"data": b"<xml/>", "headers": {"Content-Type": "text/xml"}}, 415),
        ("OPTIONS", "/api/send/message", {"headers": preflight}, 204),
    ):
        assert await answered(client, method, path, **options) == status, (method, path)


async def test_so_does_a_replayed_one_with_the_id_of_its_own_request(client: Client) -> None:
    for identity in ("first", "again"):
        headers = {HEADER: identity, "Idempotency-Key": "order-1"}
        response = await client.post("/api/send/message", json=TEXT, headers=headers)
        assert response.status == 202
        assert response.headers.getall(HEADER) == [identity]


async def test_so_does_one_while_postgres_is_away(client: Client, postgres_server: EmbeddedPostgres) -> None:
    postgres_server.kill()
    assert await answered(client, "POST", "/api/send/message", json=TEXT) == 503


async def test_pages_elsewhere_may_give_and_read_it(start_gateway: StartGateway) -> None:
    client = await start_gateway(cors_origins=FRIEND)
    asked = {"Origin": FRIEND, "Access-Control-Request-Method": "POST"}
    preflight = await client.options("/api/send/message", headers=asked)
    assert HEADER in preflight.headers["Access-Control-Allow-Headers"]
    assert HEADER in preflight.headers["Access-Control-Expose-Headers"]


async def test_a_line_about_a_batch_names_all_requests_in_it(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, all_there = asyncio.Event(), asyncio.Event()
    insert, accept, asked = acceptance.insert_separately, acceptance.Acceptance.accept, []

    async def away(*_: Any) -> int:
        raise QueueUnavailable("nobody listens")

    async def slow(database: Any, batch: Sequence[Any]) -> Any:
        begun.set()
        await all_there.wait()
        return await insert(database, batch)

    async def counted(self: acceptance.Acceptance, *arguments: Any) -> None:
        asked.append(arguments)
        if len(asked) == 4:
            all_there.set()
        await accept(self, *arguments)

    async def send(number: int) -> int:
        return (await client.post("/api/send/message", json=TEXT, headers={HEADER: f"request-{number}"})).status

    monkeypatch.setattr(acceptance, "enqueue", away)
    monkeypatch.setattr(acceptance, "insert_separately", slow)
    monkeypatch.setattr(acceptance.Acceptance, "accept", counted)
    with capture_logs(processors=[add_subject]) as lines:
        sends = [asyncio.create_task(send(0))]
        await begun.wait()
        sends += [asyncio.create_task(send(number)) for number in (1, 2, 3)]
        assert set(await asyncio.gather(*sends)) == {202}
    written = [line for line in lines if line["event"].startswith("accepted")]
    assert [sorted(line["request_ids"]) for line in written] == [["request-0"], ["request-1", "request-2", "request-3"]]
    assert not any("request_id" in line for line in written)


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


async def test_the_trace_of_a_request_goes_into_the_entry(
    client: Client, entries: Callable[[str], Awaitable[list[dict[str, str]]]]
) -> None:
    for given, expected in ((TRACEPARENT, TRACEPARENT), ("mine", None), (TRACEPARENT.upper(), None)):
        text = TEXT | {"reference": given}
        response = await client.post("/api/send/message", json=text, headers={"traceparent": given})
        assert response.status == 202, "what is wrong with it is no reason to refuse a message"
        assert (await entries("transactional"))[-1].get("t") == expected
    assert (await client.post("/api/send/message", json=TEXT)).status == 202
    assert set((await entries("transactional"))[-1]) == {"v", "m", "n"}, "of its own request, not of the one before"


async def test_the_trace_stands_in_the_lines_about_the_request(client: Client) -> None:
    with capture_logs(processors=[add_subject]) as lines:
        await client.post("/api/stop", json={"reason": "a test"}, headers={"traceparent": TRACEPARENT})
    assert [line["trace_id"] for line in lines if line["event"] == "stopped"] == [TRACE]
