"""The aiohttp application: all routes over one simulation."""

from __future__ import annotations

from aiohttp import web

from simulator.binding import BODY_LIMIT
from simulator.control import control_routes
from simulator.devices import device_routes
from simulator.sending import send_routes
from simulator.settings import Settings
from simulator.simulation import Simulation


def build_app(settings: Settings) -> web.Application:
    """An application ready to serve. Raises MoodError for a mood at start that cannot be read."""
    simulation = Simulation(settings)
    # aiohttp refuses a body of exactly its limit, GOWA one byte later.
    app = web.Application(client_max_size=BODY_LIMIT + 1)
    # The routes of device_routes end in a catch-all, so they come last.
    app.add_routes([*send_routes(simulation), *control_routes(simulation), *device_routes(simulation)])

    async def let_go(_: web.Application) -> None:
        simulation.closing.set()

    async def close(_: web.Application) -> None:
        await simulation.webhook.close()

    app.on_shutdown.append(let_go)
    app.on_cleanup.append(close)
    return app
