"""POST /api/alerts/test: posts one alert that says that it is a test, and tells what its receiver answered."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import structlog
from aiohttp import web

from services.monitor.alert_messages import trial_message
from services.monitor.alert_receiver import AlertReceiver
from shared.runtime.envelope import ApiError, success

log = structlog.get_logger()


class AlertTest:
    """``receiver`` is there while the monitor runs, if ALERT_WEBHOOK_URL is set."""

    def __init__(self) -> None:
        self.receiver: AlertReceiver | None = None

    async def handle(self, request: web.Request) -> web.Response:
        """Raises ApiError 409 where alerts are posted nowhere, 502 where the receiver did not take it."""
        if self.receiver is None:
            reason = "it is not set, so alerts are only shown"
            raise ApiError(409, "NO_ALERT_RECEIVER", f"ALERT_WEBHOOK_URL: {reason}", [("ALERT_WEBHOOK_URL", reason)])
        received = await self.receiver.post(trial_message(uuid4().hex, datetime.now(UTC)))
        log.info("test alert posted", taken=received.taken, status=received.status)
        results: dict[str, Any] = {
            "format": self.receiver.format.value,
            "taken": received.taken,
            "status": received.status,
            "answer": received.answer,
        }
        if received.taken:
            return success("The receiver took the test alert", results)
        answered = f"it answered {received.status}" if received.status else received.answer
        raise ApiError(502, "ALERT_NOT_TAKEN", f"the receiver did not take the test alert: {answered}", results=results)
