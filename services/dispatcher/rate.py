"""The rate profile in force: the defaults of the settings with what an operator changed at run time."""

from __future__ import annotations

import orjson
import structlog

from shared.endpoints.pacing import RateProfile
from shared.endpoints.profiles import Profiles, profiles_of
from shared.queue.connection import QueueConnection
from shared.queue.profile_copy import published_profile

log = structlog.get_logger()


class CurrentRate:
    """``of`` is asked by whoever types or settles; ``follow`` loads the profiles when take tells of a new version."""

    def __init__(self, queue: QueueConnection, defaults: RateProfile) -> None:
        self._queue = queue
        self._defaults = defaults
        self._version = ""
        self.profiles = Profiles(defaults)

    def of(self, endpoint: str) -> RateProfile:
        return self.profiles.of(endpoint)

    async def follow(self, version: str) -> None:
        """Loads the published changes if they are not those of ``version``. Raises QueueUnavailable."""
        if version == self._version:
            return
        current, text = await published_profile(self._queue)
        try:
            self.profiles = profiles_of(self._defaults, orjson.loads(text))
        except ValueError as error:
            # A newer gateway may know values that we do not; better our defaults than none.
            log.error("rate profile not understood", reason=str(error))
            self.profiles = Profiles(self._defaults)
        self._version = current
        log.info("rate profile", name=self.profiles.usual.name, own=len(self.profiles.own), version=current)
