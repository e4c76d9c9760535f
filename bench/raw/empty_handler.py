"""An aiohttp handler that only answers 202: ``python -m bench.raw.empty_handler PORT``.

Whatever is built on aiohttp can at most be as fast. Served as the services are: uvloop, no access log.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiohttp import web


async def _accepted(request: web.Request) -> web.Response:
    return web.Response(status=202)


async def main() -> None:
    app = web.Application()
    app.router.add_post("/api/send/message", _accepted)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(sys.argv[1]), backlog=1024).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
