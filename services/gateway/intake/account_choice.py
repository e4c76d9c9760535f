"""Which account a request asks for: by the field ``endpoint``, or as a client of GOWA does, by X-Device-Id or ``device_id``.

GOWA takes the header before the query and decodes it as a query is encoded, since its ids may be JIDs of any spelling.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_plus

from aiohttp import web
from multidict import istr

from services.gateway.intake.bodies import Body
from services.gateway.text import clean
from shared.database.account_answers import paired_with
from shared.database.connection import Database
from shared.endpoints.identity import Endpoint
from shared.runtime.envelope import ApiError, InvalidInput

DEVICE_HEADER = "X-Device-Id"
DEVICE_QUERY = "device_id"
_HEADER = istr(DEVICE_HEADER)
_SHOWN = 200
# A phone as WhatsApp names it; the number behind the colon is one of the devices that are linked to it.
_JID = re.compile(r"(\d{5,20})(?:[.:]\d{1,5}){0,2}@s\.whatsapp\.net", re.ASCII)


@dataclass(frozen=True, slots=True)
class AskedAccount:
    """``field``: where the request named it; ``id``: of the endpoint."""

    field: str
    id: str


def accounts_named(given: str, endpoints: Iterable[Endpoint]) -> list[str]:
    """Ids of the endpoints that ``given`` may mean: their id, label, base URL, or the device id that GOWA knows them by."""
    wanted = given.strip()
    url, jid = wanted.rstrip("/").lower(), _plain_jid(wanted)
    return sorted(
        {
            endpoint.id
            for endpoint in endpoints
            if wanted in (endpoint.id, endpoint.label)
            or url == endpoint.base_url.lower()
            or (endpoint.device_id and jid == _plain_jid(endpoint.device_id))
        }
    )


def _plain_jid(device: str) -> str:
    """A JID without its device; any other text as it is."""
    found = _JID.fullmatch(device)
    return f"{found[1]}@s.whatsapp.net" if found else device


async def asked_account(
    request: web.Request, endpoints: dict[str, Endpoint], database: Database
) -> AskedAccount | None:
    """What header or query ask for; None: neither is given. A JID may also be the number that an account was last seen with.
    Raises ApiError 404 as GOWA does when there is no such account, InvalidInput naming the accounts when there are several,
    DatabaseUnavailable."""
    header = request.headers.get(_HEADER)
    # Nearly all requests have neither; to parse no query costs a request more than the rest of this.
    if header is None and not request.rel_url.raw_query_string:
        return None
    field, given = DEVICE_HEADER, unquote_plus(header or "").strip()
    if not given:
        field, given = DEVICE_QUERY, request.query.get(DEVICE_QUERY, "").strip()
    if not given:
        return None
    found = accounts_named(given, endpoints.values())
    if not found and _JID.fullmatch(given):
        found = [one for one in await paired_with(database, _plain_jid(given)) if one in endpoints]
    if not found:
        reason = "no account has this device id; WHATSAPP_DEVICE_IDS names those that are known"
        raise ApiError(
            404,
            "DEVICE_NOT_FOUND",
            f"{field}: {reason}",
            [(field, reason)],
            results={"device_id": clean(given)[:_SHOWN]},
        )
    if len(found) > 1:
        raise InvalidInput((field, several(found)))
    return AskedAccount(field, found[0])


def several(found: Iterable[str]) -> str:
    """Why these ids are too many."""
    return f"several accounts have it: {', '.join(found)}; give the id of one"


def choose_account(body: Body, asked: AskedAccount | None, endpoints: dict[str, Endpoint]) -> None:
    """Puts what header or query ask for into the body as its ``endpoint``. Raises InvalidInput naming both when the body asks
    for another one; what is wrong with the body's own is found when its fields are checked."""
    if asked is None:
        return
    given = body.fields.get("endpoint")
    if body.form and isinstance(given, list) and len(given) == 1:
        given = given[0]
    if isinstance(given, str) and given.strip():
        found = accounts_named(given, endpoints.values())
        if found != [asked.id]:
            if len(found) == 1:
                raise InvalidInput(
                    (
                        "endpoint",
                        f"it is account {found[0]}, but {asked.field} is account {asked.id}; give one of them",
                    ),
                    (asked.field, f"it is account {asked.id}, but endpoint is account {found[0]}; give one of them"),
                )
            return
    elif given:
        return
    body.fields["endpoint"] = [asked.id] if body.form else asked.id
