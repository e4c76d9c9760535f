"""When a number is believed not to be on WhatsApp. The other side answers as GOWA does, each lookup as the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.dispatcher.sending import lookups as module
from services.dispatcher.sending.lookups import Finding, Lookups
from shared.clock import boottime
from shared.endpoints.identity import Endpoint

OWN, THEIRS = "15550109999", "15550100001"


class Gowa:
    """``answer(number)``: what a lookup comes to, None: it hangs up. ``status``: what /app/status has as results."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answer: Callable[[str], bool | None] = lambda number: number == OWN
        self.status: dict[str, object] = {"jid": f"{OWN}:7@s.whatsapp.net"}

    async def check(self, request: web.Request) -> web.Response:
        number = request.query["phone"]
        self.asked.append(number)
        found = self.answer(number)
        if found is None:
            return web.json_response({"code": "AUTHENTICATION_ERROR", "message": "you are not logged in"}, status=401)
        return web.json_response({"code": "SUCCESS", "message": "", "results": {"is_on_whatsapp": found}})

    async def app_status(self, _: web.Request) -> web.Response:
        return web.json_response({"code": "SUCCESS", "message": "", "results": self.status})

    async def devices(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "code": "SUCCESS",
                "message": "",
                "results": [
                    {"id": "sales", "jid": f"{OWN}@s.whatsapp.net"},
                    {"id": "other", "jid": "1@s.whatsapp.net"},
                ],
            }
        )


@pytest.fixture
def gowa() -> Gowa:
    return Gowa()


@pytest.fixture
async def endpoint(gowa: Gowa) -> AsyncIterator[Endpoint]:
    app = web.Application()
    app.router.add_get("/user/check", gowa.check)
    app.router.add_get("/app/status", gowa.app_status)
    app.router.add_get("/devices", gowa.devices)
    async with TestServer(app) as server:
        yield Endpoint("one", str(server.make_url("")).rstrip("/"), "sales")


@pytest.fixture
async def lookups() -> AsyncIterator[Lookups]:
    async with aiohttp.ClientSession() as session:
        yield Lookups(session)


async def test_a_number_is_absent_when_the_account_finds_itself_and_not_the_number(
    gowa: Gowa, endpoint: Endpoint, lookups: Lookups
) -> None:
    assert await lookups.find(endpoint, THEIRS) is Finding.ABSENT
    assert gowa.asked == [OWN, THEIRS, THEIRS], "the control comes first, and the number is asked for twice"


async def test_in_an_outage_nothing_is_known_of_the_number(gowa: Gowa, endpoint: Endpoint, lookups: Lookups) -> None:
    gowa.answer = lambda _: False
    assert [await lookups.find(endpoint, THEIRS) for _ in range(20)] == [Finding.OUT] * 20
    assert gowa.asked == [OWN], "others of the account need not find out one by one"


async def test_what_was_out_is_asked_again_after_a_while(
    gowa: Gowa, endpoint: Endpoint, lookups: Lookups, monkeypatch: pytest.MonkeyPatch
) -> None:
    gowa.answer = lambda _: False
    assert await lookups.find(endpoint, THEIRS) is Finding.OUT
    gowa.answer = lambda _: True
    monkeypatch.setattr(module, "boottime", lambda: boottime() + module._OUT_SECONDS + 0.1)
    assert await lookups.find(endpoint, THEIRS) is Finding.PRESENT


async def test_a_control_of_before_proves_nothing(gowa: Gowa, endpoint: Endpoint, lookups: Lookups) -> None:
    """An outage begins between two numbers."""
    assert await lookups.find(endpoint, THEIRS) is Finding.ABSENT
    gowa.answer = lambda _: False
    assert await lookups.find(endpoint, "15550100002") is Finding.OUT


async def test_one_check_that_finds_it_is_enough(gowa: Gowa, endpoint: Endpoint, lookups: Lookups) -> None:
    answers = [True, False, True]
    gowa.answer = lambda _: answers.pop(0)
    assert await lookups.find(endpoint, THEIRS) is Finding.PRESENT
    assert answers == []


@pytest.mark.parametrize("answered", [0, 1, 2])
async def test_a_check_that_is_not_answered_is_an_outage(
    gowa: Gowa, endpoint: Endpoint, lookups: Lookups, answered: int
) -> None:
    answers: list[bool | None] = [True, False, False]
    answers[answered] = None
    gowa.answer = lambda _: answers.pop(0)
    assert await lookups.find(endpoint, THEIRS) is Finding.OUT


async def test_a_hanging_lookup_is_bounded(gowa: Gowa, lookups: Lookups, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWER_SECONDS", 0.2)

    async def hang(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError("it hangs")

    app = web.Application()
    app.router.add_get("/app/status", gowa.app_status)
    app.router.add_get("/user/check", hang)
    async with TestServer(app) as server:
        endpoint = Endpoint("hangs", str(server.make_url("")).rstrip("/"), "sales")
        begun = boottime()
        assert [await lookups.find(endpoint, THEIRS) for _ in range(50)] == [Finding.OUT] * 50
        assert boottime() - begun < 5


async def test_an_account_that_is_not_paired_has_no_lookups(gowa: Gowa, endpoint: Endpoint, lookups: Lookups) -> None:
    gowa.status = {"jid": ""}
    assert await lookups.find(endpoint, THEIRS) is Finding.OUT
    assert gowa.asked == []


async def test_before_8_8_the_list_of_devices_has_the_number(gowa: Gowa, endpoint: Endpoint, lookups: Lookups) -> None:
    gowa.status = {"is_connected": True, "is_logged_in": True}
    assert await lookups.find(endpoint, THEIRS) is Finding.ABSENT
    assert gowa.asked[0] == OWN


async def test_accounts_do_not_share_an_outage(gowa: Gowa, endpoint: Endpoint, lookups: Lookups) -> None:
    gowa.answer = lambda _: False
    assert not await lookups.work(endpoint)
    gowa.answer = lambda number: number == OWN
    other = Endpoint("two", endpoint.base_url, "sales")
    assert await lookups.work(other)
    assert not await lookups.work(endpoint)
