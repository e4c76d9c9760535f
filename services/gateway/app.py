"""The wiring of the gateway: what it holds, what it answers, what runs beside."""

from __future__ import annotations

import os
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import structlog
from aiohttp import web

from services.gateway.api_routes import ROUTES
from services.gateway.app_keys import (
    ACCEPTANCE,
    ADDRESS_GUARD,
    DATABASE,
    DEFAULT_PROFILE,
    ENDPOINTS,
    FAILURE_REASONS,
    FILE_TYPES,
    IDEMPOTENCY,
    NOTED_NUMBERS,
    QUEUE,
    REFUSED_WEBHOOKS,
    RULES,
    SETTINGS,
    SHARD,
)
from services.gateway.documentation.pages import documentation_routes
from services.gateway.failure_reasons import FailureReasons
from services.gateway.inbound.noted_numbers import NotedNumbers
from services.gateway.inbound.refused_webhooks import RefusedWebhooks
from services.gateway.intake.acceptance import Acceptance
from services.gateway.intake.bodies import BODY_SECONDS, refuse_compressed
from services.gateway.intake.drafts import rules_of
from services.gateway.intake.idempotency import Idempotency
from services.gateway.routes import gowa_webhook
from services.gateway.routes.rate_profile import copy_loop
from services.gateway.settings import GatewaySettings
from services.gateway.web import add_pages
from shared.database.attempts import count_shard
from shared.database.connection import Database
from shared.endpoints.pacing import profile_of
from shared.media.file_types import FileTypes
from shared.media.storage_folder import prepare_storage
from shared.outbound.address_guard import AddressGuard
from shared.queue.connection import QueueConnection
from shared.runtime.access import login, same_site
from shared.runtime.envelope import envelope_errors
from shared.runtime.leftover_files import janitor
from shared.runtime.service import READINESS, new_application
from shared.runtime.wiring import open_stores, ready_while_stores_answer, run_beside, started_by
from shared.settings import seconds

log = structlog.get_logger()

_CONNECTIONS = 8  # to Postgres; what four kinds of services and their replicas share is 100 by default


def build_app(settings: GatewaySettings) -> web.Application:
    """The application; it connects to nothing before it is started."""
    app = new_application(
        "gateway",
        settings,
        # Outermost first: an answer of any kind, a refused login too, carries what CORS wants.
        middlewares=(
            same_site(settings.cors_origins if settings.enable_cors else ()),
            envelope_errors,
            login(settings, open_paths=(gowa_webhook.PATH,)),
            refuse_compressed,
        ),
        client_max_size=settings.max_body_size,
        drain=seconds(settings.drain_time),
        outlives_stores=True,
    )
    app[SETTINGS] = settings
    app[BODY_SECONDS] = seconds(settings.body_timeout)
    app[RULES] = rules_of(settings)
    app[ENDPOINTS] = app[RULES].endpoints
    app[DEFAULT_PROFILE] = profile_of(settings)
    app[FILE_TYPES] = FileTypes(settings.file_types)
    app[ADDRESS_GUARD] = AddressGuard(settings.remote_media_allow)
    app[NOTED_NUMBERS] = NotedNumbers()
    app[SHARD] = count_shard(f"{socket.gethostname()}-{os.getpid()}")
    for route in ROUTES:
        app.router.add_route(route.method, route.path, route.handler)
    app.add_routes(documentation_routes())
    add_pages(app, settings)
    return started_by(app, _start)


async def _start(app: web.Application, stack: AsyncExitStack) -> None:
    settings = app[SETTINGS]
    prepare_storage(Path(settings.file_storage_root))
    app[QUEUE] = QueueConnection(settings)
    app[DATABASE] = Database(settings, _CONNECTIONS, "gateway", may_only_read=True)
    await open_stores(stack, app[QUEUE], app[DATABASE])
    app[ACCEPTANCE] = Acceptance(app[DATABASE], app[QUEUE], settings.bulk_chunk_size)
    stack.push_async_callback(app[ACCEPTANCE].close)
    app[IDEMPOTENCY] = Idempotency(app[DATABASE])
    app[FAILURE_REASONS] = FailureReasons(app[DATABASE])
    app[REFUSED_WEBHOOKS] = RefusedWebhooks(app[QUEUE])
    ready_while_stores_answer(app, app[QUEUE], app[DATABASE])
    # Known from the start, whoever asks first.
    await app[READINESS].look()
    await run_beside(stack, [janitor(Path(settings.file_storage_root)), copy_loop(app)])
