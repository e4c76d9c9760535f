"""GET /api/optouts; GET, PUT and DELETE /api/optouts/{phone}: who gets no campaigns, or nothing at all."""

from __future__ import annotations

from typing import Any

import structlog
from aiohttp import web

from services.gateway.app_keys import DATABASE, SETTINGS
from services.gateway.inbound.gowa_events import hidden_id
from services.gateway.intake.bodies import read_json_object
from services.gateway.intake.fields import checked
from services.gateway.intake.phones import PhoneRefused, normal_phone
from services.gateway.routes.parameters import limit_of, not_found, refuse_unknown, written_time
from services.gateway.shapes import OptOutRequest
from shared.database.conversations import Person, note_number
from shared.database.optouts import OptOut, Scope, opt_in, opt_out, opt_out_of, opt_outs_after, unresolved_optouts
from shared.messages.phone_key import phone_key
from shared.runtime.envelope import InvalidInput, success

log = structlog.get_logger()
_MAX_CURSOR = 50
_UNRESOLVED_SHOWN = 100


def _item(found: OptOut) -> dict[str, Any]:
    return {
        "phone": found.phone,
        "scope": found.scope.value,
        "source": found.source.value,
        "created_at": written_time(found.created_at),
    }


def _phone(request: web.Request) -> str:
    """The phone in the path, by the rules of sending. Raises InvalidInput."""
    try:
        return normal_phone(request.match_info["phone"], request.app[SETTINGS].default_region)
    except PhoneRefused as error:
        raise InvalidInput(("phone", str(error))) from None


async def list_optouts(request: web.Request) -> web.Response:
    refuse_unknown(request, "cursor", "limit")
    limit, cursor = limit_of(request), request.query.get("cursor", "")
    if len(cursor) > _MAX_CURSOR or not cursor.isascii() or not cursor.isprintable():
        raise InvalidInput(("cursor", "give the next_cursor of the page before"))
    database = request.app[DATABASE]
    found = await opt_outs_after(database, cursor, limit)
    unresolved = [] if cursor else await unresolved_optouts(database, _UNRESOLVED_SHOWN)
    return success(
        f"Opt-outs: {len(found)}",
        {
            "optouts": [_item(one) for one in found],
            "unresolved": [
                {"lid": one.lid, "endpoint": one.endpoint, "said_at": written_time(one.said_at)} for one in unresolved
            ],
            "next_cursor": found[-1].phone_key if len(found) == limit else None,
        },
    )


async def show_optout(request: web.Request) -> web.Response:
    found = await opt_out_of(request.app[DATABASE], phone_key(_phone(request)))
    if found is None:
        raise not_found("opt-out")
    return success("The phone has opted out", _item(found))


async def add_optout(request: web.Request) -> web.Response:
    wish = checked(OptOutRequest, await read_json_object(request))
    phone = _phone(request)
    if wish.lid:
        if not (lid := hidden_id(wish.lid.strip())):
            raise InvalidInput(("lid", "a hidden id such as 204800000000001@lid is wanted"))
        await note_number(request.app[DATABASE], lid, Person(phone, phone_key(phone)))
    found = await opt_out(request.app[DATABASE], phone_key(phone), phone, Scope(wish.scope))
    log.info("opted out", scope=found.scope.value)
    return success("Nothing of this scope begins to this phone any more", _item(found))


async def remove_optout(request: web.Request) -> web.Response:
    phone = _phone(request)
    if not await opt_in(request.app[DATABASE], phone_key(phone)):
        raise not_found("opt-out")
    log.info("opt-out removed")
    return success("The phone may be sent to again", {"phone": phone})
