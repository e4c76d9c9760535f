"""What the parts of the gateway find in the application."""

from __future__ import annotations

from aiohttp import web

from services.gateway.failure_reasons import FailureReasons
from services.gateway.inbound.noted_numbers import NotedNumbers
from services.gateway.inbound.refused_webhooks import RefusedWebhooks
from services.gateway.intake.acceptance import Acceptance
from services.gateway.intake.drafts import Rules
from services.gateway.intake.idempotency import Idempotency
from services.gateway.settings import GatewaySettings
from shared.database.connection import Database
from shared.endpoints.identity import Endpoint
from shared.endpoints.pacing import RateProfile
from shared.media.file_types import FileTypes
from shared.outbound.address_guard import AddressGuard
from shared.queue.connection import QueueConnection

SETTINGS = web.AppKey("settings", GatewaySettings)
DATABASE = web.AppKey("database", Database)
QUEUE = web.AppKey("queue", QueueConnection)
RULES = web.AppKey("rules", Rules)
ENDPOINTS = web.AppKey("endpoints", dict[str, Endpoint])
DEFAULT_PROFILE = web.AppKey("default_profile", RateProfile)
FILE_TYPES = web.AppKey("file_types", FileTypes)
ADDRESS_GUARD = web.AppKey("address_guard", AddressGuard)
ACCEPTANCE = web.AppKey("acceptance", Acceptance)
IDEMPOTENCY = web.AppKey("idempotency", Idempotency)
FAILURE_REASONS = web.AppKey("failure_reasons", FailureReasons)
NOTED_NUMBERS = web.AppKey("noted_numbers", NotedNumbers)
REFUSED_WEBHOOKS = web.AppKey("refused_webhooks", RefusedWebhooks)
SHARD = web.AppKey("shard", int)
"""The shard of the campaigns' counts that this process writes to."""
