"""Posts alerts to ALERT_WEBHOOK_URL: at least once when one comes on, again while it lasts, and once when it is over.

Of several monitors one posts, by a claim in Postgres. While Postgres is away, which is an alert itself, each posts by itself;
the message's id is the same, so that a receiver can tell. A post that fails is repeated when its claim ends.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, timedelta
from uuid import UUID, uuid4

import structlog

from services.monitor.alert_messages import alert_message
from services.monitor.alert_receiver import AlertReceiver
from services.monitor.alert_rules import Alert, Severity
from services.monitor.settings_of_alerts import AlertSettings
from shared.database.alerts import AlertRow, claim_over, fire, forget, keep, told
from shared.database.connection import Database
from shared.endpoints.identity import Endpoint
from shared.errors import DatabaseUnavailable
from shared.settings import seconds

log = structlog.get_logger()
_LEASE = 30.0
"""Seconds that a claim lasts, longer than a post may take, and so the pause before a failed one is repeated."""
_QUIET = 20.0
"""An alert that no monitor has found on for so many seconds is over; each looks every second."""


class AlertDelivery:
    name = "alert_delivery"

    def __init__(
        self,
        database: Database,
        receiver: AlertReceiver,
        endpoints: Mapping[str, Endpoint],
        settings: AlertSettings,
        alerts: Callable[[], list[Alert]],
        present: Callable[[], set[tuple[str, str]]],
        interval: float,
        lease: float = _LEASE,
        quiet: float = _QUIET,
    ) -> None:
        """``alerts``: answers those that are on; ``present``: what is there and may be one, so that a monitor that has just
        started does not end what another began. ``lease`` and ``quiet`` in seconds."""
        self._database = database
        self._receiver = receiver
        self._labels = {endpoint.id: endpoint.label for endpoint in endpoints.values()}
        self._repeat = seconds(settings.alert_repeat_interval)
        self._alerts = alerts
        self._present = present
        self._lease = lease
        self._quiet = quiet
        self._quiet_until: dict[tuple[str, str], float] = {}
        self.interval = interval

    async def step(self) -> None:
        alerts = self._alerts()
        on = {alert.key for alert in alerts}
        self._quiet_until = {key: at for key, at in self._quiet_until.items() if key in on}
        try:
            await keep(self._database, self._present())
            # All at once: an address that does not answer must not make the last ones look over.
            await asyncio.gather(*[self._tell(*found) for alert in alerts if (found := await self._claim(alert))])
            await self._end()
        except DatabaseUnavailable:
            await asyncio.gather(*(self._fire_alone(alert) for alert in alerts))

    async def _claim(self, alert: Alert) -> tuple[AlertRow, UUID] | None:
        claim = uuid4()
        wanted = AlertRow(alert.name, alert.endpoint, alert.severity.value, alert.text, alert.since, None)
        row = await fire(self._database, wanted, claim, self._lease, self._repeat)
        if row is not None:
            return row, claim
        # Somebody was told or is being told, so there is no need to should Postgres go away.
        self._quiet_until.setdefault(alert.key, self._next_time(told=True))
        return None

    async def _tell(self, row: AlertRow, claim: UUID) -> None:
        is_told = await self._post(row, is_over=False)
        self._quiet_until[row.name, row.endpoint] = self._next_time(is_told)
        if is_told:
            # Otherwise its claim ends and it is told again, which is better than never.
            with suppress(DatabaseUnavailable):
                await told(self._database, row, claim)

    def _next_time(self, told: bool) -> float:
        if not told:
            return time.monotonic() + self._lease
        return time.monotonic() + self._repeat if self._repeat else math.inf

    async def _end(self) -> None:
        claim = uuid4()
        for row in await claim_over(self._database, claim, self._quiet, self._lease):
            if await self._post(row, is_over=True):
                await forget(self._database, row, claim)

    async def _fire_alone(self, alert: Alert) -> None:
        if time.monotonic() < self._quiet_until.get(alert.key, 0.0):
            return
        row = AlertRow(alert.name, alert.endpoint, alert.severity.value, alert.text, alert.since, None)
        self._quiet_until[alert.key] = self._next_time(await self._post(row, is_over=False))

    async def _post(self, row: AlertRow, is_over: bool) -> bool:
        """Whether it was taken."""
        alert = Alert(row.name, Severity(row.severity), row.endpoint, row.text, row.since.astimezone(UTC))
        received = await self._receiver.post(alert_message(alert, is_over, row.sent_at, self._labels))
        tell = log.info if received.taken else log.warning
        answer = received.status or received.answer
        tell("alert posted", alert=row.name, endpoint=row.endpoint, over=is_over, taken=received.taken, answer=answer)
        return received.taken


def quiet_after(interval: timedelta) -> float:
    """Seconds without a look that found an alert on, after which it is over, for monitors that look every ``interval``."""
    return max(_QUIET, 5 * seconds(interval))
