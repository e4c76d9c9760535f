"""Messages per second of one dispatcher, gate and history on and pacing off, against RAW: a client that only POSTs.

Real Valkey, real Postgres, the dispatcher as a process of its own on its own core, and a sender that answers at once. Every
message has a recipient of its own, as in a campaign: one recipient for all would bind all to one account.
"""

from __future__ import annotations

import asyncio
from uuid import UUID

from bench.report import Row
from bench.running import MEASURED, UNPACED, Stores, listening, output_of, process, spent, stores
from shared.database.connection import Database
from shared.messages import Entry, Lane, new_message_ids
from shared.queue.connection import QueueConnection
from shared.queue.enqueueing import Placement, enqueue
from shared.queue.rebuild import RebuiltState, rebuild
from standalone.ports import free_port

MESSAGES = 20_000
ACCOUNTS = 500
IN_FLIGHT = 100
"""Of RAW. The dispatcher has as many in hand as its defaults say, since a message passes three stores besides the send."""


async def measure(rounds: int) -> list[Row]:
    """Takes turns between RAW and the dispatcher; about 10 s a round."""
    with stores() as (_, environment):
        stub_port = free_port()
        url = f"http://127.0.0.1:{stub_port}"
        accounts = {
            "WHATSAPP_ENDPOINTS": ",".join([url] * ACCOUNTS),
            "WHATSAPP_DEVICE_IDS": ",".join(f"account-{number}" for number in range(ACCOUNTS)),
            "DISPATCHER_PORT": str(free_port()),
        }
        with process("bench.raw.answering_stub", str(stub_port)):
            await listening(stub_port)
            raw, own = [], []
            starting = await cost_of_starting(environment | UNPACED | accounts)
            for _ in range(rounds):
                raw.append(
                    await output_of("bench.raw.post_client", f"{url}/send/message", str(MESSAGES), str(IN_FLIGHT))
                )
                own.append(await run_dispatcher(environment | UNPACED | accounts, starting))
    return [
        Row("RAW: POSTs a second", [rate for rate, _ in raw]),
        Row("dispatcher: messages a second", [rate for rate, _, _ in own]),
        Row("dispatcher ÷ RAW, by rate", [mine[0] / theirs[0] for mine, theirs in zip(own, raw, strict=True)]),
        Row("RAW: CPU µs a POST", [cpu for _, cpu in raw]),
        Row("dispatcher: CPU µs a message", [cpu for _, cpu, _ in own]),
        Row("RAW ÷ dispatcher, by CPU", [theirs[1] / mine[1] for mine, theirs in zip(own, raw, strict=True)]),
        Row("dispatcher: peak memory, MiB", [peak for _, _, peak in own]),
    ]


async def waiting_messages(queue: QueueConnection, database: Database, count: int) -> list[UUID]:
    """``count`` texts to as many recipients, in a fresh queue. Answers their ids in order."""
    epoch = int(await database.fetchval("update control set epoch = epoch + 1 returning epoch"))
    await rebuild(queue, epoch, RebuiltState({}, {}, {}))
    ids = new_message_ids(count)
    rows = [
        (
            message,
            "transactional",
            "message",
            f"1555{number:07}@s.whatsapp.net",
            f"1555{number:07}",
            {"message": f"hello number {number}"},
            "hold",
        )
        for number, message in enumerate(ids)
    ]
    async with database.connection() as connection:
        await connection.copy_records_to_table(
            "messages", records=rows, columns=["id", "lane", "kind", "phone", "phone_key", "content", "on_unknown"]
        )
        await connection.execute("analyze messages")
    await enqueue(queue, [Placement(Entry(message, 1, Lane.TRANSACTIONAL)) for message in ids])
    return ids


async def cost_of_starting(environment: dict[str, str]) -> float:
    """Seconds of CPU until a dispatcher with nothing to do answers."""
    with process("services.dispatcher", environment=environment, cores=MEASURED) as dispatcher:
        await listening(int(environment["DISPATCHER_PORT"]))
        return spent(dispatcher.pid).cpu


async def run_dispatcher(environment: dict[str, str], starting: float) -> tuple[float, float, float]:
    """Enqueues, starts the dispatcher, and times from its first attempt to its last by the database's clock: messages a
    second, CPU µs a message (without the ``starting``, in seconds), MiB at the peak."""
    settings = Stores()
    queue, database = QueueConnection(settings), await Database(settings, 2, "bench").open()
    try:
        # Each turn begins with the same tables; what growing ones cost is another measurement.
        await database.execute("truncate messages, attempts, whatsapp_ids, contacts, open_attempts, due")
        ids = await waiting_messages(queue, database, MESSAGES)
        with process("services.dispatcher", environment=environment, cores=MEASURED) as dispatcher:
            while await database.fetchval("select count(*) from attempts") < MESSAGES:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
            taken = spent(dispatcher.pid)
        span = await database.fetchval(
            "select extract(epoch from max(finished_at) - min(started_at)) from attempts where message >= $1", ids[0]
        )
        return MESSAGES / float(span), (taken.cpu - starting) / MESSAGES * 1_000_000, taken.peak / 2**20
    finally:
        await queue.close()
        await database.close()
