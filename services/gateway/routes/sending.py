"""POST /api/send/<kind>: what to send and to whom becomes one message or a campaign.

The body is parsed, what it asks for is read and planned, looked up where the plan depends on it, accepted, and answered.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import structlog
from aiohttp import web
from msgspec.structs import replace

from services.gateway.app_keys import (
    ACCEPTANCE,
    ADDRESS_GUARD,
    DATABASE,
    ENDPOINTS,
    FILE_TYPES,
    IDEMPOTENCY,
    RULES,
    SETTINGS,
)
from services.gateway.intake.account_choice import AskedAccount, asked_account, choose_account
from services.gateway.intake.asked import Asked, off_the_loop, read_asked
from services.gateway.intake.bodies import Body, BodyLimits, arrived_json, json_body, received
from services.gateway.intake.drafts import bound_to_original, draft_of, plan
from services.gateway.intake.idempotency import Claim, digest_of, key_of
from services.gateway.intake.phones import Recipients
from services.gateway.intake.plain_texts import read_plain_text
from services.gateway.intake.remote_media import check_remote_media
from services.gateway.intake.replies import accounts_with_original
from services.gateway.intake.uploads import stored
from shared.database.campaigns import NewCampaign, OwnedMediaGone, Tally, in_one_portion
from shared.database.idempotency import CallerKey
from shared.database.messages import Draft, NewMessage
from shared.messages import CampaignStatus, Kind, Lane, Status, new_message_ids
from shared.messages.phone_key import phone_key
from shared.runtime.envelope import ApiError, success
from shared.settings import seconds

log = structlog.get_logger()


def send(kind: Kind) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler for one kind of message."""

    async def handler(request: web.Request) -> web.Response:
        key = key_of(request)
        account = await asked_account(request, request.app[ENDPOINTS], request.app[DATABASE])
        raw = arrived_json(request)
        if raw is not None:
            short = kind is Kind.MESSAGE and key is None and account is None
            if short and (plain := read_plain_text(raw, request.app[RULES].region)) is not None:
                phone, wish = plain
                draft = draft_of(kind, wish, Lane.TRANSACTIONAL, request.app[RULES], datetime.now(UTC))
                return await _accept_message(request.app, draft, phone, None)
            return await _answer(request.app, await _asked(request, kind, await json_body(raw), account), key)
        async with received(request, kind, _limits(kind, request.app)) as body:
            return await _answer(request.app, await _asked(request, kind, body, account), key)

    return handler


def _limits(kind: Kind, app: web.Application) -> BodyLimits:
    settings = app[SETTINGS]
    return BodyLimits(
        settings.max_body_size,
        settings.upload_limit(kind),
        Path(settings.file_storage_root),
        seconds(settings.body_timeout),
        app[FILE_TYPES],
    )


async def _asked(request: web.Request, kind: Kind, body: Body, account: AskedAccount | None) -> Asked:
    choose_account(body, account, request.app[ENDPOINTS])
    return await read_asked(kind, body, request.app[SETTINGS].max_recipients, request.app[RULES].region)


async def _answer(app: web.Application, asked: Asked, key: CallerKey | None) -> web.Response:
    """Once for each Idempotency-Key."""
    if key is None or asked.recipients is None or asked.values is None:
        return await _accept(app, asked, None)
    size = len(asked.recipients.accepted)
    digest = await off_the_loop(size, digest_of, asked.kind, asked.recipients, asked.values, asked.upload)
    claim = Claim(key, digest)
    return await app[IDEMPOTENCY].once(key, digest, lambda: _accept(app, asked, claim))


async def _accept(app: web.Application, asked: Asked, claim: Claim | None) -> web.Response:
    recipients, draft = plan(asked, app[RULES], datetime.now(UTC))
    draft = await _looked_up(app, draft)
    async with stored(app[DATABASE], asked.upload, app[SETTINGS].media_max_total) as media:
        draft = draft if media is None else replace(draft, media=media)
        if recipients.several:
            return await _accept_campaign(app, draft, recipients, claim)
        return await _accept_message(app, draft, recipients.accepted[0], claim)


async def _looked_up(app: web.Application, draft: Draft) -> Draft:
    """Raises InvalidInput where what it names elsewhere cannot be sent."""
    draft = bound_to_original(draft, await accounts_with_original(app[DATABASE], draft), app[RULES])
    passed_on = app[SETTINGS].remote_media == "pass"
    await check_remote_media(draft.kind, draft.content, app[ADDRESS_GUARD], app[FILE_TYPES], passed_on)
    return draft


async def _accept_message(app: web.Application, draft: Draft, phone: str, claim: Claim | None) -> web.Response:
    identity = new_message_ids()[0]
    response = success("Message accepted", {"message_id": str(identity), "status": Status.QUEUED}, status=202)
    keyed = None if claim is None else claim.kept(response)
    message = NewMessage(id=identity, phone=phone, phone_key=phone_key(phone), draft=draft, keyed=keyed)
    await app[ACCEPTANCE].accept(message)
    return response


async def _accept_campaign(
    app: web.Application, draft: Draft, recipients: Recipients, claim: Claim | None
) -> web.Response:
    # Not a time-ordered id: the token is what gives access to a campaign in a URL.
    token = uuid4()
    response = _campaign_accepted(token, draft, recipients)
    keyed = None if claim is None else claim.kept(response)
    tally = Tally(len(recipients.rejected), recipients.duplicates, keyed)
    listed = in_one_portion(recipients.accepted)
    campaign = NewCampaign(token, draft, listed, lambda _: tally, None if claim is None else claim.key)
    try:
        count = await app[ACCEPTANCE].accept_campaign(campaign)
    except OwnedMediaGone as error:
        raise ApiError(409, "MEDIA_GONE", str(error), [(draft.kind.value, str(error))]) from None
    log.info("campaign accepted", campaign=str(token), messages=count, type=draft.kind.value)
    return response


def _campaign_accepted(token: UUID, draft: Draft, recipients: Recipients) -> web.Response:
    count = len(recipients.accepted)
    results = {
        "campaign_token": str(token),
        "status": (CampaignStatus.SCHEDULED if draft.send_at else CampaignStatus.RUNNING).value,
        "accepted": count,
        "rejected": [{"phone": phone, "reason": reason} for phone, reason in recipients.rejected],
        "duplicates": recipients.duplicates,
        "total": count,
    }
    return success(f"Campaign of {count} messages accepted", results, status=202)
