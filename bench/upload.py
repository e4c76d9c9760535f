"""How far the memory of the gateway grows while it takes a file of 100 MB, and that of the dispatcher that sends it on; and
that of the gateway with a campaign of 1,000,000 recipients.

Growth is the peak (VmHWM, set back before) less what the process held just before. Each process has taken a small file
and sent it by then, so what is counted is the file and no first use. The sender reads the file and forgets it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import orjson
from aiohttp import web

from bench.report import Row
from bench.running import MEASURED, forget_peak, listening, process, spent, stores
from standalone.ports import free_port

SIZE = 100_000_000
RECIPIENTS = 1_000_000
_SMALL = 1_000_000
_MIB = 2**20
_BLOCK = os.urandom(256 * 1024)


@dataclass(slots=True)
class _Sender:
    """Counts the bytes of the uploads that it gets."""

    got: asyncio.Queue[int] = field(default_factory=asyncio.Queue)

    async def handle(self, request: web.Request) -> web.Response:
        size = 0
        async for block in request.content.iter_any():
            size += len(block)
        if request.path == "/send/file":
            self.got.put_nowait(size)
        results = {"message_id": f"3EB0{secrets.token_hex(9).upper()}", "status": "sent"}
        return web.json_response({"code": "SUCCESS", "message": "sent", "results": results})


@asynccontextmanager
async def _sender() -> AsyncIterator[tuple[_Sender, str]]:
    sender, port = _Sender(), free_port()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", sender.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield sender, f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def measure(rounds: int) -> list[Row]:
    """About 15 s a round; the processes are new in each, since what one has grown once it keeps."""
    login = ("bench", secrets.token_hex(16))
    grown: dict[str, list[float]] = {"gateway": [], "dispatcher": [], "campaign": []}
    taken: dict[str, list[float]] = {"gateway": [], "dispatcher": []}
    with stores() as (_, environment):
        async with _sender() as (sender, url):
            for _ in range(rounds):
                ports = free_port(), free_port(), free_port()
                settings = environment | {
                    "API_PORT": str(ports[0]),
                    "DISPATCHER_PORT": str(ports[1]),
                    "SCHEDULER_PORT": str(ports[2]),
                    "DASHBOARD_USERNAME": login[0],
                    "DASHBOARD_PASSWORD": login[1],
                    "WHATSAPP_ENDPOINTS": url,
                    "MAX_FILE_SIZE": str(2 * SIZE),
                    "MAX_RECIPIENTS": str(RECIPIENTS),
                    "TYPING_PRESENCE": "false",
                    "TYPING_DELAY_MIN": "0",
                    "TYPING_DELAY_MAX": "0",
                    "RATE_LIMIT_DELAY_MIN": "0",
                    "RATE_LIMIT_DELAY_MAX": "0",
                    "DRAIN_TIME": "0s",
                    "LOG_LEVEL": "warning",
                }
                with (
                    process("services.scheduler", environment=settings),
                    process("services.gateway", environment=settings, cores=MEASURED) as gateway,
                ):
                    await listening(ports[0])
                    async with aiohttp.ClientSession(
                        f"http://127.0.0.1:{ports[0]}", headers={"Authorization": aiohttp.encode_basic_auth(*login)}
                    ) as session:
                        with process("services.dispatcher", environment=settings, cores=MEASURED) as dispatcher:
                            await _upload(session, _SMALL)
                            await sender.got.get()
                            had = forget_peak(gateway.pid), forget_peak(dispatcher.pid)
                            begun = time.perf_counter()
                            await _upload(session, SIZE)
                            taken["gateway"].append(time.perf_counter() - begun)
                            if await sender.got.get() < SIZE:
                                raise RuntimeError("the sender did not get the whole file")
                            taken["dispatcher"].append(time.perf_counter() - begun - taken["gateway"][-1])
                            grown["gateway"].append((spent(gateway.pid).peak - had[0]) / _MIB)
                            grown["dispatcher"].append((spent(dispatcher.pid).peak - had[1]) / _MIB)
                        before = forget_peak(gateway.pid)
                        await _campaign(session)
                        grown["campaign"].append((spent(gateway.pid).peak - before) / _MIB)
    return [
        Row("100 MB: growth of the gateway, MiB", grown["gateway"]),
        Row("100 MB: growth of the dispatcher, MiB", grown["dispatcher"]),
        Row("100 MB: s to the 202", taken["gateway"]),
        Row("100 MB: s from the 202 until the sender has it", taken["dispatcher"]),
        Row("1,000,000 recipients in JSON: growth of the gateway, MiB", grown["campaign"]),
    ]


async def _upload(session: aiohttp.ClientSession, size: int) -> None:
    async def content() -> AsyncIterator[bytes]:
        left = size
        while left:
            block = _BLOCK[: min(left, len(_BLOCK))]
            left -= len(block)
            yield block if left + len(block) < size else b"PK\x03\x04" + block[4:]

    with aiohttp.MultipartWriter("form-data") as form:
        form.append("15550100001").set_content_disposition("form-data", name="phone")
        form.append(content(), {"Content-Type": "application/zip"}).set_content_disposition(
            "form-data", name="file", filename="archive.zip"
        )
        async with session.post("/api/send/file", data=form) as answer:
            text = await answer.text()
    if answer.status != 202:
        raise RuntimeError(f"the upload was answered with {answer.status}: {text[:200]}")


async def _campaign(session: aiohttp.ClientSession) -> None:
    body = orjson.dumps({"phone": [f"1555{number:07}" for number in range(RECIPIENTS)], "message": "to all"})
    headers = {"Content-Type": "application/json"}
    async with session.post("/api/send/message", data=body, headers=headers) as answer:
        text = await answer.text()
    if answer.status != 202:
        raise RuntimeError(f"the campaign was answered with {answer.status}: {text[:200]}")
