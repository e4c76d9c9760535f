"""A sender that answers every POST at once with the same success: ``python -m bench.raw.answering_stub PORT``."""

from __future__ import annotations

import sys

import uvloop
from aiohttp import web

_BODY = b'{"code":"SUCCESS","message":"sent","results":{"message_id":"3EB0%018X","status":"sent"}}'


def main() -> None:
    number = 0

    async def send(request: web.Request) -> web.Response:
        nonlocal number
        await request.read()
        number += 1
        return web.Response(body=_BODY % number, content_type="application/json")

    async def health(_: web.Request) -> web.Response:
        return web.Response(text="OK")

    app = web.Application(client_max_size=100_000_000)
    app.router.add_post("/{path:.*}", send)
    app.router.add_get("/health", health)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None, handle_signals=True)


if __name__ == "__main__":
    main()
