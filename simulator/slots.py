"""Making, pairing and removing slots: the routes under ``/devices`` that change something, and ``/app/devices``.

``POST /devices`` is the way to make a slot. ``/devices/{id}/login`` makes one too when the id is unknown, with the path
as it stands, not decoded, and that is a trap: GOWA overwrites the name of such a slot later, and then ``/app/status``
is 500. Nothing pairs by itself here: ``POST /simulator/devices/{id}/login`` does.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

import orjson
from aiohttp import web

from simulator.accounts import Account
from simulator.answers import Answer, error, internal, success
from simulator.simulation import Simulation

_ALREADY_LOGGED_IN = error(400, "ALREADY_LOGGED_IN", "you are already logged in.")


class Slots:
    """The handlers; each takes the request and gives GOWA's answer."""

    def __init__(self, simulation: Simulation) -> None:
        self._accounts = simulation.accounts

    async def create(self, request: web.Request) -> Answer:
        """``POST /devices``; without an id GOWA makes one up."""
        try:
            content = orjson.loads(await request.read() or b"{}")
            device = content.get("device_id", "")
            if not isinstance(device, str):
                raise TypeError
        except (orjson.JSONDecodeError, AttributeError, TypeError):
            return error(400, "BAD_REQUEST", "Invalid request body")
        device = device.strip() or secrets.token_hex(8)
        if self._registered(device) is not None:
            return internal(f"device {device} already exists")
        slot = self._accounts.add(device)
        return success("Device added", {"jid": "", **slot.listed()})

    async def remove(self, request: web.Request) -> Answer:
        """``DELETE /devices/{id}``: 200 for an unknown one as well."""
        account = self._registered(request.match_info["device"])
        if account is not None:
            account.set_mood({"mood": "404-device"})
        return success("Device removed")

    async def log_out(self, request: web.Request) -> Answer:
        """``POST /devices/{id}/logout`` keeps the slot."""
        device = request.match_info["device"]
        account = self._registered(device)
        if account is None:
            return internal(f"device {device} not found")
        account.set_mood({"mood": "logged-out"})
        return success("Logout requested")

    async def log_in(self, request: web.Request) -> Answer:
        """``GET /devices/{id}/login``: a QR code that nobody scans."""

        def shown(device: str) -> Answer:
            link = f"http://{request.host}/statics/qrcode/scan-qr-{secrets.token_hex(8)}.png"
            return success("Login success", {"device_id": device, "qr_link": link, "qr_duration": 30})

        return self._pairing(request, "/login", shown)

    async def log_in_with_code(self, request: web.Request) -> Answer:
        """``POST /devices/{id}/login/code``: a code that nobody types."""

        def shown(device: str) -> Answer:
            code = f"{secrets.token_hex(2)}-{secrets.token_hex(2)}".upper()
            return success("Login with code started", {"device_id": device, "pair_code": code})

        return self._pairing(request, "/login/code", shown)

    def _pairing(self, request: web.Request, ending: str, shown: Callable[[str], Answer]) -> Answer:
        device = request.raw_path.partition("?")[0].removesuffix(ending).rpartition("/")[2]
        account = self._registered(device)
        if account is None:
            account = self._accounts.add(device)
            account.is_misnamed = True
        return _ALREADY_LOGGED_IN if account.is_paired else shown(device)

    def _registered(self, device: str) -> Account | None:
        account = self._accounts.get(device)
        return account if account is not None and account.is_registered else None
