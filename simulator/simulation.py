"""Everything that one process remembers, and who may use it."""

from __future__ import annotations

import asyncio
import base64
import binascii
import time

from aiohttp import web

from simulator.accounts import Accounts
from simulator.answers import BAD_AUTHORIZATION, UNAUTHORIZED, Answer
from simulator.chat_storage import ChatStorage
from simulator.downloads import Downloads
from simulator.frost import Frost
from simulator.groups import Groups
from simulator.inbound import Inbound
from simulator.ledger import Ledger
from simulator.lookups import Numbers
from simulator.receipts import Receipts
from simulator.settings import Settings
from simulator.webhook import Webhook


class Simulation:
    """The state behind all routes. ``closing`` is set when the process stops, so that hanging answers end."""

    def __init__(self, settings: Settings) -> None:
        """Raises MoodError for a mood at start that cannot be read."""
        self.settings = settings
        self.frost = Frost()
        self.accounts = Accounts(settings.devices, settings.latency, settings.moods, self.frost)
        if settings.boot:
            for account in self.accounts:
                account.up_at = time.monotonic() + settings.boot
        self.numbers = Numbers(settings.not_on_whatsapp_suffix, settings.account_validation)
        self.groups = Groups()
        self.downloads = Downloads(settings.download_limit, settings.fetch_urls)
        self.ledger = Ledger()
        self.storage = ChatStorage(settings.storage_delay)
        self.webhook = Webhook(settings.webhook, settings.webhook_secret)
        self.receipts = Receipts(self.webhook, settings.receipt_delay, settings.read_delay)
        self.inbound = Inbound(self.webhook, self.storage)
        self.closing = asyncio.Event()
        self._credentials = {pair.encode() for pair in settings.basic_auth}
        self._headers = {f"Basic {base64.b64encode(pair).decode()}" for pair in self._credentials}

    def restart(self, boot: float) -> None:
        """GOWA is killed and starts anew: what was in flight or on its way to storage or webhook is gone, moods and
        stored chats stay, and for ``boot`` seconds no account has a client."""
        self.storage.drop_pending()
        self.webhook.drop()
        for account in self.accounts:
            account.restart(boot)
        self.frost.set_whole(False)

    def auth_refusal(self, request: web.Request) -> Answer | None:
        """Fiber's Basic auth: plain text 401 for wrong or none, 400 for a header that cannot be read. All credentials
        are equal. None when the request may go on."""
        given = request.headers.get("Authorization", "")
        if not self._credentials or given in self._headers:
            return None
        scheme, _, encoded = given.partition(" ")
        if scheme.lower() != "basic":
            return UNAUTHORIZED
        try:
            decoded = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            return BAD_AUTHORIZATION
        if b":" not in decoded:
            return BAD_AUTHORIZATION
        return None if decoded in self._credentials else UNAUTHORIZED
