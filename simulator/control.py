"""The control API under ``/simulator``: the ledger, the moods, the numbers, the webhook. JSON, no login.

| route | |
|---|---|
| GET ``/simulator/ledger?since=&kind=&device=`` | ``{"entries": [...], "last": n}``; ``since`` is a sequence number |
| GET ``/simulator/summary`` | counts over all and per device, doubles among them |
| DELETE ``/simulator/ledger`` | forget the lines |
| GET ``/simulator/devices`` | each device's mood and state |
| PUT ``/simulator/devices/{id}/mood``, PUT ``/simulator/mood`` | one device, all devices |
| POST ``/simulator/restart`` | GOWA starts anew: ``{"boot_ms": 2000}`` until the accounts have a client |
| GET, PUT ``/simulator/frozen`` | ``{"frozen": true}``: all of GOWA stands still; the mood ``frozen`` does that to one |
| POST ``/simulator/devices/{id}/logout``, ``/login`` | short for the moods ``logged-out`` and ``ok`` |
| POST ``/simulator/devices/{id}/inbound`` | a message from somebody; fields in ``inbound`` |
| POST ``/simulator/devices/{id}/event`` | ``{"event", "payload", "timestamp"?}``: any other event, as it is |
| GET, PUT ``/simulator/numbers`` | ``{"not_on_whatsapp": [digits], "lookup_fails": {digits: times}}``, each replaced |
| GET, PUT ``/simulator/groups`` | ``{"members": {jid: [devices]}, "missing": [jids]}``, each replaced |
| PUT ``/simulator/webhook`` | ``{"url", "secret", "addressing"}``, each replaced; ``addressing`` as in ``names`` |
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from simulator.accounts import Account
from simulator.inbound import InboundError
from simulator.ledger import summed_up
from simulator.moods import MoodError
from simulator.names import ADDRESSINGS
from simulator.simulation import Simulation


class _Wrong(Exception):
    """The request makes no sense; the text goes back."""


def control_routes(simulation: Simulation) -> list[web.RouteDef]:
    """All of ``/simulator``."""
    control = Control(simulation)
    return [
        web.get("/simulator/ledger", _json(control.ledger)),
        web.delete("/simulator/ledger", _json(control.clear_ledger)),
        web.get("/simulator/summary", _json(control.summary)),
        web.get("/simulator/devices", _json(control.devices)),
        web.put("/simulator/mood", _json(control.set_all_moods)),
        web.put("/simulator/devices/{device}/mood", _json(control.set_mood)),
        web.post("/simulator/devices/{device}/logout", _json(control.log_out)),
        web.post("/simulator/devices/{device}/login", _json(control.log_in)),
        web.post("/simulator/devices/{device}/inbound", _json(control.inbound)),
        web.post("/simulator/devices/{device}/event", _json(control.event)),
        web.post("/simulator/restart", _json(control.restart)),
        web.get("/simulator/frozen", _json(control.frozen)),
        web.put("/simulator/frozen", _json(control.set_frozen)),
        web.get("/simulator/numbers", _json(control.numbers)),
        web.put("/simulator/numbers", _json(control.set_numbers)),
        web.get("/simulator/groups", _json(control.groups)),
        web.put("/simulator/groups", _json(control.set_groups)),
        web.put("/simulator/webhook", _json(control.set_webhook)),
    ]


class Control:
    """The handlers; each takes the request and gives what goes back as JSON."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    async def ledger(self, request: web.Request) -> Any:
        """Lines after a sequence number, of a kind, of a device."""
        query = request.query
        since = query.get("since", "0")
        if not since.isdigit():
            raise _Wrong("since is a sequence number")
        ledger = self._simulation.ledger
        lines = ledger.lines(int(since), query.get("kind"), query.get("device"))
        return {"entries": [line.shown() for line in lines], "last": ledger.last}

    async def clear_ledger(self, _: web.Request) -> Any:
        """Forget the lines."""
        self._simulation.ledger.clear()
        return {}

    async def summary(self, _: web.Request) -> Any:
        """Counts over all lines."""
        accounts = self._simulation.accounts
        return summed_up(self._simulation.ledger.lines(), [account.device for account in accounts])

    async def devices(self, _: web.Request) -> Any:
        """Each device as it stands."""
        return {account.device: _described(account) for account in self._simulation.accounts}

    async def set_all_moods(self, request: web.Request) -> Any:
        """The same mood for every device."""
        content = await _content(request)
        for account in self._simulation.accounts:
            account.set_mood(content)
        return await self.devices(request)

    async def set_mood(self, request: web.Request) -> Any:
        """A mood for one device."""
        account = self._account(request)
        account.set_mood(await _content(request))
        return _described(account)

    async def restart(self, request: web.Request) -> Any:
        """As if the process had been killed and started again."""
        boot_ms = (await _content(request)).get("boot_ms", 2000) if request.can_read_body else 2000
        if not isinstance(boot_ms, int | float) or isinstance(boot_ms, bool) or boot_ms < 0:
            raise _Wrong("boot_ms is a number, 0 or more")
        self._simulation.restart(boot_ms / 1000)
        return await self.devices(request)

    async def frozen(self, _: web.Request) -> Any:
        """Whether all of GOWA stands still."""
        return {"frozen": self._simulation.frost.is_whole}

    async def set_frozen(self, request: web.Request) -> Any:
        """Freeze or thaw it."""
        is_frozen = (await _content(request)).get("frozen")
        if not isinstance(is_frozen, bool):
            raise _Wrong("frozen is true or false")
        self._simulation.frost.set_whole(is_frozen)
        return await self.frozen(request)

    async def log_out(self, request: web.Request) -> Any:
        """As if the account had been unpaired from the phone."""
        account = self._account(request)
        account.set_mood({"mood": "logged-out"})
        return _described(account)

    async def log_in(self, request: web.Request) -> Any:
        """As if it had been paired again, with the same number."""
        account = self._account(request)
        account.set_mood({"mood": "ok"})
        return _described(account)

    async def inbound(self, request: web.Request) -> Any:
        """A message from somebody to this account."""
        account = self._account(request)
        if not account.is_connected:
            raise _Wrong("an account that is not connected receives nothing")
        content = await _content(request)
        return self._simulation.inbound.receive(account, content, self._simulation.receipts.addressing)

    async def event(self, request: web.Request) -> Any:
        """An event of any kind."""
        account, content = self._account(request), await _content(request)
        if not isinstance(content.get("event"), str) or not isinstance(content.get("payload"), dict):
            raise _Wrong("event is a name, payload an object")
        posted = {"event": content["event"], "device_id": account.own_jid, "session_id": account.device}
        if "timestamp" in content:
            posted["timestamp"] = content["timestamp"]
        self._simulation.webhook.post({**posted, "payload": content["payload"]})
        return {}

    async def numbers(self, _: web.Request) -> Any:
        """The numbers with something special about them."""
        numbers = self._simulation.numbers
        return {"not_on_whatsapp": sorted(numbers.absent), "lookup_fails": numbers.failing}

    async def set_numbers(self, request: web.Request) -> Any:
        """Replace what is given."""
        content = await _content(request)
        absent, failing = content.get("not_on_whatsapp"), content.get("lookup_fails")
        if absent is not None:
            if not isinstance(absent, list):
                raise _Wrong("not_on_whatsapp is a list of digits")
            self._simulation.numbers.absent = set(map(str, absent))
        if failing is not None:
            if not isinstance(failing, dict) or not all(type(times) is int for times in failing.values()):
                raise _Wrong("lookup_fails maps digits to how often")
            self._simulation.numbers.failing = failing
        return await self.numbers(request)

    async def groups(self, _: web.Request) -> Any:
        """Which devices are in which group; a group that is not listed has them all."""
        groups = self._simulation.groups
        return {"members": groups.members, "missing": sorted(groups.missing)}

    async def set_groups(self, request: web.Request) -> Any:
        """Replace what is given."""
        content = await _content(request)
        groups = self._simulation.groups
        members = content.get("members", groups.members)
        missing = content.get("missing", sorted(groups.missing))
        known = {account.device for account in self._simulation.accounts}
        if not isinstance(members, dict) or not all(
            isinstance(devices, list) and known.issuperset(devices) for devices in members.values()
        ):
            raise _Wrong("members maps a group to a list of this simulator's devices")
        if not isinstance(missing, list):
            raise _Wrong("missing is a list of groups")
        if not all(str(jid).endswith("@g.us") for jid in (*members, *missing)):
            raise _Wrong("a group is written as <digits>@g.us")
        groups.members, groups.missing = members, frozenset(missing)
        return await self.groups(request)

    async def set_webhook(self, request: web.Request) -> Any:
        """Where events go from now on, and how people are named in them; an empty URL stops them."""
        content = await _content(request)
        webhook, receipts = self._simulation.webhook, self._simulation.receipts
        addressing = content.get("addressing", receipts.addressing)
        if addressing not in ADDRESSINGS:
            raise _Wrong(f"addressing is one of: {', '.join(ADDRESSINGS)}")
        receipts.addressing = addressing
        webhook.url = str(content.get("url", webhook.url))
        webhook.secret = str(content.get("secret", webhook.secret))
        return {"url": webhook.url, "addressing": addressing}

    def _account(self, request: web.Request) -> Account:
        account = self._simulation.accounts.get(request.match_info["device"])
        if account is None:
            raise _Wrong("no such device")
        return account


def _json(handle: Callable[[web.Request], Awaitable[Any]]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            status, content = 200, await handle(request)
        except (_Wrong, MoodError, InboundError) as error:
            status, content = 400, {"error": str(error)}
        return web.Response(status=status, body=orjson.dumps(content), content_type="application/json")

    return handler


async def _content(request: web.Request) -> dict[str, Any]:
    try:
        content = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict):
        raise _Wrong("the body must be a JSON object")
    return content


def _described(account: Account) -> dict[str, Any]:
    return {
        **account.mood.described(),
        "logout_after": account.logout_after,
        "is_connected": account.is_connected,
        "is_logged_in": account.is_logged_in,
        "jid": account.own_jid if account.is_paired else None,
        "in_flight": account.in_flight,
    }
