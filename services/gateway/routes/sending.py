"""POST /api/send/message, /image and /file: what to send and to whom becomes one message or a campaign."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import structlog
from aiohttp import web

from services.gateway.app_keys import (
    ACCEPTANCE,
    ADDRESS_GUARD,
    DATABASE,
    ENDPOINTS,
    FILE_TYPES,
    IDEMPOTENCY,
    SETTINGS,
)
from services.gateway.intake.account_choice import AskedAccount, asked_account, choose_account
from services.gateway.intake.bodies import Body, BodyLimits, arrived_json, json_body, received
from services.gateway.intake.fields import Wish, form_values, read_wish, take_phones
from services.gateway.intake.idempotency import digest_of, key_of, keyed_answer
from services.gateway.intake.phones import Recipients, read_recipients
from services.gateway.intake.plain_texts import read_plain_text
from services.gateway.intake.remote_media import check_remote_media
from services.gateway.intake.replies import bound_to_original
from services.gateway.intake.uploads import Upload, blocks_of
from services.gateway.settings import GatewaySettings
from shared.database.campaigns import NewCampaign, OwnedMediaGone, Tally, in_one_portion
from shared.database.idempotency import CallerKey, Keyed
from shared.database.media import MediaStoreFull, NewMedia, delete_unowned, insert_media
from shared.database.messages import Draft, NewMessage
from shared.errors import DatabaseUnavailable
from shared.messages import CampaignStatus, Kind, Lane, Status, new_message_ids
from shared.phone_key import phone_key
from shared.runtime.envelope import ApiError, InvalidInput, success
from shared.settings import seconds

log = structlog.get_logger()
_READ_ON_THE_LOOP = 200  # recipients; fewer take under a millisecond
_ERRORS_SHOWN = 100
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the body holds: ``recipients`` and ``values`` are None where they could not even be read, as ``errors`` says."""

    recipients: Recipients | None
    values: dict[str, Any] | None
    errors: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Claim:
    """The Idempotency-Key of a request, and the digest of what it asks for."""

    key: CallerKey
    digest: bytes


def send(kind: Kind) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler for one kind of message."""

    async def handler(request: web.Request) -> web.Response:
        key = key_of(request)
        account = await asked_account(request, request.app[ENDPOINTS], request.app[DATABASE])
        raw = arrived_json(request)
        if raw is not None:
            short = kind is Kind.MESSAGE and key is None and account is None
            if short and (plain := read_plain_text(raw, request.app[SETTINGS].default_region)) is not None:
                return await _accept_message(request.app, kind, plain[0], plain[1], None, None)
            return await _answer(request, kind, await json_body(raw), key, account)
        async with received(request, kind, _limits(kind, request.app)) as body:
            return await _answer(request, kind, body, key, account)

    return handler


async def _answer(
    request: web.Request, kind: Kind, body: Body, key: CallerKey | None, account: AskedAccount | None
) -> web.Response:
    app = request.app
    choose_account(body, account, app[ENDPOINTS])
    asked = await _take(body, app[SETTINGS])
    if key is None or asked.recipients is None or asked.values is None:
        return await _accept(request, app, kind, asked, body.upload, None)
    size = len(asked.recipients.accepted)
    digest = await _off_the_loop(size, digest_of, kind, asked.recipients, asked.values, body.upload)
    claim = _Claim(key, digest)
    return await app[IDEMPOTENCY].once(key, digest, lambda: _accept(request, app, kind, asked, body.upload, claim))


async def _accept(
    request: web.Request,
    app: web.Application,
    kind: Kind,
    asked: _Asked,
    upload: Upload | None,
    claim: _Claim | None,
) -> web.Response:
    recipients, wish = _read(app, kind, asked, upload is not None)
    wish = await bound_to_original(app[DATABASE], wish, app[ENDPOINTS])
    if kind is not Kind.MESSAGE:
        passed_on = app[SETTINGS].remote_media == "pass"
        await check_remote_media(kind, wish.content, app[ADDRESS_GUARD], app[FILE_TYPES], passed_on)
    if upload is None:
        return await _accepted(request, app, kind, recipients, wish, None, claim)
    async with _stored(app, upload) as media:
        return await _accepted(request, app, kind, recipients, wish, media, claim)


async def _accepted(
    request: web.Request,
    app: web.Application,
    kind: Kind,
    recipients: Recipients,
    wish: Wish,
    media: UUID | None,
    claim: _Claim | None,
) -> web.Response:
    if recipients.several:
        return await _accept_campaign(request, app, kind, recipients, wish, media, claim)
    return await _accept_message(app, kind, recipients.accepted[0], wish, media, claim)


async def _off_the_loop(phones: int, call: Callable[..., T], *arguments: Any) -> T:
    """In a thread where there are so many phones that others would wait."""
    return call(*arguments) if phones <= _READ_ON_THE_LOOP else await asyncio.to_thread(call, *arguments)


def _limits(kind: Kind, app: web.Application) -> BodyLimits:
    settings = app[SETTINGS]
    upload = {Kind.MESSAGE: 0, Kind.IMAGE: settings.max_image_size, Kind.FILE: settings.max_file_size}[kind]
    return BodyLimits(
        settings.max_body_size,
        upload,
        Path(settings.file_storage_root),
        seconds(settings.body_timeout),
        app[FILE_TYPES],
    )


async def _take(body: Body, settings: GatewaySettings) -> _Asked:
    recipients: Recipients | None = None
    values: dict[str, Any] | None = None
    errors: list[tuple[str, str]] = []
    try:
        phones = take_phones(body.fields, body.form, settings.max_recipients)
        recipients = await _off_the_loop(len(phones), read_recipients, phones, settings.default_region)
    except InvalidInput as error:
        errors += error.errors
    try:
        values = form_values(body.fields) if body.form else body.fields
    except InvalidInput as error:
        errors += error.errors
    return _Asked(recipients, values, errors)


def _read(app: web.Application, kind: Kind, asked: _Asked, uploaded: bool) -> tuple[Recipients, Wish]:
    """Recipients and content, checked. Raises InvalidInput naming everything that is wrong."""
    errors = list(asked.errors)
    recipients = asked.recipients
    if recipients is not None and not recipients.accepted:
        errors += [
            ("phone", f"{phone}: {reason}" if phone else reason)
            for phone, reason in recipients.rejected[:_ERRORS_SHOWN]
        ]
    wish = None
    if asked.values is not None:
        try:
            wish = read_wish(kind, asked.values, app[ENDPOINTS], uploaded, app[SETTINGS].default_region)
        except InvalidInput as error:
            errors += error.errors
    if errors or recipients is None or wish is None:
        raise InvalidInput(*errors)
    return recipients, wish


@asynccontextmanager
async def _stored(app: web.Application, upload: Upload) -> AsyncIterator[UUID]:
    """The id of the upload in Postgres; it is deleted there again when its request is not accepted."""
    database = app[DATABASE]
    media = NewMedia(uuid4(), upload.filename, upload.content_type, upload.size, upload.sha256)
    try:
        await insert_media(database, media, blocks_of(upload.path), app[SETTINGS].media_max_total)
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
    app: web.Application, kind: Kind, phone: str, wish: Wish, media: UUID | None, claim: _Claim | None
) -> web.Response:
    draft = _draft(app[SETTINGS], kind, wish, Lane.TRANSACTIONAL, media)
    identity = new_message_ids()[0]
    response = success("Message accepted", {"message_id": str(identity), "status": Status.QUEUED}, status=202)
    message = NewMessage(
        id=identity, phone=phone, phone_key=phone_key(phone), draft=draft, keyed=_keyed(claim, response)
    )
    await app[ACCEPTANCE].accept(message)
    return response


async def _accept_campaign(
    request: web.Request,
    app: web.Application,
    kind: Kind,
    recipients: Recipients,
    wish: Wish,
    media: UUID | None,
    claim: _Claim | None,
) -> web.Response:
    count = len(recipients.accepted)
    # Not a time-ordered id: the token is what gives access to a campaign in a URL.
    token = uuid4()
    results = {
        "campaign_token": str(token),
        "status": (CampaignStatus.SCHEDULED if wish.send_at else CampaignStatus.RUNNING).value,
        "accepted": count,
        "rejected": [{"phone": phone, "reason": reason} for phone, reason in recipients.rejected],
        "duplicates": recipients.duplicates,
        "total": count,
    }
    response = success(f"Campaign of {count} messages accepted", results, status=202)
    tally = Tally(len(recipients.rejected), recipients.duplicates, _keyed(claim, response))
    campaign = NewCampaign(
        token=token,
        draft=_draft(app[SETTINGS], kind, wish, Lane.BULK, media),
        recipients=in_one_portion(recipients.accepted),
        tally=lambda _: tally,
        key=None if claim is None else claim.key,
    )
    try:
        await app[ACCEPTANCE].accept_campaign(campaign)
    except OwnedMediaGone as error:
        raise ApiError(409, "MEDIA_GONE", str(error), [(kind.value, str(error))]) from None
    log.info("campaign accepted", campaign=str(token), messages=count, type=kind.value, client=request.remote)
    return response


def _keyed(claim: _Claim | None, response: web.Response) -> Keyed | None:
    return None if claim is None else keyed_answer(claim.key, claim.digest, response)


def _draft(settings: GatewaySettings, kind: Kind, wish: Wish, lane: Lane, media: UUID | None) -> Draft:
    lane = wish.lane or lane
    bulk = lane is Lane.BULK
    return Draft(
        kind=kind,
        lane=lane,
        content=wish.content,
        on_unknown=wish.on_unknown or (settings.on_unknown_bulk if bulk else settings.on_unknown_transactional),
        expires_after=seconds(settings.bulk_expires_after if bulk else settings.transactional_expires_after),
        expires_at=wish.expires_at,
        send_at=wish.send_at,
        endpoint=wish.endpoint,
        reference=wish.reference,
        media=media,
    )
