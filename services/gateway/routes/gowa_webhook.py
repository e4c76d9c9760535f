"""POST /api/webhooks/gowa: receipts and what people write to the accounts, posted by the sender.

Without a login, but with an HMAC over the exact body, so only who has WHATSAPP_WEBHOOK_SECRET can say anything here. The
sender gives up an event after five tries within 30 s; a 2xx is answered once all that follows from it is committed.
"""

from __future__ import annotations

import structlog
from aiohttp import ClientPayloadError, web
from prometheus_client import Counter

from services.gateway.app_keys import DATABASE, ENDPOINTS, NOTED_NUMBERS, REFUSED_WEBHOOKS, SETTINGS, SHARD
from services.gateway.inbound.gowa_events import (
    InboundMessage,
    ReceiptEvent,
    is_signed,
    numbers_named,
    read_event,
    reporting_endpoint,
)
from services.gateway.intake.bodies import BODY_SECONDS, arriving
from services.gateway.optout_words import Wish, wish_of
from shared.database.conversations import Person, hear, keep_unresolved, note_number
from shared.database.optouts import opt_in_by_message, opt_out_by_message, recipient_of
from shared.database.receipts import record_receipts
from shared.messages.phone_key import phone_key
from shared.runtime.envelope import ApiError, InvalidInput, read_json, success

log = structlog.get_logger()
_events = Counter("paceline_webhook_events_total", "Events of the sender by what they were", ["event"])
PATH = "/api/webhooks/gowa"
SIGNATURE = "X-Hub-Signature-256"
MAX_BODY = 1024 * 1024  # bytes; the longest text there is has 64 KiB, media come as paths
_READ_SIZE = 64 * 1024


async def receive(request: web.Request) -> web.Response:
    secret = request.app[SETTINGS].whatsapp_webhook_secret.get_secret_value()
    if not secret:
        raise ApiError(404, "NOT_FOUND", "webhooks are off; set WHATSAPP_WEBHOOK_SECRET here and at the sender")
    async with arriving(request.app[BODY_SECONDS]):
        raw = await _body(request)
    if not is_signed(raw, request.headers.get(SIGNATURE, ""), secret):
        _events.labels("refused").inc()
        await request.app[REFUSED_WEBHOOKS].note()
        raise ApiError(
            401, "AUTHENTICATION_ERROR", f"{SIGNATURE} is missing, or not of this body with WHATSAPP_WEBHOOK_SECRET"
        )
    event = read_json(raw)
    if not isinstance(event, dict):
        raise InvalidInput(("body", "a JSON object is wanted"))
    endpoint = reporting_endpoint(event, request.app[ENDPOINTS].values())
    said = read_event(event)
    named = numbers_named(event)
    if isinstance(said, InboundMessage):
        # Noted together with what they wrote.
        named.discard((said.lid, said.phone))
    await _note_numbers(request.app, named)
    match said:
        case ReceiptEvent():
            await _record(request.app, said, endpoint)
            _events.labels(said.receipt.value).inc()
        case InboundMessage():
            _events.labels(await _heard(request.app, said, endpoint)).inc()
        case None:
            _events.labels("ignored").inc()
    return success("Taken note of", {})


async def _body(request: web.Request) -> bytes:
    """The body as it came. Raises ApiError 413."""
    gathered = bytearray()
    try:
        async for part in request.content.iter_chunked(_READ_SIZE):
            gathered += part
            if len(gathered) > MAX_BODY:
                raise ApiError(413, "PAYLOAD_TOO_LARGE", f"body: at most {MAX_BODY} bytes are taken")
    except ClientPayloadError as error:
        raise ConnectionResetError("the body was cut off") from error
    return bytes(gathered)


async def _record(app: web.Application, said: ReceiptEvent, endpoint: str) -> None:
    person = phone_key(said.recipient) if said.recipient else None
    account = said.account or None
    await record_receipts(app[DATABASE], app[SHARD], said.whatsapp_ids, endpoint, said.receipt, person, account)


async def _note_numbers(app: web.Application, named: set[tuple[str, str]]) -> None:
    """Keeps which number is behind a hidden id."""
    noted = app[NOTED_NUMBERS]
    for lid, phone in sorted(named):
        person = Person(phone, phone_key(phone))
        if noted.has(lid, person.phone_key):
            continue
        if await note_number(app[DATABASE], lid, person):
            log.info("opted by an earlier message, now that its number is known")
        noted.add(lid, person.phone_key)


async def _heard(app: web.Application, said: InboundMessage, endpoint: str) -> str:
    """Binds the sender to the account, and does what the text asks for, if it asks for anything; answers what it was."""
    database = app[DATABASE]
    named = Person(said.phone, phone_key(said.phone)) if said.phone else None
    who = await hear(database, endpoint, named, said.lid, said.whatsapp_id, said.said_at)
    if who is None and said.replied_to:
        # The number is hidden, but what is answered is a message of ours, whose recipient is known.
        who = await recipient_of(database, said.replied_to, endpoint)
        if who is not None and said.lid:
            await note_number(database, said.lid, who)
    wish = wish_of(said.text, tuple(app[SETTINGS].optout_words)) if said.text else None
    if wish is None:
        return "text" if said.text else "inbound"
    if who is None and said.lid:
        who = await keep_unresolved(database, said.lid, wish.value, said.said_at, endpoint)
    if who is None:
        log.warning("somebody opts out or in, and WhatsApp hides the number", wish=wish.value, endpoint=endpoint)
        return f"opt_{wish.value}_unresolved"
    if wish is Wish.OUT:
        changed = await opt_out_by_message(database, who.phone_key, who.phone, said.said_at)
    else:
        changed = await opt_in_by_message(database, who.phone_key, said.said_at)
    if changed:
        log.info("opted by a message", wish=wish.value, endpoint=endpoint)
    return f"opt_{wish.value}"
