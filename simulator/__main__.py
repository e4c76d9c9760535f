"""``python -m simulator``: listen, say so in one line, end cleanly on SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import signal
import sys

import uvloop
from aiohttp import web

from simulator.app import build_app
from simulator.moods import MoodError
from simulator.settings import Settings, read_settings

# Hanging answers let go within one look; whatever else is in flight gets this long, in seconds.
_GRACE = 2.0


async def serve(settings: Settings) -> None:
    """Serve until a signal comes."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    runner = web.AppRunner(build_app(settings), access_log=None, shutdown_timeout=_GRACE)
    await runner.setup()
    try:
        host, port = settings.listen
        await web.TCPSite(runner, host, port).start()
        bound_host, bound_port = runner.addresses[0][:2]
        print(f"simulator ready on http://{bound_host}:{bound_port}", flush=True)
        await stopped.wait()
    finally:
        await runner.cleanup()


def main() -> None:
    """Exit code 0 after a signal, 2 with a sentence for settings that make no sense."""
    settings = read_settings()
    try:
        uvloop.run(serve(settings))
    except MoodError as error:
        sys.exit(f"simulator: {error}")


if __name__ == "__main__":
    main()
