"""The wiring of a dispatcher: what is built, in which order it starts, and in which it stops."""

from __future__ import annotations

import asyncio
import random
import secrets
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import structlog
from aiohttp import web

from services.dispatcher.breakers import Breakers
from services.dispatcher.delivering import HOLD_LIMIT, LEASE_MARGIN, Delivery
from services.dispatcher.gate import Gate
from services.dispatcher.heartbeat import heartbeat
from services.dispatcher.judging import Judging
from services.dispatcher.preparing import Preparing
from services.dispatcher.rate import CurrentRate
from services.dispatcher.retry_policy import RetryRules
from services.dispatcher.sending.client import SenderClient
from services.dispatcher.sending.deadline import START_LIMIT
from services.dispatcher.sending.lookups import Lookups
from services.dispatcher.sending.media_files import MediaFiles
from services.dispatcher.sending.remote_files import RemoteFiles
from services.dispatcher.settings import DispatcherSettings
from services.dispatcher.settlement import SettlementWriter
from services.dispatcher.settling import Settling
from services.dispatcher.taking import TakingLoop
from services.dispatcher.typing_presence import TypingPresence
from services.dispatcher.unlisted_answers import UnlistedAnswers
from shared.database.attempts import count_shard
from shared.database.connection import Database
from shared.endpoints.gowa import new_session
from shared.endpoints.identity import endpoints_of
from shared.endpoints.pacing import profile_of
from shared.errors import StoreUnavailable
from shared.media.file_types import FileTypes
from shared.media.storage_folder import prepare_storage
from shared.outbound.address_guard import AddressGuard, new_fetching_session
from shared.queue.connection import QueueConnection
from shared.queue.dispatchers import unregister
from shared.queue.streams import stream_suffixes
from shared.queue.taking import Taking
from shared.queue.waking import waking
from shared.runtime.background_loop import BackgroundLoop
from shared.runtime.service import new_application
from shared.runtime.wiring import open_stores, ready_while_stores_answer, run_beside, started_by
from shared.settings import seconds

log = structlog.get_logger()
_POOL_SIZE = 4
"""Connections to Postgres; few, since many dispatchers share a server."""
_JANITOR_INTERVAL = 600.0


def consumer_name(settings: DispatcherSettings) -> str:
    """A name that nobody had before: what a process of the same pod name left behind is another's to take back."""
    return f"{settings.redis_consumer_name or socket.gethostname()}-{secrets.token_hex(4)}"


def build_app(settings: DispatcherSettings) -> web.Application:
    async def start(app: web.Application, stack: AsyncExitStack) -> None:
        await _start(settings, app, stack)

    return started_by(new_application("dispatcher", settings), start)


async def _start(settings: DispatcherSettings, app: web.Application, stack: AsyncExitStack) -> None:
    """Starts everything; the stack ends it in reverse order, the taking first, then what it needs."""
    name = consumer_name(settings)
    endpoints = endpoints_of(settings)
    stopping, woken = asyncio.Event(), asyncio.Event()
    prepare_storage(Path(settings.file_storage_root))

    queue, database = QueueConnection(settings), Database(settings, _POOL_SIZE, name)
    await open_stores(stack, queue, database)
    ready_while_stores_answer(app, queue, database)

    lease = HOLD_LIMIT + START_LIMIT + settings.longest_request_seconds() + LEASE_MARGIN
    taking = Taking(queue, name, endpoints, round(lease * 1000), settings, settings.endpoint_concurrency)
    breakers = Breakers(endpoints)
    rate = CurrentRate(queue, profile_of(settings))
    writer = SettlementWriter(database, taking, breakers, name, woken)
    media = await _media_files(settings, database, stack)
    loop = TakingLoop(
        taking=taking,
        database=database,
        delivery=await _delivery(
            settings, name, queue, database, taking, breakers, rate, writer, media, stopping, stack
        ),
        writer=writer,
        breakers=breakers,
        rate=rate,
        dispatcher=name,
        capacity=settings.worker_concurrency,
        batch=settings.worker_batch_size,
        woken=woken,
        stopping=stopping,
        streams=lambda: stream_suffixes(queue, list(endpoints)),
    )

    stack.push_async_callback(_leave, queue, name, list(endpoints))
    await stack.enter_async_context(waking(queue, woken))
    unused_files = BackgroundLoop("media files", _JANITOR_INTERVAL, media.delete_unused)
    await run_beside(stack, [unused_files, heartbeat(taking)])
    running = asyncio.create_task(loop.run(), name="taking")

    async def stop_taking() -> None:
        stopping.set()
        woken.set()
        await running

    stack.push_async_callback(stop_taking)
    log.info("dispatcher", name=name, endpoints=len(endpoints), profile=rate.profiles.usual.name)


async def _media_files(settings: DispatcherSettings, database: Database, stack: AsyncExitStack) -> MediaFiles:
    folder, guard = Path(settings.file_storage_root), AddressGuard(settings.remote_media_allow)
    fetching = await stack.enter_async_context(new_fetching_session(guard))
    remote = RemoteFiles(
        folder, guard, fetching, FileTypes(settings.file_types), seconds(settings.remote_media_retry_limit)
    )
    media = MediaFiles(database, folder, remote if settings.remote_media == "fetch" else None)
    stack.push_async_callback(media.close)
    return media


async def _delivery(
    settings: DispatcherSettings,
    name: str,
    queue: QueueConnection,
    database: Database,
    taking: Taking,
    breakers: Breakers,
    rate: CurrentRate,
    writer: SettlementWriter,
    media: MediaFiles,
    stopping: asyncio.Event,
    stack: AsyncExitStack,
) -> Delivery:
    endpoints = endpoints_of(settings)
    chance = random.Random()  # noqa: S311 - pauses and typing times, nothing secret
    client = await stack.enter_async_context(SenderClient(settings))
    lookups = await stack.enter_async_context(new_session(settings))
    rules = RetryRules(
        max_retries=settings.worker_max_retries,
        base_delay=seconds(settings.retry_base_delay),
        cold_contact_delay=seconds(settings.cold_contact_delay),
        check_seconds=settings.check_seconds(),
    )
    return Delivery(
        settings=settings,
        preparing=Preparing(database, endpoints, rate, media, count_shard(name)),
        typing=TypingPresence(client, rate, settings.typing_presence, stopping, chance),
        gate=Gate(database, name, lambda: taking.seen_beat),
        client=client,
        breakers=breakers,
        judging=Judging(Lookups(lookups), UnlistedAnswers(queue), endpoints),
        settling=Settling(settings, name, database, writer, rate, rules, chance),
        writer=writer,
        rate=rate,
        rules=rules,
        chance=chance,
    )


async def _leave(queue: QueueConnection, name: str, endpoints: list[str]) -> None:
    """Takes itself off the list, so that nobody need wait for its death."""
    try:
        await unregister(queue, name, None, 0, await stream_suffixes(queue, endpoints))
    except StoreUnavailable as error:
        log.warning("left without saying so", reason=str(error))
