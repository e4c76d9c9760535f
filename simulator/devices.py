"""The routes that tell something: of devices, the application and chat storage; those of ``slots``; and a wrong path.

``/devices*`` and ``/app/info`` need no device; everything else does, a path that does not exist included: the device
check of GOWA runs first, so a wrong URL without a device is 400, not 404.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from aiohttp import web

from simulator import answers
from simulator.accounts import Account
from simulator.answers import Answer, internal, success
from simulator.rules import MAX_FILE, MAX_IMAGE, MAX_VIDEO, recipient_jid
from simulator.simulation import Simulation
from simulator.slots import Slots

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Answering = Answer | Awaitable[Answer]


def device_routes(simulation: Simulation) -> list[web.RouteDef]:
    """All of them but ``/send/*``."""
    accounts = simulation.accounts
    slots = Slots(simulation)

    def open_to_users(handle: Callable[[web.Request], _Answering]) -> _Handler:
        async def handler(request: web.Request) -> web.StreamResponse:
            await simulation.frost.wait()
            answer = simulation.auth_refusal(request) or handle(request)
            return (await answer if inspect.isawaitable(answer) else answer).response()

        return handler

    def of_a_device(handle: Callable[[Account, web.Request], _Answering]) -> _Handler:
        async def resolved(request: web.Request) -> Answer:
            account = accounts.resolve(request)
            if isinstance(account, Answer):
                return account
            await account.until_thawed()
            answer = handle(account, request)
            return await answer if inspect.isawaitable(answer) else answer

        return open_to_users(resolved)

    def of_a_slot(handle: Callable[[Account], Answer]) -> _Handler:
        async def found(request: web.Request) -> Answer:
            device = request.match_info["device"]
            account = accounts.get(device)
            # An unknown slot is 500 here, whatever GOWA's OpenAPI document says.
            if account is None or not account.is_registered:
                return internal(f"device {device} not found")
            await account.until_thawed()
            return handle(account)

        return open_to_users(found)

    async def health(_: web.Request) -> web.StreamResponse:
        await simulation.frost.wait()
        return web.Response(text="OK")

    def listing(_: web.Request) -> Answer:
        # Go writes an empty list as null; "results" is there either way.
        body: list[object] = [slot.listed() for slot in accounts.registered()]
        return success("List devices", body) if body else answers.Answer(200, _NO_DEVICES)

    async def user_check(account: Account, request: web.Request) -> Answer:
        phone = request.query.get("phone", "")
        mood = account.mood
        if account.is_booting:
            return answers.NO_CLIENT
        if mood.behaviour.stage != "lookup" and mood.strikes_all(recipient_jid(phone)):
            return mood.answer or mood.behaviour.answer or answers.device_not_found(account.device)
        answer = simulation.numbers.check(phone, account)
        if mood.kind == "lookups-hang" and mood.fails_lookup(recipient_jid(phone)):
            await asyncio.sleep(simulation.settings.lookup_limit)
        return answer

    return [
        web.get("/health", health),
        web.get("/", open_to_users(lambda _: _PAGE)),
        web.get("/app/info", open_to_users(lambda _: _app_info())),
        web.get("/app/status", of_a_device(lambda account, _: _app_status(account))),
        web.get("/devices", open_to_users(listing)),
        web.get("/devices/{device}", of_a_slot(lambda account: success("Device info", account.listed()))),
        web.post("/devices", open_to_users(slots.create)),
        web.delete("/devices/{device}", open_to_users(slots.remove)),
        web.post("/devices/{device}/logout", open_to_users(slots.log_out)),
        web.get("/devices/{device}/login", open_to_users(slots.log_in)),
        web.post("/devices/{device}/login/code", open_to_users(slots.log_in_with_code)),
        web.get("/app/devices", of_a_device(lambda _, __: _paired(simulation))),
        web.get("/devices/{device}/status", of_a_slot(_slot_status)),
        web.post("/devices/{device}/reconnect", of_a_slot(_reconnect)),
        web.get("/user/check", of_a_device(user_check)),
        web.get("/chats", of_a_device(simulation.storage.chats)),
        web.get(
            "/chat/{jid}/messages",
            of_a_device(
                lambda account, request: simulation.storage.messages(account, request.match_info["jid"], request)
            ),
        ),
        web.route("*", "/{path:.*}", of_a_device(lambda _, request: _wrong_path(request))),
    ]


# The user interface; no device is asked for.
_PAGE = Answer(200, b"<!DOCTYPE html><title>GOWA</title>", {"Content-Type": "text/html; charset=utf-8"})
_NO_DEVICES = b'{"code":"SUCCESS","message":"List devices","results":null}'


def _app_info() -> Answer:
    return success(
        "Fetch app info success",
        {
            "version": "v9.2.0",
            "os": "GOWA",
            "base_path": "",
            "max_file_size": MAX_FILE,
            "max_video_size": MAX_VIDEO,
            "max_image_size": MAX_IMAGE,
            "chatwoot_enabled": False,
        },
    )


def _paired(simulation: Simulation) -> Answer:
    found = [
        {"name": slot.device, "device": slot.own_jid} for slot in simulation.accounts.registered() if slot.is_paired
    ]
    return success("Fetch device success", found)


def _app_status(account: Account) -> Answer:
    if account.is_misnamed:
        return internal("device not found")
    return success(
        "Connection status retrieved",
        {
            "is_connected": account.is_connected,
            "is_logged_in": account.is_logged_in,
            "device_id": account.device,
            "jid": account.own_jid if account.is_paired else "",
        },
    )


def _slot_status(account: Account) -> Answer:
    return success(
        "Device status",
        {"device_id": account.device, "is_connected": account.is_connected, "is_logged_in": account.is_logged_in},
    )


def _reconnect(account: Account) -> Answer:
    """It does not heal ``offline``: a temporary ban or an outdated client looks like this and stays."""
    if account.is_booting:
        return internal(f"device {account.device} client not initialized")
    if not account.is_paired:
        return internal(f"device {account.device} is not logged in (session deleted)")
    return success("Reconnect requested")


def _wrong_path(request: web.Request) -> Answer:
    for resource in request.app.router.resources():
        if "{path" in resource.canonical:
            continue
        matches = resource.get_info()
        pattern = matches.get("pattern")
        if matches.get("path") == request.path or (pattern is not None and pattern.fullmatch(request.path)):
            return answers.WRONG_METHOD
    return answers.NO_ROUTE
