"""What a sender's answers say about an account, by version of the sender and by what stands where it should be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from shared.endpoints.gowa import AccountState, account_state, own_number
from shared.endpoints.identity import Endpoint

JID = "15550109999@s.whatsapp.net"


def said(results: Any, code: str = "SUCCESS", status: int = 200) -> web.Response:
    return web.json_response({"code": code, "message": "", "results": results}, status=status)


def text(status: int, body: str = "Not Found") -> web.Response:
    return web.Response(status=status, text=body)


def slot(identity: str = "sales", jid: str = JID) -> dict[str, str]:
    return {"id": identity, "state": "logged_in"} | ({"jid": jid} if jid else {})


NOT_FOUND = said({"device_id": "sales"}, "DEVICE_NOT_FOUND", 404)
ID_REQUIRED = said(None, "DEVICE_ID_REQUIRED", 400)
ONLINE = {"is_connected": True, "is_logged_in": True}
BOOTING = {"is_connected": False, "is_logged_in": False, "jid": JID}
CASES: list[tuple[str, str, Mapping[str, web.Response], AccountState]] = [
    ("usable", "sales", {"/app/status": said(ONLINE | {"jid": JID})}, AccountState.USABLE),
    ("usable before 8.8", "", {"/app/status": said(ONLINE)}, AccountState.USABLE),
    ("socket down", "sales", {"/app/status": said({"is_connected": False, "is_logged_in": True, "jid": JID})},
        AccountState.OFFLINE),
    ("starting, before it connects", "sales", {"/app/status": said(BOOTING)}, AccountState.OFFLINE),
    ("not paired", "sales", {"/app/status": said({"is_connected": True, "is_logged_in": False, "jid": ""})},
        AccountState.LOGGED_OUT),
    ("not paired before 8.8", "sales",
        {"/app/status": said({"is_connected": False, "is_logged_in": False}), "/devices": said([slot(jid="")])},
        AccountState.LOGGED_OUT),
    ("offline before 8.8", "sales",
        {"/app/status": said({"is_connected": False, "is_logged_in": True}), "/devices": said([slot(), slot("b", "")])},
        AccountState.OFFLINE),
    ("wrong login", "sales", {"/app/status": text(401, "Unauthorized")}, AccountState.MISCONFIGURED),
    ("malformed login", "sales", {"/app/status": text(400, "Bad Request")}, AccountState.MISCONFIGURED),
    ("mistyped device id", "salse", {"/app/status": NOT_FOUND, "/devices": said([slot()])}, AccountState.NO_DEVICE),
    ("device deleted, none left", "sales", {"/app/status": NOT_FOUND, "/devices": said(None)}, AccountState.NO_DEVICE),
    ("device by its jid", JID, {"/app/status": NOT_FOUND, "/devices": said([slot()])}, AccountState.OFFLINE),
    ("device by its jid with a suffix", "15550109999:32@s.whatsapp.net",
        {"/app/status": NOT_FOUND, "/devices": said([slot()])}, AccountState.OFFLINE),
    ("no device id, several devices", "", {"/app/status": ID_REQUIRED, "/devices": said([slot(), slot("b")])},
        AccountState.MISCONFIGURED),
    ("no device id, none paired", "", {"/app/status": ID_REQUIRED, "/devices": said(None)}, AccountState.LOGGED_OUT),
    # Not where the base URL says: a path too much or too little, something else altogether.
    ("nothing there", "", {}, AccountState.MISCONFIGURED),
    ("wrong path, a sender that wants a device first", "", {"*": ID_REQUIRED}, AccountState.MISCONFIGURED),
    ("wrong path with a device", "salse", {"*": NOT_FOUND}, AccountState.MISCONFIGURED),
    ("a page for every address", "", {"*": text(200, "<html>")}, AccountState.MISCONFIGURED),
    ("another API", "", {"*": web.json_response({"ok": True})}, AccountState.MISCONFIGURED),
    ("another API with lists", "", {"*": web.json_response([])}, AccountState.MISCONFIGURED),
    ("a redirect to a login", "", {"*": web.Response(status=302, headers={"Location": "/login"})},
        AccountState.MISCONFIGURED),
    ("forbidden by a proxy", "", {"*": text(403, "Forbidden")}, AccountState.MISCONFIGURED),
    ("a proxy without its sender", "", {"*": text(502, "Bad Gateway")}, AccountState.UNREACHABLE),
    # Before 7.1 only a message can find out.
    ("7.0, paired", "", {"/app/devices": said([{"name": "GOWA", "device": JID}])}, AccountState.USABLE),
    ("7.0, not connected", "", {"/app/devices": said(None, "AUTHENTICATION_ERROR", 401)}, AccountState.USABLE),
]  # fmt: skip


class Answering:
    """A server that answers each path as given, '*' the others, and 404 what is not given."""

    def __init__(self, answers: Mapping[str, web.Response]) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._answers = answers
        self.server = TestServer(app)

    async def _answer(self, request: web.Request) -> web.Response:
        given = self._answers.get(request.path, self._answers.get("*"))
        if given is None:
            return text(404, "Cannot GET " + request.path)
        return web.Response(status=given.status, body=given.body, headers=given.headers)


@pytest.mark.parametrize(("answers", "device", "state"), [(case[2], case[1], case[3]) for case in CASES],
    ids=[case[0] for case in CASES])  # fmt: skip
async def test_the_state_of_an_account(answers: Mapping[str, web.Response], device: str, state: AccountState) -> None:
    async with Answering(answers).server as server, aiohttp.ClientSession() as session:
        endpoint = Endpoint("one", str(server.make_url("")).rstrip("/"), device)
        assert await account_state(session, endpoint) is state


OWN: list[tuple[str, str, Mapping[str, web.Response], str | None]] = [
    ("8.8 and later", "sales", {"/app/status": said(ONLINE | {"jid": "15550109999:7@s.whatsapp.net"})}, "15550109999"),
    ("not paired", "sales", {"/app/status": said({"jid": ""})}, ""),
    (
        "8.0",
        "sales",
        {"/app/status": said(ONLINE), "/devices": said([slot("b", "1@s.whatsapp.net"), slot()])},
        "15550109999",
    ),
    ("8.0, the only device", "", {"/app/status": said(ONLINE), "/devices": said([slot()])}, "15550109999"),
    ("8.0, no such device", "salse", {"/app/status": NOT_FOUND, "/devices": said([slot()])}, None),
    ("7", "", {"/app/status": said(ONLINE), "/app/devices": said([{"name": "GOWA", "device": JID}])}, "15550109999"),
    ("nothing there", "", {}, None),
]


@pytest.mark.parametrize(("answers", "device", "number"), [(case[2], case[1], case[3]) for case in OWN],
    ids=[case[0] for case in OWN])  # fmt: skip
async def test_the_accounts_own_number(answers: Mapping[str, web.Response], device: str, number: str | None) -> None:
    async with Answering(answers).server as server, aiohttp.ClientSession() as session:
        endpoint = Endpoint("one", str(server.make_url("")).rstrip("/"), device)
        assert await own_number(session, endpoint) == number
