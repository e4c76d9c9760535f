"""Starts and stops a service: settings, log, one aiohttp application on one port, SIGTERM.

Every service answers GET /health (it lives), /ready (it may get traffic) and /metrics, without a login. An application
brings what it needs up and down in its ``cleanup_ctx``.

On SIGTERM /ready turns to 503. A service behind an edge then goes on answering for DRAIN_TIME and ends each connection
with its answer, until edges and Services send it nothing more; then the port closes, what is in hand is finished, and the
contexts end in reverse order.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from typing import TypeVar

import structlog
import uvloop
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from shared.errors import SettingError
from shared.observability.logs import configure_logs
from shared.observability.metrics import metrics_handler
from shared.runtime.background_loop import BackgroundLoop
from shared.runtime.forgotten_errors import tell_forgotten
from shared.runtime.listening import ListeningPort
from shared.runtime.malformed_requests import LIMITS, Runner
from shared.runtime.readiness import Readiness, ReadyCheck
from shared.runtime.request_identity import answer_request_id, who_asks
from shared.runtime.response_headers import add_security_headers
from shared.runtime.silent_clients import SilentClients
from shared.settings import ListenSettings, LogSettings, load, seconds

log = structlog.get_logger()

SERVICE_NAME = web.AppKey("service_name", str)
READY_CHECKS = web.AppKey("ready_checks", list[ReadyCheck])
READINESS = web.AppKey("readiness", Readiness)
STOPPING = web.AppKey("stopping", asyncio.Event)
DRAIN_SECONDS = web.AppKey("drain_seconds", float)
SILENT_CLIENTS = web.AppKey("silent_clients", SilentClients)
_COLLECTOR = (50_000, 20, 50)
"""Objects made before the collector looks at the young ones, and how rarely it looks at older ones. Requests and messages
under way are many thousand objects and hardly ever garbage in a ring: with Python's 700 a sixth of the gateway's and of
the dispatcher's time went into looking at them again and again."""
_SWITCH_SECONDS = 0.001
"""How long a thread that computes keeps the loop waiting: with Python's 5 ms a request, which takes several turns, waited
50 ms behind the parsing of a campaign."""
_SWEEP_INTERVAL = 5.0
_ON_ITS_WAY = 0.5
"""Seconds for the request of a connection that was made just before the port closed."""


class ServiceSettings(ListenSettings, LogSettings):
    """What ``run`` needs of any service's settings."""


S = TypeVar("S", bound=ServiceSettings)


def new_application(
    name: str,
    settings: ListenSettings,
    middlewares: tuple[Middleware, ...] = (),
    client_max_size: int = 1024**2,
    health: bool = True,
    drain: float = 0.0,
    outlives_stores: bool = False,
) -> web.Application:
    """An application with the routes of every service; ``health`` False leaves GET /health to the caller. ``drain``:
    seconds for which it goes on answering at a stop. ``outlives_stores``: see ``Readiness``."""
    silent_clients = SilentClients()
    app = web.Application(
        middlewares=(who_asks(settings), silent_clients.asked, *middlewares),
        client_max_size=client_max_size,
        handler_args=LIMITS,
    )
    app[SILENT_CLIENTS] = silent_clients
    app[SERVICE_NAME] = name
    app[READINESS] = Readiness(outlives_stores)
    app[READY_CHECKS] = app[READINESS].checks
    app[STOPPING] = asyncio.Event()
    app[DRAIN_SECONDS] = drain
    app.on_response_prepare.append(answer_request_id)
    app.on_response_prepare.append(add_security_headers)
    app.on_response_prepare.append(_end_connection)
    if health:
        app.router.add_get("/health", _health)
    app.router.add_get("/ready", _ready)
    app.router.add_get("/metrics", metrics_handler)
    return app


async def _health(request: web.Request) -> web.Response:
    return web.json_response({"status": "ok", "service": request.app[SERVICE_NAME]})


async def _end_connection(request: web.Request, response: web.StreamResponse) -> None:
    """``Connection: close`` while stopping, so that whoever keeps connections comes back by another one."""
    if request.app[STOPPING].is_set():
        # aiohttp has chosen its headers by now: without ours it would close and not say so.
        response.headers[hdrs.CONNECTION] = "close"
        response.force_close()


async def _ready(request: web.Request) -> web.Response:
    if request.app[STOPPING].is_set():
        ready, problems = False, ["it is stopping"]
    else:
        ready, problems = await request.app[READINESS].look()
    body: dict[str, object] = {"status": "ready" if ready else "not ready", "problems": problems}
    if remarks := [text for remark in request.app[READINESS].remarks if (text := remark())]:
        body["remarks"] = remarks
    return web.json_response(body, status=200 if ready else 503)


def run(
    name: str,
    settings_class: type[S],
    build: Callable[[S], web.Application],
    port: Callable[[S], int],
) -> None:
    """Runs the service until SIGTERM or SIGINT; ends the process. Exit code 2: a setting is wrong, also one whose folder or
    file is found to be of no use only when the service starts."""
    try:
        settings = load(settings_class)
        configure_logs(name, settings.log_level, settings.log_format)
        code = uvloop.run(_serve(name, settings, build, port(settings)))
    except SettingError as error:
        print(f"{name} does not start:\n{error}", file=sys.stderr)
        code = 2
    sys.exit(code)


async def _serve(name: str, settings: S, build: Callable[[S], web.Application], port: int) -> int:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(tell_forgotten)
    stop: asyncio.Future[signal.Signals] = loop.create_future()

    def stop_by(number: signal.Signals) -> None:
        if not stop.done():
            stop.set_result(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_by, number)
    app = build(settings)
    runner = Runner(app, access_log=None, handle_signals=False, shutdown_timeout=seconds(settings.shutdown_grace))
    await runner.setup()
    listening = ListeningPort(runner)
    try:
        await listening.open(settings.api_host, port)
    except OSError as error:
        log.error("cannot listen", host=settings.api_host, port=port, error=str(error))
        await runner.cleanup()
        return 1
    # What is alive now lives as long as the process; the collector need not walk it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTOR)
    sys.setswitchinterval(_SWITCH_SECONDS)
    log.info("listening", host=settings.api_host, port=port)

    async def sweep() -> None:
        if runner.server is not None:
            app[SILENT_CLIENTS].sweep(runner.server, seconds(settings.header_timeout))

    async with BackgroundLoop("silent_clients", _SWEEP_INTERVAL, sweep).running():
        signalled = await stop
    log.info("stopping")
    app[STOPPING].set()
    # Ctrl-C comes from somebody who waits, not from a rollout.
    if app[DRAIN_SECONDS] and signalled is signal.SIGTERM:
        await asyncio.sleep(app[DRAIN_SECONDS])
        await listening.close()
        await asyncio.sleep(_ON_ITS_WAY)
    await runner.cleanup()
    log.info("stopped")
    return 0
