"""The address that alerts are posted to: what it is sent, and what it answered.

The address is the operator's own setting and may be inside the network, so no guard stands before it. It may hold a secret,
so it is in no log and no answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp
from prometheus_client import Counter

from services.monitor.alert_formats import body_for, format_of
from services.monitor.alert_messages import AlertMessage, headers_of
from services.monitor.settings_of_alerts import AlertSettings

_posts = Counter("paceline_alert_posts_total", "Posts of alerts to the operator's address", ["outcome"])
_POST_TIMEOUT = 10.0
_LONGEST_WAIT = 600.0
"""Seconds that a receiver is left alone at its word, at most."""
_ANSWER_SHOWN = 500  # characters


@dataclass(frozen=True, slots=True)
class Received:
    """``taken``: answered 2xx. ``status``: of the answer, None: there was none. ``answer``: its first 500 characters, or why
    there was none. ``asked``: False where the receiver had asked to be left alone, so that it was not posted."""

    taken: bool
    status: int | None
    answer: str
    asked: bool = True


class AlertReceiver:
    def __init__(
        self, session: aiohttp.ClientSession, settings: AlertSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._session = session
        self._url = settings.alert_webhook_url.get_secret_value()
        self._secret = settings.alert_webhook_secret.get_secret_value()
        self._repeat = settings.alert_repeat_interval
        self.format = format_of(settings.alert_webhook_format, self._url)
        self._clock = clock
        self._alone_until = 0.0

    async def post(self, message: AlertMessage) -> Received:
        """Never raises for what the receiver does."""
        if (wait := self._alone_until - self._clock()) > 0:
            return Received(False, 429, f"it asked to be left alone for {wait:.0f} s more", asked=False)
        now = datetime.now(UTC)
        posted = body_for(self.format, message.body, now, self._repeat)
        try:
            async with self._session.post(
                self._url,
                data=posted,
                headers=headers_of(message.id, posted, self._secret, now.timestamp()),
                timeout=aiohttp.ClientTimeout(total=_POST_TIMEOUT),
                allow_redirects=False,
            ) as response:
                found = Received(200 <= response.status < 300, response.status, await _beginning(response))
                if response.status == 429:
                    self._alone_until = self._clock() + _asked_wait(response.headers.get("Retry-After", ""))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # Not its text, which names the address.
            found = Received(False, None, f"no answer: {type(error).__name__}")
        _posts.labels("taken" if found.taken else "failed").inc()
        return found


async def _beginning(response: aiohttp.ClientResponse) -> str:
    return (await response.content.read(4 * _ANSWER_SHOWN)).decode("utf-8", "replace")[:_ANSWER_SHOWN]


def _asked_wait(header: str) -> float:
    """Seconds; Discord and Slack both say it in this header."""
    try:
        return min(max(float(header), 0.0), _LONGEST_WAIT)
    except ValueError:
        return 0.0
