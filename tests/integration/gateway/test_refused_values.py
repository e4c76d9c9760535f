"""A value that Postgres refuses: its own message fails, and what shares the insert with it is accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg
import pytest

from services.gateway.app_keys import ACCEPTANCE
from shared.database.connection import Database
from shared.database.messages import Draft, NewMessage
from shared.messages import Kind, Lane, OnUnknown, new_message_ids
from tests.integration.gateway.conftest import Client

REFUSED = "no value for Postgres"
PLACE = 5
"""Neither the first of its batch nor the last."""


@pytest.fixture
async def refusing(store: Database) -> Database:
    """The checks of the gateway let nothing through that Postgres refuses; here it refuses one text more."""
    await store.execute(f"alter table messages add constraint refusing check (content ->> 'message' <> '{REFUSED}')")
    return store


def new_message(number: int) -> NewMessage:
    phone = f"1555010{number:04d}"
    draft = Draft(
        kind=Kind.MESSAGE,
        lane=Lane.TRANSACTIONAL,
        content={"message": REFUSED if number == PLACE else "hi"},
        on_unknown=OnUnknown.RESEND,
        expires_after=60.0,
    )
    return NewMessage(id=new_message_ids()[0], phone=f"{phone}@s.whatsapp.net", phone_key=phone, draft=draft)


async def test_neighbours_in_the_same_batch_are_accepted(
    client: Client, refusing: Database, entries: Callable[..., Awaitable[list[dict[str, str]]]]
) -> None:
    messages = [new_message(number) for number in range(16)]
    acceptance = client.server.app[ACCEPTANCE]
    # All are submitted before the batcher's task has its turn, so they leave as one batch.
    answers = await asyncio.gather(*(acceptance.accept(one) for one in messages), return_exceptions=True)
    assert [type(answer) for answer in answers] == [
        asyncpg.CheckViolationError if number == PLACE else type(None) for number in range(16)
    ]
    others = [one.id for number, one in enumerate(messages) if number != PLACE]
    rows = await refusing.fetch("select id, xmin::text as statement from messages")
    assert {row["id"] for row in rows} == {row["message"] for row in await refusing.fetch("select message from due")}
    assert {row["id"] for row in rows} == set(others)
    # Written in halves of 8, 4, 2 and 1: they were one batch, and not written one by one.
    assert len({row["statement"] for row in rows}) == 4
    assert {UUID(fields["m"]) for fields in await entries("transactional")} == set(others)


async def test_who_sent_it_is_told_and_may_use_the_key_again(client: Client, refusing: Database) -> None:
    async def post(number: int) -> int:
        body = {"phone": f"1555010{number:04d}", "message": REFUSED if number == PLACE else "hi"}
        headers = {"Idempotency-Key": f"key-{number}"}
        async with client.post("/api/send/message", json=body, headers=headers) as response:
            assert REFUSED not in await response.text()
            return response.status

    statuses = await asyncio.gather(*(post(number) for number in range(16)))
    assert statuses == [500 if number == PLACE else 202 for number in range(16)]
    assert await refusing.fetchval("select count(*) from messages") == 15
    await refusing.execute("alter table messages drop constraint refusing")
    assert await post(PLACE) == 202
    assert await refusing.fetchval("select count(*) from messages") == 16
