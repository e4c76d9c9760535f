"""The wiring of a scheduler: what is built, and the loops that run."""

from __future__ import annotations

import secrets
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import structlog
from aiohttp import web

from services.scheduler.account_answers import AccountAnswers
from services.scheduler.account_feedback import AccountFeedback
from services.scheduler.account_limits import AccountLimits
from services.scheduler.campaigns.completion import Completion
from services.scheduler.campaigns.ending import Ending
from services.scheduler.campaigns.feeding import Feeding
from services.scheduler.campaigns.starting import Starting
from services.scheduler.dead_dispatchers import DeadDispatchers
from services.scheduler.due_messages import DueMessages
from services.scheduler.endpoint_recovery import EndpointRecovery
from services.scheduler.expired_messages import ExpiredMessages
from services.scheduler.gone_endpoints import GoneEndpoints
from services.scheduler.media_janitor import MediaJanitor
from services.scheduler.postgres_beat import PostgresBeat
from services.scheduler.rate_in_force import RateInForce
from services.scheduler.receipts import PendingReceipts
from services.scheduler.redis_rebuild import RedisRebuild
from services.scheduler.retention import Retention
from services.scheduler.settings import SchedulerSettings
from services.scheduler.unknown_outcomes import UnknownOutcomes
from services.scheduler.unqueued_messages import UnqueuedMessages
from shared.database.attempts import count_shard
from shared.database.connection import Database
from shared.endpoints.gowa import new_session
from shared.endpoints.identity import endpoints_of
from shared.endpoints.pacing import profile_of
from shared.queue.connection import QueueConnection
from shared.runtime.leftover_files import janitor
from shared.runtime.service import new_application
from shared.runtime.wiring import Role, loop_of, open_stores, ready_while_stores_answer, run_beside, started_by
from shared.settings import milliseconds, seconds

log = structlog.get_logger()
_POOL_SIZE = 6


def build_app(settings: SchedulerSettings) -> web.Application:
    async def start(app: web.Application, stack: AsyncExitStack) -> None:
        name = f"scheduler-{socket.gethostname()}-{secrets.token_hex(4)}"
        queue, database = QueueConnection(settings), scheduler_database(settings, name)
        await open_stores(stack, queue, database)
        ready_while_stores_answer(app, queue, database)
        session = await stack.enter_async_context(new_session(settings))
        await run_beside(stack, map(loop_of, roles_of(settings, name, queue, database, session)))
        await run_beside(stack, [janitor(Path(settings.file_storage_root))])
        log.info("scheduler", name=name, endpoints=len(endpoints_of(settings)))

    return started_by(new_application("scheduler", settings), start)


def scheduler_database(settings: SchedulerSettings, name: str) -> Database:
    """Statements are planned anew each time: a plan made while the tables were empty reads all of them later, and the
    scheduler asks too seldom for planning to matter."""
    fresh_plans = settings.model_copy(update={"database_statement_cache_size": 0})
    return Database(fresh_plans, _POOL_SIZE, name)


def roles_of(
    settings: SchedulerSettings, name: str, queue: QueueConnection, database: Database, session: aiohttp.ClientSession
) -> list[Role]:
    """All that a scheduler called ``name`` does, each role on its own loop."""
    endpoints = endpoints_of(settings)
    slots, shard = settings.endpoint_concurrency, count_shard(name)
    rate = RateInForce(profile_of(settings))
    return [
        PostgresBeat(queue, database),
        RedisRebuild(queue, database, rate, endpoints, slots, settings.transactional_reserve),
        AccountLimits(queue, database, rate, endpoints, settings.transactional_reserve),
        AccountFeedback(database, endpoints, settings),
        DueMessages(queue, rate, milliseconds(settings.circuit_breaker_open_timeout)),
        UnqueuedMessages(queue, database, settings.feed_high_water),
        Starting(database),
        Feeding(queue, database, settings.feed_high_water, endpoints),
        Completion(queue, database),
        Ending(database, shard),
        ExpiredMessages(database, shard),
        DeadDispatchers(
            queue,
            database,
            rate,
            endpoints,
            shard,
            dead_after=seconds(settings.dispatcher_dead_after),
            stuck_after=seconds(settings.stuck_message_timeout),
            crash_limit=settings.crash_limit,
        ),
        UnknownOutcomes(
            database,
            session,
            endpoints,
            shard,
            check_seconds=settings.check_seconds(),
            check_limit=seconds(settings.unknown_check_limit),
            resends=settings.unknown_resend_limit,
            reachable_seconds=seconds(settings.unknown_reachable_time),
        ),
        AccountAnswers(database, session, endpoints),
        EndpointRecovery(queue, database, session, endpoints, slots, settings.circuit_breaker_enabled),
        GoneEndpoints(queue, endpoints, slots),
        PendingReceipts(database, shard),
        MediaJanitor(database, seconds(settings.media_retention)),
        Retention(
            queue,
            database,
            seconds(settings.history_retention),
            seconds(settings.idempotency_retention),
            seconds(settings.inbound_retention),
        ),
    ]
