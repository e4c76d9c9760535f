"""POST /api/send/message, /image and /file: what to send and to whom becomes one message or a campaign."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import structlog
from aiohttp import web

from services.gateway.app_keys import ACCEPTANCE, ADDRESS_GUARD, DATABASE, ENDPOINTS, SETTINGS
from services.gateway.intake.bodies import Body, BodyLimits, received
from services.gateway.intake.fields import Wish, form_values, read_wish, take_phones
from services.gateway.intake.phones import Recipients, read_recipients
from services.gateway.intake.remote_media import check_remote_media
from services.gateway.intake.uploads import Upload, blocks_of
from services.gateway.settings import GatewaySettings
from shared.database.campaigns import NewCampaign, OwnedMediaGone
from shared.database.media import MediaStoreFull, NewMedia, delete_unowned, insert_media
from shared.database.messages import NewMessage
from shared.errors import DatabaseUnavailable
from shared.messages import CampaignStatus, Kind, Lane, OnUnknown, Status, new_message_ids
from shared.phone_key import phone_key
from shared.runtime.envelope import ApiError, InvalidInput, success
from shared.settings import seconds

log = structlog.get_logger()
_READ_ON_THE_LOOP = 200  # recipients; fewer take under a millisecond
_ERRORS_SHOWN = 100


def send(kind: Kind) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler for one kind of message."""

    async def handler(request: web.Request) -> web.Response:
        async with received(request, kind, _limits(kind, request.app[SETTINGS])) as body:
            recipients, wish = await _read(request, kind, body)
            await check_remote_media(
                kind, wish.content, request.app[ADDRESS_GUARD], request.app[SETTINGS].remote_media == "pass"
            )
            async with _stored(request, body.upload) as media:
                if recipients.several:
                    return await _accept_campaign(request, kind, recipients, wish, media)
                return await _accept_message(request, kind, recipients, wish, media)

    return handler


def _limits(kind: Kind, settings: GatewaySettings) -> BodyLimits:
    upload = {Kind.MESSAGE: 0, Kind.IMAGE: settings.max_image_size, Kind.FILE: settings.max_file_size}[kind]
    return BodyLimits(settings.max_body_size, upload, Path(settings.file_storage_root))


async def _read(request: web.Request, kind: Kind, body: Body) -> tuple[Recipients, Wish]:
    """Recipients and content, checked. Raises InvalidInput naming everything that is wrong."""
    settings = request.app[SETTINGS]
    errors: list[tuple[str, str]] = []
    recipients = None
    try:
        phones = take_phones(body.fields, body.form, settings.max_recipients)
        if len(phones) <= _READ_ON_THE_LOOP:
            recipients = read_recipients(phones, settings.default_region)
        else:
            recipients = await asyncio.to_thread(read_recipients, phones, settings.default_region)
        if not recipients.accepted:
            errors += [
                ("phone", f"{phone}: {reason}" if phone else reason)
                for phone, reason in recipients.rejected[:_ERRORS_SHOWN]
            ]
    except InvalidInput as error:
        errors += error.errors
    wish = None
    try:
        values = form_values(body.fields) if body.form else body.fields
        wish = read_wish(kind, values, request.app[ENDPOINTS], body.upload is not None)
    except InvalidInput as error:
        errors += error.errors
    if errors or recipients is None or wish is None:
        raise InvalidInput(*errors)
    return recipients, wish


@asynccontextmanager
async def _stored(request: web.Request, upload: Upload | None) -> AsyncIterator[UUID | None]:
    """The id of the upload in Postgres; it is deleted there again when its request is not accepted."""
    if upload is None:
        yield None
        return
    database = request.app[DATABASE]
    media = NewMedia(uuid4(), upload.filename, upload.content_type, upload.size, upload.sha256)
    try:
        await insert_media(database, media, blocks_of(upload.path), request.app[SETTINGS].media_max_total)
    except MediaStoreFull:
        raise ApiError(
            507,
            "INSUFFICIENT_STORAGE",
            "no space is left for media until campaigns with media have ended",
            [(upload.field, "no space is left for media")],
        ) from None
    try:
        yield media.id
    except BaseException:
        try:
            await delete_unowned(database, media.id)
        except DatabaseUnavailable:
            log.info("an upload without an owner stays until the next clearing")
        raise


async def _accept_message(
    request: web.Request, kind: Kind, recipients: Recipients, wish: Wish, media: UUID | None
) -> web.Response:
    lane = wish.lane or Lane.TRANSACTIONAL
    phone = recipients.accepted[0]
    message = NewMessage(
        id=new_message_ids()[0],
        lane=lane,
        kind=kind,
        phone=phone,
        phone_key=phone_key(phone),
        content=wish.content,
        media=media,
        chosen_endpoint=wish.endpoint,
        on_unknown=wish.on_unknown or _on_unknown(request.app[SETTINGS], lane),
        reference=wish.reference,
        expires_at=wish.expires_at,
        expires_after=_expires_after(request.app[SETTINGS], lane),
    )
    await request.app[ACCEPTANCE].accept(message)
    return success("Message accepted", {"message_id": str(message.id), "status": Status.QUEUED.value}, status=202)


async def _accept_campaign(
    request: web.Request, kind: Kind, recipients: Recipients, wish: Wish, media: UUID | None
) -> web.Response:
    lane = wish.lane or Lane.BULK
    count = len(recipients.accepted)
    campaign = NewCampaign(
        # Not a time-ordered id: the token is what gives access to a campaign in a URL.
        token=uuid4(),
        kind=kind,
        lane=lane,
        content=wish.content,
        media=media,
        endpoint=wish.endpoint,
        on_unknown=wish.on_unknown or _on_unknown(request.app[SETTINGS], lane),
        reference=wish.reference,
        phones=recipients.accepted,
        rejected=len(recipients.rejected),
        duplicates=recipients.duplicates,
        expires_at=wish.expires_at,
        expires_after=_expires_after(request.app[SETTINGS], lane),
    )
    try:
        await request.app[ACCEPTANCE].accept_campaign(campaign)
    except OwnedMediaGone as error:
        raise ApiError(409, "MEDIA_GONE", str(error), [(kind.value, str(error))]) from None
    log.info("campaign accepted", campaign=str(campaign.token), messages=count, type=kind.value, client=request.remote)
    results = {
        "campaign_token": str(campaign.token),
        "status": CampaignStatus.RUNNING.value,
        "accepted": count,
        "rejected": [{"phone": phone, "reason": reason} for phone, reason in recipients.rejected],
        "duplicates": recipients.duplicates,
        "total": count,
    }
    return success(f"Campaign of {count} messages accepted", results, status=202)


def _on_unknown(settings: GatewaySettings, lane: Lane) -> OnUnknown:
    return settings.on_unknown_bulk if lane is Lane.BULK else settings.on_unknown_transactional


def _expires_after(settings: GatewaySettings, lane: Lane) -> float:
    """Seconds."""
    return seconds(settings.bulk_expires_after if lane is Lane.BULK else settings.transactional_expires_after)
